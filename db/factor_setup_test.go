package db_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
)

// The ways to a first factor.
var setUps = map[string]struct {
	method string
	do     func(f *fixture, actor *db.Actor, in db.FactorSetUp) (*db.Session, string, error)
}{
	"codes of a program": {db.MethodTOTP, func(f *fixture, actor *db.Actor, in db.FactorSetUp) (*db.Session, string, error) {
		must(f.t, f.BeginTOTP(f.ctx, actor, sealedSecret))
		return f.ConfirmTOTP(f.ctx, actor, db.TOTPUse{Secret: sealedSecret, Step: 7}, in)
	}},
	"a passkey": {db.MethodPasskey, func(f *fixture, actor *db.Actor, in db.FactorSetUp) (*db.Session, string, error) {
		_, r, secret, err := f.AddPasskey(f.ctx, actor, passkeyOf("c", 0), in)
		return r, secret, err
	}},
}

// With the first factor the other sessions end. The one that set it up goes on, has
// proved it, and keeps its secret and its passes where it is not renewed.
func TestFirstFactor(t *testing.T) {
	for name, way := range setUps {
		for _, renew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, renewed %v", name, renew), func(t *testing.T) {
				f := newStore(t)
				ann, bob := f.withSession("ann@example.com"), f.withSession("bob@example.com")
				other, err := f.enter(ann.User, nil)
				must(t, err)
				pass := f.passOf(ann, passScope)
				f.advance(20 * time.Minute)
				r, secret, err := way.do(f, ann, db.FactorSetUp{Codes: hashesOf("first"), Renew: renew})
				must(t, err)
				if err := second1(f.Session(f.ctx, other.ID)); err == nil {
					t.Error("a session that was made without goes on")
				}
				must(t, second1(f.Session(f.ctx, bob.Session.ID)))
				if r.Factored.IsZero() || !r.Proved.Equal(f.now()) || !r.Expires.Equal(ann.Session.Expires) || !slices.Contains(r.Methods, way.method) || !slices.Contains(r.Methods, db.MethodPassword) {
					t.Errorf("the session is %+v", r)
				}
				if renewed := r.ID != ann.Session.ID; renewed != renew || (secret != "") != renew {
					t.Errorf("renewed: %v, with a secret of %d bytes", renewed, len(secret))
				}
				if err := second1(f.Session(f.ctx, ann.Session.ID)); (err == nil) == renew {
					t.Errorf("under the secret of before: %v", err)
				}
				if f.isGood(pass) == renew {
					t.Errorf("the pass is good: %v", !renew)
				}
				if u, err := f.User(f.ctx, ann.ID); err != nil || fmt.Sprint(u.Factors) != "["+way.method+"]" {
					t.Errorf("%+v, %v", u, err)
				}
				if n := f.factors(ann.ID).CodesLeft(); n != 10 {
					t.Errorf("%d recovery codes", n)
				}
			})
		}
	}
}

// With the second one the other sessions stay: they were made with the first. Its
// recovery codes replace those of before only where it brings any.
func TestSecondFactorMore(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	f.withTOTP(ann)
	other, err := f.enter(ann.User, totpUse(101))
	must(t, err)
	f.withPasskey(ann, "c", 0)
	must(t, second1(f.Session(f.ctx, other.ID)))
	if got := fmt.Sprint(ann.User.Factors); got != "[passkey totp]" {
		t.Errorf("the factors are %s", got)
	}
	must(t, second1(f.enter(ann.User, recoveryUse(0, "first"))))
	_, _, _, err = f.AddPasskey(f.ctx, ann, passkeyOf("d", 0), db.FactorSetUp{Codes: hashesOf("second")})
	must(t, err)
	if all := f.factors(ann.ID); all.CodesLeft() != 10 || all.Recovery[0].Hash != "hash 0 of second" {
		t.Errorf("%+v", all.Recovery)
	}
}

// A sign-in and the set-up at once: either the session ends, or it is not made.
func TestFirstFactorAndSignInsTogether(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	must(t, f.BeginTOTP(f.ctx, ann, sealedSecret))
	together(9, func(i int) {
		if i == 4 {
			_, _, err := f.ConfirmTOTP(f.ctx, ann, db.TOTPUse{Secret: sealedSecret, Step: 7}, db.FactorSetUp{})
			if err != nil {
				t.Error(err)
			}
			return
		}
		_, _ = f.enter(ann.User, nil) // refused or not: what counts is what is left
	})
	if ids := f.sessionsOf(ann.User); len(ids) != 1 || ids[0] != ann.Session.ID {
		t.Errorf("%d sessions are left", len(ids))
	}
}

func TestConfirmTOTPRefused(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	confirm := func(secret []byte) error {
		return second1of3(f.ConfirmTOTP(f.ctx, ann, db.TOTPUse{Secret: secret, Step: 7}, db.FactorSetUp{Codes: hashesOf("first")}))
	}
	wantErr(t, confirm(sealedSecret), db.ErrConflict, "totp_not_begun")
	must(t, f.BeginTOTP(f.ctx, ann, sealedSecret))
	must(t, f.BeginTOTP(f.ctx, ann, otherSecret))
	wantErr(t, confirm(sealedSecret), db.ErrConflict, "totp_not_begun") // another one waits
	if u, err := f.User(f.ctx, ann.ID); err != nil || len(u.Factors) > 0 || len(f.factors(ann.ID).Recovery) > 0 {
		t.Errorf("a refusal left %+v, %v", u, err)
	}
	must(t, confirm(otherSecret))
	wantErr(t, confirm(otherSecret), db.ErrConflict, "totp_not_begun") // it waits no more
}

// A secret that waits asks for nothing, and leaves the one in use as it is; however
// often it is begun there is one.
func TestPendingTOTP(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	for i := range 50 {
		must(t, f.BeginTOTP(f.ctx, ann, fmt.Append(nil, "secret ", i)))
	}
	must(t, second1(f.enter(ann.User, nil)))
	if keys := f.keys("factor"); len(keys) != 1 || string(f.factors(ann.ID).Pending.Secret) != "secret 49" {
		t.Errorf("%d records", len(keys))
	}
	must(t, f.RemoveTOTP(f.ctx, ann))
	if keys := f.keys("factor"); len(keys) != 0 {
		t.Errorf("%d records of nothing", len(keys))
	}
	f.withTOTP(ann)
	must(t, f.BeginTOTP(f.ctx, ann, otherSecret))
	must(t, second1(f.enter(ann.User, totpUse(101))))
}

func TestConfirmTOTPTogether(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	must(t, f.BeginTOTP(f.ctx, ann, sealedSecret))
	var done atomic.Int32
	together(8, func(i int) {
		if _, _, err := f.ConfirmTOTP(f.ctx, ann, db.TOTPUse{Secret: sealedSecret, Step: 7}, db.FactorSetUp{Codes: hashesOf(fmt.Sprint(i))}); err == nil {
			done.Add(1)
		}
	})
	if n := done.Load(); n != 1 {
		t.Errorf("%d confirmed it: all but one were shown recovery codes that are none", n)
	}
}

func TestAddPasskeyRefused(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		change func(p *db.Passkey)
		kind   error
		code   string // "": it is taken
	}{
		"the longest credential": {func(p *db.Passkey) { p.Credential = []byte(long(1023)) }, nil, ""},
		"the longest name":       {func(p *db.Passkey) { p.Name = strings.Repeat("鍵", 100) }, nil, ""},
		"no credential":          {func(p *db.Passkey) { p.Credential = nil }, db.ErrInvalid, "bad_passkey"},
		"a longer credential":    {func(p *db.Passkey) { p.Credential = []byte(long(1024)) }, db.ErrInvalid, "bad_passkey"},
		"a large key":            {func(p *db.Passkey) { p.PublicKey = []byte(long(2049)) }, db.ErrInvalid, "bad_passkey"},
		"many transports":        {func(p *db.Passkey) { p.Transports = make([]string, 17) }, db.ErrInvalid, "bad_passkey"},
		"a long transport":       {func(p *db.Passkey) { p.Transports = []string{long(513)} }, db.ErrInvalid, "bad_passkey"},
		"no name":                {func(p *db.Passkey) { p.Name = " \t" }, db.ErrInvalid, "bad_name"},
		"a long name":            {func(p *db.Passkey) { p.Name = strings.Repeat("鍵", 101) }, db.ErrInvalid, "text_too_long"},
		"a name of two lines":    {func(p *db.Passkey) { p.Name = "a\nb" }, db.ErrInvalid, "text_not_plain"},
		"one's own once more":    {func(p *db.Passkey) { p.Credential = []byte("mine") }, db.ErrConflict, "passkey_taken"},
		"that of somebody else":  {func(p *db.Passkey) { p.Credential = []byte("bob's") }, db.ErrConflict, "passkey_taken"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			ann := f.withSession("ann@example.com")
			f.withPasskey(ann, "mine", 0)
			f.withPasskey(f.withSession("bob@example.com"), "bob's", 0)
			p := passkeyOf("new", 0)
			c.change(&p)
			_, r, secret, err := f.AddPasskey(f.ctx, ann, p, db.FactorSetUp{Renew: true})
			if c.code == "" {
				must(t, err)
				return
			}
			wantErr(t, err, c.kind, c.code)
			if n := len(f.factors(ann.ID).Passkeys); n != 1 || r != nil || secret != "" {
				t.Errorf("%d passkeys, %v", n, r)
			}
		})
	}
}

// A user has so many passkeys at most, also where they come at once.
func TestPasskeysAreBounded(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	var refused atomic.Int32
	together(db.MaxPasskeys+3, func(i int) {
		_, _, _, err := f.AddPasskey(f.ctx, ann, passkeyOf(fmt.Sprint("c", i), 0), db.FactorSetUp{})
		if err != nil {
			wantErr(t, err, db.ErrConflict, "too_many_passkeys")
			refused.Add(1)
		}
	})
	if n := len(f.factors(ann.ID).Passkeys); n != db.MaxPasskeys || refused.Load() != 3 {
		t.Errorf("%d passkeys, %d refused", n, refused.Load())
	}
	must(t, f.RemovePasskey(f.ctx, ann, f.factors(ann.ID).Passkeys[3].ID))
	f.withPasskey(ann, "another", 0)
}

func TestChangePasskeys(t *testing.T) {
	f := newStore(t)
	ann, bob := f.withSession("ann@example.com"), f.withSession("bob@example.com")
	p, other := f.withPasskey(ann, "a", 0), f.withPasskey(bob, "b", 0)
	must(t, f.RenamePasskey(f.ctx, ann, p.ID, "  the blue one "))
	if all := f.factors(ann.ID).Passkeys; len(all) != 1 || all[0].Name != "the blue one" || all[0].ID != p.ID {
		t.Errorf("%+v", all)
	}
	wantErr(t, f.RenamePasskey(f.ctx, ann, p.ID, ""), db.ErrInvalid, "bad_name")
	for name, id := range map[string]string{"of another user": other.ID, "of nobody": "none", "no id": ""} {
		t.Run(name, func(t *testing.T) {
			wantErr(t, f.RenamePasskey(f.ctx, ann, id, "mine"), db.ErrNotFound, "not_found")
			wantErr(t, f.RemovePasskey(f.ctx, ann, id), db.ErrNotFound, "not_found")
		})
	}
	if all := f.factors(bob.ID).Passkeys; len(all) != 1 || all[0].Name != "key b" {
		t.Errorf("another's is %+v", all)
	}
	must(t, f.RemovePasskey(f.ctx, ann, p.ID))
	if keys := f.keys("factor.index"); len(keys) != 1 {
		t.Errorf("the index has %q", keys)
	}
}

// Recovery codes are for who has a factor, and go with the last one, as its answered
// challenges do; before that they stay.
func TestLastFactorTakesTheRecoveryCodes(t *testing.T) {
	f, ann := withAll(t)
	must(t, second1(f.enter(ann.User, f.assertion("plain", 0, "c"))))
	for _, p := range f.factors(ann.ID).Passkeys {
		must(t, f.RemovePasskey(f.ctx, ann, p.ID))
	}
	if n := f.factors(ann.ID).CodesLeft(); n != 10 {
		t.Errorf("%d recovery codes beside the codes of a program", n)
	}
	must(t, f.RemoveTOTP(f.ctx, ann))
	wantErr(t, f.RemoveTOTP(f.ctx, ann), db.ErrNotFound, "not_found")
	wantErr(t, f.NewRecoveryCodes(f.ctx, ann, hashesOf("new")), db.ErrConflict, "no_second_factor")
	if u, err := f.User(f.ctx, ann.ID); err != nil || u.Factors != nil {
		t.Errorf("%+v, %v", u, err)
	}
	if keys := append(f.keys("factor"), f.keys("factor.index")...); len(keys) != 0 {
		t.Errorf("there are %q", keys)
	}
}

// Who is deleted leaves nothing of it, and what they had is free again.
func TestDeletedUserLeavesNoFactor(t *testing.T) {
	f, ann := withAll(t)
	must(t, second1(f.DeleteUser(f.ctx, local, ann.ID)))
	if keys := append(f.keys("factor"), f.keys("factor.index")...); len(keys) != 0 {
		t.Errorf("there are %q", keys)
	}
	f.withPasskey(f.withSession("bob@example.com"), "counts", 0)
}

// What was found right is worth what it was when it was found.
func TestRehash(t *testing.T) {
	f := newStore(t)
	ann := f.user("ann@example.com")
	u, err := f.Rehash(f.ctx, ann.ID, ann.Password, "the same in another hash")
	if err != nil || u.Password != "the same in another hash" {
		t.Fatalf("%+v, %v", u, err)
	}
	_, err = f.Rehash(f.ctx, ann.ID, ann.Password, "once more")
	wantErr(t, err, db.ErrDenied, "login_failed")
	must(t, second1(f.UpdateUser(f.ctx, local, ann.ID, db.UserChange{Disabled: ptr(true)})))
	_, err = f.Rehash(f.ctx, ann.ID, u.Password, "of who is disabled")
	wantErr(t, err, db.ErrDenied, "login_failed")
	must(t, second1(f.DeleteUser(f.ctx, local, ann.ID)))
	_, err = f.Rehash(f.ctx, ann.ID, u.Password, "of who is gone")
	wantErr(t, err, db.ErrDenied, "login_failed")
}
