package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest"
)

// small is far below what an engine may have as its bound: what has more to do
// than fits goes in many steps.
var small = db.Bound{Writes: 128, Bytes: 1 << 20}

// seed is a store with much in it, as a file.
type seed struct {
	file []byte
	now  time.Time
	ann  *db.User  // has many sessions, and tokens that have ended
	as   *db.Actor // she, by one of her sessions
	ids  []string  // of her tokens
}

// many is how much there is of each.
const many = 40

func newSeed(t *testing.T) *seed {
	t.Helper()
	f := newStore(t)
	f.user("admin@example.com", db.RoleAdmin)
	s := &seed{ann: f.user("ann@example.com", db.RoleUser)}
	for range many {
		f.advance(time.Second)
		if as := f.as(s.ann); s.as == nil {
			s.as = as // the first to be ended, were it not hers who asks
		}
		k := f.mint(local, db.NewToken{Owner: s.ann.ID, Name: "of several words", Expires: f.Now().Add(time.Hour).Unix()})
		s.ids = append(s.ids, k.ID)
	}
	var err error
	s.ann, err = f.User(f.ctx, s.ann.ID)
	must(t, err)
	s.now = f.Now()
	file, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	must(t, err)
	must(t, errors.Join(f.engine.Backup(f.ctx, file), file.Close()))
	s.file, err = os.ReadFile(file.Name())
	must(t, err)
	return s
}

// newFactorSeed is a seed of which all sessions were made with a passkey.
func newFactorSeed(t *testing.T) *seed {
	t.Helper()
	s := newSeed(t)
	f, _ := s.plant(t)
	f.withPasskey(s.as, "first", 0)
	for i := range many {
		_, err := f.enter(s.as.User, f.assertion("first", 0, fmt.Sprint("challenge ", i)))
		must(t, err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	must(t, err)
	must(t, errors.Join(f.engine.Backup(f.ctx, file), file.Close(), f.engine.Close()))
	s.file, err = os.ReadFile(file.Name())
	must(t, err)
	return s
}

// A reset that is cut short takes no factor while a session of before is left.
func TestStopBetweenStepsOfAReset(t *testing.T) {
	reset := steps{least: 3,
		do: func(f *fixture, s *seed) error {
			_, err := f.ResetFactors(f.ctx, local, s.ann.ID)
			return err
		},
		holds: func(f *fixture, s *seed) error {
			u, err := f.User(f.ctx, s.ann.ID)
			if n := f.sessionCount(s.ann.ID); err == nil && (len(u.Factors) == 0) != (n == 0) {
				err = fmt.Errorf("the factors are %v beside %d sessions", u.Factors, n)
			}
			return err
		},
		whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 0) }}
	reset.stopBetween(t, newFactorSeed(t))
}

// errStopped is the end of a process amid its work.
var errStopped = errors.New("stopped")

// plant opens a copy of a seed over an engine with a small bound, which is the
// last one to open it.
func (s *seed) plant(t *testing.T) (f *fixture, e *dbtest.Altered) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	must(t, os.WriteFile(path, s.file, 0o600))
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	f = &fixture{t: t, ctx: context.Background(), engine: engine}
	f.nanos.Store(s.now.UnixNano())
	e = &dbtest.Altered{Engine: engine, Limit: small}
	f.Store, err = db.Open(f.ctx, e, db.Options{Now: f.now})
	must(t, err)
	f.advance(time.Second)
	return f, e
}

// sessionCount counts the sessions of a user.
func (f *fixture) sessionCount(id string) int64 {
	f.t.Helper()
	page, err := f.Sessions(f.ctx, db.ListQuery{Owner: id, Size: 1})
	must(f.t, err)
	return page.Total
}

// steps is what has more to write than one update may hold.
type steps struct {
	name  string
	least int // updates that it takes
	do    func(f *fixture, s *seed) error
	// holds is asked after each stop of a Store that has nothing in memory;
	// whole, when it was done to the end.
	holds func(f *fixture, s *seed) error
	whole func(f *fixture, s *seed) error
}

// TestStopBetweenSteps does what has more to write than one update may hold, and
// stops after each of its updates: all fits in the store then, the rule holds,
// and whoever does it again gets to the end.
func TestStopBetweenSteps(t *testing.T) {
	name := "ann"
	password := "another hash"
	yes := true
	tests := []steps{
		{name: "sweep of expired sessions", least: 3,
			do: func(f *fixture, s *seed) error {
				f.advance(2 * time.Hour) // also of a store that was just opened: its clock has to prove itself
				_, err := f.Sweep(f.ctx)
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 0) }},
		{name: "sweep of what a deleted user left", least: 5,
			do: func(f *fixture, s *seed) error {
				if _, err := f.DeleteUser(f.ctx, local, s.ann.ID); err != nil && !errors.Is(err, db.ErrNotFound) {
					return err
				}
				_, err := f.Sweep(f.ctx)
				return err
			},
			whole: func(f *fixture, s *seed) error {
				if due, err := f.SweepDue(f.ctx); due || err != nil {
					return fmt.Errorf("a sweep is due, %v", err)
				}
				return errors.Join(want(f.sessionCount(s.ann.ID), 0), want(len(f.keys("token")), 0))
			}},
		{name: "end of idle sessions", least: 3,
			do: func(f *fixture, s *seed) error {
				f.advance(20 * time.Minute)
				_, err := f.EndIdleSessions(f.ctx, time.Minute)
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 0) }},
		{name: "rotation that ends every session", least: 3,
			do: func(f *fixture, _ *seed) error {
				if _, err := f.RotateKey(f.ctx, local, true); err != nil {
					return err
				}
				if due, err := f.SweepDue(f.ctx); due || err != nil {
					return errStopped // the rotation is done all the same
				}
				return nil
			},
			holds: func(f *fixture, s *seed) error {
				keys, err := f.Keys(f.ctx)
				if err != nil || len(keys.ByID) == 1 {
					return err // not rotated
				}
				for _, k := range keys.ByID {
					if k != keys.Signing && !k.Ended(f.Now()) {
						return fmt.Errorf("key %s is good yet, and sessions with it", k.ID)
					}
				}
				f.advance(time.Second)
				fresh, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: s.ann.ID, Verified: s.ann.Password, TTL: time.Hour})
				if err != nil {
					return err
				}
				if _, err := f.Sweep(f.ctx); err != nil {
					return err
				}
				_, err = f.Session(f.ctx, fresh.ID)
				return errors.Join(err, want(f.sessionCount(s.ann.ID), 1))
			}},
		{name: "password by an administrator", least: 3,
			do: func(f *fixture, s *seed) error {
				_, err := f.UpdateUser(f.ctx, local, s.ann.ID, db.UserChange{Name: &name, Password: &password})
				return err
			},
			holds: func(f *fixture, s *seed) error {
				u, err := f.User(f.ctx, s.ann.ID)
				if err == nil && (u.Password == password) != (f.sessionCount(u.ID) == 0) {
					err = fmt.Errorf("the password is %q beside %d sessions", u.Password, f.sessionCount(u.ID))
				}
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 0) }},
		{name: "disabling", least: 3,
			do: func(f *fixture, s *seed) error {
				_, err := f.UpdateUser(f.ctx, local, s.ann.ID, db.UserChange{Disabled: &yes})
				return err
			},
			holds: func(f *fixture, s *seed) error {
				u, err := f.User(f.ctx, s.ann.ID)
				if err == nil && u.Disabled && f.sessionCount(u.ID) != 0 {
					err = fmt.Errorf("one who is disabled has %d sessions", f.sessionCount(u.ID))
				}
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 0) }},
		{name: "one's own password", least: 3,
			do: func(f *fixture, s *seed) error {
				_, _, err := f.ChangePassword(f.ctx, s.as, db.PasswordChange{Verified: s.ann.Password, Password: password, Renew: true})
				return err
			},
			holds: func(f *fixture, s *seed) error {
				u, err := f.User(f.ctx, s.ann.ID)
				if n := f.sessionCount(s.ann.ID); err == nil && (n == 0 || u.Password == password && n != 1) {
					err = fmt.Errorf("the password is %q beside %d sessions", u.Password, n)
				}
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 1) }},
		{name: "one's first second factor", least: 3,
			do: func(f *fixture, s *seed) error {
				_, _, _, err := f.AddPasskey(f.ctx, s.as, passkeyOf("first", 0), db.FactorSetUp{})
				return err
			},
			holds: func(f *fixture, s *seed) error {
				u, err := f.User(f.ctx, s.ann.ID)
				if n := f.sessionCount(s.ann.ID); err == nil && (n == 0 || len(u.Factors) == 1 && n != 1) {
					err = fmt.Errorf("the factors are %v beside %d sessions", u.Factors, n)
				}
				return err
			},
			whole: func(f *fixture, s *seed) error {
				r, err := f.Session(f.ctx, s.as.Session.ID)
				if err == nil && r.Factored.IsZero() {
					err = errors.New("the session that is left has proved nothing")
				}
				return errors.Join(err, want(f.sessionCount(s.ann.ID), 1))
			}},
		{name: "end of one's other sessions", least: 3,
			do: func(f *fixture, s *seed) error {
				before := f.sessionCount(s.ann.ID)
				n, err := f.EndOtherSessions(f.ctx, s.as)
				if err == nil {
					err = want(int64(n), before-1)
				}
				return err
			},
			whole: func(f *fixture, s *seed) error {
				_, err := f.Session(f.ctx, s.as.Session.ID)
				return errors.Join(err, want(f.sessionCount(s.ann.ID), 1))
			}},
		{name: "end of a user's sessions by one of them", least: 3,
			do: func(f *fixture, s *seed) error {
				_, _, err := f.EndUserSessions(f.ctx, s.as, s.ann.ID)
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(f.sessionCount(s.ann.ID), 0) }},
		{name: "sign-in with too many sessions", least: 1,
			do: func(f *fixture, s *seed) error {
				for f.sessionCount(s.ann.ID) != 2 { // each ends as many as there is room for
					before := f.sessionCount(s.ann.ID)
					_, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: s.ann.ID, Verified: s.ann.Password, TTL: time.Hour, MaxPerUser: 2})
					if after := f.sessionCount(s.ann.ID); err != nil || after >= before {
						return fmt.Errorf("%d sessions of %d are left: %w", after, before, err)
					}
				}
				return nil
			}},
		{name: "token in the place of many that have ended", least: 4,
			do: func(f *fixture, s *seed) error {
				f.advance(2 * time.Hour) // also of a store that was just opened: its clock has to prove itself
				by := &db.Actor{ID: s.ann.ID, User: s.ann, Permissions: s.as.Permissions}
				_, err := f.CreateToken(f.ctx, by, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), MaxPerUser: 3,
					Name: "new by a name of as many words as it takes to be much more than what is removed for it"})
				return err
			},
			whole: func(f *fixture, s *seed) error { return want(len(f.keys("token")), 3) }},
		{name: "retention", least: 3,
			do: func(f *fixture, s *seed) error {
				_, err := f.PruneAudit(f.ctx, db.Retention{Since: s.now.Add(-10 * time.Second)})
				return err
			},
			holds: func(f *fixture, _ *seed) error {
				verdict, err := f.VerifyAudit(f.ctx, "")
				if err == nil && !verdict.OK {
					err = fmt.Errorf("the audit log does not hold: %v", verdict.Problems)
				}
				return err
			}},
		{name: "import", least: 5,
			do: func(f *fixture, _ *seed) error {
				var users []db.ImportUser
				for i := range many {
					users = append(users, db.ImportUser{NewUser: db.NewUser{Email: email(i), Name: "one of many"}, Line: i + 1})
				}
				done, err := f.ImportUsers(f.ctx, local, users, true, false)
				if err == nil {
					err = want(done.Created+done.Skipped, many)
				}
				return err
			},
			whole: func(f *fixture, _ *seed) error {
				page, err := f.Users(f.ctx, db.ListQuery{Size: many + 3, Sort: "created:asc"})
				if err != nil {
					return err
				}
				for i, u := range page.Items[3:] {
					err = errors.Join(err, want(u.Email, email(i)))
				}
				return errors.Join(err, want(page.Total, many+3))
			}},
	}
	s := newSeed(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.stopBetween(t, s) })
	}
}

func (c *steps) stopBetween(t *testing.T, s *seed) {
	for after := int64(0); ; after++ {
		f, e := s.plant(t)
		begin := e.Updates.Load()
		e.Before = func(n int64) error {
			if n-begin >= after {
				return errStopped
			}
			return nil
		}
		err := c.do(f, s)
		if err != nil && !errors.Is(err, errStopped) {
			t.Fatalf("stopped after %d updates: %v", after, err)
		}
		e.Before = nil
		f.Store = f.reopened()
		for _, fault := range f.check() {
			t.Errorf("stopped after %d updates: %s", after, fault)
		}
		if c.holds != nil {
			if err := c.holds(f, s); err != nil {
				t.Errorf("stopped after %d updates: %v", after, err)
			}
		}
		if err == nil {
			if after < int64(c.least) {
				t.Errorf("it takes %d updates, want %d or more", after, c.least)
			}
		} else if again, openErr := db.Open(f.ctx, e, db.Options{Now: f.now}); openErr != nil {
			t.Fatal(openErr)
		} else if f.Store = again; c.holds == nil || c.whole != nil {
			if err := c.do(f, s); err != nil {
				t.Errorf("done again after %d updates: %v", after, err)
			}
		}
		if c.whole != nil {
			if err := c.whole(f, s); err != nil {
				t.Errorf("done to the end, stopped after %d updates: %v", after, err)
			}
		}
		for _, fault := range f.check() {
			t.Errorf("done to the end, stopped after %d updates: %s", after, fault)
		}
		must(t, f.engine.Close())
		if err == nil {
			return
		}
	}
}

func want[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}

// A flush that is stopped loses nothing that waits: what was not written is
// written by the next one, and nothing twice.
func TestStopInFlush(t *testing.T) {
	s := newSeed(t)
	for after := int64(0); ; after++ {
		f, e := s.plant(t)
		for i, id := range s.ids {
			f.NoteTokenUse(id, fmt.Sprintf("192.0.2.%d", i), false)
			f.NoteTokenUse(id, fmt.Sprintf("198.51.100.%d", i), true)
			f.NoteRefusal(&db.Actor{Address: fmt.Sprintf("203.0.113.%d", i)}, "session.login", db.NoTarget)
		}
		e.Before = func(n int64) error {
			if n >= after {
				return errStopped
			}
			return nil
		}
		err := f.FlushLastUsed(f.ctx)
		e.Before = nil
		if err != nil {
			must(t, f.FlushLastUsed(f.ctx))
		} else if after < 3 {
			t.Errorf("the flush takes %d updates", after)
		}
		uses, useErr := f.reopened().TokensLastUsed(f.ctx, s.ids)
		must(t, useErr)
		for i, id := range s.ids {
			u := uses[id]
			if !u.Time.Equal(f.Now()) || !u.Old.Equal(f.Now()) || !slices.Equal(u.Seen, []string{fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("198.51.100.%d", i)}) {
				t.Errorf("stopped after %d updates: use %d is %+v", after, i, u)
			}
		}
		for action, n := range map[string]int64{"session.login": 2 * many, "token.use": 2 * many} {
			page, err := f.Audit(f.ctx, db.AuditQuery{Action: action, Size: db.MaxPageSize})
			told := int64(0)
			for _, entry := range page.Items {
				told += int64(entry.Count)
			}
			if err != nil || told != n {
				t.Errorf("stopped after %d updates: %d of %s are told, %v; want %d", after, told, action, err, n)
			}
		}
		for _, fault := range f.check() {
			t.Errorf("stopped after %d updates: %s", after, fault)
		}
		must(t, f.engine.Close())
		if err == nil {
			return
		}
	}
}

// However many tokens have to go for a new one, the last of them leave it room.
func TestTokenHasRoomBesideThoseThatGo(t *testing.T) {
	s := newSeed(t)
	for most := 1; most <= 8; most++ {
		f, e := s.plant(t)
		e.Limit.Writes = 60 + 4*most
		var err error
		f.Store, err = db.Open(f.ctx, e, db.Options{Now: f.now})
		must(t, err)
		f.advance(2 * time.Hour)
		by := &db.Actor{ID: s.ann.ID, User: s.ann, Permissions: s.as.Permissions}
		_, err = f.CreateToken(f.ctx, by, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), MaxPerUser: most,
			Name: "new by a name of as many words as it takes to be much more than what is removed for it"})
		if n := len(f.keys("token")); err != nil || n != most {
			t.Errorf("of at most %d tokens there are %d, %v", most, n, err)
		}
		must(t, f.engine.Close())
	}
}
