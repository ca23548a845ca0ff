package dbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"husk/db"
)

var local = &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}

// stores opens a Store over each of two engines, over a new store. At the end
// all has to fit in it.
func stores(t *testing.T, one, other db.Engine) [2]*db.Store {
	t.Helper()
	update(t, one, db.Init)
	var s [2]*db.Store
	for i, e := range []db.Engine{one, other} {
		var err error
		if s[i], err = db.Open(t.Context(), e, db.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := s[0].Check(context.Background(), func(err error) { t.Errorf("check: %v", err) }); err != nil {
			t.Errorf("check: %v", err)
		}
	})
	return s
}

func testLeads(t *testing.T, one, other db.Engine) {
	s := stores(t, one, other)
	if _, ok := one.(db.Elector); !ok {
		if !s[0].Leads(t.Context()) || !s[1].Leads(t.Context()) {
			t.Error("where nobody is elected, somebody does not lead")
		}
		return
	}
	if _, ok := one.(db.Feeder); !ok {
		t.Error("several processes have the store, and no feed tells one of them what another one changes")
	}
	led := false
	for end := time.Now().Add(patience); !led && time.Now().Before(end); {
		first, second := one.(db.Elector).Leads(t.Context()), other.(db.Elector).Leads(t.Context())
		if first && second {
			t.Fatal("both lead")
		}
		led = first || second
	}
	if !led {
		t.Error("nobody leads")
	}
}

// testMemoryFollows has one Store change what the other one remembers: once
// that has heard of it, both say the same.
func testMemoryFollows(t *testing.T, one, other db.Engine) {
	s := stores(t, one, other)
	if _, ok := other.(db.Feeder); !ok {
		t.Skip("the engine has no feed")
	}
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error)
	go func() { followed <- s[1].Follow(ctx) }()
	u, err := s[0].CreateUser(t.Context(), local, db.NewUser{Email: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s[0].CreateRole(t.Context(), local, "reader", db.RoleChange{Permissions: []string{"app#thing/read"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		name := fmt.Sprint("name ", i)
		if _, err := s[0].UpdateUser(t.Context(), local, u.ID, db.UserChange{Name: &name}); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("app#thing/act%d", i)
		if err := s[0].UpdateRole(t.Context(), local, "reader", db.RoleChange{Permissions: []string{key}}); err != nil {
			t.Fatal(err)
		}
		soon(t, func() bool {
			seen, err := s[1].User(t.Context(), u.ID)
			roles, err2 := s[1].Roles(t.Context())
			return err == nil && err2 == nil && seen.Name == name && slices.Equal(roles.Permissions([]string{"reader"}).Keys(), []string{key})
		})
	}
	if _, err := s[0].DeleteUser(t.Context(), local, u.ID); err != nil {
		t.Fatal(err)
	}
	soon(t, func() bool { _, err := s[1].User(t.Context(), u.ID); return errors.Is(err, db.ErrNotFound) })
	stop()
	if err := <-followed; err != nil {
		t.Errorf("follow = %v", err)
	}
}

// soon waits until something holds.
func soon(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatal("what one store changed the other one does not say")
		}
	}
}

// rivals runs one act on each Store at once, and fails unless exactly one was
// done and the other one refused by one of the kinds.
func rivals(t *testing.T, first, second func() error, refused ...error) {
	t.Helper()
	var errs [2]error
	together(2, func(i int) { errs[i] = []func() error{first, second}[i]() })
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("of two rivals one is to be done and the other one refused: %v, %v", errs[0], errs[1])
		return
	}
	err := errors.Join(errs[:]...)
	if !slices.ContainsFunc(refused, func(kind error) bool { return errors.Is(err, kind) }) {
		t.Errorf("the rival is refused with %v, want one of %v", err, refused)
	}
}

// rounds is how often rivals meet.
const rounds = 20

// testLastAdministrators has the last two administrators lose their rights at
// once, each by the other's hand. Each of the two changes alone is allowed, and
// they write different keys: an engine whose updates are snapshots and no more
// lets both pass.
func testLastAdministrators(t *testing.T, one, other db.Engine) {
	s := stores(t, one, other)
	yes, no := true, false
	users := [2]string{"ann@example.com", "bob@example.com"}
	for _, email := range users {
		if _, err := s[0].CreateUser(t.Context(), local, db.NewUser{Email: email, Roles: []string{db.RoleAdmin}, Password: "a hash"}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range rounds {
		lose := func(i int) func() error {
			c := db.UserChange{Disabled: &yes}
			if round%2 == 0 {
				c = db.UserChange{Roles: []string{db.RoleUser}}
			}
			return func() error { _, err := s[i].UpdateUser(t.Context(), local, users[1-i], c); return err }
		}
		rivals(t, lose(0), lose(1), db.ErrConflict)
		for i, email := range users {
			c := db.UserChange{Roles: []string{db.RoleAdmin}, Disabled: &no}
			if _, err := s[i].UpdateUser(t.Context(), local, email, c); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// testRoleUsedAndDeleted makes the first user of a role while it is deleted
// because it has none: what a scan did not find must count, too.
func testRoleUsedAndDeleted(t *testing.T, one, other db.Engine) {
	s := stores(t, one, other)
	for round := range rounds {
		if err := s[0].CreateRole(t.Context(), local, "reader", db.RoleChange{}); err != nil && !errors.Is(err, db.ErrConflict) {
			t.Fatal(err)
		}
		email := fmt.Sprintf("user%d@example.com", round)
		rivals(t, func() error { return s[0].DeleteRole(t.Context(), local, "reader") },
			func() error {
				_, err := s[1].CreateUser(t.Context(), local, db.NewUser{Email: email, Roles: []string{"reader"}})
				return err
			}, db.ErrConflict, db.ErrInvalid)
		if _, err := s[0].DeleteUser(t.Context(), local, email); err != nil && !errors.Is(err, db.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

func testOneEmail(t *testing.T, one, other db.Engine) {
	s := stores(t, one, other)
	for round := range rounds {
		create := func(i int) func() error {
			email := []string{"ann%d@example.com", "Ann%d@Example.com"}[i]
			return func() error {
				_, err := s[i].CreateUser(t.Context(), local, db.NewUser{Email: fmt.Sprintf(email, round)})
				return err
			}
		}
		rivals(t, create(0), create(1), db.ErrConflict)
	}
}

// testRotations rotates the signing key on both at once: one key signs, and it
// is one that is the same for both.
func testRotations(t *testing.T, one, other db.Engine) {
	s := stores(t, one, other)
	for round := range rounds {
		together(2, func(i int) {
			if _, err := s[i].RotateKey(t.Context(), local, round%2 == 0); err != nil {
				t.Error(err)
			}
		})
		reopened, err := db.Open(t.Context(), other, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := reopened.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		signing := 0
		for _, k := range keys.ByID {
			if k.Retired.IsZero() {
				signing++
			}
		}
		if signing != 1 || len(keys.ByID) < 2 {
			t.Fatalf("of %d keys %d sign after two rotations at once, want one", len(keys.ByID), signing)
		}
	}
}

// testUsesMerged writes down on both the uses of one token, the later one first
// and last.
func testUsesMerged(t *testing.T, one, other db.Engine) {
	update(t, one, db.Init)
	began := time.Now().UTC().Truncate(time.Second)
	at := func(e db.Engine, since time.Duration) *db.Store {
		s, err := db.Open(t.Context(), e, db.Options{Now: func() time.Time { return began.Add(since) }, Monotonic: func() time.Duration { return since }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	early, late := at(one, 0), at(other, time.Second)
	for name, order := range map[string][]*db.Store{"later last": {early, late}, "later first": {late, early}} {
		id := map[string]string{"later last": "a0000000-0000-4000-8000-000000000000", "later first": "b0000000-0000-4000-8000-000000000000"}[name]
		if _, err := early.CreateToken(t.Context(), local, db.NewToken{ID: id, Hash: make([]byte, 32), Expires: db.Never}); err != nil {
			t.Fatal(err)
		}
		early.NoteTokenUse(id, "192.0.2.1", true)
		late.NoteTokenUse(id, "192.0.2.2", false)
		late.NoteTokenUse(id, "192.0.2.3", false)
		for _, s := range order {
			if err := s.FlushLastUsed(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := at(one, 0).TokenLastUsed(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		seen := slices.Sorted(slices.Values(got.Seen))
		if !got.Time.Equal(began.Add(time.Second)) || got.Address != "192.0.2.3" || !got.Old.Equal(began) ||
			!slices.Equal(seen, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}) || got.Seen[2] != got.Address {
			t.Errorf("%s: of both uses there is %+v, want the later one, all addresses with its own last, and the old secret's", name, got)
		}
	}
}
