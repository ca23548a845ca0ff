//go:build ship

package dist

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// checked runs the check that lies in a folder, and returns all it says.
func checked(t *testing.T, folder string, env []string, args ...string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{filepath.Join(folder, "check")}, args...)...)
	cmd.Env = append(append(os.Environ(), "CI="), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// wrongs are the lines of what is wrong.
func wrongs(said string) []string {
	return regexp.MustCompile(`(?m)^WRONG .*$`).FindAllString(said, -1)
}

// TestCheckPasses: what the release made holds, with nothing left out where all its
// programs are installed, as CI has to have them.
func TestCheckPasses(t *testing.T) {
	t.Parallel()
	for program, from := range map[string]string{"minisign": "minisign", "jq": "jq", "dpkg-deb": "dpkg", "rpm": "rpm", "skopeo": "skopeo", "qemu-aarch64-static": "qemu-user-static"} {
		need(t, program, from)
	}
	said, ok := checked(t, released(t), []string{"CI=true"}, publicKey)
	if !ok || !strings.Contains(said, "things hold; 0 were not looked at") {
		t.Errorf("the release does not hold:\n%s", said)
	}
}

// small is a release of the program for this machine alone, cut from that which the
// tests have, listed and signed anew. Its files are links: what changes one puts
// another in its place.
type small struct {
	t      *testing.T
	folder string
}

func reduced(t *testing.T) small {
	t.Helper()
	s := small{t, t.TempDir()}
	other := regexp.MustCompile(`-(linux|darwin|windows)-[0-9a-z]+(\.exe|\.cdx\.json)?$|\.deb$|\.rpm$`)
	own := []string{runtime.GOOS + "-" + runtime.GOARCH, "_" + runtime.GOARCH + ".deb", map[string]string{"amd64": ".x86_64.rpm", "arm64": ".aarch64.rpm"}[runtime.GOARCH]}
	for _, name := range contents(t, released(t)) {
		if other.MatchString(name) && !slices.ContainsFunc(own, func(part string) bool { return strings.Contains(name, part) }) {
			continue
		}
		if err := os.Symlink(filepath.Join(released(t), name), filepath.Join(s.folder, name)); err != nil {
			t.Fatal(err)
		}
		s.put(name, nil)
	}
	s.list()
	return s
}

// path is where a file of the release is.
func (s small) path(name string) string { return filepath.Join(s.folder, name) }

// program is the name of that of this machine.
func (s small) program() string {
	return "husk-v" + next(s.t) + "-" + runtime.GOOS + "-" + runtime.GOARCH
}

// put makes a copy of its own of a file, which change may change.
func (s small) put(name string, change func([]byte) []byte) {
	s.t.Helper()
	text := read(s.t, s.path(name))
	mode := os.FileMode(0o644)
	if info, err := os.Stat(s.path(name)); err == nil {
		mode = info.Mode().Perm()
	}
	if change != nil {
		text = change(bytes.Clone(text))
	}
	if err := errors.Join(os.Remove(s.path(name)), os.WriteFile(s.path(name), text, mode)); err != nil {
		s.t.Fatal(err)
	}
}

// list lists all files anew, and signs that: as who has the key, and another release.
func (s small) list() {
	s.t.Helper()
	command(s.t, "sh", "-ec", `cd "$1"; rm -f SHA256SUMS SHA256SUMS.minisig
		LC_ALL=C; export LC_ALL; files=$(find . -type f ! -name '*.minisig' ! -name SHA256SUMS | sed 's/^..//' | sort); sha256sum $files >SHA256SUMS`, "sh", s.folder)
	command(s.t, need(s.t, "minisign", "minisign"), "-S", "-s", key, "-t", "husk v"+next(s.t)+" 2026-11-30 SHA256SUMS", "-m", s.path("SHA256SUMS"))
}

// flip changes one bit in the middle.
func flip(text []byte) []byte {
	text[len(text)/2] ^= 1
	return text
}

// TestCheckFindsWhatIsWrong: one thing at a time, each is told by its name, and ends
// the check with 1. Where the list was made anew, as by who has the key, what is in
// the file tells.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	v, n := "husk-v"+next(t), next(t)
	deb, rpm := "husk_"+n+"_"+runtime.GOARCH+".deb", "husk-"+n+"-1."+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]+".rpm"
	swap := func(before, after string) func([]byte) []byte {
		return func(text []byte) []byte {
			if !bytes.Contains(text, []byte(before)) {
				t.Errorf("there is no %q to change", before)
			}
			return bytes.ReplaceAll(text, []byte(before), []byte(after))
		}
	}
	cases := map[string]struct {
		do    func(small)
		again bool // listed and signed anew
		says  string
	}{
		"a file is missing":           {func(s small) { os.Remove(s.path(deb)) }, false, deb + " is listed, and is not here"},
		"a file is missing, unlisted": {func(s small) { os.Remove(s.path(rpm)) }, true, rpm + " is missing from the list"},
		"a file too many":             {func(s small) { os.WriteFile(s.path("more"), nil, 0o644) }, false, "more is here, and is not listed"},
		"a hidden folder":             {func(s small) { os.Mkdir(s.path(".more"), 0o755) }, false, ".more is here, and is not listed"},
		"a link":                      {func(s small) { os.Rename(s.path(deb), s.path("x")); os.Symlink("x", s.path(deb)) }, false, deb + " is listed, and is not here"},
		"a line of the list":          {func(s small) { s.put("SHA256SUMS", flip) }, false, "SHA256SUMS"},
		"another key":                 {func(s small) { s.put("SHA256SUMS.minisig", swap("husk v", "husk w")) }, false, "SHA256SUMS is not signed by this key"},
		"no signature":                {func(s small) { os.Remove(s.path("SHA256SUMS.minisig")) }, false, "SHA256SUMS is not signed: SHA256SUMS.minisig is missing"},
		"another architecture":        {func(s small) { s.put(s.program(), foreign) }, true, s0(v) + " is for an ELF program of machine 9"},
		"not static":                  {func(s small) { s.put(s.program(), interpreted) }, true, s0(v) + " is not static"},
		"another version":             {func(s small) { s.put(s.program(), swap("\ncommit ", "\ncommix ")) }, true, s0(v) + " was not made of the source"},
		"no program": {func(s small) {
			s.put(s.program(), func([]byte) []byte { return []byte("#!/bin/sh\necho husk " + n + "\n") })
		}, true, s0(v) + " is for no program"},
		"the bill of another program": {func(s small) { s.put(v+"-"+platform()+".cdx.json", swap(`"content": "`, `"content": "0`)) }, true, ".cdx.json is of CycloneDX husk v" + n + " 0"},
		"a bill without a module": {func(s small) {
			s.put(v+"-"+platform()+".cdx.json", swap(`"name": "go.etcd.io/bbolt"`, `"name": "go.etcd.io/tlobb"`))
		}, true, ".cdx.json has other modules"},
		"a bill that is no JSON":       {func(s small) { s.put(v+"-"+platform()+".cdx.json", func(b []byte) []byte { return b[:len(b)/2] }) }, true, ".cdx.json is of"},
		"another program in the .deb":  {func(s small) { s.repack(deb) }, true, "usr/bin/husk of " + deb + " is not " + v},
		"a byte of the .rpm":           {func(s small) { s.put(rpm, flip) }, true, rpm + " has other content"},
		"a byte of the image":          {func(s small) { s.put(v+"-oci.tar", flip) }, true, v + "-oci.tar: blob "},
		"half of the image":            {func(s small) { s.put(v+"-oci.tar", func(b []byte) []byte { return b[:len(b)/2] }) }, true, v + "-oci.tar"},
		"a byte of the bundle":         {func(s small) { s.put(v+"-airgap.tar", flip) }, true, v + "-airgap.tar does not verify"},
		"half of the bundle":           {func(s small) { s.put(v+"-airgap.tar", func(b []byte) []byte { return b[:len(b)/2] }) }, true, v + "-airgap.tar"},
		"the source of nothing":        {func(s small) { s.put(v+"-source.tar.gz", flip) }, true, v + "-source.tar.gz"},
		"the notes of another version": {func(s small) { s.put("RELEASE_NOTES.md", swap("# Husk "+n, "# Husk 9.9.9")) }, true, "RELEASE_NOTES.md begins with # Husk 9.9.9"},
	}
	for _, name := range []string{s0(v), deb, rpm, v + "-oci.tar", v + "-airgap.tar", v + "-source.tar.gz", v + "-" + platform() + ".cdx.json", "RELEASE_NOTES.md"} {
		c := cases[name]
		c.do, c.says = func(s small) { s.put(name, flip) }, name+" does not have the sum that is listed"
		cases["a byte of "+name] = c
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := reduced(t)
			c.do(s)
			if c.again {
				s.list()
			}
			said, ok := checked(t, s.folder, nil, publicKey)
			if wrong := strings.Join(wrongs(said), "\n"); ok || !strings.Contains(wrong, c.says) || !strings.Contains(said, "Do not use it.") {
				t.Errorf("it does not say %q, but ends with %v and\n%s", c.says, ok, said)
			}
		})
	}
}

func platform() string { return runtime.GOOS + "-" + runtime.GOARCH }

// s0 is the program of this machine in a release of version v.
func s0(v string) string { return v + "-" + platform() }

// foreign makes an ELF program one for a machine that Husk is not made for.
func foreign(text []byte) []byte {
	text[18] = 9 // EM_S370
	return text
}

// interpreted makes the first part of a 64-bit ELF program one that names an
// interpreter.
func interpreted(text []byte) []byte {
	copy(text[64:], []byte{3, 0, 0, 0})
	return text
}

// repack has a package carry a program that is longer by a byte.
func (s small) repack(deb string) {
	s.t.Helper()
	command(s.t, "sh", "-ec", `dpkg-deb -R "$1" "$2"; echo >>"$2/usr/bin/husk"; rm "$1"; dpkg-deb -b --root-owner-group -Znone "$2" "$1"`, "sh", s.path(deb), filepath.Join(s.t.TempDir(), "deb"))
}

// TestCheckSaysWhatItDidNotLookAt: without the programs that look, and without the
// key, it says so by name; under CI=true that is a failure.
func TestCheckSaysWhatItDidNotLookAt(t *testing.T) {
	t.Parallel()
	s := reduced(t)
	bin := t.TempDir()
	for _, program := range []string{"sh", "awk", "cat", "chmod", "cmp", "cp", "cut", "diff", "dirname", "env", "find", "grep", "gzip", "head", "mkdir", "mktemp", "od", "rm", "sed", "sha256sum", "sort", "tail", "tar", "tr", "uname", "wc"} {
		if err := os.Symlink(need(t, program, "coreutils"), filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	bare := []string{"PATH=" + bin}
	said, ok := checked(t, s.folder, bare)
	if !ok || len(wrongs(said)) > 0 {
		t.Fatalf("with the least of tools it does not hold:\n%s", said)
	}
	for _, what := range []string{"signature not checked of SHA256SUMS: give the public key", "apt-get install dpkg", "apt-get install rpm", "apt-get install skopeo", "apt-get install jq"} {
		if !strings.Contains(said, what) {
			t.Errorf("it does not say %q:\n%s", what, said)
		}
	}
	if said, ok := checked(t, s.folder, append(bare, "CI=true")); ok || !strings.Contains(said, "a failure under CI=true") {
		t.Errorf("under CI=true it ends well:\n%s", said)
	}
	// The key may lie there too, as docs/install.md has it; one that is empty is none.
	if err := os.WriteFile(s.path("husk.pub"), append(read(t, publicKey), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, _ := checked(t, s.folder, bare, s.path("husk.pub")); len(wrongs(said)) > 0 || !strings.Contains(said, "signature not checked of SHA256SUMS: apt-get install minisign") {
		t.Errorf("with the key beside it says:\n%s", said)
	}
	empty := filepath.Join(bin, "empty.pub")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, none := range []string{"", empty} {
		if said, ok := checked(t, s.folder, bare, none); ok || !strings.Contains(said, "no public key") {
			t.Errorf("with the key %q it says:\n%s", none, said)
		}
	}
	if err := os.Remove(s.path("husk.pub")); err != nil {
		t.Fatal(err)
	}
	if said, _ := checked(t, s.folder, bare, publicKey); !strings.Contains(said, "signature not checked of SHA256SUMS: apt-get install minisign") {
		t.Errorf("without minisign it says:\n%s", said)
	}
}

// TestCheckRebuilds: the program is made once more, of the source beside it, and is the
// same.
func TestCheckRebuilds(t *testing.T) {
	t.Parallel()
	s := reduced(t)
	said, ok := checked(t, s.folder, nil, "--rebuild")
	if !ok || !regexp.MustCompile(`(?m)^ok +what \S+-source\.tar\.gz makes with go\S+ is `+regexp.QuoteMeta(filepath.Base(s.program()))+`$`).MatchString(said) {
		t.Errorf("the program was not made again:\n%s", said)
	}
}
