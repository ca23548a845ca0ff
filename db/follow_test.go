package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/dbtest"
)

// told is an engine whose feed tells what a test says.
type told struct {
	db.Engine
	changes chan db.Changes
}

func (e *told) Feed(ctx context.Context, hear func(db.Changes)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-e.changes:
			if !ok {
				return errStopped
			}
			hear(c)
		}
	}
}

// followed is a second Store over a fixture's engine, whose feed says what tell
// is given; tell returns when that was heard.
func (f *fixture) followed() (s *db.Store, tell func(db.Changes), broken func() error) {
	f.t.Helper()
	e := &told{f.engine, make(chan db.Changes)}
	s, err := db.Open(f.ctx, e, db.Options{Now: f.now})
	must(f.t, err)
	ended := make(chan error, 1)
	ctx := f.ctx // the fixture has another one at the end
	go func() { ended <- s.Follow(ctx) }()
	tell = func(c db.Changes) {
		e.changes <- c
		e.changes <- db.Changes{} // is taken when the one before was heard
	}
	return s, tell, func() error { close(e.changes); return <-ended }
}

// What a Store remembers, of whatever kind, another one changes: it says what it
// remembers until it is told, and no longer.
func TestMemoryEndsWhenToldOfAChange(t *testing.T) {
	name := "new name"
	for what, change := range map[string]func(db.Change) db.Changes{
		"key": func(k db.Change) db.Changes {
			return db.Changes{Keys: []db.Change{{Bucket: "user.index", Key: []byte("x")}, k}}
		},
		"all": func(db.Change) db.Changes { return db.Changes{All: true} },
	} {
		t.Run(what, func(t *testing.T) {
			f := newStore(t)
			u := f.user("ann@example.com")
			f.mint(local, db.NewToken{Owner: u.ID, Name: "old"})
			k := f.mint(local, db.NewToken{Owner: u.ID, Name: "old"})
			session := f.as(u).Session
			must(t, f.CreateRole(f.ctx, local, "reader", db.RoleChange{Permissions: []string{"app#a/read"}}))
			s, tell, broken := f.followed()
			keys := func() string { set, err := s.Keys(f.ctx); must(t, err); return set.Signing.ID }
			says := func() string {
				got, err := s.User(f.ctx, u.ID)
				must(t, err)
				token, err := s.Token(f.ctx, k.ID)
				must(t, err)
				_, noSession := s.Session(f.ctx, session.ID)
				roles, err := s.Roles(f.ctx)
				must(t, err)
				return fmt.Sprint(got.Name, token.Name, noSession, roles.Permissions([]string{"reader"}).Keys(), keys())
			}
			before := says()
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: &name})
			must(t, err)
			must(t, f.UpdateToken(f.ctx, local, k.ID, db.TokenChange{Name: "new"}))
			must(t, f.EndSession(f.ctx, local, session.ID))
			must(t, f.UpdateRole(f.ctx, local, "reader", db.RoleChange{Permissions: []string{"app#b/read"}}))
			_, err = f.RotateKey(f.ctx, local, false)
			must(t, err)
			if now := says(); now != before {
				t.Fatalf("a store that was told nothing says %q, and %q before: it remembers nothing", now, before)
			}
			for _, k := range []db.Change{{Bucket: "user", Key: []byte(u.ID)}, {Bucket: "token", Key: []byte(k.ID)},
				{Bucket: "session", Key: []byte(session.ID)}, {Bucket: "role", Key: []byte("reader")}, {Bucket: "key", Key: []byte("any")}} {
				tell(change(k))
			}
			signing, err := f.Keys(f.ctx)
			must(t, err)
			gone := errors.New("there is no such thing, or it is not yours")
			want := fmt.Sprint(name, "new", gone, []string{"app#b/read"}, signing.Signing.ID)
			if now := says(); now != want {
				t.Errorf("once told, the store says %q, want %q", now, want)
			}
			if err := broken(); !errors.Is(err, errStopped) {
				t.Errorf("follow of a feed that breaks = %v", err)
			}
		})
	}
}

// What was read before a Store was told that anything may have changed is not
// kept, however late the fill comes.
func TestFillBeforeAllIsNotKept(t *testing.T) {
	for _, what := range []string{"roles", "keys", "a user"} {
		f := newStore(t)
		r := f.remembered()[what]
		s, tell, _ := f.followed()
		must(t, s.Fill(f.ctx, r.set, func() { r.change(); tell(db.Changes{All: true}) }))
		if got, want := r.read(s), r.read(f.reopened()); got != want {
			t.Errorf("%s: %q is kept, %q is in the store", what, got, want)
		}
	}
}

// A mark that another process has kept is taken up when it is told.
func TestMarkIsTakenUpWhenTold(t *testing.T) {
	for what, c := range map[string]db.Changes{
		"key": {Keys: []db.Change{{Bucket: "meta", Key: []byte("clock")}}}, "all": {All: true},
	} {
		f := newStore(t)
		ahead := func() time.Time { return f.now().Add(2 * time.Hour) }
		other, err := db.Open(f.ctx, f.engine, db.Options{Now: ahead})
		must(t, err)
		s, tell, _ := f.followed()
		f.advance(15 * time.Minute) // the clock has proved itself
		other.KeepTime(other.Now())
		must(t, other.FlushLastUsed(f.ctx))
		if tell(c); !s.Now().Equal(ahead()) {
			t.Errorf("%s: told of the mark, the time is %v, want %v", what, s.Now(), ahead())
		}
	}
}

// Where an engine tells nothing, there is nobody to follow.
func TestFollowOfAnEngineWithoutAFeed(t *testing.T) {
	f := newStore(t)
	s, err := db.Open(f.ctx, &bounded{Engine: f.engine}, db.Options{Now: f.now})
	must(t, err)
	must(t, s.Follow(f.ctx))
	if !s.Leads(f.ctx) {
		t.Error("where nobody is elected, the store does not lead")
	}
}

// A Store beneath which the schema was upgraded changes nothing any more, from
// when it is told or looks; it reads on, and one whose schema is as it knows it
// again changes things again.
func TestChangesEndWithANewerSchema(t *testing.T) {
	schema := func(f *fixture, version int) {
		f.raw(func(tx db.Tx) error {
			value := fmt.Appendf(nil, `{"schema":%d,"needs":"9.8.7","created":"2026-11-26T00:00:00Z"}`, version)
			return tx.Put("meta", []byte("schema"), db.Seal("meta", []byte("schema"), value))
		})
	}
	for _, way := range []string{"look", "told"} {
		t.Run(way, func(t *testing.T) {
			f := newStore(t)
			u := f.user("ann@example.com")
			s, tell, _ := f.followed()
			look := func() { must(t, s.Look(f.ctx)) }
			if way == "told" {
				look = func() { tell(db.Changes{Keys: []db.Change{{Bucket: "meta", Key: []byte("schema")}}}) }
			}
			change := func() error {
				_, err := s.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: new(string)})
				return err
			}
			schema(f, db.SchemaVersion+1)
			must(t, change()) // it was not told yet
			look()
			if err := change(); !errors.Is(err, db.ErrNewer) || !strings.Contains(err.Error(), "9.8.7") {
				t.Errorf("a change under a newer schema = %v", err)
			}
			if _, err := s.User(f.ctx, u.ID); err != nil {
				t.Errorf("a read under a newer schema = %v", err)
			}
			schema(f, db.SchemaVersion)
			look()
			must(t, change())
		})
	}
}

// While a Store looks again at a schema that is newer, no change slips through.
func TestNoChangeAmidALook(t *testing.T) {
	f := newStore(t)
	f.broken = true // its schema is of the future
	f.raw(func(tx db.Tx) error {
		value := fmt.Appendf(nil, `{"schema":%d,"created":"2026-11-26T00:00:00Z"}`, db.SchemaVersion+1)
		return tx.Put("meta", []byte("schema"), db.Seal("meta", []byte("schema"), value))
	})
	must(t, f.Look(f.ctx))
	ctx, stop := context.WithCancel(f.ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		for ctx.Err() == nil {
			if err := f.Look(f.ctx); err != nil {
				t.Error(err)
			}
		}
	})
	for range 300_000 {
		if err := f.Changeable(); !errors.Is(err, db.ErrNewer) {
			t.Errorf("a change amid a look is refused with %v", err)
			break
		}
	}
	stop()
	looking.Wait()
}

// Time is never behind what another process has kept as the mark, and the mark
// never goes back.
func TestMarkOfAnotherProcess(t *testing.T) {
	f := newTimedStore(t)
	ahead, behind := newTestClock(), newTestClock()
	third, err := db.Open(t.Context(), &told{Engine: f.Engine()}, db.Options{Now: behind.now, Monotonic: behind.monotonic})
	must(t, err)
	other, err := db.Open(t.Context(), f.Engine(), db.Options{Now: ahead.now, Monotonic: ahead.monotonic})
	must(t, err)
	ahead.pass(2 * time.Hour)
	other.KeepTime(other.Now())
	must(t, other.FlushLastUsed(t.Context()))
	if !f.Now().Equal(f.clock.now()) {
		t.Fatal("a store knows a mark that it did not look at")
	}
	must(t, f.Look(t.Context()))
	if got := f.Now(); !got.Equal(ahead.now()) {
		t.Errorf("after a look the time is %v, the mark of another process %v", got, ahead.now())
	}
	f.clock.pass(time.Minute)
	if got := f.Now(); !got.Equal(ahead.now().Add(time.Minute)) {
		t.Errorf("a minute later the time is %v", got)
	}

	// One that did not look writes its own, earlier mark, and must not.
	behind.pass(2 * time.Minute)
	must(t, third.UnlockUser(t.Context(), local, db.SingleUser))
	f.reopen()
	if got := f.Now(); got.Before(ahead.now()) {
		t.Errorf("after a restart the time is %v, and was %v", got, ahead.now())
	}
}

// A change whose outcome is not known may have been made: what is remembered
// says then what is there.
func TestUnknownOutcomeIsLookedFor(t *testing.T) {
	f := newStore(t)
	e := &dbtest.Altered{Engine: f.engine}
	s, err := db.Open(f.ctx, e, db.Options{Now: f.now})
	must(t, err)
	u := f.user("ann@example.com")
	_, err = s.User(f.ctx, u.ID)
	must(t, err)
	e.After = func() error { return fmt.Errorf("the connection broke: %w", db.ErrUnknown) }
	name := "new name"
	if _, err := s.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: &name}); !errors.Is(err, db.ErrUnknown) {
		t.Errorf("update = %v, want db.ErrUnknown", err)
	}
	if u, err := s.User(f.ctx, u.ID); err != nil || u.Name != name {
		t.Errorf("the user is called %q, %v; want what is in the store", u.Name, err)
	}

	// So may a flush have been: what it wrote is written again, and told once.
	k := f.mint(local, db.NewToken{Owner: u.ID})
	s.NoteTokenUse(k.ID, "192.0.2.1", false)
	if err := s.FlushLastUsed(f.ctx); !errors.Is(err, db.ErrUnknown) {
		t.Errorf("flush = %v, want db.ErrUnknown", err)
	}
	e.After = nil
	must(t, s.FlushLastUsed(f.ctx))
	page, err := s.Audit(f.ctx, db.AuditQuery{Action: "token.use", Size: 9})
	if err != nil || page.Total != 1 {
		t.Errorf("the new address is told %d times, %v", page.Total, err)
	}
}

// A page of a thousand tokens, with when each was used and whose it is, takes no
// more transactions than one of ten.
func TestTransactionsOfAPage(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	must(t, second1(f.UpdateUser(f.ctx, local, bob.ID, db.UserChange{Disabled: ptr(true)})))
	ids := make([]string, db.MaxPageSize)
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	f.raw(func(tx db.Tx) error {
		return db.Fill(tx, db.Filling{Tokens: len(ids),
			Token: func(i int) *db.Token {
				owner := []string{ann.ID, bob.ID, "gone"}[i%3]
				return &db.Token{ID: ids[i], Owner: owner, Hash: make([]byte, 32), Name: "one of many", Created: f.Now().Add(time.Duration(i)), Expires: db.Never}
			},
			Used: func(i int) db.LastUsed {
				return db.LastUsed{Time: f.Now().Add(time.Duration(i)), Address: "192.0.2.1", Seen: []string{"192.0.2.1"}}
			}})
	})
	f.broken = true // a third of them is nobody's
	e := &dbtest.Altered{Engine: f.engine}
	s, err := db.Open(f.ctx, e, db.Options{Now: f.now})
	must(t, err)
	f.advance(time.Hour)
	s.NoteTokenUse(ids[7], "192.0.2.7", false)
	for what, q := range map[string]db.ListQuery{"list": {}, "words": {Query: "many"}} {
		before := e.Views.Load()
		q.Size, q.Sort = db.MaxPageSize, "created:asc"
		page, err := s.Tokens(f.ctx, q)
		must(t, err)
		var listed, owners []string
		for _, k := range page.Items {
			listed, owners = append(listed, k.ID), append(owners, k.Owner)
		}
		uses, err := s.TokensLastUsed(f.ctx, append(listed, "absent"))
		must(t, err)
		users, err := s.Owners(f.ctx, owners)
		must(t, err)
		if n := e.Views.Load() - before; n > 3 {
			t.Errorf("%s: a page takes %d transactions", what, n)
		}
		if len(listed) != len(ids) || len(uses) != len(ids)+1 || uses["absent"].Address != "" {
			t.Errorf("%s: %d tokens and the uses of %d", what, len(listed), len(uses))
		}
		for i, id := range ids {
			one, err := s.TokenLastUsed(f.ctx, id)
			if got := uses[id]; err != nil || !got.Time.Equal(one.Time) || got.Address != one.Address || !got.Old.Equal(one.Old) || one.Time.IsZero() {
				t.Fatalf("%s: use %d is %+v on the page and %+v by itself (%v)", what, i, got, one, err)
			}
		}
		if len(users) != 3 || users[ann.ID] != (db.Owner{Username: "ann@example.com"}) || users[bob.ID] != (db.Owner{Username: "bob@example.com", Disabled: true}) || users["gone"] != (db.Owner{Username: "gone"}) {
			t.Errorf("%s: the owners are %v", what, users)
		}
	}
}

// A page is read in one transaction, and what it leads to many at once: an engine
// that is reached over a network is not asked for each row.
func TestReadsOfAPage(t *testing.T) {
	const rows = 300
	f := newStore(t)
	ann := f.user("ann@example.com", db.RoleUser)
	for range rows {
		f.mint(local, db.NewToken{Owner: ann.ID, Name: "one of many"})
		f.as(ann)
	}
	ann, err := f.User(f.ctx, ann.ID)
	must(t, err)
	var users []db.ImportUser
	for i := range rows {
		users = append(users, db.ImportUser{NewUser: db.NewUser{Email: email(i)}, Line: i + 1})
	}
	e := &dbtest.Altered{Engine: f.engine}
	s, err := db.Open(f.ctx, e, db.Options{Now: f.now})
	must(t, err)
	audit := func(q db.AuditQuery) func() (int, error) {
		return func() (int, error) {
			q.Size = db.MaxPageSize
			page, err := s.Audit(f.ctx, q)
			return len(page.Items), err
		}
	}
	for what, read := range map[string]func() (int, error){
		"audit log":              audit(db.AuditQuery{}),
		"audit log by action":    audit(db.AuditQuery{Action: "token.create"}),
		"audit log by both":      audit(db.AuditQuery{Action: "token.create", Actor: db.LocalActor}),
		"audit log since":        audit(db.AuditQuery{Action: "token.create", Since: f.now().Add(-time.Hour)}),
		"audit log by a name":    audit(db.AuditQuery{Target: "one of many"}),
		"audit log from a place": func() (int, error) { events, err := s.AuditFrom(f.ctx, 1); return len(events), err },
		"tokens": func() (int, error) {
			page, err := s.Tokens(f.ctx, db.ListQuery{Size: db.MaxPageSize})
			return len(page.Items), err
		},
		"sessions at a sign-in": func() (int, error) {
			_, _, err := s.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: ann.ID, Verified: ann.Password, TTL: time.Hour, MaxPerUser: rows})
			return int(f.sessionCount(ann.ID)), err
		},
		"users of an import": func() (int, error) {
			done, err := s.ImportUsers(f.ctx, local, users, true, true)
			return done.Created, err
		},
	} {
		before := e.Reads.Load()
		n, err := read()
		if reads := e.Reads.Load() - before; err != nil || n < rows || reads > 30 {
			t.Errorf("%s: %d rows take %d reads of one key each, %v", what, n, reads, err)
		}
	}
}

// A use that a wrong clock puts ahead of time does not stand in the way of those
// that come after.
func TestUseAheadOfTimeIsOvertaken(t *testing.T) {
	f := newTimedStore(t)
	k := f.token(uuid.NewString(), f.user("ann@example.com").ID)
	f.clock.step(24 * 365 * time.Hour)
	f.NoteTokenUse(k.ID, "192.0.2.1", false)
	must(t, f.FlushLastUsed(t.Context()))
	f.clock.step(-24 * 365 * time.Hour)
	f.clock.pass(time.Minute)
	f.NoteTokenUse(k.ID, "192.0.2.2", false)
	must(t, f.FlushLastUsed(t.Context()))
	if got, err := f.TokenLastUsed(t.Context(), k.ID); err != nil || !got.Time.Equal(f.Now()) || got.Address != "192.0.2.2" {
		t.Errorf("the last use is %+v, %v; want that of now", got, err)
	}
}

// The change of one record, however large, has room in the least bound.
func TestLeastBoundHoldsTheLargestChange(t *testing.T) {
	f := newStore(t)
	var roles []string
	for i := range 200 {
		name := fmt.Sprintf("role%03d", i)
		must(t, f.PutRole(f.ctx, name, "app#thing/read"))
		roles = append(roles, name)
	}
	e := &dbtest.Altered{Engine: f.engine, Limit: db.Bound{Writes: db.LeastWrites, Bytes: db.LeastBytes}}
	s, err := db.Open(f.ctx, e, db.Options{Now: f.now})
	must(t, err)
	text := func(from rune) string { // of as many words as are indexed
		var words []string
		for i := range rune(16) {
			words = append(words, string(from+i))
		}
		return strings.Join(words, " ")
	}
	first, second := text(0x4e00), text(0x5000)
	yes, password := true, "a hash"
	u, err := s.CreateUser(f.ctx, local, db.NewUser{Email: "ann.of.many.words@with.a.domain.example.com", Name: first, Roles: roles[:100]})
	must(t, err)
	email := "bob.of.other.letters@at.some.place.example.org"
	_, err = s.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: &second, Email: &email, Roles: roles[100:], Password: &password, Disabled: &yes})
	must(t, err)
	k, err := s.CreateToken(f.ctx, local, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), Owner: db.SingleUser, Name: first, Expires: db.Never})
	must(t, err)
	must(t, s.UpdateToken(f.ctx, local, k.ID, db.TokenChange{Name: second}))
	if most := e.Largest.Load(); most < 240 {
		t.Errorf("the largest change has %d writes: it is none", most)
	} else {
		t.Logf("the largest change has %d writes", most)
	}
}
