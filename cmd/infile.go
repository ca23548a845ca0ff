package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxSmall bounds what is read of a small file, in bytes.
const maxSmall = 64 << 10

// readSmall reads a small file, or stdin for "-". What it holds is named for
// who asks for two things from there.
func (a *app) readSmall(name, what string) ([]byte, error) {
	f, err := a.openInput(name, what)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSmall))
}

// openInput opens a file, or stdin for "-". A person is told what is waited for.
func (a *app) openInput(name, what string) (*input, error) {
	if name == "-" {
		if err := a.takeStdin(what); err != nil {
			return nil, err
		}
		if _, ok := a.terminal(); ok {
			fmt.Fprintf(a.stderr, "Waiting for %s, to be typed or pasted; Ctrl-D ends it.\n", what)
		}
		return &input{Reader: a.wanted(a.stdin)}, nil
	}
	f, err := a.open(name)
	if err != nil {
		return nil, err
	}
	return &input{Reader: a.wanted(f), file: f}, nil
}

// open opens a file for reading: a pipe, which nobody may ever write to, only as
// long as the command is wanted.
func (a *app) open(name string) (*os.File, error) {
	return typed(a, func() (*os.File, error) { return os.Open(name) })
}

// input is a file that is read only as long as the command is wanted, or stdin.
type input struct {
	io.Reader
	file *os.File // nil: stdin
}

// Close implements io.Closer.
func (i *input) Close() error {
	if i.file == nil {
		return nil
	}
	return i.file.Close()
}

// size is how many bytes there are, 0 where that is not known.
func (i *input) size() int64 {
	if i.file == nil {
		return 0
	}
	if info, err := i.file.Stat(); err == nil && info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

// readSecret is readSmall for a secret. One that others may read is warned of;
// at a terminal it is asked for, and not shown. There it is the first line that
// says something.
func (a *app) readSecret(name, what, question string) ([]byte, error) {
	if name == "-" {
		if err := a.takeStdin(what); err != nil {
			return nil, err
		}
		if fd, ok := a.terminal(); ok {
			return a.askSecretLine(fd, question)
		}
		return io.ReadAll(io.LimitReader(a.wanted(a.stdin), maxSmall))
	}
	f, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fd := int(f.Fd()); term.IsTerminal(fd) {
		return a.askSecretLine(fd, question)
	}
	a.warnExposed(what, name, f)
	return io.ReadAll(io.LimitReader(a.wanted(f), maxSmall))
}

// askSecretLine passes over lines that are empty or a remark, as a pasted file
// has them.
func (a *app) askSecretLine(fd int, question string) ([]byte, error) {
	for {
		line, err := a.askSecret(fd, question)
		if err != nil || line == "" || !strings.HasPrefix(line, "#") {
			return []byte(line), err
		}
	}
}

// warnExposed warns of a file with a secret that others may read.
func (a *app) warnExposed(what, name string, f *os.File) {
	if who, how := exposed(f); who != "" {
		a.warn("%s may read %s: %s %s", who, what, printable(name), how)
	}
}
