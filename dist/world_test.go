//go:build ship

package dist

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// aloneIn names the test that runs where there is no network.
const aloneIn = "HUSK_TEST_ALONE"

// alone tells whether this is the run of a test that counts: one in a mount, a process
// and a network namespace of its own, in which there is no interface but the loopback.
// Elsewhere it makes them, runs the test again there, and tells what came of it.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneIn) == t.Name() {
		return true
	}
	unshare, ip := need(t, "unshare", "util-linux"), need(t, "ip", "iproute2")
	if os.Geteuid() != 0 {
		mustRun(t, "only root may make the namespaces that it runs in")
	}
	release, err := filepath.Abs(released(t))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
		"sh", "-c", ip + ` link set lo up && exec "$0" "$@"`, program, "-test.run", "^" + t.Name() + "$", "-test.v", "-test.count", "1", "-test.timeout", "25m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command(unshare, args...)
	cmd.Env = append(os.Environ(), aloneIn+"="+t.Name(), "HUSK_RELEASE="+release)
	out, err := cmd.CombinedOutput()
	t.Logf("where there is no network:\n%s", out)
	switch {
	case err != nil:
		t.Fatal(err)
	case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
		mustRun(t, "it was skipped there")
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Fatal("it did not run there")
	}
	return false
}

// unpackBundle returns the folder of the bundle, as tar unpacks it.
func unpackBundle(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if said, err := exec.Command("tar", "-xf", bundle(t), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return filepath.Join(dir, strings.TrimSuffix(filepath.Base(bundle(t)), ".tar"))
}

// lightBundle is the unpacked bundle without what no install uses, and without its
// signature: each install holds all that is listed against its sum, and some tests install
// a hundred times.
func lightBundle(t testing.TB) string {
	t.Helper()
	dir, name := t.TempDir(), strings.TrimSuffix(filepath.Base(bundle(t)), ".tar")
	said, err := exec.Command("sh", "-euc", `tar -xf "$1" -C "$2" --exclude='*/packages/*' --exclude='*/image/*' --exclude='*/source/*' --exclude='*/sbom/*' --exclude='*.minisig'
		cd "$2/$3"; find bin -type f ! -name "*-linux-$4.gz" -exec rm {} +; `+sums, "sh", bundle(t), dir, name, runtime.GOARCH).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return filepath.Join(dir, name)
}

// sums makes a bundle's list anew.
const sums = `find . -type f ! -name 'SHA256SUMS*' -printf '%P\n' | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum >SHA256SUMS.new; mv SHA256SUMS.new SHA256SUMS`

// bundle is the path of the bundle.
func bundle(t testing.TB) string {
	t.Helper()
	return filepath.Join(released(t), "husk-v"+next(t)+"-airgap.tar")
}

// keyText is the public key of tests itself, as one would have it on paper.
func keyText(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// world is the file system of this machine as it would be, were it another one: an
// overlay that goes with the test. In it /mnt/stick is the bundle, and may be written to.
type world struct {
	*testing.T
	root  string
	above string   // what was written, over what this machine has
	disks []string // mounted in it, by their paths there
	env   []string
}

const stick = "/mnt/stick/husk bundle"

// newWorld makes one; it needs namespaces of its own. What is written takes memory.
func newWorld(t *testing.T, unpacked string) *world {
	t.Helper()
	if os.Getenv(aloneIn) == "" {
		t.Fatal("it would be made on this machine")
	}
	base := t.TempDir()
	w := &world{T: t, root: filepath.Join(base, "root"), above: filepath.Join(base, "up"), env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}}
	mount := func(kind, what, where, data string, flags uintptr) {
		t.Helper()
		if err := syscall.Mount(what, where, kind, flags, data); err != nil {
			t.Fatalf("mount of %s: %v", where, err)
		}
		t.Cleanup(func() { syscall.Unmount(where, syscall.MNT_DETACH) })
	}
	mount("tmpfs", "tmpfs", base, "", 0)
	for _, dir := range []string{"up", "work", "root", "stickup", "stickwork"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	overlay := func(lower, up, work, where string) {
		t.Helper()
		mount("overlay", "overlay", where, fmt.Sprintf("lowerdir=%s,upperdir=%s/%s,workdir=%s/%s", lower, base, up, base, work), 0)
	}
	overlay("/", "up", "work", w.root)
	mount("tmpfs", "tmpfs", filepath.Join(w.root, "tmp"), "mode=1777", 0)
	mount("tmpfs", "tmpfs", filepath.Join(w.root, "run"), "mode=755", 0)
	mount("", "/proc", filepath.Join(w.root, "proc"), "", syscall.MS_BIND|syscall.MS_REC)
	mount("", "/dev", filepath.Join(w.root, "dev"), "", syscall.MS_BIND|syscall.MS_REC)
	if err := os.MkdirAll(filepath.Join(w.root, stick), 0o755); err != nil {
		t.Fatal(err)
	}
	overlay(unpacked, "stickup", "stickwork", filepath.Join(w.root, stick))
	// Of an earlier husk this machine may have something; the other one has nothing.
	w.ok(`rm -rf /usr/local/lib/husk /usr/local/bin/husk /usr/bin/husk /etc/husk /var/lib/husk /etc/systemd/system/husk.*
		rm -f /usr/local/share/bash-completion/completions/husk; ! id husk 2>/dev/null || userdel husk`)
	return w
}

// command runs a script in the world, as root.
func (w *world) command(script string, env ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: w.root}
	cmd.Env = append(append([]string{}, w.env...), env...)
	return cmd
}

// run runs a script in the world and returns all that it said, and its exit code.
func (w *world) run(script string, env ...string) (said string, code int) {
	w.Helper()
	out, err := w.command(script, env...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.Fatalf("%s: %v", script, err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return string(out), code
}

// ok runs a script that has to succeed.
func (w *world) ok(script string, env ...string) string {
	w.Helper()
	said, code := w.run(script, env...)
	if code != 0 {
		w.Fatalf("%s\nends with %d:\n%s", script, code, said)
	}
	return said
}

// refused runs a script that has to end with a code, and to say some words.
func (w *world) refused(script string, code int, words ...string) {
	w.Helper()
	said, got := w.run(script)
	if got != code {
		w.Errorf("%s\nends with %d, want %d:\n%s", script, got, code, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			w.Errorf("%s\ndoes not say %q:\n%s", script, word, said)
		}
	}
}

// disk mounts an empty disk of so many bytes at a path of the world.
func (w *world) disk(path string, size int) {
	w.Helper()
	where := filepath.Join(w.root, path)
	err := os.MkdirAll(where, 0o755)
	if err == nil {
		err = syscall.Mount("tmpfs", where, "tmpfs", 0, fmt.Sprintf("mode=755,size=%d", size))
	}
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { syscall.Unmount(where, syscall.MNT_DETACH) })
	w.disks = append(w.disks, path)
}

// state tells all that is where install.sh writes to: names, modes, owners and what is
// in files, as far as it is not this machine's own. Of two that are the same nothing was
// changed in between.
func (w *world) state() string {
	w.Helper()
	var lines []string
	look := func(base, under string, own bool) {
		filepath.WalkDir(filepath.Join(base, under), func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			place, _ := filepath.Rel(base, path)
			info, err := e.Info()
			if err != nil || accounts.MatchString(place) || filepath.Base(place) == "fill" {
				return nil
			}
			if _, err := os.Lstat("/" + place); e.IsDir() && err == nil && !own {
				return nil // it was there, and is here for what is in it
			}
			line := fmt.Sprintf("/%s %v %d", place, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
			switch {
			case info.Mode().IsRegular():
				text, err := os.ReadFile(path)
				line += fmt.Sprintf(" %x %v", sha256.Sum256(text), err)
			case info.Mode()&os.ModeSymlink != 0:
				to, _ := os.Readlink(path)
				line += " " + to
			}
			lines = append(lines, line)
			return nil
		})
	}
	for _, place := range []string{"usr/local", "etc", "opt", "home", "var/lib/husk"} {
		look(w.above, place, false)
	}
	for _, disk := range w.disks {
		look(w.root, strings.TrimPrefix(disk, "/"), true)
	}
	return strings.Join(lines, "\n")
}

// accounts are files that tell of users: that one was made is no trace of an install.
var accounts = regexp.MustCompile(`^etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^etc/\.pwd\.lock$`)

// differ tells what is in one of two states alone.
func differ(before, after string) string {
	var out []string
	for _, c := range []struct{ sign, some, other string }{{"-", before, after}, {"+", after, before}} {
		there := map[string]bool{}
		for line := range strings.SplitSeq(c.other, "\n") {
			there[line] = true
		}
		for line := range strings.SplitSeq(c.some, "\n") {
			if line != "" && !there[line] {
				out = append(out, c.sign+line)
			}
		}
	}
	return strings.Join(out, "\n")
}

// text reads a file of the world.
func (w *world) text(path string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.root, path))
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// put writes a file of the world.
func (w *world) put(path, text string, mode os.FileMode) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.root, path), []byte(text), mode); err != nil {
		w.Fatal(err)
	}
}

// change alters one byte of a file, which stays as long as it was.
func change(t testing.TB, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		text = bytes.Clone(text)
		text[len(text)/2] = another(text[len(text)/2])
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil || len(text) == 0 {
		t.Fatalf("%s can't be changed: %v", path, err)
	}
}

// another is another byte. A letter of base64 stays one: what a changed signature is
// refused for does not depend on which letter that was.
func another(b byte) byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	if i := strings.IndexByte(letters, b); i >= 0 {
		return letters[i^1]
	}
	return b ^ 1
}
