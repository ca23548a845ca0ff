package cmd

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// shippedTexts are the pages and the files that ship, by path.
func shippedTexts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../README.md", "../docs/*", "../docs/*/*", "../dist/*/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if info, e := os.Stat(path); e == nil && info.IsDir() {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
	}
	if len(texts) < 20 {
		t.Fatalf("only %d files are there", len(texts))
	}
	return texts
}

// notSettings are variables that pages name and husk does not read: those of
// its tests, those that Kubernetes makes for a Service, and a misspelt one.
var notSettings = map[string]bool{"HUSK_LONG": true, "HUSK_RELEASE": true, "HUSK_SCREENSHOTS": true, "HUSK_SHIP_TARGETS": true, "HUSK_SOAK": true, "HUSK_PUBLICURL": true, "HUSK_PORT": true, "HUSK_SERVICE_HOST": true}

// TestVariablesOfThePages: what pages and files that ship set, husk reads.
func TestVariablesOfThePages(t *testing.T) {
	known := map[string]bool{}
	f := pflag.NewFlagSet("all", pflag.ContinueOnError)
	addGlobalFlags(f)
	addServeFlags(f)
	f.VisitAll(func(f *pflag.Flag) { known[envName(f.Name)] = true })
	for path, text := range shippedTexts(t) {
		for _, name := range regexp.MustCompile(`\bHUSK_[A-Z]+(_[A-Z]+)*\b`).FindAllString(text, -1) {
			if !known[name] && !notSettings[name] {
				t.Errorf("%s names %s, which is no setting", path, name)
			}
		}
	}
}

// TestTheMetricsPort: it is one in all that ships, and none of those that
// Prometheus's list gives to others: 9090 to 9094, and 9100 and more.
func TestTheMetricsPort(t *testing.T) {
	ports := map[string]string{}
	for path, text := range shippedTexts(t) {
		for _, m := range regexp.MustCompile(`(?:metrics-addr[ :=]+|targets: \[")[\d.]+:(\d+)`).FindAllStringSubmatch(text, -1) {
			ports[m[1]] += path + " "
			if port, err := strconv.Atoi(m[1]); err != nil || port >= 9090 {
				t.Errorf("%s takes port %s, which is another's", path, m[1])
			}
		}
	}
	if len(ports) != 1 {
		t.Errorf("the ports are %v", ports)
	}
}

// TestYAMLThatShips can be read as such.
func TestYAMLThatShips(t *testing.T) {
	for path, text := range shippedTexts(t) {
		if !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
			continue
		}
		var documents int
		var err error
		for d := yaml.NewDecoder(strings.NewReader(text)); err == nil; documents++ {
			var into any
			err = d.Decode(&into)
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFilesThatPagesName: a page leads nobody to a file that is not there.
func TestFilesThatPagesName(t *testing.T) {
	t.Parallel()
	texts := shippedTexts(t)
	for _, page := range []string{"../ARCHITECTURE.md", "../SECURITY.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		texts[page] = string(text)
	}
	found := 0
	for page, text := range texts {
		for _, m := range regexp.MustCompile(`\b(?:cmd|db|web|dist|docs)/[\w./-]*\w\.(?:go|md|sh|yml|json)\b`).FindAllString(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join("..", m)); err != nil && strings.ToLower(m) == m { // one in capitals stands for others
				t.Errorf("%s names %s, which is not there", page, m)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d names were found", found)
	}
}

// TestTestsThatSecurityNames: each test that SECURITY.md says holds a threat is there.
func TestTestsThatSecurityNames(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go", "../*/*/*/*_test.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				there[m[1]] = true
			}
		}
	}
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1)
	for _, m := range named {
		if !there[m[1]] {
			t.Errorf("SECURITY.md names %s, which is no test", m[1])
		}
	}
	if len(named) < 200 {
		t.Errorf("only %d names were found", len(named))
	}
}
