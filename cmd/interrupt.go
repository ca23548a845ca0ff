package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// interruption is the signal that ended a command.
type interruption struct{ signal syscall.Signal }

// Error implements error.
func (*interruption) Error() string { return "interrupted" }

// Unwrap says that it is a context that ended because it was told to.
func (*interruption) Unwrap() error { return context.Canceled }

// exitSignal and the number of a signal are what a shell says of a program that
// the signal ended: 130 after Ctrl-C.
const exitSignal = 128

// untilSignal returns a context that ends with the first SIGINT or SIGTERM, so
// that a command still closes the file; the second one ends the process.
func (a *app) untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	came := make(chan os.Signal, 1)
	signal.Notify(came, os.Interrupt, syscall.SIGTERM)
	go func() {
		_ = a.guard(func() error {
			by, _ := (<-came).(syscall.Signal)
			signal.Stop(came)
			cancel(&interruption{by})
			return nil
		})
	}()
	return ctx
}

// interruptedBy is err, or what it comes to where a signal ended the command.
func interruptedBy(ctx context.Context, err error) error {
	var by *interruption
	if !errors.Is(err, context.Canceled) || !errors.As(context.Cause(ctx), &by) {
		return err
	}
	f := &failure{code: exitSignal + int(by.signal), err: err, what: by.Error()}
	var own *failure
	if errors.As(err, &own) {
		f.what, f.next = own.what, own.next
	}
	return f
}

// typed returns what read returns, which may wait for a person or for another
// program for ever, or an error at once when the command is interrupted.
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
		return text, &failure{code: exitFailure, err: context.Canceled, what: "interrupted; nothing was changed"}
	}
}

// wanted is r, whose reads end when the command is interrupted. Those of a
// regular file end by themselves.
func (a *app) wanted(r io.Reader) io.Reader {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return r
		}
	}
	return wantedReader{a, r}
}

type wantedReader struct {
	a *app
	r io.Reader
}

// Read implements io.Reader. What an interrupted one reads yet goes nowhere.
func (w wantedReader) Read(p []byte) (int, error) {
	own, err := typed(w.a, func() ([]byte, error) {
		own := make([]byte, len(p))
		n, err := w.r.Read(own)
		return own[:n], err
	})
	return copy(p, own), err
}

// wantedWriter is w, whose writes end when the command is interrupted: who reads
// a pipe may have stopped.
type wantedWriter struct {
	a *app
	w io.Writer
}

// Write implements io.Writer.
func (w wantedWriter) Write(p []byte) (int, error) {
	own := bytes.Clone(p) // an interrupted write goes on with it
	return typed(w.a, func() (int, error) { return w.w.Write(own) })
}
