package cmd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"husk/web"
)

// terminal returns the file descriptor of stdin where a person sits there.
func (a *app) terminal() (fd int, ok bool) {
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// newPassword returns a new password, from a line of stdin or from a person
// who types it twice.
func (a *app) newPassword(fromStdin bool) (string, error) {
	if fromStdin {
		return a.passwordLine()
	}
	fd, ok := a.terminal()
	if !ok {
		return "", usage("there is no terminal to ask for the password on", "pipe it in: husk … --password-stdin <file")
	}
	first, err := a.askSecret(fd, "New password: ")
	if err != nil {
		return "", err
	}
	// Said before the second time, and before anything is connected.
	if err := web.CheckPassword(first); err != nil {
		return "", &failure{code: exitFailure, err: err, what: err.Error()}
	}
	second, err := a.askSecret(fd, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", &failure{code: exitFailure, what: "the two are not the same; nothing was changed"}
	}
	return first, nil
}

// askSecret asks for one line that is not shown while it is typed.
func (a *app) askSecret(fd int, question string) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	// A signal in the middle must not leave the terminal without echo.
	defer term.Restore(fd, before)
	fmt.Fprint(a.stderr, question)
	answer, err := typed(a, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(a.stderr)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read what is typed: %w", err)
	}
	return string(answer), nil
}

// askLine asks for one line that is shown while it is typed. It reads no further: what
// is asked for next may be typed already.
func (a *app) askLine(question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	in, line, next := a.wanted(a.stdin), []byte(nil), make([]byte, 1)
	for len(line) < maxAnswer {
		n, err := in.Read(next)
		switch {
		case n == 1 && next[0] == '\n', errors.Is(err, io.EOF):
			return strings.TrimSpace(string(line)), nil
		case err != nil:
			fmt.Fprintln(a.stderr)
			return "", err
		}
		line = append(line, next[:n]...)
	}
	return "", &failure{code: exitFailure, what: "that is too long for an answer"}
}

// maxAnswer bounds what is typed into one line, in bytes.
const maxAnswer = 1024

// takeStdin says what stdin is going to be read for: it can be so once, and who
// asks for two secrets from there would get a part of one. A person is asked for
// each.
func (a *app) takeStdin(what string) error {
	if _, asks := a.terminal(); a.stdinFor != "" && !asks {
		return usage("stdin can't be read for "+what+": it was read for "+a.stdinFor, "put one of them into a file")
	}
	a.stdinFor = what
	return nil
}

// passwordLine reads one line of stdin and strips exactly one line end, LF or
// CRLF. Everything else belongs to the password. Where a person types it, it is
// not shown.
func (a *app) passwordLine() (string, error) {
	if err := a.takeStdin("the password"); err != nil {
		return "", err
	}
	var line []byte
	var err error
	if fd, ok := a.terminal(); ok {
		var answer string
		answer, err = a.askSecret(fd, "Password: ")
		line = []byte(answer)
	} else {
		line, err = bufio.NewReader(io.LimitReader(a.wanted(a.stdin), 64<<10)).ReadBytes('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", readFailed("the password can't be read from stdin", err)
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = bytes.TrimSuffix(line[:n-1], []byte("\r"))
	}
	if len(line) == 0 {
		return "", usage("stdin has no password", "pipe one line in")
	}
	return string(line), nil
}

// asks tells whether a person is there to be asked before a dangerous act.
//
// Asked about is what can't be taken back and ends or replaces more than the one
// thing that was named: a user with all that is theirs, several tokens or
// sessions, all sessions, the store. Without a terminal a command does what it
// was told.
func (a *app) asks() bool {
	_, ok := a.terminal()
	return ok && !a.yes
}

// confirm asks before a dangerous act, where there is somebody to ask.
func (a *app) confirm(question string) error {
	if !a.asks() {
		return nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.wanted(a.stdin)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(a.stderr)
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return &failure{code: exitFailure, what: "nothing was changed"}
	}
	return nil
}

// yesFlag is for each command that asks.
func (a *app) yesFlag(f *pflag.FlagSet) {
	f.BoolVarP(&a.yes, "yes", "y", false, "don't ask, also on a terminal")
}
