package db_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
)

func TestSetupRequired(t *testing.T) {
	f := newStore(t)
	want := func(required bool) {
		t.Helper()
		if got, err := f.SetupRequired(f.ctx); err != nil || got != required {
			t.Errorf("setup required: %t, %v", got, err)
		}
	}
	want(true)
	f.user("ann@example.com")
	want(true)
	_, err := f.CreateUser(f.ctx, local, db.NewUser{Email: "robot@example.com", Roles: []string{db.RoleAdmin}})
	must(t, err)
	want(true)
	_, err = f.UpdateUser(f.ctx, local, db.SingleUser, db.UserChange{Password: ptr("hash")})
	must(t, err)
	want(false)
	must(t, f.PutRole(f.ctx, "root", db.PermAll))
	other := f.user("root@example.com", "root")
	_, err = f.UpdateUser(f.ctx, local, db.SingleUser, db.UserChange{Disabled: ptr(true)})
	must(t, err)
	want(false)
	_, err = f.UpdateUser(f.ctx, local, other.ID, db.UserChange{Disabled: ptr(true)})
	wantErr(t, err, db.ErrConflict, "last_administrator")
	want(false)
}

// What happened to the account while its password was checked counts.
func TestSignInOfAChangedAccount(t *testing.T) {
	f := newStore(t)
	for name, change := range map[string]func(u *db.User) error{
		"disabled": func(u *db.User) error {
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Disabled: ptr(true)})
			return err
		},
		"changed": func(u *db.User) error {
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Password: ptr("new")})
			return err
		},
		"deleted": func(u *db.User) error { _, err := f.DeleteUser(f.ctx, local, u.ID); return err },
	} {
		u := f.user(name + "@example.com")
		must(t, change(u))
		_, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, Rehash: "weak", TTL: time.Hour})
		wantErr(t, err, db.ErrDenied, "login_failed")
		if now, err := f.User(f.ctx, u.ID); err == nil && now.Password == "weak" {
			t.Errorf("%s: the rehash was written", name)
		}
	}
	counts, err := f.Counts(f.ctx)
	if err != nil || counts["sessions"] != 0 {
		t.Errorf("%v, %v", counts, err)
	}
	u := f.user("ann@example.com")
	r, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, Rehash: "strong", TTL: time.Hour, IP: "192.0.2.1", UserAgent: string(make([]byte, 9999))})
	must(t, err)
	now, err := f.User(f.ctx, u.ID)
	must(t, err)
	if now.Password != "strong" || !now.LastLogin.Equal(f.now()) || len(r.UserAgent) != 256 || r.IP != "192.0.2.1" || !r.Expires.Equal(f.now().Add(time.Hour)) {
		t.Errorf("%+v, %+v", now, r)
	}
	if r.Expired(f.now().Add(time.Hour-1)) || !r.Expired(f.now().Add(time.Hour)) {
		t.Error("the session does not end at its end")
	}
}

// A browser's own words are a stranger's: what could steer a terminal, or hide
// on a page, is not kept.
func TestUserAgentIsPlain(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	for sent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64)": "Mozilla/5.0 (X11; Linux x86_64)",
		"a\u009b31mb":                     "a?31mb",
		"a\x1b]0;b\x07":                   "a?]0;b?",
		"a\u202eb\u200bc\td":              "a?b?c?d",
		"a\xffb":                          "ab",
		strings.Repeat("ü", 300):          strings.Repeat("ü", 128),
		"x" + strings.Repeat("ü", 300):    "x" + strings.Repeat("ü", 127),
	} {
		r, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour, UserAgent: sent})
		must(t, err)
		if r.UserAgent != want {
			t.Errorf("%q is kept as %q, want %q", sent, r.UserAgent, want)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	var sessions []*db.Session
	for range 5 {
		sessions = append(sessions, f.as(ann).Session)
	}
	other := f.as(bob)
	alive := func() (n int) {
		for _, r := range sessions {
			if _, err := f.Session(f.ctx, r.ID); err == nil {
				n++
			}
		}
		return n
	}
	wantErr(t, f.EndOwnSession(f.ctx, other, sessions[0].ID), db.ErrNotFound, "not_found")
	wantErr(t, f.EndOwnSession(f.ctx, local, sessions[0].ID), db.ErrNotFound, "not_found")
	if n, err := f.EndAll(f.ctx, ann.ID, sessions[2].ID); err != nil || n != 4 || alive() != 1 {
		t.Errorf("%d ended, %d alive, %v", n, alive(), err)
	}
	if n, err := f.EndAll(f.ctx, ann.ID, ""); err != nil || n != 1 || alive() != 0 {
		t.Errorf("%d ended, %d alive, %v", n, alive(), err)
	}
	if n, err := f.EndAll(f.ctx, ann.ID, ""); err != nil || n != 0 {
		t.Errorf("%d ended, %v", n, err)
	}
	if _, err := f.Session(f.ctx, other.Session.ID); err != nil {
		t.Errorf("another's session: %v", err)
	}
}

// The store holds to its rules whoever calls it.
func TestStoreRules(t *testing.T) {
	f := newStore(t)
	must(t, f.PutRole(f.ctx, "clerk", db.PermUserRead, db.PermUserUpdate, db.PermUserCreate, db.PermUserDelete))
	clerk, peer := f.user("clerk@example.com", "clerk"), f.user("peer@example.com", "clerk")
	actor := f.as(clerk)
	nobody := &db.Actor{}
	change := func(a *db.Actor, id string, c db.UserChange) error {
		_, err := f.UpdateUser(f.ctx, a, id, c)
		return err
	}
	wantErr(t, change(nobody, clerk.ID, db.UserChange{Name: ptr("x")}), db.ErrDenied, "user_above")
	wantErr(t, change(actor, db.SingleUser, db.UserChange{Disabled: ptr(true)}), db.ErrDenied, "user_above")
	wantErr(t, change(actor, clerk.ID, db.UserChange{Roles: []string{}}), db.ErrDenied, "own_roles")
	wantErr(t, change(actor, clerk.ID, db.UserChange{Password: ptr("x")}), db.ErrDenied, "own_password")
	wantErr(t, change(actor, peer.ID, db.UserChange{Roles: []string{db.RoleAdmin}}), db.ErrDenied, "grants_more")
	wantErr(t, change(actor, peer.ID, db.UserChange{Roles: []string{db.RoleUser}}), db.ErrDenied, "grants_more")
	wantErr(t, change(f.by(f.mint(actor, db.NewToken{})), peer.ID, db.UserChange{Password: ptr("x")}), db.ErrDenied, "session_required")
	must(t, change(actor, peer.ID, db.UserChange{Password: ptr("x"), MustChange: true}))
	if u, err := f.User(f.ctx, peer.ID); err != nil || !u.MustChange {
		t.Errorf("%+v, %v", u, err)
	}
	_, err := f.DeleteUser(f.ctx, actor, clerk.ID)
	wantErr(t, err, db.ErrDenied, "own_user")
	_, err = f.DeleteUser(f.ctx, nobody, peer.ID)
	wantErr(t, err, db.ErrDenied, "user_above")
	_, err = f.DeleteUser(f.ctx, local, db.SingleUser)
	wantErr(t, err, db.ErrDenied, "single_user")
	for _, id := range []string{"", "absent", "absent@example.com", "@"} {
		_, err = f.DeleteUser(f.ctx, local, id)
		wantErr(t, err, db.ErrNotFound, "not_found")
		wantErr(t, change(local, id, db.UserChange{}), db.ErrNotFound, "not_found")
		_, err = f.FindUser(f.ctx, id)
		wantErr(t, err, db.ErrNotFound, "not_found")
	}
	// What a caller holds is not what the store has.
	u, err := f.FindUser(f.ctx, "PEER@example.com")
	must(t, err)
	page, err := f.Users(f.ctx, db.ListQuery{Size: 9})
	must(t, err)
	page.Items[0].Name = "changed"
	if again, _ := f.FindUser(f.ctx, "peer@example.com"); again.Name != u.Name {
		t.Error("a list shares its records with the memory")
	}
}

func TestAddresses(t *testing.T) {
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, s := range texts {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	for _, c := range []struct {
		inner, outer []netip.Prefix
		want         bool
	}{
		{nil, nil, true},
		{prefixes("10.0.0.0/8"), nil, true},
		{nil, prefixes("0.0.0.0/0", "::/0"), false},
		{prefixes("10.0.0.0/8"), prefixes("10.0.0.0/8"), true},
		{prefixes("10.1.0.0/16"), prefixes("10.0.0.0/8"), true},
		{prefixes("10.0.0.0/7"), prefixes("10.0.0.0/8"), false},
		{prefixes("10.0.0.0/8", "11.0.0.0/8"), prefixes("10.0.0.0/8"), false},
		{prefixes("10.0.0.0/8", "11.0.0.0/8"), prefixes("11.0.0.0/8", "10.0.0.0/8"), true},
		{prefixes("10.0.0.0/7"), prefixes("11.0.0.0/8", "10.0.0.0/8"), false}, // two halves are not looked at as one
		{prefixes("::/0"), prefixes("0.0.0.0/0"), false},
		{prefixes("10.0.0.0/8"), prefixes("::/0"), false},
		{prefixes("2001:db8::/48"), prefixes("2001:db8::/32"), true},
	} {
		if got := db.Within(c.inner, c.outer); got != c.want {
			t.Errorf("%v within %v: %t", c.inner, c.outer, got)
		}
	}
	if got := db.MaskAll(prefixes("10.1.2.3/8")); !slices.Equal(got, prefixes("10.0.0.0/8")) || db.MaskAll(nil) != nil {
		t.Errorf("%v", got)
	}
	k := &db.Token{AllowedIPs: prefixes("192.0.2.0/24")}
	for address, want := range map[string]bool{"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.3.1": false, "::1": false} {
		if got := k.Allows(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
	if k.Allows(netip.Addr{}) || !(&db.Token{}).Allows(netip.Addr{}) {
		t.Error("no address is taken for one that is allowed")
	}
}

func TestLater(t *testing.T) {
	for _, c := range []struct {
		a, b int64
		want bool
	}{{1, 1, false}, {2, 1, true}, {1, 2, false}, {db.Never, 1, true}, {1, db.Never, false}, {db.Never, db.Never, false}} {
		if got := db.Later(c.a, c.b); got != c.want {
			t.Errorf("%d later than %d: %t", c.a, c.b, got)
		}
	}
	k := &db.Token{Expires: 100}
	if k.Expired(time.Unix(99, 999_999_999)) || !k.Expired(time.Unix(100, 0)) || (&db.Token{Expires: db.Never}).Expired(time.Unix(1<<40, 0)) {
		t.Error("a token does not end at its end")
	}
}

func TestTokensOfOthers(t *testing.T) {
	f := newStore(t)
	ann, bob := f.as(f.user("ann@example.com")), f.as(f.user("bob@example.com"))
	k := f.mint(bob, db.NewToken{})
	_, err := f.TokenFor(f.ctx, ann, k.ID)
	wantErr(t, err, db.ErrNotFound, "not_found")
	wantErr(t, f.UpdateToken(f.ctx, ann, k.ID, db.TokenChange{Name: "x"}), db.ErrNotFound, "not_found")
	wantErr(t, f.DeleteToken(f.ctx, ann, k.ID), db.ErrNotFound, "not_found")
	for _, a := range []*db.Actor{bob, local} {
		if got, err := f.TokenFor(f.ctx, a, k.ID); err != nil || got.ID != k.ID {
			t.Errorf("%v, %v", got, err)
		}
	}
	// Totals are counted by owner.
	f.mint(ann, db.NewToken{})
	f.mint(ann, db.NewToken{})
	for owner, want := range map[string]int64{ann.ID: 2, bob.ID: 1, "": 3, "absent": 0, "*": 0} {
		page, err := f.Tokens(f.ctx, db.ListQuery{Owner: owner, Size: 10})
		if owner == "*" {
			continue // the scope of all; what a caller may ask for is decided before
		}
		if err != nil || page.Total != want || len(page.Items) != int(want) {
			t.Errorf("%q has %d tokens, %d listed, %v; want %d", owner, page.Total, len(page.Items), err, want)
		}
	}
}

// Tokens that never end stand behind all others, whichever way.
func TestTokensByExpiry(t *testing.T) {
	f := newStore(t)
	now := f.now().Unix()
	for i, expires := range []int64{now + 30, db.Never, now + 10, now + 20, 9223372036} {
		f.mint(local, db.NewToken{Name: string(rune('a' + i)), Expires: expires})
	}
	for sort, want := range map[string]string{"expire_in": "cdaeb", "expire_in:asc": "cdaeb", "expire_in:desc": "beadc"} {
		page, err := f.Tokens(f.ctx, db.ListQuery{Sort: sort, Size: 9})
		must(t, err)
		got := ""
		for _, k := range page.Items {
			got += k.Name
		}
		if got != want {
			t.Errorf("%s: %s, want %s", sort, got, want)
		}
	}
}
