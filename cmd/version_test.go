//go:build unix

package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/jedisct1/go-minisign"
)

// What a build knows of its modules depends on how it was made: one from vendor/
// has no sums, one of a release has no checkout to ask.
func TestVersionOf(t *testing.T) {
	t.Parallel()
	const sums = "a.example/one v1.0.0 h1:one=\na.example/one v1.0.0/go.mod h1:mod=\na.example/fork v1.2.0 h1:fork=\n"
	info := &debug.BuildInfo{
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}, {Key: "vcs.time", Value: "2026-11-30T12:00:00Z"},
			{Key: "GO" + strings.ToUpper(runtime.GOARCH), Value: "v3"}},
		Deps: []*debug.Module{
			{Path: "a.example/one", Version: "v1.0.0"},
			{Path: "a.example/two", Version: "v2.0.0", Sum: "h1:two="},
			{Path: "a.example/three", Version: "v3.0.0", Replace: &debug.Module{Path: "a.example/fork", Version: "v1.2.0"}},
		},
	}
	modules := []versionModule{
		{Path: "a.example/one", Version: "v1.0.0", Sum: "h1:one="},
		{Path: "a.example/two", Version: "v2.0.0", Sum: "h1:two="},
		{Path: "a.example/three", Version: "v3.0.0", Replace: &versionModule{Path: "a.example/fork", Version: "v1.2.0", Sum: "h1:fork="}},
	}
	platform := versionReport{Version: "0.2.0", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Platform: runtime.GOOS + "/" + runtime.GOARCH}
	checkout := platform
	checkout.Commit, checkout.Modified, checkout.Date, checkout.Level, checkout.Modules = "abc", true, "2026-11-30T12:00:00Z", "GO"+strings.ToUpper(runtime.GOARCH)+"=v3", modules
	released := checkout
	released.Commit, released.Modified, released.Date = "def", false, "2026-12-01T00:00:00Z"
	bare := platform
	bare.Modules = []versionModule{}
	for name, c := range map[string]struct {
		release string
		info    *debug.BuildInfo
		want    versionReport
	}{
		"a checkout": {"0.2.0\n", info, checkout},
		"a release":  {"0.2.0\ncommit def\ndate 2026-12-01T00:00:00Z\n", info, released},
		"no info":    {"0.2.0\n", nil, bare},
	} {
		got, _ := json.Marshal(versionOf(c.release, sums, c.info))
		want, _ := json.Marshal(c.want)
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// listOf is a list with the program that the tests run.
func listOf(t *testing.T, name string) (dir, list string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	f, err := os.Open(self)
	must(t, err)
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	must(t, err)
	dir = t.TempDir()
	list = fmt.Sprintf("%064d  README.txt\n%x  %s\n", 0, hash.Sum(nil), name)
	return dir, list
}

// TestVersionVerify: this very program is in a list, or is not, and what the list
// has instead is told.
func TestVersionVerify(t *testing.T) {
	t.Parallel()
	name := "husk-" + releaseName(version()) + "-" + runtime.GOOS + "-" + runtime.GOARCH
	dir, list := listOf(t, name)
	good := writeFile(t, dir, listName, list)
	sign := func(seed byte, comment string) string {
		signer, public := newSigner(t, seed)
		s, err := signer.Sign([]byte(list), minisign.SignOptions{TrustedComment: comment})
		must(t, err)
		writeFile(t, dir, signatureName, string(s.Encode()))
		return public
	}
	key := sign(1, "husk "+releaseName(version()))
	_, stranger := newSigner(t, 2)
	for name, c := range map[string]struct {
		args  []string
		stdin string
		code  int
		says  string
	}{
		"in the list":         {[]string{good}, "", exitDone, "line 2: " + name},
		"by stdin":            {[]string{"-"}, list, exitDone, "is in the list, line 2: " + name},
		"signed":              {[]string{good, "--key", key}, "", exitDone, "line 2: " + name},
		"by another key":      {[]string{good, "--key", stranger}, "", exitInvalid, "signed by key ID"},
		"by stdin and signed": {[]string{"-", "--key", key}, list, exitUsage, "beside"},
		"not in the list":     {[]string{"-"}, strings.Replace(list, name, "x", 1)[:strings.Index(list, "\n")+1] + strings.Repeat("1", 64) + "  bin/" + name + "\n", exitInvalid, "in line 2, bin/" + name + " with 1111"},
		"nothing for this":    {[]string{"-"}, strings.Repeat("1", 64) + "  husk-v0.1.0-plan9-mips\n", exitInvalid, "the list has nothing for " + runtime.GOOS + "/" + runtime.GOARCH},
		"a list that is none": {[]string{"-"}, list + "more\n", exitInvalid, "line 3: it is no line"},
		"nothing":             {[]string{"-"}, "", exitInvalid, "it lists nothing"},
		"no such list":        {[]string{filepath.Join(dir, "none")}, "", exitNotFound, "can't be read"},
		"no signature":        {[]string{writeFile(t, dir, "other", list), "--key", key}, "", exitNotFound, "the signature of the list can't be read"},
	} {
		r := runHere(t, nil, c.stdin, append([]string{"version", "--verify"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.out+r.errors, c.says) {
			t.Errorf("%s: %d, %s%s, want %d, %s", name, r.code, r.out, r.errors, c.code, c.says)
		}
	}
	r := runHere(t, nil, "", "version", "--verify", good, "--key", key, "--json")
	var report selfReport
	must(t, json.Unmarshal([]byte(r.out), &report))
	if !report.OK || !report.Signed || len(report.Listed) != 1 || report.Listed[0].Line != 2 || len(report.Platform) != 1 || report.Replaced || report.Key == "" {
		t.Errorf("%s", r.out)
	}
	sign(1, "husk v0.0.1")
	if r := runHere(t, nil, "", "version", "--verify", good, "--key", key); r.code != exitInvalid || !strings.Contains(r.errors, "husk v0.0.1") {
		t.Errorf("the list of another release: %d, %s", r.code, r.errors)
	}
	if r := runHere(t, nil, "", "version", "--key", key); r.code != exitUsage || !strings.Contains(r.errors, "--verify SHA256SUMS") {
		t.Errorf("a key alone: %d, %s", r.code, r.errors)
	}
}

// TestIsProgramFor: the program for a platform is told from all else that a
// release has for it.
func TestIsProgramFor(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"husk-v0.2.0-linux-amd64":           "linux/amd64",
		"bin/husk-v0.2.0-linux-armv7":       "linux/arm",
		"husk-v0.2.0-rc.1-linux-arm64":      "linux/arm64",
		"husk-v0.2.0-windows-amd64.exe":     "windows/amd64",
		"husk-v0.2.0-linux-amd64.cdx.json":  "",
		"husk_0.2.0_amd64.deb":              "",
		"bin/husk-v0.2.0-darwin-arm64.gz":   "",
		"evil-husk-v0.2.0-linux-amd64":      "",
		"sbom/husk-v0.2.0-linux-amd64.json": "",
	} {
		for _, platform := range []string{"linux/amd64", "linux/arm64", "linux/arm", "windows/amd64", "darwin/arm64"} {
			goos, goarch, _ := strings.Cut(platform, "/")
			if isProgramFor(name, goos, goarch) != (platform == want) {
				t.Errorf("%s is for %s", name, platform)
			}
		}
	}
}
