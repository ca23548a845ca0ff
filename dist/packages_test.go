//go:build ship

package dist

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// before are the packages of the release before, where a test made them.
var before struct {
	once   sync.Once
	folder string
	err    error
}

// packages are all packages of a release.
func packages(t testing.TB, kind string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(released(t), "*."+kind))
	if err != nil || len(found) == 0 {
		t.Fatalf("the release has no .%s: %v", kind, err)
	}
	return found
}

// says runs a program of this machine that has to succeed.
func says(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestSchemaWithoutHusk: the scripts find the schema of a store where no husk is there
// to tell it, whatever bytes its checksum has, and where dpkg has them end with what fails.
func TestSchemaWithoutHusk(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("packages/schema.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, sum := range map[string]string{"letters": "abcdefgh", "a line end": "abcd\nfgh", "a NUL": "abcd\x00fgh"} {
		data := t.TempDir()
		script := strings.NewReplacer("/usr/bin/husk", data+"/none", "data=/var/lib/husk", "data="+data).Replace(string(text))
		if err := os.WriteFile(data+"/husk.db", []byte("\x00one\nschema\x01"+sum+`{"schema":41,"made":1}`+"\x00\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := says(t, "sh", "-ec", script+"\nstore_schema"); got != "41\n" {
			t.Errorf("with %s in the checksum it finds %q", name, got)
		}
	}
}

// TestPackagesLint: what lintian and rpmlint say against a package has a reason,
// which stands in dist/packages.
func TestPackagesLint(t *testing.T) {
	t.Parallel()
	t.Run("deb", func(t *testing.T) {
		t.Parallel()
		need(t, "lintian", "lintian")
		args := append([]string{"--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"}, packages(t, "deb")...)
		if out := says(t, "lintian", args...); strings.TrimSpace(out) != "" {
			t.Error(out)
		}
	})
	t.Run("rpm", func(t *testing.T) {
		t.Parallel()
		need(t, "rpmlint", "rpmlint")
		args := append([]string{"--strict", "--rpmlintrc", "packages/rpmlintrc"}, packages(t, "rpm")...)
		if out := says(t, "rpmlint", args...); !strings.Contains(out, " 0 errors, 0 warnings") {
			t.Error(out)
		}
	})
}

// unpack unpacks a package into a folder.
func unpack(t testing.TB, path string) string {
	t.Helper()
	dir := t.TempDir()
	if strings.HasSuffix(path, ".deb") {
		says(t, need(t, "dpkg-deb", "dpkg"), "--extract", path, dir)
		return dir
	}
	need(t, "rpm2cpio", "rpm")
	need(t, "cpio", "cpio")
	says(t, "sh", "-c", `cd "$1" && rpm2cpio "$2" | cpio -id --quiet`, "sh", dir, path)
	return dir
}

// TestPackagesHold: each has the very program of the release for its machine, and
// all that belongs to it, the same on every machine.
func TestPackagesHold(t *testing.T) {
	t.Parallel()
	programs := map[string]string{"amd64.deb": "amd64", "arm64.deb": "arm64", "armhf.deb": "armv7", "x86_64.rpm": "amd64", "aarch64.rpm": "arm64", "armv7hl.rpm": "armv7"}
	for _, path := range append(packages(t, "deb"), packages(t, "rpm")...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			cpu := ""
			for suffix, of := range programs {
				if strings.HasSuffix(path, suffix) {
					cpu = of
				}
			}
			root := unpack(t, absolute(t, path))
			wantSame(t, root+"/usr/bin/husk", filepath.Join(released(t), "husk-v"+next(t)+"-linux-"+cpu))
			wantSame(t, root+"/usr/lib/systemd/system/husk.service", "systemd/husk.service")
			wantSame(t, root+"/usr/lib/systemd/system/husk.socket", "systemd/husk.socket")
			wantSame(t, root+"/usr/lib/sysusers.d/husk.conf", "systemd/husk.sysusers")
			wantSame(t, root+"/usr/lib/tmpfiles.d/husk.conf", "systemd/husk.tmpfiles")
			wantSame(t, root+"/etc/husk/husk.yaml", "systemd/husk.yaml")
			wantSame(t, root+"/usr/share/doc/husk/dist/proxy/nginx.conf", "proxy/nginx.conf")
			wantSame(t, root+"/usr/share/doc/husk/docs/service.md", "../docs/service.md")
			zsh, terms := "vendor-completions", "usr/share/doc/husk/copyright"
			if strings.HasSuffix(path, ".rpm") {
				zsh, terms = "site-functions", "usr/share/licenses/husk/copyright"
			}
			for file, says := range map[string]string{
				"usr/share/bash-completion/completions/husk":    "__start_husk",
				"usr/share/zsh/" + zsh + "/_husk":               "#compdef husk",
				"usr/share/fish/vendor_completions.d/husk.fish": "complete -c husk",
				"usr/share/doc/husk/CHANGELOG.md":               "## [Unreleased]",
				terms:                                           "Files: vendor/go.etcd.io/bbolt/*\n",
			} {
				if text, err := os.ReadFile(filepath.Join(root, file)); err != nil || !strings.Contains(string(text), says) {
					t.Errorf("%s does not say %q: %v", file, says, err)
				}
			}
			wantManual(t, filepath.Join(root, "usr/share/man/man1"))
		})
	}
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func wantSame(t testing.TB, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if text, err := os.ReadFile(want); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%s is not %s: %v", path, want, err)
	}
}

// wantManual looks for a page of each command, packed without a time.
func wantManual(t testing.TB, dir string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(dir, "husk*.1.gz"))
	if err != nil || len(pages) < 50 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		packed, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gzip.NewReader(bytes.NewReader(packed)); err != nil || binary.LittleEndian.Uint32(packed[4:]) != 0 {
			t.Errorf("%s: %v, or it has the time at which it was packed", page, err)
		}
	}
}

// TestCopyright: what the packages say of licences names every module that go says
// is linked into the program.
func TestCopyright(t *testing.T) {
	t.Parallel()
	need(t, "dpkg-deb", "dpkg")
	program := filepath.Join(released(t), "husk-v"+next(t)+"-linux-"+runtime.GOARCH)
	copyright, err := os.ReadFile(filepath.Join(unpack(t, absolute(t, packages(t, "deb")[0])), "usr/share/doc/husk/copyright"))
	if err != nil {
		t.Fatal(err)
	}
	modules := 0
	for line := range strings.Lines(says(t, "go", "version", "-m", program)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "dep" {
			continue
		}
		modules++
		_, paragraph, found := strings.Cut(string(copyright), "\nFiles: vendor/"+fields[1]+"/*\n")
		paragraph, _, _ = strings.Cut(paragraph, "\nFiles: ")
		if !found || !strings.HasPrefix(paragraph, "Copyright: ") || !strings.Contains(paragraph, "\nLicense: ") {
			t.Errorf("%s is linked in, and its terms are not told", fields[1])
		}
	}
	if modules < 20 {
		t.Errorf("only %d modules were found", modules)
	}
}

// TestLicenses: a module that has no licence, or one that nobody has looked at,
// ends a release, by name.
func TestLicenses(t *testing.T) {
	t.Parallel()
	const apache = "Apache License\nVersion 2.0, January 2004\n"
	const mit = "Copyright (c) 2020 Somebody\n\nPermission is hereby granted, free of charge, to any person\n"
	for name, test := range map[string]struct {
		terms map[string]string
		says  string // empty: it is taken
	}{
		"none":    {nil, "vendor/example.com/part has no licence: it must not ship"},
		"notice":  {map[string]string{"NOTICE": "Part.\n"}, "vendor/example.com/part/* has no licence: it must not ship"},
		"unknown": {map[string]string{"LICENSE": "Do as I say.\n"}, "the licence of vendor/example.com/part/* is none that is known"},
		"within":  {map[string]string{"LICENSE": mit, "other/LICENSE": "Do as I say.\n"}, "the licence of vendor/example.com/part/other/* is none that is known"},
		"known":   {map[string]string{"LICENSE": mit}, ""},
		"apache":  {map[string]string{"LICENSE.txt": apache, "NOTICE": "Part of something.\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, out := t.TempDir(), filepath.Join(t.TempDir(), "licenses")
			files := map[string]string{
				"go.mod":                        "module husk\n\ngo 1.26\n\nrequire example.com/part v1.0.0\n",
				"main.go":                       "package main\n\nimport _ \"example.com/part\"\n\nfunc main() {}\n",
				"LICENSE":                       apache,
				"vendor/modules.txt":            "# example.com/part v1.0.0\n## explicit; go 1.26\nexample.com/part\n",
				"vendor/example.com/part/it.go": "package part\n",
			}
			for file, text := range test.terms {
				files["vendor/example.com/part/"+file] = text
			}
			for file, text := range files {
				path := filepath.Join(source, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			said, err := exec.Command("bash", "packages/licenses", source, out).CombinedOutput()
			if test.says != "" {
				if err == nil || !strings.Contains(string(said), test.says) {
					t.Errorf("%v, it says:\n%s", err, said)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			text, err := os.ReadFile(filepath.Join(out, "copyright"))
			if err != nil || !strings.Contains(string(text), "\nFiles: vendor/example.com/part/*\n") || strings.Contains(string(text), "Part of something.") != (name == "apache") {
				t.Errorf("%v:\n%s", err, text)
			}
			for file := range test.terms {
				wantSame(t, filepath.Join(out, "example.com/part", file), filepath.Join(source, "vendor/example.com/part", file))
			}
		})
	}
}
