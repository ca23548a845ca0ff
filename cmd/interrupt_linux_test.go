package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"husk/db/dbtest/large"
)

// atTerminal runs a command on a terminal until it shows what is wanted, and
// returns all that it has shown by then.
func (p program) atTerminal(t *testing.T, want string, args ...string) (c *exec.Cmd, keys, tty *os.File, shown string) {
	t.Helper()
	keys, tty = terminal(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c = p.command(ctx, args...)
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, keys, tty, showsUntil(t, keys, want)
}

// showsUntil reads what is shown until want is among it. A test that waits in
// vain ends with the command, which is killed.
func showsUntil(t *testing.T, keys *os.File, want string) string {
	t.Helper()
	var shown strings.Builder
	read := make([]byte, 4096)
	for !strings.Contains(shown.String(), want) {
		n, err := keys.Read(read)
		if err != nil {
			t.Fatalf("%v; it has shown %q, and not %q", err, shown.String(), want)
		}
		shown.Write(read[:n])
	}
	return shown.String()
}

// TestInterruptedWait ends every wait for a person by the first key for it:
// with 130, the terminal as it was, and nothing changed.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	full := program{data: newData(t)}
	full.ok(t, "token", "create", "--name", "one")
	full.ok(t, "token", "create", "--name", "two")
	full.ok(t, "user", "create", "ann@example.com", "--no-password")
	dir := t.TempDir()
	backup := filepath.Join(dir, "husk.tar")
	full.ok(t, "backup", "--output", backup)
	before := full.audited(t)
	for _, c := range []struct {
		want   string
		hidden bool
		args   []string
	}{
		{"New password: ", true, []string{"passwd"}},
		{"Password: ", true, []string{"passwd", "--password-stdin"}},
		{"Password: ", true, []string{"user", "create", "bob@example.com", "--password-stdin"}},
		{"API token: ", true, []string{"token", "check"}},
		{"API token: ", true, []string{"token", "check", "-"}},
		{"API token: ", true, []string{"token", "check", "/dev/stdin"}},
		{"API token for http://127.0.0.1:1: ", true, []string{"token", "list", "--server", "http://127.0.0.1:1", "--token-file", "-"}},
		{"Secret key", true, []string{"restore", backup, "--yes", "--identity-file", "-"}},
		{"Replace the store", false, []string{"restore", backup}},
		{"Delete ann@example.com?", false, []string{"user", "delete", "ann@example.com"}},
		{"End every session now?", false, []string{"key", "rotate", "--now"}},
		{"Revoke 2 tokens?", false, []string{"token", "revoke", "one", "two"}},
		{"Repair the store", false, []string{"check", "--repair"}},
		{"Waiting for the users", false, []string{"user", "import", "--ndjson", "-"}},
		{"Waiting for the users", false, []string{"user", "import", "--htpasswd", "-"}},
		{"Waiting for the recipients", false, []string{"backup", "--output", filepath.Join(dir, "new.tar.age"), "--recipients-file", "-"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			cmd, keys, tty, _ := full.atTerminal(t, c.want, c.args...)
			if c.hidden {
				eventually(t, "nothing that is typed is shown", func() bool { return !echoes(t, tty) })
			}
			if _, err := io.WriteString(keys, "half\x03"); err != nil {
				t.Fatal(err)
			}
			shown := showsUntil(t, keys, "husk: ")
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("husk %q ends with %v, and shows %q", c.args, err, shown)
			}
			if c.hidden && strings.Contains(shown, "half") {
				t.Errorf("husk %q shows what is typed: %q", c.args, shown)
			}
			if !echoes(t, tty) {
				t.Errorf("husk %q leaves the terminal without echo", c.args)
			}
		})
	}
	if after := full.audited(t); after != before {
		t.Errorf("something was changed: %s", after)
	}
}

// audited is the newest entry of the audit log.
func (p program) audited(t *testing.T) string {
	t.Helper()
	return p.ok(t, "audit", "head")
}

// A signal says which one it was, and a store is not made for a password that
// nobody typed.
func TestTerminatedPrompt(t *testing.T) {
	t.Parallel()
	_, tty := terminal(t)
	p := program{data: newData(t)}
	c := p.asks(t, tty, "passwd")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 143 {
		t.Errorf("it ended with %v", err)
	}
	if !echoes(t, tty) {
		t.Error("the terminal is left without echo")
	}
	if _, err := os.Stat(p.data); err == nil {
		t.Error("a store was made")
	}
}

// TestInterruptedPipe waits for what another program never writes, or reads.
func TestInterruptedPipe(t *testing.T) {
	t.Parallel()
	p := program{data: large.Copy(t, 600)}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	interrupted := func(c *exec.Cmd) {
		t.Helper()
		_ = c.Process.Signal(syscall.SIGINT)
		late := time.AfterFunc(patience, func() { _ = c.Process.Kill() })
		defer late.Stop()
		if err := c.Wait(); c.ProcessState.ExitCode() != 130 {
			t.Errorf("%q ends with %v", c.Args, err)
		}
	}
	for _, args := range [][]string{
		{"token", "check", pipe}, {"token", "list", "--server", "http://127.0.0.1:1", "--token-file", pipe}, {"restore", pipe},
		{"user", "import", "--ndjson", pipe}, {"user", "import", "--htpasswd", pipe}, {"token", "list", "--config", pipe},
	} {
		c := p.command(context.Background(), args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var writer *os.File
		eventually(t, "it opens the pipe", func() (opened bool) {
			var err error
			writer, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
			return err == nil
		})
		interrupted(c)
		writer.Close()
	}
	for _, args := range [][]string{{"backup", "--output", "-"}, {"audit", "export"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := p.command(context.Background(), args...)
		c.Stdout = w
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1)); err != nil { // the rest fills the pipe
			t.Fatal(err)
		}
		interrupted(c)
		r.Close()
		w.Close()
	}
}

// Who types an import, or pipes one in, keeps nobody from the store meanwhile.
func TestImportWaitsWithoutTheStore(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "user", "create", "eve@example.com", "--no-password")
	for format, line := range map[string]string{
		"--ndjson":   `{"email":"ann@example.com"}`,
		"--htpasswd": "bob@example.com:$2y$10$tsq4rj0Dc1E3Audye6AKs.4K0GwIsU42jzW5ahsTB0xB9.Kp3qJG.",
	} {
		c := p.command(t.Context(), "user", "import", format, "-")
		r, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		c.Stdin, c.Stderr = r, &told
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if _, err := io.WriteString(in, line[:10]); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has read what there is", func() bool {
			unread, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ)
			return err == nil && unread == 0
		})
		p.ok(t, "user", "list")
		if _, err := io.WriteString(in, line[10:]); err != nil {
			t.Fatal(err)
		}
		in.Close()
		if err := c.Wait(); err != nil || !strings.Contains(told.String(), "1 users made") {
			t.Errorf("%s: %v: %s", format, err, told.String())
		}
	}
}

// A pipe that nobody ever opens for writing is waited for in open(2).
func TestInterruptedOpen(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := &app{interrupted: ctx.Done()}
	cancel()
	if _, err := a.open(pipe); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	// Lets the open end.
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
