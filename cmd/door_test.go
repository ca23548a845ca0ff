//go:build unix

package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/web/api"
	"husk/web/control"
)

// The one door: a command finds its way to the store whether a server runs,
// starts, stops, was killed, or is kept from it.

const testPassword = "correct horse battery"

// holdStore has another process hold the store until release is called.
func holdStore(t *testing.T, data string) (pid int, release func()) {
	t.Helper()
	c := exec.Command("holder", filepath.Join(data, embedded.file))
	in, err := c.StdinPipe()
	out, err2 := c.StdoutPipe()
	if err := errors.Join(err, err2, c.Start()); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { in.Close(); _ = c.Wait() })
	t.Cleanup(release)
	said := make([]byte, 64)
	if n, err := out.Read(said); strings.TrimSpace(string(said[:n])) != "<nil>" {
		t.Fatalf("the holder says %q, %v", said[:n], err)
	}
	return c.Process.Pid, release
}

func TestStaleSocket(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	s := p.serve(t)
	p.ok(t, "token", "create", "--name", "beside")
	s.kill()
	info, err := os.Lstat(filepath.Join(p.data, control.Name))
	if err != nil || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("no socket is left behind: %v", err)
	}
	p.ok(t, "token", "create", "--name", "offline")
	s = p.serve(t)
	p.ok(t, "token", "create", "--name", "beside the next")
	if names := p.tokenNames(t); len(names) != 3 {
		t.Errorf("tokens: %v", names)
	}
	s.end()
}

func TestFileInTheSocketsPlace(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create", "--name", "first")
	path := filepath.Join(p.data, control.Name)
	if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ok(t, "token", "create", "--name", "second")
	r := p.want(t, exitFailure, "serve", "--addr", "127.0.0.1:0")
	if !strings.Contains(r.stderr, path+" is in the way and is not a socket") {
		t.Errorf("serve says: %s", r.stderr)
	}
	if text, err := os.ReadFile(path); string(text) != "somebody's" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	p.ok(t, "token", "list")
}

// TestHeldTooLong gives up after lockWait, and names who holds the store.
func TestHeldTooLong(t *testing.T) {
	dbtest.TakesLong(t, "the five seconds for which commands wait")
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	pid, _ := holdStore(t, p.data)
	want := fmt.Sprintf("in use by process %d (holder)", pid)
	var all sync.WaitGroup
	for _, args := range [][]string{
		{"token", "list"}, {"token", "create"}, {"health"}, {"serve", "--addr", "127.0.0.1:0"}, {"restore", os.DevNull},
	} {
		all.Go(func() {
			began := time.Now()
			r := p.want(t, exitBusy, args...)
			took := time.Since(began)
			if r.stdout != "" || !strings.Contains(r.stderr, want) {
				t.Errorf("husk %q: %v", args, r)
			}
			if args[0] != "restore" && took < lockWait || took > 3*lockWait {
				t.Errorf("husk %q took %v", args, took)
			}
		})
	}
	all.Wait()
}

// TestRestarts runs commands all the while a server starts and stops.
func TestRestarts(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create", "--name", "first")
	ctx, cancel := context.WithCancel(t.Context())
	var commands sync.WaitGroup
	var made [2]int
	var done [2]atomic.Int64
	for i := range made {
		commands.Go(func() {
			for ; ctx.Err() == nil; made[i]++ {
				r := p.run(t, "token", "create", "--name", fmt.Sprint(i, " ", made[i]))
				if r.code != exitDone {
					t.Errorf("command %d of %d: %v", made[i], i, r)
				}
				done[i].Add(1)
			}
		})
	}
	for range 10 {
		s := p.serve(t)
		seen := done[0].Load() + done[1].Load()
		eventually(t, "a command beside the server", func() bool { return done[0].Load()+done[1].Load() > seen+2 })
		s.end()
		seen = done[0].Load() + done[1].Load()
		eventually(t, "a command without a server", func() bool { return done[0].Load()+done[1].Load() > seen+2 })
	}
	cancel()
	commands.Wait()
	names := p.tokenNames(t)
	for i, n := range made {
		for j := range n {
			if name := fmt.Sprint(i, " ", j); !names[name] {
				t.Errorf("token %q is missing", name)
			}
		}
	}
}

func TestManyCommandsAtOnce(t *testing.T) {
	t.Parallel()
	const many = 8
	atOnce := func(t *testing.T, p program, prefix string) {
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { p.want(t, exitDone, "token", "create", "--name", fmt.Sprint(prefix, i)) })
		}
		all.Wait()
		names := p.tokenNames(t)
		for i := range many {
			if name := fmt.Sprint(prefix, i); !names[name] {
				t.Errorf("token %s is missing", name)
			}
		}
	}
	p := program{data: newData(t)}
	atOnce(t, p, "on an absent store ")
	atOnce(t, p, "offline ")
	s := p.serve(t)
	atOnce(t, p, "beside the server ")
	s.end()
	if names := p.tokenNames(t); len(names) != 3*many {
		t.Errorf("there are %d tokens, want %d", len(names), 3*many)
	}
}

func TestManyFirstCommandsAtOnce(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	commands := [][]string{
		{"passwd", "--password-stdin"}, {"passwd", "--password-stdin"},
		{"token", "create"}, {"token", "create"}, {"token", "create"},
		{"user", "create", "ann@example.com", "--no-password"}, {"user", "create", "bob@example.com", "--no-password"},
		{"user", "create", "carol@example.com", "--no-password"},
	}
	var all sync.WaitGroup
	for _, args := range commands {
		all.Go(func() { program{data: p.data, stdin: testPassword + "\n"}.want(t, exitDone, args...) })
	}
	all.Wait()
	if names := p.tokenNames(t); len(names) != 3 {
		t.Errorf("tokens: %v", names)
	}
	for _, name := range []string{"ann", "bob", "carol"} {
		p.ok(t, "user", "show", name+"@example.com")
	}
	entries, err := os.ReadDir(p.data)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestLongPath has a data folder in which a socket has too long a path to be an
// address.
func TestLongPath(t *testing.T) {
	t.Parallel()
	long := filepath.Join(newData(t), strings.Repeat("long", 20), strings.Repeat("path", 20))
	short := filepath.Join(t.TempDir(), "short")
	p := program{data: long}
	s := p.serve(t)
	if info, err := os.Lstat(filepath.Join(long, control.Name)); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is not in the data folder: %v", err)
	}
	if err := os.Symlink(long, short); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{long, short} {
		if got := (program{data: data}).ok(t, "health"); !strings.Contains(got, "the running server") {
			t.Errorf("health says %q", got)
		}
	}
	p.ok(t, "token", "create", "--name", "beside")
	s.end()
	p.ok(t, "token", "show", "beside")
	wantWhole(t, long)
}

// TestSignals stops a server that has an idle connection, one with half a
// header and one with half a body.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := program{data: newData(t)}
			s := p.serve(t)
			if _, err := s.client("").Health(t.Context()); err != nil { // its connection is kept
				t.Fatal(err)
			}
			s.dial()
			for _, half := range []string{
				"GET /health HT",
				"POST /account/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"pass",
				"POST /account/login HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"pass",
			} {
				if _, err := io.WriteString(s.dial(), half); err != nil {
					t.Fatal(err)
				}
			}
			// An answer to what was sent later: the half requests have come.
			if _, err := s.client("").Health(t.Context()); err != nil {
				t.Fatal(err)
			}
			code, took := s.stop(signal)
			if code != exitDone {
				t.Errorf("it ended with %d:\n%s", code, &s.log)
			}
			if took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if _, err := os.Lstat(filepath.Join(p.data, control.Name)); err == nil {
				t.Error("the socket is left behind")
			}
			if !strings.Contains(s.log.String(), "husk has stopped") {
				t.Errorf("the log does not say so:\n%s", &s.log)
			}
		})
	}
}

// TestInFlight lets a request finish that has come whole.
func TestInFlight(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t), stdin: testPassword + "\n"}
	p.ok(t, "passwd", "--password-stdin")
	s := p.serve(t)
	answers := make(chan error, 4)
	for range cap(answers) {
		go func() {
			_, err := s.client("").Login(t.Context(), api.Login{Password: testPassword})
			answers <- err
		}()
	}
	first := <-answers // the others hash yet, or wait to
	s.end()
	for err := first; ; err = <-answers {
		var unreachable *api.UnreachableError
		if err != nil && !(errors.As(err, &unreachable) && errors.Is(err, syscall.ECONNREFUSED)) {
			t.Errorf("a sign-in under way: %v", err)
		}
		if len(answers) == 0 {
			return
		}
	}
}

// TestKilled kills the server under load. What was acknowledged holds.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t), stdin: testPassword + "\n"}
	p.ok(t, "passwd", "--password-stdin")
	root := p.ok(t, "token", "create", "--name", "root")
	s := p.serve(t)

	signedOut, signedIn := signIn(t, s), signIn(t, s)
	if err := (&api.Client{Base: s.url(), JWT: signedOut}).Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	var acknowledged, revoked sync.Map
	var count atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			c := s.client(root)
			for {
				k, err := c.CreateToken(t.Context(), api.NewToken{})
				if err != nil {
					return
				}
				acknowledged.Store(k.ID, k.AccessToken)
				if count.Add(1)%2 == 0 {
					acknowledged.Delete(k.ID) // on its way to be revoked: either may hold
					if _, err := c.DeleteToken(t.Context(), k.ID); err != nil {
						return
					}
					revoked.Store(k.ID, k.AccessToken)
				}
			}
		})
	}
	eventually(t, "some load", func() bool { return count.Load() > 40 })
	s.kill()
	load.Wait()

	began := time.Now()
	s = p.serve(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to start again", took)
	}
	acknowledged.Range(func(id, secret any) bool {
		if _, err := s.client(secret.(string)).Profile(t.Context()); err != nil {
			t.Errorf("an acknowledged token is refused: %v", err)
		}
		return true
	})
	revoked.Range(func(id, secret any) bool {
		if _, err := s.client(secret.(string)).Profile(t.Context()); !isStatus(err, http.StatusUnauthorized) {
			t.Errorf("a revoked token: %v", err)
		}
		return true
	})
	if _, err := (&api.Client{Base: s.url(), JWT: signedIn}).Profile(t.Context()); err != nil {
		t.Errorf("an acknowledged session is refused: %v", err)
	}
	if _, err := (&api.Client{Base: s.url(), JWT: signedOut}).Profile(t.Context()); !isStatus(err, http.StatusUnauthorized) {
		t.Errorf("a session that was signed out: %v", err)
	}
	s.end()
}

func signIn(t *testing.T, s *server) (jwt string) {
	t.Helper()
	in, err := s.client("").Login(t.Context(), api.Login{Password: testPassword})
	if err != nil {
		t.Fatal(err)
	}
	return in.AccessToken
}

// TestTwoServers refuses the second one on a folder, and the first goes on.
func TestTwoServers(t *testing.T) {
	dbtest.TakesLong(t, "the seconds for which a server waits for another one")
	t.Parallel()
	p := program{data: newData(t)}
	s := p.serve(t)
	r := p.want(t, exitBusy, "serve", "--addr", "127.0.0.1:0")
	if want := fmt.Sprintf("in use by process %d", s.cmd.Process.Pid); !strings.Contains(r.stderr, want) {
		t.Errorf("it says: %s", r.stderr)
	}
	if got := p.ok(t, "health"); !strings.Contains(got, "the running server") {
		t.Errorf("health says %q", got)
	}
	s.end()
}

// TestInterruptedCommand gives the store back when a command is interrupted.
func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// A backup to a pipe that nobody reads has the store open.
	c := p.command(ctx, "backup", "--output", "-")
	r, w := io.Pipe()
	c.Stdout = w
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, r)
	_ = c.Wait()
	w.Close()
	p.ok(t, "token", "list")
	if entries, err := os.ReadDir(p.data); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}
