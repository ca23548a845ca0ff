//go:build ship

package dist

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// repository is a clone of this one, with what a release made by --anyway takes.
func repository(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "husk")
	if checkout(t, folder) != "" {
		command(t, "git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "changes")
	}
	return folder
}

// refused runs dist/release, which does not make a release, and leaves nothing beside
// or at the name of it.
func refused(t *testing.T, cmd *exec.Cmd, out, says string) {
	t.Helper()
	said, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(said), says) {
		t.Errorf("it ends with %v, and does not say %q:\n%s", err, says, said)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
}

// TestReleaseRefuses: what is no release is told before there is any work, with what
// to do.
func TestReleaseRefuses(t *testing.T) {
	t.Parallel()
	from, good := repository(t), "v"+next(t)
	work := t.TempDir()
	dirty := repository(t)
	if err := os.WriteFile(filepath.Join(dirty, "LICENSE"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	public, err := filepath.Abs(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from string
		args []string
		says string
	}{
		"changes":               {dirty, []string{good}, "changes that are not committed"},
		"another version":       {from, []string{"v9.9.9"}, "and not 9.9.9"},
		"no version":            {from, []string{"newest"}, "newest is no version"},
		"no folder":             {from, nil, "it wants VERSION and OUT"},
		"an option":             {from, []string{"--fast", good}, "--fast is no option"},
		"a key that is not":     {from, []string{"--key", "/nonexistent/key", good}, "/nonexistent/key can't be read"},
		"the public key":        {from, []string{"--key", public, good}, "is no secret key of minisign"},
		"a key without a file":  {from, []string{good, "--key"}, "--key wants a file"},
		"a tree that is no git": {unpackedSource(t), []string{good}, "no checkout of git"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(work, "out")
			args := append([]string{filepath.Join(c.from, "dist/release")}, c.args...)
			if c.args != nil && args[len(args)-1] != "--key" {
				args = append(args, out)
			}
			cmd := exec.Command("bash", args...)
			cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES=/")
			refused(t, cmd, out, strings.Replace(c.says, "and not 9.9.9", "9.9.9", 1))
		})
	}

	// What is there stays.
	there := filepath.Join(work, "there")
	if err := os.MkdirAll(filepath.Join(there, "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("bash", filepath.Join(from, "dist/release"), good, there).CombinedOutput(); err == nil || !bytes.Contains(said, []byte("is there already, and is no empty folder")) {
		t.Errorf("over a folder that is there: %v %s", err, said)
	}
	if entries, err := os.ReadDir(there); err != nil || len(entries) != 1 {
		t.Errorf("of a folder that is there is left %v, %v", entries, err)
	}
}

// unpackedSource is a tree without a repository.
func unpackedSource(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	command(t, "cp", "-r", ".", filepath.Join(folder, "dist"))
	command(t, "cp", "-r", "../cmd", filepath.Join(folder, "cmd"))
	return folder
}

// TestReleaseWantsItsTools: each that is missing is told with the package that has it,
// at once.
func TestReleaseWantsItsTools(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			if name := e.Name(); name != "tar" && name != "minisign" {
				os.Symlink(filepath.Join(folder, name), filepath.Join(bin, name))
			}
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.Command("bash", filepath.Join(repository(t), "dist/release"), "v"+next(t), out)
	cmd.Env = append(os.Environ(), "PATH="+bin)
	refused(t, cmd, out, "programs are missing: apt-get install tar")
}

// TestReleaseWantsTheRightPassword: of a key that has one, before there is any work.
func TestReleaseWantsTheRightPassword(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	secret, out := filepath.Join(work, "key"), filepath.Join(work, "out")
	make := exec.Command(need(t, "minisign", "minisign"), "-G", "-p", filepath.Join(work, "pub"), "-s", secret)
	make.Stdin = strings.NewReader("tin cup on the shelf\ntin cup on the shelf\n")
	if said, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	cmd := exec.Command("bash", filepath.Join(repository(t), "dist/release"), "--key", secret, "v"+next(t), out)
	cmd.Stdin = strings.NewReader("tin cup\n")
	refused(t, cmd, out, "can't sign: is it the right password?")
}

// TestReleaseOnAFullDisk: the step is named, and nothing stays.
func TestReleaseOnAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		mustRun(t, "only root mounts a small disk")
	}
	disk := t.TempDir()
	script := `mount -t tmpfs -o size=1m husk "$1"; bash "$2" "$3" "$1/out" && exit 0; ls -A "$1" >&2; echo "left: $(ls -A "$1" | wc -l)"; exit 1`
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", disk, filepath.Join(repository(t), "dist/release"), "v"+next(t))
	cmd.Env = append(os.Environ(), "TARGETS="+runtime.GOOS+"/"+runtime.GOARCH)
	said, err := cmd.CombinedOutput()
	for _, what := range []string{"No space left on device", "the step 'source' failed", "left: 0"} {
		if err == nil || !bytes.Contains(said, []byte(what)) {
			t.Errorf("on a full disk it does not say %q: %v\n%s", what, err, said)
		}
	}
}

// TestReleaseIsInterrupted: told to end it ends soon, and leaves nothing, neither
// files nor programs that go on.
func TestReleaseIsInterrupted(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	temporary := filepath.Join(work, "temporary")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(work, "out")
	cmd := exec.Command("bash", filepath.Join(repository(t), "dist/release"), "v"+next(t), out)
	cmd.Env = append(os.Environ(), "TARGETS="+runtime.GOOS+"/"+runtime.GOARCH, "TMPDIR="+temporary)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, func() error {
		// Something of the release is there.
		if found, _ := filepath.Glob(out + ".*/*"); len(found) == 0 {
			return fmt.Errorf("there is nothing yet")
		}
		return nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// Its output is closed when all that it started has ended.
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 143 {
		t.Errorf("it ends with %v:\n%s", err, &said)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("it leaves %v in the temporary folder", left)
	}
}
