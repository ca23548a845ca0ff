package cmd

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// logging starts a server that writes both of its streams to w, and returns its
// address, which it has from r.
func logging(t *testing.T, p program, r, w *os.File) (c *exec.Cmd, lines *bufio.Reader, url string) {
	t.Helper()
	c = p.command(context.Background(), "serve", "--addr", "127.0.0.1:0", "--access-log")
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	w.Close()
	for lines = bufio.NewReader(r); url == ""; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, found := strings.Cut(line, `"addr":"`); found {
			addr, _, _ := strings.Cut(rest, `"`)
			url = "http://" + addr
		}
	}
	return c, lines, url
}

// ask sends n requests and returns how long the slowest took.
func ask(t *testing.T, url string, n int) (slowest time.Duration) {
	t.Helper()
	client := &http.Client{Timeout: patience / 3}
	for range n {
		began := time.Now()
		answer, err := client.Get(url + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		slowest = max(slowest, time.Since(began))
	}
	return slowest
}

func endsWell(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// 'husk serve 2>&1 | head -1' leaves a server that serves.
func TestServeOutlivesItsReader(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, _, url := logging(t, program{data: newData(t)}, r, w) // nobody can sign in yet: it has more to say
	r.Close()
	ask(t, url, 5)
	endsWell(t, c)
}

// A reader that is stopped with a full pipe stops nothing.
func TestServeBesideAStoppedReader(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	c, _, url := logging(t, program{data: newData(t)}, r, w)
	if slowest := ask(t, url, 60); slowest > patience/3 {
		t.Errorf("an answer took %v", slowest)
	}
	endsWell(t, c)
}

// Other commands end when their reader has left, as such programs do.
func TestCommandEndsWithItsReader(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	c := p.command(t.Context(), "token", "list")
	c.Stdout = w
	err = c.Run()
	w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("it ends with %v", err)
	}
}
