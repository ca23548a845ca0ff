package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"husk/db"
)

// Options say where a store is, and who asks for it.
type Options struct {
	Endpoints []string    // HOST:PORT of the members
	Prefix    string      // of all of the store's keys, without the slash behind it
	TLS       *tls.Config // nil: none
	User      string      // "": none
	Password  string

	// Guard runs what goes on in a goroutine of its own, and keeps a panic in it
	// from ending the process; nil: nothing does.
	Guard func(what string, f func())
}

// Engine is a store in an etcd cluster.
type Engine struct {
	members *members
	prefix  string
	ctx     context.Context // ends when the engine is closed
	cancel  context.CancelFunc
	work    sync.WaitGroup // what goes on until then

	queue  queue
	guards func(what string, f func())
	writer chan struct{} // held by who commits
	base   *base         // who commits has it; nil: none that is good
	turn   turn          // who commits has it

	feed   feed
	leader leader
	leases leases // of notes
}

func newEngine(o Options) (*Engine, error) {
	if len(o.Endpoints) == 0 || strings.Trim(o.Prefix, "/") == "" {
		return nil, misuse("a store in etcd needs a member and a prefix")
	}
	if err := ended(o.TLS, time.Now()); err != nil {
		return nil, err
	}
	prefix := strings.Trim(o.Prefix, "/") + "/"
	e := &Engine{members: newMembers(o, prefix), prefix: prefix, writer: make(chan struct{}, 1)}
	if e.guards = o.Guard; e.guards == nil {
		e.guards = func(_ string, f func()) { f() }
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// guard is f as it is run in a goroutine of its own.
func (e *Engine) guard(what string, f func()) func() {
	return func() { e.guards(what, f) }
}

// ended refuses a certificate whose time is over: of that a member tells nothing but that
// it ends the connection.
func ended(c *tls.Config, now time.Time) error {
	if c == nil {
		return nil
	}
	shown := c.Certificates
	if c.GetClientCertificate != nil {
		cert, err := c.GetClientCertificate(nil)
		if err != nil {
			return err
		}
		shown = []tls.Certificate{*cert}
	}
	for _, cert := range shown {
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err == nil && now.After(leaf.NotAfter) {
			return &db.Error{Kind: db.ErrUnavailable, Code: "store_denied",
				Reason: fmt.Sprintf("the certificate %q, which etcd is shown, ended on %s: renew it", leaf.Subject.CommonName, leaf.NotAfter.Format(time.RFC3339))}
		}
	}
	return nil
}

// Open opens the store below a prefix. Where there is none it is ErrAbsent, where what is
// there is no store of Husk ErrDamaged, where a newer one made it ErrNewer, and where
// nobody answers ErrUnavailable.
func Open(ctx context.Context, o Options) (*Engine, error) {
	e, err := newEngine(o)
	if err != nil {
		return nil, err
	}
	s, err := e.pin(ctx)
	if err == nil && s.headAt == 0 {
		err = e.whyNone(ctx, s)
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// whyNone tells what is below the prefix of a store that is not there.
func (e *Engine) whyNone(ctx context.Context, s *snapshot) error {
	left, err := s.get(ctx, []string{unfinishedKey})
	if err != nil {
		return err
	}
	if left[0] != nil {
		return unfinished(left[0])
	}
	for _, part := range [][2]string{{"", own}, {behindOwn, "\xff"}, {headKey, leaderKey}, {redoKey, behindOwn}} { // but notes, and who led
		page, _, err := s.page(ctx, part[0], part[1], 1)
		switch {
		case err != nil:
			return err
		case len(page) > 0:
			return &db.Error{Kind: db.ErrDamaged, Code: "prefix_in_use",
				Reason: fmt.Sprintf("below %q are keys that are not Husk's, such as %q: choose another prefix", e.prefix, e.prefix+page[0].key)}
		}
	}
	return &db.Error{Kind: db.ErrAbsent, Code: "no_store", Reason: fmt.Sprintf("there is no store below %q", e.prefix)}
}

// Create makes a store below a prefix that nothing is below yet, with what init puts in
// it; else it is an error that wraps fs.ErrExist. A store is there whole or not at all.
func Create(ctx context.Context, o Options, init func(db.Tx) error) error {
	e, err := newEngine(o)
	if err != nil {
		return err
	}
	defer e.Close()
	s, err := e.pin(ctx)
	if err != nil {
		return err
	}
	if s.headAt == 0 {
		if err = e.whyNone(ctx, s); errors.Is(err, db.ErrAbsent) {
			return e.create(s, init)
		}
		return err
	}
	return errExists
}

var errExists = fmt.Errorf("there is a store below this prefix: %w", fs.ErrExist)

func (e *Engine) create(s *snapshot, init func(db.Tx) error) error {
	w := &writes{}
	t := &transaction{ctx: e.ctx, source: s, own: w}
	if err := t.run(init); err != nil {
		return err
	}
	made, _, err := e.send(s, w)
	if err == nil && !made {
		err = errExists
	}
	return err
}

// View implements db.Engine.
func (e *Engine) View(ctx context.Context, f func(db.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := e.pin(ctx)
	if err != nil {
		return err
	}
	t := &transaction{ctx: ctx, source: s}
	if s.redo != nil {
		t.below = []*writes{s.redo}
	}
	return t.run(f)
}

// Bound implements db.Bounder.
func (e *Engine) Bound() db.Bound { return bound }

// Close implements db.Engine.
func (e *Engine) Close() error {
	e.cancel()
	e.work.Wait()
	e.writer <- struct{}{} // who commits is at its end
	defer func() { <-e.writer }()
	e.resign()
	return e.members.close()
}
