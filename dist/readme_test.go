//go:build ship

package dist

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The lines by which README.md and docs/install.md say how Husk is installed are run as
// they stand there, in the folder of a release: packages on machines of their own
// (readme_linux_test.go), what needs no package in a world without a network. What is
// for another system, or for an engine of containers, is held to the release by its
// names.

// installBlock is a block of commands of a page.
type installBlock struct {
	page string
	line int
	text string
}

func (b installBlock) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// ways are the kinds of blocks, each by what only its block has. The first one that
// fits counts.
var ways = []struct {
	name, has string
}{
	{"deb", "apt install "},
	{"rpm", "dnf install "},
	{"macos", "-darwin-"},
	{"windows", ".exe"},
	{"bundle", "install.sh "},
	{"container", "podman "},
	{"source", "go build "},
	{"program", "install -m 755 husk-"},
	{"itself", "husk version --verify "},
	{"sums", "sha256sum --check "},
}

func (b installBlock) way() string {
	for _, w := range ways {
		if strings.Contains(b.text, w.has) {
			return w.name
		}
	}
	return ""
}

const (
	readmePage  = "../README.md"
	installPage = "../docs/install.md"
)

// installText is what a page says of installing, of the release that is looked at: a
// page names one release, which may be the one before it.
func installText(t testing.TB, page string) string {
	t.Helper()
	text := readFile(t, page)
	if page == readmePage {
		before, rest, ok := strings.Cut(text, "\n## Install\n")
		if !ok {
			t.Fatal("README.md has no section Install")
		}
		part, _, _ := strings.Cut(rest, "\n## ")
		text = strings.Repeat("\n", strings.Count(before, "\n")+2) + part
	}
	numbers := regexp.MustCompile(`\b(?:husk[_-]v?|husk:)(\d+\.\d+\.\d+)`).FindAllStringSubmatch(text, -1)
	if len(numbers) < 5 {
		t.Fatalf("%s names a release %d times", page, len(numbers))
	}
	for _, n := range numbers {
		if n[1] != numbers[0][1] {
			t.Fatalf("%s names the releases %s and %s", page, numbers[0][1], n[1])
		}
	}
	return strings.ReplaceAll(text, numbers[0][1], next(t))
}

// installBlocks are the blocks of one page, or of both, of some ways. Those marked
// sh are run by .ci/run.
func installBlocks(t testing.TB, way ...string) (blocks []installBlock) {
	t.Helper()
	for _, page := range []string{readmePage, installPage} {
		text := installText(t, page)
		for _, m := range regexp.MustCompile("(?ms)^```text\n(.*?)^```$").FindAllStringSubmatchIndex(text, -1) {
			b := installBlock{page: filepath.Base(page), line: strings.Count(text[:m[2]], "\n") + 1, text: text[m[2]:m[3]]}
			if len(way) == 0 || slices.Contains(way, b.way()) {
				blocks = append(blocks, b)
			}
		}
	}
	return blocks
}

// TestInstallLinesAreRun: each block is of a way that a test here knows, and no way is
// without one on either page; those of the README have three lines at most.
func TestInstallLinesAreRun(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, b := range installBlocks(t) {
		if b.way() == "" {
			t.Errorf("%s: no test runs\n%s", b, b.text)
		}
		if n := strings.Count(b.text, "\n"); n > 3 {
			t.Errorf("%s: it has %d lines", b, n)
		}
		found[b.page+" "+b.way()] = true
	}
	for _, w := range ways {
		if !found["install.md "+w.name] {
			t.Errorf("docs/install.md does not have the way %s", w.name)
		}
	}
	for _, name := range []string{"deb", "rpm", "program", "bundle", "container"} {
		if !found["README.md "+name] {
			t.Errorf("README.md does not have the way %s", name)
		}
	}
	// The command of the source is that of the release itself.
	build := "go build -mod=vendor -trimpath -buildvcs=false -ldflags '-s -w' -o "
	if !strings.Contains(readFile(t, installPage), build) || !strings.Contains(readFile(t, "steps/programs.sh"), build) {
		t.Errorf("docs/install.md or dist/steps/programs.sh does not build by %q", build)
	}
}

// undoing is a row of the table of docs/install.md that says how an install is undone:
// the commands of its two columns, the last of each where there are more.
func undoing(t testing.TB, by string) (undo, all string) {
	t.Helper()
	_, table, _ := strings.Cut(installText(t, installPage), "\n## Undo\n")
	row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(by) + ` \|([^|]*)\|([^|]*)\|$`).FindStringSubmatch(table)
	if row == nil {
		t.Fatalf("docs/install.md does not say how %s is undone", by)
	}
	command := func(cell string) string {
		found := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1)
		if len(found) == 0 {
			t.Fatalf("docs/install.md does not say how %s is undone: %q", by, cell)
		}
		return found[len(found)-1][1]
	}
	return command(row[1]), command(row[2])
}

// typed is a block as a test types it, line by line, each of which has to succeed: a
// password comes by a pipe instead of from a terminal, and a server that would run on is
// asked whether it is ready, and ended.
func typed(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		line = passwd.ReplaceAllString(line, "${1}echo 'correct horse battery staple' | $2 --password-stdin")
		if line == "husk serve" {
			line = `{ husk serve & server=$!
for i in $(seq 300); do curl -fs http://127.0.0.1:9000/readyz && break; sleep 0.1; done
curl -fs http://127.0.0.1:9000/readyz && kill $server && wait $server; }`
		}
		lines = append(lines, line+" || exit")
	}
	return lines
}

// passwd is what asks for a password.
var passwd = regexp.MustCompile(`(^|&& )((?:sudo )?husk passwd)$`)

// TestInstallLinesAlone runs what needs no package manager, in the folder of the
// release, where there is no network: the program, its check, the bundle and the source;
// and undoes each as docs/install.md says.
func TestInstallLinesAlone(t *testing.T) {
	t.Parallel()
	forThisProcessor(t)
	if !alone(t) {
		return
	}
	need(t, "minisign", "minisign")
	need(t, "curl", "curl")
	itself := installBlocks(t, "itself")
	for _, b := range installBlocks(t, "sums", "program", "bundle", "source") {
		t.Run(b.page+" "+b.way(), func(t *testing.T) {
			w := newWorld(t, released(t))
			w.put(stick+"/husk.pub", readFile(t, publicKey), 0o644)
			// Whoever types it is root already; and this machine may have no sudo.
			w.put("/usr/local/sbin/sudo", "#!/bin/sh\nexec \"$@\"\n", 0o755)
			path := "PATH=" + goroot(t) + "/bin:" + strings.TrimPrefix(w.env[0], "PATH=")
			in, lines := "cd '"+stick+"'\n", strings.Join(typed(b.text), "\n")
			if b.way() == "sums" {
				w.ok(in + lines)
				f := filepath.Join(w.root, stick, "husk-v"+next(t)+"-linux-amd64")
				change(t, f)
				w.refused(in+lines, 1, "FAILED")
				w.put(stick+"/SHA256SUMS", w.text(stick+"/SHA256SUMS")+"\n", 0o644)
				w.refused(in+lines, 1, "Signature verification failed")
				return
			}
			w.ok(in+lines, path)
			w.ok(in + "rm -f /usr/local/sbin/sudo; husk version; " + itself[0].text)
			if b.way() == "source" {
				return
			}
			w.ok(`husk token create --name first | husk token check`)
			by := map[string]string{"program": "one program", "bundle": "bundle"}[b.way()]
			undo, all := undoing(t, by)
			w.ok(undo + "; test ! -e /usr/local/bin/husk; test -f /var/lib/husk/husk.db")
			if b.way() == "bundle" { // the other column is instead of the first
				w.ok(in+lines, path)
			}
			w.ok(all + "; test ! -e /usr/local/bin/husk; test ! -e /var/lib/husk; test ! -e /etc/husk")
		})
	}
}

// forThisProcessor skips a test on a machine that is not the one of the pages.
func forThisProcessor(t testing.TB) {
	t.Helper()
	if said := strings.TrimSpace(string(command(t, "uname", "-sm"))); said != "Linux x86_64" {
		mustRun(t, "the pages name programs for Linux on amd64, and this is "+said)
	}
}

// TestInstallLinesElsewhere: what can't be run here, since it is for another system, or
// for an engine of containers. The files that it names are those of a whole release, and
// the image has the name, the port, the folder and the program that the lines say.
func TestInstallLinesElsewhere(t *testing.T) {
	t.Parallel()
	// A release that a test made is for this machine alone.
	_, err := os.Stat(filepath.Join(released(t), "husk-v"+next(t)+"-windows-amd64.exe"))
	whole := err == nil || os.Getenv("CI") == "true" && os.Getenv("HUSK_RELEASE") != ""
	places := map[string]bool{} // of the program on Windows
	for _, b := range installBlocks(t, "macos", "windows", "container") {
		names := regexp.MustCompile(`husk-v[\w.-]*\w`).FindAllString(b.text, -1)
		for _, to := range regexp.MustCompile(`C:\\[^"]*husk\.exe`).FindAllString(b.text, -1) {
			places[to] = true
		}
		if len(names) == 0 && !strings.HasPrefix(b.text, "sc.exe ") {
			t.Errorf("%s names no file of a release:\n%s", b, b.text)
		}
		for _, name := range names {
			if !whole && b.way() != "container" {
				continue
			}
			if _, err := os.Stat(filepath.Join(released(t), name)); err != nil {
				t.Errorf("%s: %v", b, err)
			}
		}
		if b.way() != "container" {
			continue
		}
		m := regexp.MustCompile(`^podman load -i (\S+)
podman run -d --name (\w+) -p 127\.0\.0\.1:9000:(\d+) -v \w+:(/\w+) (\S+)
podman exec -it (\w+) (/\w+) passwd
$`).FindStringSubmatch(b.text)
		if m == nil {
			t.Errorf("%s: these are not the lines that are looked at here:\n%s", b, b.text)
			continue
		}
		command(t, need(t, "skopeo", "skopeo"), "inspect", "--override-os", "linux", "--raw", "oci-archive:"+filepath.Join(released(t), m[1])+":"+m[5])
		c := configOf(t, architectures(t)[0]).Config
		_, open := c.ExposedPorts[m[3]+"/tcp"]
		if m[2] != m[6] || !open || !slices.Equal(c.Entrypoint, []string{m[7]}) || !slices.ContainsFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, "HUSK_DATA="+m[4]+"/") }) {
			t.Errorf("%s: the image is not what these lines want: %+v\n%s", b, c, b.text)
		}
	}
	if len(places) != 1 {
		t.Errorf("on Windows the program is at %v", places)
	}
	// The names that the table of files has, and the tags for Docker.
	text := installText(t, installPage)
	if whole {
		for _, m := range regexp.MustCompile("(?m)^\\| [^|]* \\| (`husk[^|]*) \\|$").FindAllStringSubmatch(text, -1) {
			names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[1], -1)
			stem := regexp.MustCompile(`([-_.])(?:linux-amd64|amd64\.deb|x86_64\.rpm)$`).ReplaceAllString(names[0][1], "")
			for i, n := range names {
				name := n[1]
				if i > 0 {
					name = stem + name
				}
				if _, err := os.Stat(filepath.Join(released(t), name)); err != nil {
					t.Errorf("docs/install.md: %v", err)
				}
			}
		}
	}
	if cpu := architectures(t)[0]; !strings.Contains(text, "`localhost/husk:"+next(t)+"-"+cpu+"`") {
		t.Errorf("docs/install.md does not have the tag of Docker for %s", cpu)
	}
}
