package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"husk/db"
	"husk/web/fold"
	"husk/web/password"
	"husk/web/ratelimit"
)

// This file is the one gate in front of every place where a password is taken.

// What an operator may set at most: the wrong passwords in a row for an account
// before the next one waits (NIST SP 800-63B-4, 3.2.2), and how long that is.
const (
	MaxAttempts = 100
	MaxDelay    = ratelimit.MaxDelay
)

// LoginLimits limits the wrong passwords before the next try has to wait; the zero
// value is the default.
type LoginLimits struct {
	Account  int              // in a row for an account; 0: 5
	Address  int              // from an address; 0: 20
	Delay    time.Duration    // the first wait, which doubles; 0: 15 s
	MaxDelay time.Duration    // the longest; 0, and at most: 1 h
	Now      func() time.Time // the clock; nil: the machine's
}

func newLoginLimiter(l LoginLimits) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Config{Free: l.Account, AddressFree: l.Address, Base: l.Delay, Max: l.MaxDelay, Now: l.Now})
}

// account is under which the attempts on one account are counted: the folded
// email, so that spellings share a count, and the single user's id where no
// email is given.
func account(email string) string { return cmp.Or(db.FoldEmail(email), db.SingleUser) }

// loginPatience is how long a try waits for those before it, on the same
// account or from the same address, to be decided.
const loginPatience = 5 * time.Second

// try is one try at a password: what the throttle booked for it, and who waits
// for its hash.
type try struct {
	*ratelimit.Attempt // nil where nothing counts
	caller             password.Caller
}

// attempt asks for a try at an account's password; call its End. While the account or the
// address is throttled it is refused before anything is looked at, so that
// right and wrong passwords get the same answer. The owner of the file is free
// on the local connection; whoever else came that way counts like others.
func (s *Server) attempt(r *http.Request, actor *db.Actor, account string) (*try, error) {
	t := &try{caller: callerOf(actor)}
	address, free := tryFrom(r, actor)
	if free {
		t.caller = password.Caller{Known: "the owner of the file"}
		return t, nil
	}
	device := s.knownDevice(r, account)
	if device && t.caller.Known == "" {
		t.caller.Known = "device of " + account
	}
	ctx, cancel := context.WithTimeout(r.Context(), loginPatience)
	defer cancel()
	a, wait, err := s.logins.Await(ctx, account, address, device)
	if err != nil {
		return nil, password.ErrBusy
	}
	if a == nil {
		s.tally.throttled.Add(1)
		return nil, tooMany("throttled", throttledReason(s.logins.AddressWaits(account, address, device)), wait)
	}
	t.Attempt, t.caller.Fresh = a, a.Fresh()
	return t, nil
}

// throttledReason advises what ends the wait. A new password ends that of the
// account alone. Who asks learns nothing of others: an address is told of
// itself, whatever account it names.
func throttledReason(ofAddress bool) string {
	if ofAddress {
		return "too many wrong passwords came from this address or its network; wait before the next try"
	}
	return "too many wrong passwords; wait before the next try, or set a new one with 'husk passwd' on the machine"
}

// callerOf is who waits for a hash: who is signed in is known.
func callerOf(actor *db.Actor) password.Caller {
	if actor.ID != "" {
		return password.Caller{Known: "user " + actor.ID}
	}
	return password.Caller{Address: parseAddress(actor.Address)}
}

// forwardedTries is the address of all for whom somebody speaks on a local
// connection.
const forwardedTries = "forwarded to the control socket"

// tryFrom is the address that a try counts for, or tells that none does. On the
// local connection that is the peer, or all for whom somebody there speaks.
func tryFrom(r *http.Request, actor *db.Actor) (address string, free bool) {
	l, isLocal := localOf(r.Context())
	switch {
	case !isLocal:
		return actor.Address, false
	case forwarded(r):
		return forwardedTries, false
	case l.owner:
		return "", true
	}
	return cmp.Or(l.name, "the control socket"), false
}

// verify checks a password against a user's, or does the same work for nobody.
// A try that was never finished is given back, but for the address of a client
// that has left: else tries that nobody waits for would be free.
func (s *Server) verify(ctx context.Context, t *try, u *db.User, pass string) (ok, stale bool, err error) {
	ok, stale, err = s.compare(ctx, t, u, pass)
	if err != nil {
		t.unfinished(err)
	}
	return ok, stale, err
}

// unfinished gives back a try that err ended before it was decided; see verify.
func (t *try) unfinished(err error) {
	if errors.Is(err, context.Canceled) {
		t.Abandon()
		return
	}
	t.Cancel()
}

// compare does the work of verify. A stored hash that can't be used is a wrong
// password to the one who asks.
func (s *Server) compare(ctx context.Context, t *try, u *db.User, pass string) (ok, stale bool, err error) {
	like, _ := s.Store.CommonHash(ctx) // whoever asks; a damaged counter keeps nobody out
	if u != nil && u.Password != "" {
		ok, stale, err = s.Passwords.Verify(ctx, t.caller, u.Password, pass)
		if !errors.Is(err, password.ErrDamaged) {
			return ok, stale || u.Imported && !s.Passwords.Makes(u.Password), err
		}
		s.folds.Line(slog.LevelError, "a stored password hash is damaged or costs too much: set a new password with 'husk passwd EMAIL'", "", fold.Source{Actor: u.ID}, "user", u.ID, "cause", err.Error())
	}
	return false, false, s.Passwords.VerifyNobody(ctx, t.caller, like, pass)
}
