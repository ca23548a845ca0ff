//go:build unix

package cmd

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// completion runs one as a shell does.
func completion(t *testing.T, env []string, args ...string) (out string, took time.Duration) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	stdin := strings.NewReader("it is for the command")
	a := &app{stdin: stdin, stdout: &stdout, stderr: &stderr, getenv: lookIn(env)}
	began := time.Now()
	code := a.run(t.Context(), append([]string{cobra.ShellCompRequestCmd}, args...))
	if took = time.Since(began); code != exitDone || stderr.Len() > 0 {
		t.Errorf("%q ends with %d and says %s", args, code, &stderr)
	}
	if stdin.Len() < int(stdin.Size()) {
		t.Errorf("%q reads stdin", args)
	}
	return stdout.String(), took
}

// A token does not go out in the open because of a key that was pressed.
func TestCompletionKeepsTheToken(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 9)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("X-API-TOKEN") }))
	t.Cleanup(server.Close)
	p := program{data: t.TempDir(), env: []string{"HTTP_PROXY=" + server.URL, "HUSK_TOKEN_FILE=" + writeFile(t, t.TempDir(), "token", "secret")}}
	for to, want := range map[string]int{server.URL: 1, "http://id.example.com": 0} { // which the proxy would get
		p.want(t, exitDone, cobra.ShellCompRequestCmd, "user", "show", "--server", to, "")
		if got := len(asked); got != want {
			t.Errorf("%s was asked %d times, want %d", to, got, want)
		}
		for len(asked) > 0 {
			<-asked
		}
	}
}

// Completion waits for nobody: not for the lock of the store, not for a server
// that does not answer, not for a pipe.
func TestCompletionWaitsForNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := newData(t)
	if r := runHere(t, []string{"HUSK_DATA=" + data}, "", "token", "create", "--name", "first"); r.code != exitDone {
		t.Fatal(r.errors)
	}
	_, release := holdStore(t, data)
	defer release()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	server := "HUSK_SERVER=http://" + silent.Addr().String()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string][]string{
		"a lock":   {"HUSK_DATA=" + data},
		"a server": {server},
		"a pipe":   {server, "HUSK_TOKEN_FILE=" + pipe},
		"stdin":    {server, "HUSK_TOKEN_FILE=-"},
	} {
		out, took := completion(t, env, "token", "show", "")
		if out != ":4\n" || took > 2*time.Second { // the bound is for a busy machine; the lock is waited for longer
			t.Errorf("%s: it took %v and offers %q", name, took, out)
		}
	}
}

// A look writes nothing, not even an upgrade.
func TestCompletionWritesNothing(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	store := filepath.Join(data, embedded.file)
	old, err := os.Open("testdata/schema/husk.db.schema-2.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	r, err := gzip.NewReader(old)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err == nil {
		err = os.WriteFile(store, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(store)
	looked := func(when string) {
		t.Helper()
		after, err := os.ReadFile(store)
		info, _ := os.Stat(store)
		entries, _ := os.ReadDir(data)
		if err != nil || !bytes.Equal(text, after) || !info.ModTime().Equal(before.ModTime()) || len(entries) != 1 {
			t.Errorf("%s: the folder was written to: %v, %v", when, entries, err)
		}
	}
	completion(t, []string{"HUSK_DATA=" + data}, "user", "show", "")
	looked("an old store")
	env := []string{"HUSK_DATA=" + data}
	if r := runHere(t, env, "", "user", "list"); r.code != exitDone { // upgrades it
		t.Fatal(r.errors)
	}
	os.Remove(filepath.Join(data, "husk.db.schema-2"))
	text, _ = os.ReadFile(store)
	before, _ = os.Stat(store)
	for _, line := range [][]string{{"user", "show", ""}, {"token", "revoke", ""}, {"session", "show", ""}, {"role", "show", ""}, {"token", "create", "--permission", ""}, {"audit", "list", "--target", ""}} {
		if out, _ := completion(t, env, line...); out == ":4\n" && line[0] != "session" && line[0] != "token" {
			t.Errorf("%q offers nothing", line)
		}
		looked(strings.Join(line, " "))
	}
}

// TestUntilThen: who has a moment waits for a lock no longer than that, and
// never for ever, which 0 would be.
func TestUntilThen(t *testing.T) {
	t.Parallel()
	if got := untilThen(t.Context(), lockRound); got != lockRound {
		t.Errorf("without a deadline it waits %s", got)
	}
	for _, left := range []time.Duration{-time.Hour, 0, lockRound / 2, time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		if got := untilThen(ctx, lockRound); got <= 0 || got > max(min(left, lockRound), time.Millisecond) {
			t.Errorf("%s before the end it waits %s", left, got)
		}
		cancel()
	}
}
