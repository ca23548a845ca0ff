package cmd

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listenLocal opens a listening socket that can be handed over.
func listenLocal(t testing.TB) (addr string, socket *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return l.Addr().String(), socket
}

// ran is what a command in this process did.
type ran struct {
	code        int
	out, errors string
}

// runHere runs a command in this process; env are variables as NAME=VALUE.
func runHere(t testing.TB, env []string, stdin string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, getenv: lookIn(env), environ: func() []string { return env }}
	code := a.run(context.Background(), args)
	return ran{code, stdout.String(), stderr.String()}
}

// lookIn makes a getenv; the last of several wins.
func lookIn(env []string) func(string) string {
	return func(name string) string {
		for _, e := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// writeFile writes a file of the test and returns its path.
func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
