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

// versionReport is what --json prints.
type versionReport struct {
	Version  string          `json:"version"`
	Commit   string          `json:"commit,omitempty"`
	Modified bool            `json:"modified,omitempty"` // the checkout had changes that are in no commit
	Date     string          `json:"date,omitempty"`     // of the commit, RFC 3339
	Go       string          `json:"go"`
	OS       string          `json:"os"`
	Arch     string          `json:"arch"`
	Platform string          `json:"platform"`        // linux/arm
	Level    string          `json:"level,omitempty"` // GOARM=7
	Modules  []versionModule `json:"modules"`
}

// versionModule is a module that is in the program.
type versionModule struct {
	Path    string         `json:"path"`
	Version string         `json:"version"`
	Sum     string         `json:"sum,omitempty"`     // as go.sum has it
	Replace *versionModule `json:"replace,omitempty"` // which took its place
}

// built tells what this program was built from.
func built(sums string) versionReport {
	info, _ := debug.ReadBuildInfo() // nil where the build has none
	return versionOf(releaseText, sums, info)
}

// versionOf tells what a program was built from: by the lines of release, in the
// source of one, else by what the build knew of its checkout. Sums is go.sum: a
// build from vendor/ keeps none itself.
func versionOf(release, sums string, info *debug.BuildInfo) versionReport {
	number, stamp, _ := strings.Cut(release, "\n")
	r := versionReport{Version: number, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Platform: runtime.GOOS + "/" + runtime.GOARCH, Modules: []versionModule{}}
	if info != nil {
		built := map[string]string{}
		for _, s := range info.Settings {
			built[s.Key] = s.Value
		}
		r.Commit, r.Modified, r.Date = built["vcs.revision"], built["vcs.modified"] == "true", built["vcs.time"]
		if level := "GO" + strings.ToUpper(runtime.GOARCH); built[level] != "" {
			r.Level = level + "=" + built[level]
		}
		known := sumsOfModules(sums)
		for _, m := range info.Deps {
			r.Modules = append(r.Modules, versionModuleOf(m, known))
		}
	}
	for line := range strings.Lines(stamp) {
		switch word, value, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "commit":
			r.Commit, r.Modified = value, false
		case "date":
			r.Date = value
		}
	}
	return r
}

func versionModuleOf(m *debug.Module, known map[string]string) versionModule {
	v := versionModule{Path: m.Path, Version: m.Version, Sum: m.Sum}
	if m.Replace != nil {
		by := versionModuleOf(m.Replace, known)
		v.Replace = &by
		return v // the sum is that of what took its place
	}
	if v.Sum == "" {
		v.Sum = known[m.Path+" "+m.Version]
	}
	return v
}

// sumsOfModules are the sums of a go.sum by path and version. Those of go.mod files
// alone have another version, which ends with /go.mod.
func sumsOfModules(text string) map[string]string {
	known := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 {
			known[f[0]+" "+f[1]] = f[2]
		}
	}
	return known
}

type versionOptions struct{ verify, key string }

func (a *app) versionCommand() *cobra.Command {
	var o versionOptions
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, or tell whether this program is that of a release",
		Long: `Print the version. Asked for JSON it also tells the commit and its date, the
platform, and each module that is in the program, with its version and its sum.

--verify tells whether the program that runs is one of those that SHA256SUMS lists,
the list of a release, in any form that sha256sum writes: it ends with 0 and names
the line, or with 7 and tells what the list has for this platform. With --key the
signature of the list is checked too, which is beside it in SHA256SUMS.minisig.
A program that somebody made otherwise can say of itself what it likes: what this
proves is that the right one was not damaged or mistaken. Let 'sha256sum', or a husk
that you trust, look at one from elsewhere.`,
		Example: `  husk version
  husk version --json
  husk version --verify SHA256SUMS --key minisign.pub`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.verify != "":
				return a.verifySelf(cmd.Context(), &o)
			case o.key != "":
				return usage("--key is for the signature of the list that --verify names, and none is named", "husk version --verify SHA256SUMS --key "+shellWord(o.key))
			case a.settings.JSON:
				return a.printJSON(built(a.goSum))
			}
			_, err := fmt.Fprintln(a.stdout, versionText())
			return err
		},
	}
	pathVar(cmd.Flags(), &o.verify, "verify", "list of a release, SHA256SUMS, or - for stdin, that this program is looked for in")
	keyVar(cmd.Flags(), &o.key)
	return cmd
}
