package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the pages about figures tell to run is there: a renamed test must not
// leave a command that runs nothing and ends well.
func TestCommandsOfFiguresExist(t *testing.T) {
	command := regexp.MustCompile("go test (?:-tags soak )?(\\./[\\w/]+) [^`\"]*?-(run|bench) '?([^' `\"]+)'?(?: -bench '?([^' `\"]+)'?)?")
	found := 0
	for _, page := range []string{"../docs/reliability.md", "../docs/performance.md", "../.ci/reliability", "../ARCHITECTURE.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\|`, "|"), -1) {
			found++
			kind, pattern := "Test", m[3]
			if pattern == "^$" {
				kind, pattern = "Benchmark", m[4]
			}
			if !anyFunction(t, filepath.Join("..", m[1]), kind, pattern) {
				t.Errorf("%s: %q runs nothing", page, m[0])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d commands were found: the pages have another form", found)
	}
}

// anyFunction tells whether each part of a pattern has a test in the folder.
func anyFunction(t *testing.T, dir, kind, pattern string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	names := regexp.MustCompile(`(?m)^func (`+kind+`\w+)\(`).FindAllStringSubmatch(all.String(), -1)
	for _, part := range strings.Split(pattern, "|") {
		form, err := regexp.Compile(part)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		one := false
		for _, name := range names {
			one = one || form.MatchString(name[1])
		}
		if !one {
			return false
		}
	}
	return true
}
