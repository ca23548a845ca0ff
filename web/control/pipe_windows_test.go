package control

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"husk/db/fsys"
)

// dataFolder makes one, which is removed at the end: t.TempDir is nothing that all
// versions of wine can remove.
func dataFolder(t *testing.T) string {
	t.Helper()
	above, err := os.MkdirTemp("", "husk")
	must(t, err)
	dir := filepath.Join(above, "data")
	must(t, fsys.MakeFolder(dir))
	t.Cleanup(func() {
		for _, path := range []string{filepath.Join(dir, Name), dir, above} {
			os.Remove(path)
		}
	})
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// echoes answers each connection with who is there, once it said something.
func echoes(t *testing.T, l net.Listener) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, known := PeerOf(c); known {
					_, _ = io.WriteString(c, "known too early\n")
				}
				word := make([]byte, 2)
				if _, err := io.ReadFull(c, word); err != nil {
					return
				}
				p, known := PeerOf(c)
				switch {
				case !known:
					_, _ = io.WriteString(c, "nobody\n")
				case p.Owner():
					_, _ = io.WriteString(c, "owner "+p.String()+"\n")
				default:
					_, _ = io.WriteString(c, "stranger "+p.String()+"\n")
				}
			}()
		}
	}()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		firstOfWine(t, l.(*listener).path)
	}
}

// firstOfWine takes the one connection to which wine has nobody: there the end of a
// pipe that keeps its name is one for clients.
func firstOfWine(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c, err := Dial(ctx, filepath.Dir(path))
	if err == nil {
		c.Close()
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// The server knows its client by the token, and the client its server by the owner
// of the pipe.
func TestPipe(t *testing.T) {
	dir := dataFolder(t)
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoServer) {
		t.Fatalf("without a server: %v", err)
	}
	l, err := Listen(dir)
	must(t, err)
	echoes(t, l)
	c, err := Dial(t.Context(), dir)
	must(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "hi")
	must(t, err)
	said, err := io.ReadAll(c)
	me, _ := fsys.Me()
	if string(said) != "owner "+me.SID.String()+"\n" {
		t.Errorf("the server says %q, %v", said, err)
	}
	must(t, l.Close(), l.Close())
	if _, err := os.Stat(filepath.Join(dir, Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is left: %v", err)
	}
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoServer) {
		t.Errorf("after the end: %v", err)
	}
}

// A name that a killed server has left is no server, and is replaced; what else
// stands there stays.
func TestWhatStandsThere(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		stays bool
	}{
		"of a killed server":      {text: pipePrefix + "ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"},
		"of one killed too early": {},
		"something else":          {"my notes\n", true},
		"half a name":             {pipePrefix + "ABC\n", true},
		"another pipe":            {`\\.\pipe\docker_engine` + "\n", true},
		"of another machine":      {`\\there\pipe\husk-ABCDEFGHIJKLMNOPQRSTUVWXYZ` + "\n", true},
		"too long":                {pipePrefix + "ABCDEFGHIJKLMNOPQRSTUVWXYZ\n" + strings.Repeat("x", 200), true},
	} {
		dir := dataFolder(t)
		path := filepath.Join(dir, Name)
		must(t, os.WriteFile(path, []byte(c.text), 0o600))
		if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoServer) {
			t.Errorf("%s: Dial = %v", name, err)
		}
		l, err := Listen(dir)
		if (err != nil) != c.stays {
			t.Errorf("%s: Listen = %v", name, err)
		}
		if err == nil {
			must(t, l.Close())
			continue
		}
		if text, _ := os.ReadFile(path); string(text) != c.text || !strings.Contains(err.Error(), "move it elsewhere") {
			t.Errorf("%s: it is %q now, %v", name, text, err)
		}
	}
}

// To a server of an administrator its own user without those rights is a stranger,
// and so is anybody else to any.
func TestOwner(t *testing.T) {
	me, err := fsys.Me()
	must(t, err)
	for name, c := range map[string]struct {
		peer  Peer
		owner bool
	}{
		"this process":     {self(), true},
		"an administrator": {Peer{SID: "S-1-5-21-1-2-3-500", Elevated: true}, true},
		"the same user":    {Peer{SID: me.SID.String()}, !me.Elevated},
		"another user":     {Peer{SID: "S-1-5-21-1-2-3-1001"}, false},
		"offline":          {Peer{Offline: true}, true},
		"nobody":           {Peer{}, false},
	} {
		if got := c.peer.Owner(); got != c.owner {
			t.Errorf("%s: %t", name, got)
		}
	}
}
