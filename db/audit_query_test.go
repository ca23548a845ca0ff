package db_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// list returns what the log answers, as actions from the newest on.
func (f *fixture) list(q db.AuditQuery) (actions []string) {
	f.t.Helper()
	q.Size = 100
	page, err := f.Audit(f.ctx, q)
	must(f.t, err)
	for _, e := range page.Items {
		actions = append(actions, e.Action)
	}
	if int(page.Total) != len(actions) {
		f.t.Errorf("the total is %d of %d", page.Total, len(actions))
	}
	return actions
}

func (f *fixture) wantList(q db.AuditQuery, want ...string) {
	f.t.Helper()
	if got := f.list(q); !slices.Equal(got, want) {
		f.t.Errorf("%+v: %q, want %q", q, got, want)
	}
}

// The log is asked by the names that somebody or something has, or had.
func TestAuditByName(t *testing.T) {
	f := newStore(t)
	u := f.user("Ann@Example.com", "admin")
	f.user("bob@example.com", "admin") // the last one can't be deleted
	actor := f.as(u)
	k := f.mint(actor, db.NewToken{Name: "deploy key"})
	must(t, f.UpdateToken(f.ctx, actor, k.ID, db.TokenChange{Name: "release key"}))
	other := f.mint(local, db.NewToken{Name: "other"})
	for _, target := range []string{k.ID, "release key", "Release Key"} { // what it is called now
		f.wantList(db.AuditQuery{Target: target}, "token.update", "token.create")
	}
	f.wantList(db.AuditQuery{Target: "deploy key"}, "token.update", "token.create")
	must(t, f.DeleteToken(f.ctx, local, k.ID))
	f.wantList(db.AuditQuery{Target: "release key"}, "token.delete")
	f.wantList(db.AuditQuery{Target: "release key", Action: "token.delete"}, "token.delete")
	f.wantList(db.AuditQuery{Target: "release key", Action: "token.update"})
	f.wantList(db.AuditQuery{Target: "release key", Actor: "ann@example.com"})
	f.wantList(db.AuditQuery{Target: "deploy key", Actor: "ann@example.com", Action: "token.create"}, "token.create")
	f.wantList(db.AuditQuery{Target: other.ID}, "token.create")

	// Of who is gone the log still knows what they did, and what was done to them.
	f.wantList(db.AuditQuery{Actor: "ann@example.com"}, "token.update", "token.create", "session.login")
	_, err := f.DeleteUser(f.ctx, local, u.ID)
	must(t, err)
	f.wantList(db.AuditQuery{Actor: "ann@example.com"}, "token.update", "token.create", "session.login")
	f.wantList(db.AuditQuery{Target: "ann@example.com"}, "user.delete", "session.login", "user.create")
	f.wantList(db.AuditQuery{Actor: "uid 0", Action: "user.delete"}, "user.delete")
}

// A name is found whatever it is written with, and not inside another one.
func TestAuditByOddName(t *testing.T) {
	f := newStore(t)
	names := []string{"<a & b>", `a "quoted" \ one`, "Straße", "漢字", `x","target_name":"inside`, `\u003ca`}
	for _, name := range names {
		must(t, f.DeleteToken(f.ctx, local, f.mint(local, db.NewToken{Name: name}).ID))
	}
	for _, name := range append(names, "STRASSE", "<A & B>") {
		f.wantList(db.AuditQuery{Target: name}, "token.delete", "token.create")
	}
	for _, name := range []string{"inside", "a", "x", "stra"} {
		_, err := f.Audit(f.ctx, db.AuditQuery{Target: name})
		wantErr(t, err, db.ErrNotFound, "unknown_target")
	}
}

// An empty list says that nothing was done: what can't be is refused.
func TestAuditOfWhatCantBe(t *testing.T) {
	f := newStore(t)
	f.user("ann@example.com")
	now := f.now()
	for what, c := range map[string]struct {
		q    db.AuditQuery
		kind error
		code string
		says string
	}{
		"an action":            {db.AuditQuery{Action: "nothing.such"}, db.ErrInvalid, "unknown_action", "there is no action nothing.such. The actions are access.refused, audit.export"},
		"a near action":        {db.AuditQuery{Action: "token.crate"}, db.ErrInvalid, "unknown_action", "did you mean token.create? The actions are token.create, token.delete"},
		"a noun":               {db.AuditQuery{Action: "session"}, db.ErrInvalid, "unknown_action", "The actions are session.evict, session.login"},
		"an actor":             {db.AuditQuery{Actor: "bob@example.com"}, db.ErrNotFound, "unknown_actor", ""},
		"an actor that is one": {db.AuditQuery{Actor: "store.create"}, db.ErrNotFound, "unknown_actor", ""},
		"a target":             {db.AuditQuery{Target: "no such name"}, db.ErrNotFound, "unknown_target", ""},
		"a part of a name":     {db.AuditQuery{Target: "ann@example"}, db.ErrNotFound, "unknown_target", ""},
		"with others":          {db.AuditQuery{Target: "no <such> name", Action: "user.create"}, db.ErrNotFound, "unknown_target", ""},
		"no interval":          {db.AuditQuery{Since: now, Until: now}, db.ErrInvalid, "bad_interval", ""},
		"a turned one":         {db.AuditQuery{Since: now, Until: now.Add(-time.Hour)}, db.ErrInvalid, "bad_interval", ""},
	} {
		_, err := f.Audit(f.ctx, c.q)
		wantErr(t, err, c.kind, c.code)
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
	// What could have been done, and was not.
	for _, q := range []db.AuditQuery{
		{Actor: "5f4e1b57-9d4c-4a52-8c11-3b6d2f0e7a90"}, {Target: "5f4e1b57-9d4c-4a52-8c11-3b6d2f0e7a90"}, {Actor: "ann@example.com"},
		{Actor: db.OwnActor}, {Target: db.LocalActor}, {Target: "admin"}, {Target: db.PermBackup}, {Target: db.SingleUser}, {Action: "key.rotate"},
		{Target: "ann@example.com", Until: now.Add(-2 * time.Hour)},
	} {
		f.wantList(q)
	}
}

// The page behind the last one is no unknown name.
func TestAuditByNameGoesOn(t *testing.T) {
	f := newStore(t)
	for range 5 {
		must(t, f.DeleteToken(f.ctx, local, f.mint(local, db.NewToken{Name: "same"}).ID))
	}
	q := db.AuditQuery{Target: "same", Size: 5}
	var seen []uint64
	for more := true; more; more = q.After != "" {
		page, err := f.Audit(f.ctx, q)
		must(t, err)
		if page.Total != 10 {
			t.Errorf("the total is %d", page.Total)
		}
		for _, e := range page.Items {
			seen = append(seen, e.Seq)
		}
		q.After = page.After
	}
	if want := []uint64{11, 10, 9, 8, 7, 6, 5, 4, 3, 2}; !slices.Equal(seen, want) {
		t.Errorf("%d, want %d", seen, want)
	}
}
