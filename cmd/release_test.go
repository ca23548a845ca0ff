package cmd

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReleaseNumber: the version is that of the newest release, and where the
// changelog has entries behind it, that of the next one with -dev.
func TestReleaseNumber(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$`).FindStringSubmatchIndex(string(changelog))
	if newest == nil {
		t.Fatal("CHANGELOG.md has no release with its date")
	}
	number := string(changelog[newest[2]:newest[3]])
	_, entries, found := strings.Cut(string(changelog[:newest[0]]), "## [Unreleased]\n")
	switch {
	case !found:
		t.Error("CHANGELOG.md has no place for what comes next")
	case strings.TrimSpace(entries) == "":
		if version() != number {
			t.Errorf("the version is %s, and CHANGELOG.md ends with %s", version(), number)
		}
	case !strings.HasSuffix(version(), "-dev") || strings.HasPrefix(version(), number+"-"):
		t.Errorf("the version is %s; behind %s, with entries under Unreleased, it is that of the next release with -dev", version(), number)
	}
	for _, link := range []string{"[Unreleased]: ", "[" + number + "]: "} {
		if strings.Contains(string(changelog), "\n"+link) {
			t.Errorf("CHANGELOG.md has the link %q: where the source is kept is not for it to say", link)
		}
	}
}
