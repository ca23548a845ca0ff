package cmd

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// screen is a terminal of some width that shows what a command writes.
type screen struct {
	t    *testing.T
	keys *os.File
	tty  *os.File
	data string
	env  map[string]string
}

func newScreen(t *testing.T, columns int) *screen {
	t.Helper()
	s := &screen{t: t, data: newData(t), env: map[string]string{"TERM": "xterm"}}
	s.keys, s.tty = terminal(t)
	s.resize(columns)
	return s
}

func (s *screen) resize(columns int) {
	s.t.Helper()
	if err := unix.IoctlSetWinsize(int(s.tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		s.t.Fatal(err)
	}
}

// shows returns what a command shows, and what it says besides.
func (s *screen) shows(args ...string) (shown, said string) {
	s.t.Helper()
	const end = "\x04the end\x04"
	read := make(chan string)
	go func() {
		var all bytes.Buffer
		b := make([]byte, 4096)
		for !bytes.Contains(all.Bytes(), []byte(end)) {
			n, err := s.keys.Read(b)
			if all.Write(b[:n]); err != nil {
				break
			}
		}
		read <- strings.ReplaceAll(strings.Replace(all.String(), end, "", 1), "\r\n", "\n")
	}()
	var stderr bytes.Buffer
	code := s.run(s.tty, &stderr, args)
	io.WriteString(s.tty, end)
	shown = <-read
	if code != exitDone {
		s.t.Errorf("%v ends with %d: %s", args, code, &stderr)
	}
	return shown, stderr.String()
}

func (s *screen) run(stdout, stderr io.Writer, args []string) int {
	a := &app{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, getenv: func(name string) string { return s.env[name] }}
	return a.run(context.Background(), append(args, "--data", s.data))
}

// does runs commands that nobody looks at.
func (s *screen) does(commands ...[]string) {
	s.t.Helper()
	for _, args := range commands {
		var stderr bytes.Buffer
		if code := s.run(io.Discard, &stderr, args); code != exitDone {
			s.t.Fatalf("%v ends with %d: %s", args, code, &stderr)
		}
	}
}

// fill makes what all tables have something to show of.
func (s *screen) fill() {
	s.t.Helper()
	long := "somebody.with.a.long.name@a-department.example.com"
	s.does(
		[]string{"user", "create", long, "--no-password", "--name", "Somebody with a long name"},
		[]string{"user", "disable", long},
		[]string{"token", "create", "--user", long, "--name", strings.Repeat("漢字の名前 ", 10), "--allowed-ip", "2001:db8:1234:5678:9abc:def0:1234:5678"},
		[]string{"role", "set", "wiki-editor", "--permission", "wiki#page/edit", "--permission", "wiki#page/delete", "--description", strings.Repeat("what it is for ", 10)},
	)
}

var lists = [][]string{
	{"user", "list"}, {"token", "list"}, {"session", "list"}, {"role", "list"}, {"permission", "list"}, {"key", "list"}, {"audit", "list"}, {"config", "show"},
}

// escapes are the sequences that colour.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Every list fits a terminal as wide as most, and is whole where it is asked to be.
func TestListsFitTheTerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 80)
	s.fill()
	for _, columns := range []int{80, 120} {
		s.resize(columns)
		for _, args := range lists {
			shown, said := s.shows(args...)
			for _, line := range strings.Split(escapes.ReplaceAllString(shown, ""), "\n") {
				if w := textWidth(line); w > columns {
					t.Errorf("%v: %d cells on a terminal of %d: %s", args, w, columns, line)
				}
			}
			whole, _ := s.shows(append(args, "--wide")...)
			if strings.Contains(whole, ellipsis) {
				t.Errorf("%v --wide is cut: %s", args, whole)
			}
			cut := len(whole) > len(shown)
			if left := strings.HasPrefix(said, "Left out for want of room: "); cut != (left || strings.Contains(shown, ellipsis)) {
				t.Errorf("%v: it is cut: %t, and says %q: %s", args, cut, said, shown)
			}
		}
	}
	id := regexp.MustCompile(`(?m)^[0-9a-f-]{36}  漢字の`)
	if shown, _ := s.shows("token", "list"); !id.MatchString(shown) {
		t.Errorf("an id is needed whole: %s", shown)
	}
	// In a pipe it is whole, also of a person whose screen is narrow.
	var out, stderr bytes.Buffer
	if s.run(&out, &stderr, []string{"token", "list"}); !strings.Contains(out.String(), "somebody.with.a.long.name@a-department.example.com") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("in a pipe: %q", &out)
	}
}

// Colour is for a terminal whose owner did not ask for none.
func TestColour(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 200)
	s.fill()
	const red, green = "\x1b[31mdisabled\x1b[0m", "\x1b[32menabled\x1b[0m"
	shown, _ := s.shows("user", "list")
	if !strings.Contains(shown, red) || !strings.Contains(shown, green) {
		t.Errorf("%q", shown)
	}
	for _, args := range [][]string{{"audit", "list"}, {"audit", "verify"}, {"user", "show", "coco-default-user"}, {"check"}} {
		if shown, _ := s.shows(args...); !strings.Contains(shown, "\x1b[32m") {
			t.Errorf("%v: %q", args, shown)
		}
	}
	// Where nothing has a colour, the columns stand as they do with it.
	plain := escapes.ReplaceAllString(shown, "")
	for _, env := range []map[string]string{{"NO_COLOR": "1"}, {"NO_COLOR": "0"}, {"TERM": "dumb"}} {
		s.env = env
		if shown, _ := s.shows("user", "list"); shown != plain {
			t.Errorf("%v: %q, want %q", env, shown, plain)
		}
	}
	s.env = map[string]string{"NO_COLOR": ""}
	if shown, _ := s.shows("user", "list"); !strings.Contains(shown, red) {
		t.Errorf("an empty NO_COLOR is none: %q", shown)
	}
	if shown, _ := s.shows("user", "list", "--json"); strings.Contains(shown, "\x1b") {
		t.Errorf("in JSON: %q", shown)
	}
}
