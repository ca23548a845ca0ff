package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
	"husk/web/api"
)

// callFault is a way in which a call fails, and how that is answered.
type callFault struct {
	call, errno string
	status      int
	code        string
	every       int // in a sample: which of the calls
}

var callFaults = []callFault{
	{"pwrite64", "EIO", http.StatusInternalServerError, "disk_failed", 16},
	{"pwrite64", "ENOSPC", http.StatusInsufficientStorage, "disk_full", 20},
	{"fdatasync", "EIO", http.StatusInternalServerError, "disk_failed", 8},
	{"fdatasync", "ENOSPC", http.StatusInsufficientStorage, "disk_full", 8},
	{"fsync", "EIO", http.StatusInternalServerError, "disk_failed", 1},
	{"ftruncate", "ENOSPC", http.StatusInsufficientStorage, "disk_full", 1},
}

func (f callFault) kind() string { return f.call + "/" + f.errno }

func (f callFault) rule(n int) []string {
	return []string{"-e", "trace=" + f.call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", f.call, f.errno, n)}
}

// foreignWords are never told to users: those of libraries and of the system.
var foreignWords = []string{"file resize", "file sync", ".husk-", "input/output", "no space left", "write /", "goroutine", "panic", ".go:", "request id"}

func wantOwnWords(t *testing.T, what, text string) {
	t.Helper()
	for _, word := range foreignWords {
		if strings.Contains(text, word) {
			t.Errorf("%s: %q is told: %s", what, word, text)
		}
	}
}

// faultTemplate is a store to copy, with its administrator's token.
func faultTemplate(t *testing.T) (store []byte, token string) {
	t.Helper()
	p := program{data: newData(t), stdin: testPassword + "\n"}
	p.ok(t, "passwd", "--password-stdin")
	p.ok(t, "user", "create", "ada@example.com", "--no-password")
	token = p.ok(t, "token", "create", "--name", "admin", "--expires", "never")
	store, err := os.ReadFile(filepath.Join(p.data, embedded.file))
	if err != nil {
		t.Fatal(err)
	}
	return store, token
}

// copied is a program on a copy of the store; of one that has to grow soon, it
// is cut to its pages in use.
func copied(t *testing.T, store []byte, cut bool) program {
	t.Helper()
	p := program{data: newData(t)}
	if cut {
		// All that is behind the last page in use is zeros.
		const page = 4096
		store = store[:(len(bytes.TrimRight(store, "\x00"))+page-1)/page*page]
	}
	err := errors.Join(os.MkdirAll(p.data, 0o700), os.WriteFile(filepath.Join(p.data, embedded.file), store, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFailedCallsOfServer makes calls on the store fail below a running server.
// strace counts them by thread, so in one run several may.
func TestFailedCallsOfServer(t *testing.T) {
	dbtest.TakesVeryLong(t, "a server whose calls fail, each in turn")
	t.Parallel()
	needStrace(t)
	store, token := faultTemplate(t)
	for _, f := range callFaults {
		t.Run(f.call+"-"+f.errno, func(t *testing.T) {
			tally := &dbtest.Tally{Kind: "server/" + f.kind()}
			for n := range dbtest.Sample(f.every) {
				if !serveWithFault(t, f, n, store, token, tally) {
					break
				}
			}
			tally.Report(t)
		})
	}
}

// serveWithFault runs a server whose n-th call fails; it answers false where
// none did.
func serveWithFault(t *testing.T, f callFault, n int, store []byte, token string, tally *dbtest.Tally) (met bool) {
	t.Helper()
	p := copied(t, store, f.call == "ftruncate")
	s := p.serveTraced(t, append(f.rule(n), "-P", filepath.Join(p.data, embedded.file))...)
	w := &faultWork{t: t, fault: f, what: fmt.Sprintf("%s, call %d", f.kind(), n), admin: s.client(token), names: map[string]bool{"admin": true}}
	w.changes()
	calls := s.calls()
	met = slices.ContainsFunc(calls, func(c *syscalls.Call) bool { return c.Injected })
	log := s.log.String()
	if strings.Contains(log, "panic") || strings.Contains(log, "goroutine") {
		t.Errorf("%s: the log has a panic: %s", w.what, log)
	}
	// A failed fsync may be of what was answered as failed already.
	if met && w.failed == 0 && f.call != "fsync" && !strings.Contains(log, "could not be written") {
		t.Errorf("%s: a call failed, and nobody was told: %v", w.what, calls)
	}
	w.wantNames("after a restart", p.tokenNames(t))
	p.ok(t, "check")
	if met {
		tally.Case(w.wrong == 0)
	}
	return met
}

// faultWork is what is asked of a server whose disk fails.
type faultWork struct {
	t      *testing.T
	fault  callFault
	what   string
	admin  *api.Client
	names  map[string]bool // of the tokens that were acknowledged and not revoked
	failed int
	wrong  int // answers that did not hold
}

// try makes a change; a failure is answered as the contract says.
func (w *faultWork) try(err error) (done bool) {
	w.t.Helper()
	if err == nil {
		return true
	}
	w.failed++
	var answer *api.Error
	if !errors.As(err, &answer) || answer.Status != w.fault.status || answer.Detail.Code != w.fault.code {
		w.t.Errorf("%s: it is answered by %#v, want %d %s", w.what, err, w.fault.status, w.fault.code)
		return false
	}
	wantOwnWords(w.t, w.what, answer.Detail.Reason)
	return false
}

func (w *faultWork) mint(name string) (k api.TokenCreated, done bool) {
	w.t.Helper()
	k, err := w.admin.CreateToken(w.t.Context(), api.NewToken{Name: name})
	if done = w.try(err); done {
		w.names[name] = true
	}
	w.reads()
	return k, done
}

// reads holds what is read against what was answered.
func (w *faultWork) reads() {
	w.t.Helper()
	found, err := w.admin.SearchTokens(w.t.Context(), api.ListOptions{Size: 100})
	if err != nil {
		w.t.Errorf("%s: reads do not go on: %v", w.what, err)
		return
	}
	got := map[string]bool{}
	for _, hit := range found.Hits.Hits {
		got[hit.Source.Name] = true
	}
	w.wantNames("at once", got)
}

func (w *faultWork) wantNames(when string, got map[string]bool) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(w.names) {
		w.wrong++
		w.t.Errorf("%s: %s there are %v, and acknowledged are %v", w.what, when, got, w.names)
	}
}

// changes makes one change of each kind, and sees to it that changes can be
// made again in the end.
func (w *faultWork) changes() {
	ctx := w.t.Context()
	k, done := w.mint("revoked")
	if done {
		if _, err := w.admin.DeleteToken(ctx, k.ID); w.try(err) {
			delete(w.names, "revoked")
		}
		_, err := (&api.Client{Base: w.admin.Base, Token: k.AccessToken}).Profile(ctx)
		if revoked := isStatus(err, http.StatusUnauthorized); revoked == w.names["revoked"] || err != nil && !revoked {
			w.wrong++
			w.t.Errorf("%s: the token is answered by %v", w.what, err)
		}
	}
	session := &api.Client{Base: w.admin.Base}
	in, err := session.Login(ctx, api.Login{Password: testPassword})
	if session.JWT = in.AccessToken; w.try(err) {
		ended := w.try(session.Logout(ctx))
		if _, err := session.Profile(ctx); (err != nil) != ended {
			w.wrong++
			w.t.Errorf("%s: the session is answered by %v", w.what, err)
		}
	}
	for i := range 30 { // more than threads, each of which may fail once
		if _, done := w.mint(fmt.Sprintf("again %d", i)); done && i > 2 {
			return
		}
	}
	w.t.Errorf("%s: no change can be made any more", w.what)
}

// TestFailedCallsOffline makes calls fail below a command that opens the store
// itself, and below one that makes it.
func TestFailedCallsOffline(t *testing.T) {
	t.Parallel()
	needStrace(t)
	store, _ := faultTemplate(t)
	for _, f := range callFaults {
		for _, where := range []string{"absent", "there"} {
			t.Run(f.call+"-"+f.errno+"-"+where, func(t *testing.T) {
				tally := &dbtest.Tally{Kind: "offline-" + where + "/" + f.kind()}
				fresh := func() program {
					if where == "absent" {
						return program{data: newData(t)}
					}
					return copied(t, store, f.call == "ftruncate")
				}
				for n := range dbtest.Sample(f.every) {
					if !commandWithFault(t, f, n, fresh(), tally) {
						break
					}
				}
				tally.Report(t)
			})
		}
	}
}

// TestFailedReads makes the reads fail by which a command looks at the store.
func TestFailedReads(t *testing.T) {
	t.Parallel()
	needStrace(t)
	store, _ := faultTemplate(t)
	p, tally := copied(t, store, false), &dbtest.Tally{Kind: "offline/pread64/EIO"}
	truth := p.ok(t, "token", "list") + "\n"
	for n := 1; ; n++ {
		file := filepath.Join(t.TempDir(), "trace")
		c := p.command(t.Context(), "token", "list")
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		rule := fmt.Sprintf("inject=pread64:error=EIO:when=%d", n)
		if err := syscalls.Trace(c, file, "-e", "trace=pread64", "-e", rule, "-P", filepath.Join(p.data, embedded.file)); err != nil {
			t.Fatal(err)
		}
		_ = c.Run()
		calls, err := syscalls.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(calls, func(c *syscalls.Call) bool { return c.Injected }) {
			break
		}
		// It may be told by another read all the same, as bbolt looks for the size of a page.
		refused := slices.Contains([]int{exitFailure, exitInvalid}, c.ProcessState.ExitCode()) && stdout.Len() == 0
		code := c.ProcessState.ExitCode()
		right := refused || code == exitDone && stdout.String() == truth
		tally.Case(right)
		if !right {
			t.Errorf("read %d: exit code %d\n%s%s", n, code, &stdout, &stderr)
		}
		wantOwnWords(t, fmt.Sprintf("read %d", n), stderr.String())
	}
	tally.Report(t)
}

func commandWithFault(t *testing.T, f callFault, n int, p program, tally *dbtest.Tally) (met bool) {
	t.Helper()
	what := fmt.Sprintf("%s, call %d", f.kind(), n)
	file := filepath.Join(t.TempDir(), "trace")
	c := p.command(t.Context(), "token", "create", "--name", "new")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := syscalls.Trace(c, file, f.rule(n)...); err != nil {
		t.Fatal(err)
	}
	_ = c.Run()
	calls, err := syscalls.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	code := c.ProcessState.ExitCode()
	met = slices.ContainsFunc(calls, func(c *syscalls.Call) bool { return c.Injected })
	switch {
	case code != exitDone && code != exitFailure, code == exitFailure && (!met || stdout.Len() > 0), code == exitDone && stdout.Len() == 0:
		t.Errorf("%s: exit code %d, a call failed: %t\n%s%s", what, code, met, &stdout, &stderr)
	}
	wantOwnWords(t, what, stderr.String())
	if _, err := os.Stat(p.store()); err != nil {
		if _, err := os.Stat(p.data); err == nil && f.call == "fsync" && n == 1 {
			t.Errorf("%s: a folder is left whose name is not safe", what)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(p.data, ".husk-*")); len(found) > 0 {
		t.Errorf("%s: there is left %q", what, found)
	}
	p.want(t, exitDone, "token", "create", "--name", "after")
	names := p.tokenNames(t)
	if met {
		right := names["new"] == (code == exitDone) && names["after"]
		tally.Case(right)
		if !right {
			t.Errorf("%s: exit code %d, and then there are %v", what, code, names)
		}
	}
	p.ok(t, "check")
	return met
}
