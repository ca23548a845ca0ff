package web

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/password"
	"husk/web/ratelimit"
)

// The set-up code proves that who sets a new server up can read what it prints
// where it runs: else the first stranger to find it would own it. It lives in
// memory only and is another one after each start.

// newSetupCode is three groups of a generated password: 74 bits.
func newSetupCode() string {
	const threeGroups = len("k7wqm-3htpx-9zrbd")
	return password.Generate()[:threeGroups]
}

// setupFree is how many wrong codes in a row an address may send before it has
// to wait.
const setupFree = 10

// newSetupTries counts wrong codes by address alone: with one count for all,
// strangers could keep the owner out, and no number of addresses gets through
// 74 bits.
func newSetupTries(now func() time.Time) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Config{
		Free: 1 << 30, AddressFree: setupFree, Base: time.Second, Max: 15 * time.Minute, MaxKeys: 10_000, Now: now,
	})
}

// SetupCode is what POST /setup/_initialize asks for while set-up is required.
// It is for the terminal of who started the server, and for no log.
func (s *Server) SetupCode() string { return s.setupCode }

var (
	errSetupCode = forbidden("setup_code",
		"the set-up code is missing or wrong: 'husk serve' printed it when it started; 'husk passwd' on that machine sets the first password without it")
	errSetupDone = &failure{status: http.StatusConflict, code: "setup_done", reason: "husk is set up: sign in"}
)

func errSetupThrottled(wait time.Duration) error {
	return &failure{status: http.StatusTooManyRequests, code: "throttled", retryAfter: wait,
		reason: "too many wrong set-up codes: wait a while, or run 'husk passwd' on the machine where husk runs"}
}

type firstSetup struct {
	Body api.Setup `body:"required"`
}

func (s *Server) initialize(ctx context.Context, actor *db.Actor, in *firstSetup) (*api.Acknowledged, error) {
	if err := s.mayInitialize(ctx, actor, in.Body.Code); err != nil {
		return nil, err
	}
	return &api.Acknowledged{Acknowledged: true}, s.setUp(ctx, actor, in.Body)
}

// mayInitialize checks the set-up code. It is compared whatever its case and
// its separators are: it is typed off a screen.
func (s *Server) mayInitialize(ctx context.Context, actor *db.Actor, code string) error {
	required, err := s.Store.SetupRequired(ctx)
	if err != nil {
		return err
	}
	if !required {
		return errSetupDone
	}
	if code == "" {
		return errSetupCode
	}
	attempt, wait := s.setupTries.Allow("", actor.Address, false)
	if attempt == nil {
		s.Store.NoteRefusal(actor, "setup.initialize", db.NoTarget)
		return errSetupThrottled(wait)
	}
	defer attempt.End()
	if subtle.ConstantTimeCompare([]byte(plainCode(code)), []byte(plainCode(s.setupCode))) != 1 {
		s.Store.NoteRefusal(actor, "setup.initialize", db.NoTarget)
		return s.refused(actor, "set-up refused: wrong code", errSetupCode)
	}
	attempt.Success()
	return nil
}

func plainCode(code string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
}

// setUp makes the administrator. That none was made meanwhile is the store's
// to check.
func (s *Server) setUp(ctx context.Context, actor *db.Actor, in api.Setup) error {
	if in.Password == "" {
		return errPasswordMissing
	}
	if err := password.Check(in.Password, in.Email, in.Name); err != nil {
		return err
	}
	hash, err := s.Passwords.Hash(ctx, password.Caller{Known: "who has the set-up code"}, in.Password)
	if err != nil {
		return err
	}
	u, err := s.Store.Initialize(ctx, actor, db.Setup{Name: in.Name, Email: in.Email, Password: hash})
	if err != nil {
		return err
	}
	s.did(actor, "set up", "user", u.ID)
	return nil
}
