package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/web/api"
)

// into runs a command whose stdout is a file.
func (p program) into(t *testing.T, stdout *os.File, args ...string) result {
	t.Helper()
	var stderr bytes.Buffer
	c := p.command(t.Context(), args...)
	c.Stdout, c.Stderr = stdout, &stderr
	_ = c.Run()
	return result{code: c.ProcessState.ExitCode(), stderr: stderr.String()}
}

// closedPipe is a pipe that nobody reads any more.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

func fullDevice(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// What is shown once and could not be shown is taken back, or told with what to
// do; a rotated token keeps the secret that it had.
func TestWhatCantBeGivenOut(t *testing.T) {
	dbtest.NoRace(t, "commands, one after the other")
	t.Parallel()
	p := program{data: newData(t)}
	old := p.ok(t, "token", "create", "--name", "kept")
	p.ok(t, "user", "create", "robot@example.com", "--no-password")
	s := p.serve(t)
	before := p.ok(t, "token", "show", "kept", "--json")
	for name, stdout := range map[string]func(*testing.T) *os.File{"no space left on device": fullDevice, "broken pipe": closedPipe} {
		for _, format := range []string{"--quiet", "--json"} {
			r := p.into(t, stdout(t), "token", "rotate", "kept", format)
			if want := "can't be given out: stdout: " + name + "; it is taken back, and the old one is what it was"; r.code != exitFailure || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, old[:36]) {
				t.Errorf("rotate: %v", r)
			}
			r = p.into(t, stdout(t), "token", "create", "--name", "lost", format)
			if !strings.Contains(r.stderr, "can't be given out: stdout: "+name+"; it is revoked again") || r.code != exitFailure {
				t.Errorf("create: %v", r)
			}
			r = p.into(t, stdout(t), "user", "create", "ann@example.com", "--generate", format)
			if !strings.Contains(r.stderr, "ann@example.com was made, and the password can't be given out: stdout: "+name+"; the user is deleted again") || r.code != exitFailure {
				t.Errorf("user create: %v", r)
			}
			r = p.into(t, stdout(t), "passwd", "robot@example.com", "--generate", format)
			if !strings.Contains(r.stderr, "the password of robot@example.com was replaced, and the new one can't be given out: stdout: "+name) || !strings.Contains(r.stderr, "make another: husk passwd robot@example.com --generate") || r.code != exitFailure {
				t.Errorf("passwd: %v", r)
			}
		}
	}
	if _, err := s.client(old).Profile(t.Context()); err != nil {
		t.Errorf("the old secret: %v", err)
	}
	if after := p.ok(t, "token", "show", "kept", "--json"); withoutUse(after) != withoutUse(before) {
		t.Errorf("it was %s and is %s", before, after)
	}
	p.want(t, exitNotFound, "token", "show", "lost")
	p.want(t, exitNotFound, "user", "show", "ann@example.com")
	s.end()
}

// withoutUse is a token as JSON, but for its last use.
func withoutUse(text string) string {
	var k api.Token
	_ = json.Unmarshal([]byte(text), &k)
	k.LastUsed, k.LastIP = nil, ""
	out, _ := json.Marshal(k)
	return string(out)
}

// A file on a disk that has no room is refused before anything ends, and leaves
// nothing there.
func TestRotateWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	p := program{data: newData(t)}
	old := p.ok(t, "token", "create", "--name", "kept")
	there := writeFile(t, dir, "there.token", old+"\n")
	free := fillDisk(t, dir)
	for _, args := range [][]string{
		{"token", "rotate", "kept", "--output", filepath.Join(dir, "new.token")}, {"token", "rotate", "kept", "--output", there, "--force"},
		{"token", "create", "--name", "lost", "--output", filepath.Join(dir, "new.token")},
	} {
		if r := p.want(t, exitFailure, args...); !strings.Contains(r.stderr, "the token can't be written: "+args[len(args)-1]) && !strings.Contains(r.stderr, there) || !strings.Contains(r.stderr, "nothing was changed; free some space") {
			t.Errorf("husk %q says %s", args, r.stderr)
		}
	}
	p.ok(t, "token", "check", there)
	p.want(t, exitNotFound, "token", "show", "lost")
	free()
	if got := namesIn(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
	p.ok(t, "token", "rotate", "kept", "--output", there, "--force")
	p.ok(t, "token", "check", there)
	p.stdin = old
	p.want(t, exitInvalid, "token", "check")
}

// stuckRotation is a rotation whose new secret is made and nobody reads.
func stuckRotation(t *testing.T, p program) (c *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	fillPipe(t, w)
	c = p.command(t.Context(), "token", "rotate", "kept")
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new secret is made", func() bool {
		var k api.Token
		_ = json.Unmarshal([]byte(p.run(t, "token", "show", "kept", "--json").stdout), &k)
		return k.Next != nil
	})
	return c
}

func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	if err := w.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetNonblock(int(fd), true)
		for n := 1; n > 0; {
			n, _ = syscall.Write(int(fd), make([]byte, 4096))
		}
		_ = syscall.SetNonblock(int(fd), false)
	})
}

// Killed before the new secret is out, the old one is good; interrupted then,
// the token is as it was.
func TestKilledRotation(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	old := p.ok(t, "token", "create", "--name", "kept")
	s := p.serve(t)
	good := func(secret string) bool {
		_, err := s.client(secret).Profile(t.Context())
		return err == nil
	}
	c := stuckRotation(t, p)
	_ = c.Process.Signal(os.Interrupt)
	if err := c.Wait(); c.ProcessState.ExitCode() != 130 {
		t.Errorf("interrupted: %v", err)
	}
	if !good(old) || strings.Contains(p.ok(t, "token", "show", "kept", "--json"), `"next"`) {
		t.Error("interrupted: the token is not as it was")
	}
	c = stuckRotation(t, p)
	_ = c.Process.Kill()
	_ = c.Wait()
	if !good(old) {
		t.Error("killed: the old secret is not good")
	}
	if text := p.ok(t, "token", "show", "kept"); !strings.Contains(text, "was not finished, rotate again") {
		t.Errorf("it says %s", text)
	}
	fresh := p.ok(t, "token", "rotate", "kept")
	if good(old) || !good(fresh) {
		t.Error("the next rotation did not end the old secret")
	}
	s.end()
}
