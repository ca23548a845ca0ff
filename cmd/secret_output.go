package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"husk/web/api"
	"husk/web/token"
)

// This file gives out what is shown once. What could not be given out is taken
// back, as far as that goes: a token that nobody has is revoked, and a secret
// ends only when the one that replaces it is out. What remains is said, with
// the next step.

// secretOutput is where a new token goes.
type secretOutput struct {
	path  pathFlag
	force bool
}

// pathFlag is a path that was named: an empty one is what an unset variable
// leaves, and is not the same as none.
type pathFlag struct {
	path  string
	given bool
}

// Set implements pflag.Value.
func (p *pathFlag) Set(text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	if err := isPath(text); err != nil {
		return err
	}
	p.path, p.given = text, true
	return nil
}

func (p *pathFlag) String() string { return p.path }

// Type implements pflag.Value.
func (*pathFlag) Type() string { return "string" }

func (o *secretOutput) flags(f *pflag.FlagSet) {
	f.Var(&o.path, "output", "write the token into this file (0600) instead of stdout, which is -")
	f.BoolVar(&o.force, "force", false, "replace the file of --output where it is there")
}

// open begins the file, with room for the token: one that can't be written is
// told before anything is made. nil: it goes to stdout.
func (o *secretOutput) open() (*outputFile, error) {
	if !o.path.given || toStdout(o.path.path) {
		return nil, nil
	}
	f, err := destination{path: o.path.path, what: "the token", force: o.force}.open()
	if err != nil {
		return nil, err
	}
	if err := f.reserve(token.Len + 1); err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

// tokenPrinted is what --json prints of a new token.
type tokenPrinted struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	AccessToken string `json:"access_token,omitempty"` // absent where it went into a file
	ExpireIn    int64  `json:"expire_in"`
}

// deliverNew hands a new token over, or revokes it.
func (a *app) deliverNew(ctx context.Context, s *session, out api.TokenCreated, file *outputFile) error {
	err := a.deliver(ctx, out, file)
	if err == nil || file.isPlaced() {
		return err
	}
	ctx, done := lastWord(ctx)
	defer done()
	what := "the token " + out.ID + " was made and"
	if _, undone := s.DeleteToken(ctx, out.ID); undone != nil && !gone(undone) {
		return notGivenOut(err, what, "", "revoke it and try again: husk token revoke "+out.ID)
	}
	return notGivenOut(err, what, "; it is revoked again", "try again")
}

// deliverRotated hands the new secret of a token over and ends the old one, or
// takes the new one back.
func (a *app) deliverRotated(ctx context.Context, s *session, out api.TokenCreated, grace string, file *outputFile) error {
	err := a.deliver(ctx, out, file)
	if !out.Held { // by a server that has rotated in one step
		return err
	}
	ctx, done := lastWord(ctx)
	defer done()
	what := "the new secret of the token " + out.ID
	again := "end the old one by another rotation: husk token rotate " + out.ID
	undo := err != nil && !file.isPlaced()
	_, settled := s.SettleToken(ctx, out.ID, api.Settle{AccessToken: out.AccessToken, Grace: grace, Undo: undo})
	settled = s.explainAnswer(ctx, settled)
	switch {
	case undo && settled != nil:
		return notGivenOut(err, what, "; it is good all the same, as is the old one", again)
	case undo:
		return notGivenOut(err, what, "; it is taken back, and the old one is what it was", "try again")
	case settled != nil:
		return &failure{code: exitCode(settled), err: settled, what: what + " is given out, but the old one could not be ended: " + settled.Error(), next: "both are good; " + again}
	}
	return err
}

// lastWord is a context for what has to be said to Husk although the command
// was interrupted.
func lastWord(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
}

// notGivenOut says of something that was made that it can't be given out, for the
// reason err, and what became of it.
func notGivenOut(err error, what, fate, next string) error {
	why := err.Error()
	if errors.Is(err, context.Canceled) {
		why = "the command was interrupted"
	}
	return &failure{code: exitCode(err), err: err, what: what + " can't be given out: " + why + fate, next: next}
}

// deliver hands a new token over: into a file, as JSON, or alone on a line. What
// fails when the file is in its place loses nothing.
func (a *app) deliver(ctx context.Context, out api.TokenCreated, file *outputFile) error {
	if err := ctx.Err(); err != nil {
		return err // nobody waits for it any more
	}
	printed := tokenPrinted{ID: out.ID, Name: out.Name, AccessToken: out.AccessToken, ExpireIn: out.ExpireIn}
	if file != nil {
		if err := file.finish(out.AccessToken + "\n"); err != nil {
			return err
		}
		printed.AccessToken = ""
	}
	a.say("Token %s (%s), expires %s. It is shown this once.", out.ID, printable(out.Name), a.expiryText(out.ExpireIn))
	switch {
	case a.settings.JSON:
		return a.giveOutJSON(printed)
	case file == nil:
		return a.giveOut(out.AccessToken + "\n")
	}
	return nil
}

// giveOut writes to stdout what is shown once. A reader that is gone is an
// error, which would end the process otherwise, and so is a disk that takes
// nothing more.
func (a *app) giveOut(text string) error {
	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	_, err := io.WriteString(wantedWriter{a, a.stdout}, text)
	if f, ok := a.stdout.(*os.File); ok && err == nil {
		if info, e := f.Stat(); e == nil && info.Mode().IsRegular() {
			err = f.Sync()
		}
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &failure{code: exitFailure, err: err, what: plainWriteError("stdout", err)}
}

func (a *app) giveOutJSON(v any) error {
	var text bytes.Buffer
	if err := writeJSON(&text, v); err != nil {
		return err
	}
	return a.giveOut(text.String())
}
