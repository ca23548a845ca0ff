//go:build unix

package cmd

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestContractExitCodes: the page, the help and the program name the same.
func TestContractExitCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| exit code | when |\n|---|---|\n")
	if !found {
		t.Fatal("docs/contract.md has no table of exit codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	told := submatches(regexp.MustCompile(`(?m)^\| (\d+) \|`), table)
	helped := submatches(regexp.MustCompile(`(?:^|\s)(\d+)  \S`), exitHelp)
	slices.Sort(told)
	slices.Sort(helped)
	if len(told) < 9 || !slices.Equal(told, helped) {
		t.Errorf("the page has %v, the help %v", told, helped)
	}
}

// TestContractBundleCodes: the page has the codes of what a check of a bundle finds.
func TestContractBundleCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/contract.md")
	must(t, err)
	source, err := os.ReadFile("bundle_check.go")
	must(t, err)
	_, table, _ := strings.Cut(string(page), "## What the check of a bundle finds\n")
	table, _, _ = strings.Cut(table, "\n## ")
	told := submatches(regexp.MustCompile("(?m)^\\| `(\\w+)` \\|"), table)
	known := submatches(regexp.MustCompile(`(?m)^\tfault\w+ += "(\w+)"$`), string(source))
	slices.Sort(known)
	if len(told) < 15 || !slices.Equal(told, known) {
		t.Errorf("the page has %q, the program %q", told, known)
	}
}

func submatches(form *regexp.Regexp, text string) (all []string) {
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}
