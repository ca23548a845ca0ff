// Package syscalls runs a program under strace and reads what that wrote: the
// system calls of all its threads, in their order. It is for tests alone.
//
// Debian has strace in the package of that name. It needs the right to trace,
// which a container may not have.
package syscalls

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"husk/db/dbtest"
)

// Call is one system call.
type Call struct {
	Thread   int
	Entered  int // number of the line on which it begins
	Left     int // number of the line on which it ends; 0: it never did
	Name     string
	Args     []string // as strace prints them
	Result   int64
	Errno    string // such as EIO; empty: none
	Injected bool   // it was made to fail
}

// Need ends the test where nothing can be traced: by a failure where CI=true
// says that everything has to run, else as skipped. The quick tests (go test
// -short) trace nothing.
func Need(t testing.TB) {
	t.Helper()
	dbtest.TakesLong(t, "a program under strace")
	out, err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("strace: %v %s", err, out)
	default:
		t.Skipf("strace, from Debian's package of that name: %v %s", err, out)
	}
}

// Trace makes cmd run under strace with the options, which writes the calls to
// the file. The process that is started is still the program itself. The file
// is whole once the program's streams are at their end.
func Trace(cmd *exec.Cmd, file string, options ...string) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return err
	}
	args := append([]string{"strace", "-D", "--seccomp-bpf", "-f", "-y", "-qq", "-o", file}, options...)
	args = append(args, "--", cmd.Path)
	cmd.Args = append(args, cmd.Args[1:]...)
	cmd.Path = strace
	return nil
}

// Read reads the calls that strace wrote to a file, in the order in which they
// began. A last line that is cut is left out.
func Read(file string) (calls []*Call, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &reader{open: map[int]opened{}}
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return r.calls, nil
		}
		if err == nil {
			r.number++
			err = r.line(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, r.number, err)
		}
	}
}

// ByEffect returns the calls in the order of their effect on a disk: a sync has
// it when it ends, everything else when it begins.
func ByEffect(calls []*Call) []*Call {
	effect := func(c *Call) int {
		if strings.HasSuffix(c.Name, "sync") {
			return c.Left
		}
		return c.Entered
	}
	calls = slices.Clone(calls)
	slices.SortStableFunc(calls, func(a, b *Call) int { return effect(a) - effect(b) })
	return calls
}

// After puts the calls of a trace behind those of another one.
func After(before, calls []*Call) []*Call {
	last := 0
	for _, c := range before {
		last = max(last, c.Entered, c.Left)
	}
	for _, c := range calls {
		c.Entered += last
		if c.Left != 0 {
			c.Left += last
		}
	}
	return calls
}

// reader puts together what strace prints in two parts where another thread
// came between.
type reader struct {
	number int
	calls  []*Call
	open   map[int]opened // by thread
}

type opened struct {
	call *Call
	text string // of its arguments so far
}

func (r *reader) line(line string) error {
	id, text, _ := strings.Cut(line, " ")
	thread, err := strconv.Atoi(id)
	if err != nil {
		return fmt.Errorf("no thread in %.80q", line)
	}
	text = strings.TrimLeft(text, " ")
	switch {
	case strings.HasPrefix(text, "---"), strings.HasPrefix(text, "+++"): // a signal, an end
		return nil
	case strings.HasPrefix(text, "<... "):
		o, known := r.open[thread]
		_, rest, ok := strings.Cut(text, " resumed>")
		if !known || !ok {
			return fmt.Errorf("nothing to resume in %.80q", line)
		}
		delete(r.open, thread)
		return r.end(o.call, o.text+rest)
	}
	name, rest, ok := strings.Cut(text, "(")
	if !ok {
		return fmt.Errorf("no call in %.80q", line)
	}
	c := &Call{Thread: thread, Entered: r.number, Name: name}
	r.calls = append(r.calls, c)
	if begun, ok := strings.CutSuffix(rest, "<unfinished ...>"); ok {
		r.open[thread] = opened{c, begun}
		c.Args, _ = split(strings.TrimRight(begun, " ,"))
		return nil
	}
	return r.end(c, rest)
}

// end reads "ARGS) = RESULT".
func (r *reader) end(c *Call, text string) error {
	args, rest := split(text)
	c.Args, c.Left = args, r.number
	if strings.TrimSpace(rest) == "" { // the process ended meanwhile
		c.Left = 0
		return nil
	}
	result, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), "= ")
	if !ok {
		return fmt.Errorf("no result in %.80q", rest)
	}
	c.Injected = strings.HasSuffix(result, "(INJECTED)")
	words := strings.Fields(result)
	if len(words) == 0 || words[0] == "?" { // it ended with its thread
		c.Left = 0
		return nil
	}
	number, _, _ := strings.Cut(words[0], "<") // a descriptor with its path
	n, err := strconv.ParseInt(number, 0, 64)
	if err != nil {
		return fmt.Errorf("no number in %.80q", result)
	}
	c.Result = n
	if n < 0 && len(words) > 1 {
		c.Errno = words[1]
	}
	return nil
}

// split takes arguments apart, up to the parenthesis that ends them.
func split(text string) (args []string, rest string) {
	depth, from, quoted := 0, 0, false
	add := func(to int) {
		if arg := strings.TrimSpace(text[from:to]); arg != "" {
			args = append(args, arg)
		}
		from = to + 1
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '(' || c == '[' || c == '{':
			depth++
		case depth > 0 && (c == ')' || c == ']' || c == '}'):
			depth--
		case c == ')':
			add(i)
			return args, text[i+1:]
		case c == ',' && depth == 0:
			add(i)
		}
	}
	add(len(text))
	return args, ""
}

// OK tells whether the call has ended without an error.
func (c *Call) OK() bool { return c.Left != 0 && c.Errno == "" }

// Path returns the path of the descriptor that is the first argument, or "".
func (c *Call) Path() string { return c.descriptor(0) }

// Named returns the path that is the n-th argument, in the folder whose
// descriptor is the argument before it where it is relative; "" where it is none.
func (c *Call) Named(n int) string {
	path := string(c.Bytes(n))
	if path != "" && !filepath.IsAbs(path) && n > 0 {
		path = filepath.Join(c.descriptor(n-1), path)
	}
	return path
}

func (c *Call) descriptor(n int) string {
	if len(c.Args) <= n {
		return ""
	}
	_, path, _ := strings.Cut(strings.TrimSuffix(c.Args[n], ">"), "<")
	path = strings.TrimSuffix(path, " (deleted)")
	if text, err := strconv.Unquote(`"` + path + `"`); err == nil {
		return text
	}
	return path
}

// Base returns the last part of the n-th argument, a path.
func (c *Call) Base(n int) string { return filepath.Base(string(c.Bytes(n))) }

// Bytes returns the n-th argument, a string, as far as it was printed; nil where
// it is none.
func (c *Call) Bytes(n int) []byte {
	if n >= len(c.Args) || !strings.HasPrefix(c.Args[n], `"`) {
		return nil
	}
	return unquote(strings.TrimSuffix(c.Args[n], "..."))
}

// unquote reads what strace prints with -xx in one go, and else as Go would.
func unquote(text string) []byte {
	out := make([]byte, 0, len(text)/4)
	for body := text[1:]; len(body) >= 4 && body[0] == '\\' && body[1] == 'x'; body = body[4:] {
		n, err := strconv.ParseUint(body[2:4], 16, 8)
		if err != nil {
			break
		}
		out = append(out, byte(n))
	}
	if 4*len(out)+2 == len(text) {
		return out
	}
	plain, _ := strconv.Unquote(text)
	return []byte(plain)
}

// Int returns the n-th argument, a number.
func (c *Call) Int(n int) int64 {
	if n >= len(c.Args) {
		return 0
	}
	i, _ := strconv.ParseInt(c.Args[n], 0, 64)
	return i
}

// Contains tells whether any of the arguments holds text.
func (c *Call) Contains(text string) bool {
	for i := range c.Args {
		if bytes.Contains(c.Bytes(i), []byte(text)) {
			return true
		}
	}
	return false
}

func (c *Call) String() string {
	args := strings.Join(c.Args, ", ")
	return fmt.Sprintf("line %d: %s(%.120s) = %d %s", c.Entered, c.Name, args, c.Result, c.Errno)
}
