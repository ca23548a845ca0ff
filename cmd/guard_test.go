package cmd

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"husk/web/logtest"
)

// unguarded are the goroutines that may begin without a guard, by file and by
// what they call.
var unguarded = map[string]string{
	"../cmd/root.go":                      "stop",      // signal's own
	"../web/password/hasher.go":           "h.tidy",    // calls the runtime alone
	"../web/probe/ask.go":                 "l.hangUp",  // closes a connection
	"../web/api/answer.go":                "o.givenUp", // waits, and ends a context
	"../web/control/listen_windows.go":    "",          // makes system calls alone, and ends with a thread that can not go back
	"../db/dbtest/dbtest.go":              "",          // tests
	"../db/etcd/etcdtest/etcdtest.go":     "",
	"../db/etcd/etcdtest/relay.go":        "",
	"../db/dbtest/concurrent.go":          "",
	"../db/dbtest/feed.go":                "",
	"../db/dbtest/shared.go":              "",
	"../web/chromiumtest/chromiumtest.go": "",
}

// TestGoroutinesAreGuarded reads the source: whatever is started begins with
// what keeps its panic from ending the process.
func TestGoroutinesAreGuarded(t *testing.T) {
	t.Parallel()
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			started := startedBy(n)
			if started == nil {
				return true
			}
			found++
			allowed, listed := unguarded[path]
			if !isGuarded(started) && (!listed || allowed != "" && allowed != exprText(started)) {
				t.Errorf("%s starts what nothing guards: listen.Guard does, or app.guard", files.Position(n.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("%d goroutines found, %v", found, err)
	}
}

// startedBy returns what a statement or a call starts in a goroutine of its
// own, or nil.
func startedBy(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call
	case *ast.CallExpr:
		s, ok := n.Fun.(*ast.SelectorExpr)
		switch {
		case ok && s.Sel.Name == "Go" && len(n.Args) == 1:
			return n.Args[0]
		case ok && s.Sel.Name == "AfterFunc" && len(n.Args) == 2:
			return n.Args[1]
		}
	}
	return nil
}

func isGuarded(started ast.Node) (guarded bool) {
	ast.Inspect(started, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			guarded = guarded || slices.Contains([]string{"Guard", "guard", "background"}, n.Name)
		}
		return true
	})
	return guarded
}

func exprText(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return exprText(n.X) + "." + n.Sel.Name
	}
	return ""
}

// What goes on beside the server goes on after a panic.
func TestReloadThatPanics(t *testing.T) {
	var out logtest.Buffer
	s := &service{app: &app{}, log: newLiveLog(&out)}
	hangups := make(chan os.Signal)
	stop := s.beside(t.Context(), nil, nil, hangups) // without its command a reload panics
	for range 3 {
		hangups <- syscall.SIGHUP
	}
	stop()
	if n := strings.Count(out.String(), `"level":"ERROR","msg":"panic in the background"`); n != 3 || !strings.Contains(out.String(), "reload") {
		t.Errorf("the log tells %d times of it:\n%s", n, &out)
	}
}

func TestCertificateThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		k := &keyPair{log: newLiveLog(&out).Logger, untold: errors.New("does not fit")} // and none is served: to tell that panics
		ctx, cancel := context.WithTimeout(t.Context(), 3*certificateCheck+time.Second)
		defer cancel()
		k.watch(ctx)
		if n := strings.Count(out.String(), "panic in the background"); n != 3 {
			t.Errorf("the log tells %d times of it:\n%s", n, &out)
		}
	})
}

// A panic in a command shows where it came from, and does not look like a
// misuse, as that of the runtime would.
func TestCommandThatPanics(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(string) string { panic("in getenv") }}
	code := a.run(t.Context(), []string{"version"})
	if text := out.String(); code != exitFailure || !strings.Contains(text, "guard_test.go") || !strings.Contains(text, "husk itself is at fault: in getenv") {
		t.Errorf("%d:\n%s", code, text)
	}
}

func TestReadThatPanics(t *testing.T) {
	var out bytes.Buffer
	a := &app{stderr: &out}
	if _, err := typed(a, func() (string, error) { panic("in the read") }); err == nil || !strings.Contains(err.Error(), "in the read") || !strings.Contains(out.String(), "guard_test.go") {
		t.Errorf("%v:\n%s", err, &out)
	}
}

// In the process of a command the log of the handler is for panics alone.
func TestOnlyPanicsAreTold(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(&onlyPanics{slog.NewTextHandler(&out, nil), new(atomic.Pointer[string])})
	log.Error("request failed", "request_id", "1", "error", fs.ErrInvalid)
	log.Info("sign-in")
	if out.Len() > 0 {
		t.Errorf("it tells %s", &out)
	}
	log.Error("panic in a request", "request_id", "the-id", "panic", "the value", "stack", "line\nline")
	if !strings.Contains(out.String(), "the-id") || !strings.Contains(out.String(), "the value") {
		t.Errorf("it tells %s", &out)
	}
}
