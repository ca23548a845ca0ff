package cmd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(answer), nil
}

// typed returns what read reads, which a person may never type, or an error at
// once when the command is interrupted.
func typed[T any](a *app, read func() (T, error)) (text T, err error) {
	done := make(chan struct{})
	var answer T
	var failed error
	go func() {
		defer close(done)
		failed = a.guard(func() (err error) {
			answer, err = read()
			return err
		})
	}()
	select {
	case <-done:
		return answer, failed
	case <-a.interrupted:
		return text, &failure{code: exitFailure, what: "interrupted; nothing was changed"}
	}
}

// takeStdin says what stdin is going to be read for: it can be so once, and who
// asks for two secrets from there would get a part of one.
func (a *app) takeStdin(what string) error {
	if a.stdinFor != "" {
		return usage("stdin can't be read for "+what+": it was read for "+a.stdinFor, "put one of them into a file")
	}
	a.stdinFor = what
	return nil
}

// passwordLine reads one line of stdin and strips exactly one line end, LF or
// CRLF. Everything else belongs to the password.
func (a *app) passwordLine() (string, error) {
	if err := a.takeStdin("the password"); err != nil {
		return "", err
	}
	line, err := typed(a, func() ([]byte, error) { return bufio.NewReader(io.LimitReader(a.stdin, 64<<10)).ReadBytes('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password from stdin: %w", err)
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = bytes.TrimSuffix(line[:n-1], []byte("\r"))
	}
	if len(line) == 0 {
		return "", usage("stdin has no password", "pipe one line in")
	}
	return string(line), nil
}

// confirm asks before a dangerous act, on a terminal only.
func (a *app) confirm(question string) error {
	if _, ok := a.terminal(); !ok {
		return nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	line, err := typed(a, func() (string, error) { return bufio.NewReader(a.stdin).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return &failure{code: exitFailure, what: "nothing was changed"}
	}
	return nil
}
