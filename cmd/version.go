package cmd

import (
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// releaseText has the number of the newest release in CHANGELOG.md, or of the one
// that comes next, with -dev, where that has entries already; a test holds it to
// that. In the source of a release two lines more tell the commit and its date:
// there is no repository to ask, and the bytes depend on nothing but the source.
//
//go:embed release.txt
var releaseText string

func version() string {
	number, _, _ := strings.Cut(releaseText, "\n")
	return number
}

// versionText is the line for people.
func versionText() string {
	return fmt.Sprintf("husk %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// builtFrom tells what the program was built from, by a key of
// debug.BuildSetting, or "" where the build did not know.
func builtFrom(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// versionReport is what --json prints.
type versionReport struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			r := versionReport{Version: version(), Commit: builtFrom("vcs.revision"), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
			if a.settings.JSON {
				return a.printJSON(r)
			}
			_, err := fmt.Fprintln(a.stdout, versionText())
			return err
		},
	}
}
