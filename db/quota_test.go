package db_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
)

// mintMore mints one more token for ann under a bound.
func (f *fixture) mintMore(actor *db.Actor, owner string, most int, expires int64) (*db.Token, error) {
	return f.CreateToken(f.ctx, actor, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), Owner: owner, MaxPerUser: most, Expires: expires})
}

func (f *fixture) total(owner string) int64 {
	f.t.Helper()
	page, err := f.Tokens(f.ctx, db.ListQuery{Owner: owner})
	must(f.t, err)
	return page.Total
}

// acts returns the targets of an action in the audit log, the newest first.
func (f *fixture) acts(action string) (targets []string) {
	f.t.Helper()
	page, err := f.Audit(f.ctx, db.AuditQuery{Action: action, Size: 1000})
	must(f.t, err)
	for _, e := range page.Items {
		targets = append(targets, e.Target)
	}
	return targets
}

// waitOf is what a quota says how long to wait.
func waitOf(t *testing.T, err error) time.Duration {
	t.Helper()
	var e *db.Error
	if !errors.As(err, &e) {
		t.Fatalf("no answer of its own: %v", err)
	}
	return e.Wait
}

func TestTokenQuota(t *testing.T) {
	f := newStore(t)
	ann, root := f.user("ann@example.com"), f.user("root@example.com", db.RoleAdmin)
	asAnn, asRoot := f.as(ann), f.as(root)
	for range 5 {
		_, err := f.mintMore(asAnn, "", 5, db.Never)
		must(t, err)
	}
	_, err := f.mintMore(asAnn, "", 5, db.Never)
	wantErr(t, err, db.ErrQuota, "too_many_tokens")
	if wait := waitOf(t, err); wait != time.Hour || !strings.Contains(err.Error(), "max-tokens-per-user") {
		t.Errorf("the wait is %v, the reason %q", wait, err)
	}
	own := f.mint(asAnn, db.NewToken{}) // no bound is given
	narrow := f.by(f.mint(asRoot, db.NewToken{Permissions: []string{db.PermTokenCreate}}))
	for name, actor := range map[string]*db.Actor{"a token of the user": f.by(own), "a session": asAnn} {
		if _, err := f.mintMore(actor, "", 5, 0); !errors.Is(err, db.ErrQuota) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 5 {
		if _, err := f.mintMore(narrow, "", 2, 0); err != nil && !errors.Is(err, db.ErrQuota) {
			t.Fatal(err)
		}
	}
	if n := f.total(root.ID); n != 2 {
		t.Errorf("a token that was cut made %d for its owner, who may do everything", n)
	}
	for name, actor := range map[string]*db.Actor{"an administrator": asRoot, "the owner of the file": local} {
		if _, err := f.mintMore(actor, ann.ID, 5, db.Never); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := f.total(ann.ID); n != 8 {
		t.Errorf("there are %d", n)
	}
}

// Deleting makes room at once, at the bound as below it.
func TestTokenQuotaAfterDelete(t *testing.T) {
	f := newStore(t)
	asAnn := f.as(f.user("ann@example.com"))
	k, err := f.mintMore(asAnn, "", 1, 0)
	must(t, err)
	if _, err := f.mintMore(asAnn, "", 1, 0); !errors.Is(err, db.ErrQuota) {
		t.Fatalf("a second one: %v", err)
	}
	must(t, f.DeleteToken(f.ctx, asAnn, k.ID))
	_, err = f.mintMore(asAnn, "", 1, 0)
	must(t, err)
}

// What has ended makes room, no more of it than needed, and is told of.
func TestTokenQuotaMakesRoom(t *testing.T) {
	f := newStore(t)
	ann := f.user("ann@example.com")
	asAnn := func() *db.Actor { return f.as(ann) }
	ends := func(d time.Duration) int64 { return f.now().Add(d).Unix() }
	var ids []string
	for _, d := range []time.Duration{30 * time.Minute, time.Minute, 2 * time.Minute} {
		k, err := f.mintMore(asAnn(), "", 3, ends(d))
		must(t, err)
		ids = append(ids, k.ID)
	}
	_, err := f.mintMore(asAnn(), "", 3, ends(time.Hour))
	wantErr(t, err, db.ErrQuota, "too_many_tokens")
	if wait := waitOf(t, err); wait != time.Minute {
		t.Errorf("the wait is %v, and one ends in a minute", wait)
	}
	f.advance(2 * time.Minute) // two have ended
	_, err = f.mintMore(asAnn(), "", 3, ends(time.Hour))
	must(t, err)
	if evicted := f.acts("token.evict"); !slices.Equal(evicted, ids[1:2]) {
		t.Errorf("%v made room, want %s, which ended first", evicted, ids[1])
	}
	if n := f.total(ann.ID); n != 3 {
		t.Errorf("there are %d", n)
	}
	if _, err := f.Token(f.ctx, ids[1]); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestTokenQuotaAtOnce(t *testing.T) {
	f := newStore(t)
	ann := f.user("ann@example.com")
	asAnn := f.as(ann)
	var made atomic.Int64
	together(8, func(int) {
		for range 5 {
			if _, err := f.mintMore(asAnn, "", 10, 0); err == nil {
				made.Add(1)
			} else if !errors.Is(err, db.ErrQuota) {
				t.Error(err)
			}
		}
	})
	if made.Load() != 10 || f.total(ann.ID) != 10 {
		t.Errorf("%d were made, and there are %d, of 10", made.Load(), f.total(ann.ID))
	}
}

// signIn signs u in under a bound.
func (f *fixture) signIn(u *db.User, most int) *db.Session {
	f.t.Helper()
	r, _, err := f.CreateSession(f.ctx, &db.Actor{Transport: db.TransportHTTP}, db.SignIn{User: u.ID, Verified: u.Password, TTL: 24 * time.Hour, MaxPerUser: most})
	must(f.t, err)
	return r
}

func (f *fixture) sessionsOf(u *db.User) (ids []string) {
	f.t.Helper()
	page, err := f.Sessions(f.ctx, db.ListQuery{Owner: u.ID, Size: 1000, Sort: "created:asc"})
	must(f.t, err)
	for _, r := range page.Items {
		ids = append(ids, r.ID)
	}
	return ids
}

// The session that is unused the longest ends: a use in memory counts as one
// that is written.
func TestSessionQuota(t *testing.T) {
	for _, role := range []string{db.RoleUser, db.RoleAdmin} {
		f := newStore(t)
		u := f.user("ann@example.com", role)
		var made []*db.Session
		next := func() { f.advance(time.Minute); made = append(made, f.signIn(u, 3)) }
		for range 3 {
			next()
		}
		f.advance(time.Minute)
		f.NoteSessionUse(made[0].ID, "")
		must(t, f.FlushLastUsed(f.ctx))
		f.advance(time.Minute)
		f.NoteSessionUse(made[1].ID, "") // in memory only
		next()
		if ids := f.sessionsOf(u); !slices.Equal(ids, []string{made[0].ID, made[1].ID, made[3].ID}) {
			t.Errorf("%s: the session that was not used is not the one that ended", role)
		}
		next() // the one that was used first of all
		if ids := f.sessionsOf(u); !slices.Equal(ids, []string{made[1].ID, made[3].ID, made[4].ID}) {
			t.Errorf("%s: the session that was used longest ago is not the one that ended", role)
		}
		if evicted := f.acts("session.evict"); !slices.Equal(evicted, []string{made[0].ID, made[2].ID}) {
			t.Errorf("%s: the audit log has %v", role, evicted)
		}
	}
}

// A bound that was made smaller holds after a few sign-ins, in small steps, and
// what had ended by itself goes first, untold.
func TestSessionQuotaMadeSmaller(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	short, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Second})
	must(t, err)
	for range 450 {
		f.advance(time.Millisecond)
		f.signIn(u, 0)
	}
	f.advance(time.Second)
	for _, want := range []int{252, 53, 5} {
		last := f.signIn(u, 5)
		if ids := f.sessionsOf(u); len(ids) != want || !slices.Contains(ids, last.ID) {
			t.Errorf("%d sessions are left, want %d with the newest", len(ids), want)
		}
	}
	evicted := f.acts("session.evict")
	if len(evicted) != 453-5-0 || slices.Contains(evicted, short.ID) {
		t.Errorf("the audit log has %d", len(evicted))
	}
}

// The session that is just being made is never the one that ends, also where
// all were made at one moment.
func TestSessionQuotaKeepsTheNew(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	for range 20 {
		made := f.signIn(u, 1)
		if ids := f.sessionsOf(u); !slices.Equal(ids, []string{made.ID}) {
			t.Fatalf("left are %v, want %s", ids, made.ID)
		}
	}
}

// A damaged session is the first to go, and keeps nobody from signing in.
func TestSessionQuotaDamaged(t *testing.T) {
	f := newStore(t)
	f.broken = true
	u := f.user("ann@example.com")
	f.signIn(u, 2)
	second := f.signIn(u, 2)
	f.raw(func(tx db.Tx) error { return tx.Put("session", []byte(second.ID), []byte("damaged")) })
	if third := f.signIn(u, 2); third == nil {
		t.Fatal("no sign-in")
	}
	f.raw(func(tx db.Tx) error {
		if v, err := tx.Get("session", []byte(second.ID)); v != nil || err != nil {
			t.Errorf("the damaged one is there still: %q %v", v, err)
		}
		return nil
	})
}

func TestTokenHoards(t *testing.T) {
	f := newStore(t)
	for i := range 12 {
		u := f.user(email(i))
		for range i {
			f.mint(local, db.NewToken{Owner: u.ID})
		}
	}
	h, err := f.TokenHoards(f.ctx, 8)
	must(t, err)
	most, err := f.FindUser(f.ctx, email(11))
	must(t, err)
	if h != (db.Hoards{Owners: 3, Most: 11, Owner: most.ID}) {
		t.Errorf("got %+v", h)
	}
	if h, err := f.TokenHoards(f.ctx, 11); err != nil || h != (db.Hoards{}) {
		t.Errorf("of more than eleven: %+v %v", h, err)
	}
	// In steps, whatever stands there else.
	f.raw(func(tx db.Tx) error {
		for i := range 2500 {
			key := fmt.Appendf(nil, "token/owner/%04d", i)
			if err := tx.Put("count", key, db.Seal("count", key, []byte("20"))); err != nil {
				return err
			}
		}
		return nil
	})
	f.broken = true
	if h, err := f.TokenHoards(f.ctx, 8); err != nil || h.Owners != 2503 || h.Most != 20 {
		t.Errorf("in steps: %+v %v", h, err)
	}
}

func TestTokenAddressesAreBounded(t *testing.T) {
	f := newStore(t)
	asAnn := f.as(f.user("ann@example.com"))
	many := slices.Repeat([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, 101)
	k := f.mint(asAnn, db.NewToken{AllowedIPs: many[:100]})
	_, err := f.CreateToken(f.ctx, asAnn, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), AllowedIPs: many})
	wantErr(t, err, db.ErrInvalid, "too_many_addresses")
	err = f.UpdateToken(f.ctx, asAnn, k.ID, db.TokenChange{Name: "x", AllowedIPs: many})
	wantErr(t, err, db.ErrInvalid, "too_many_addresses")
}

func TestRolesAreBounded(t *testing.T) {
	f := newStore(t)
	for i := range 998 {
		must(t, f.PutRole(f.ctx, fmt.Sprint("role", i)))
	}
	wantErr(t, f.CreateRole(f.ctx, local, "another", db.RoleChange{}), db.ErrConflict, "too_many_roles")
	must(t, f.DeleteRole(f.ctx, local, "role0"))
	must(t, f.CreateRole(f.ctx, local, "another", db.RoleChange{}))
	names := make([]string, 0, 101)
	for i := range 101 {
		names = append(names, fmt.Sprint("role", i+1))
	}
	_, err := f.CreateUser(f.ctx, local, db.NewUser{Email: "ann@example.com", Roles: names})
	wantErr(t, err, db.ErrInvalid, "too_many_roles")
	_, err = f.CreateUser(f.ctx, local, db.NewUser{Email: "ann@example.com", Roles: names[:100]})
	must(t, err)
}

// All addresses of one IPv6 network are one, and a flood of others is one entry
// with their number.
func TestNewAddressesAreBounded(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	one := f.mint(local, db.NewToken{Owner: ann.ID})
	told := func() (events []*db.Event) {
		page, err := f.Audit(f.ctx, db.AuditQuery{Action: "token.use", Size: 1000})
		must(t, err)
		return page.Items
	}
	for i := range 100 {
		f.NoteTokenUse(one.ID, fmt.Sprintf("2001:db8::%x", i+1), false)
		f.NoteTokenUse(one.ID, fmt.Sprintf("::ffff:192.0.2.%d", i%2), false)
		if i%10 == 0 {
			must(t, f.FlushLastUsed(f.ctx))
		}
	}
	must(t, f.FlushLastUsed(f.ctx))
	if n := len(told()); n != 3 {
		t.Errorf("%d entries for one network and two addresses", n)
	}
	f.NoteTokenUse(one.ID, "2001:db8:0:1::1", false)
	must(t, f.FlushLastUsed(f.ctx))
	if n := len(told()); n != 4 {
		t.Errorf("%d entries with another network", n)
	}
	for i := range 50 {
		k := f.mint(local, db.NewToken{Owner: ann.ID})
		for j := range 10 {
			f.NoteTokenUse(k.ID, fmt.Sprintf("198.51.%d.%d", i, j), false)
		}
	}
	f.NoteTokenUse(f.mint(local, db.NewToken{Owner: bob.ID}).ID, "203.0.113.7", false)
	must(t, f.FlushLastUsed(f.ctx))
	events, rest := told(), 0
	for _, e := range events {
		if e.Address == db.ManyAddresses {
			rest += e.Count
			if e.Actor != ann.ID || e.Target != "" {
				t.Errorf("the rest is %+v", e)
			}
		}
	}
	if len(events) != 4+16+1+1 || rest != 500-16 {
		t.Errorf("%d entries, and a rest of %d", len(events), rest)
	}
	if !slices.ContainsFunc(events, func(e *db.Event) bool { return e.Actor == bob.ID && e.Address == "203.0.113.7" }) {
		t.Error("another owner's new address was left out")
	}
}
