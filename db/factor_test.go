package db_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
)

// Secrets as the factor package would have sealed them: to a store they are bytes.
var sealedSecret, otherSecret = []byte("sealed secret"), []byte("another secret")

// hashesOf are the hashes of a set of recovery codes.
func hashesOf(set string) (hashes []string) {
	for i := range 10 {
		hashes = append(hashes, fmt.Sprintf("hash %d of %s", i, set))
	}
	return hashes
}

// withTOTP has an actor set up codes of a program, whose first was of step 100.
func (f *fixture) withTOTP(actor *db.Actor) {
	f.t.Helper()
	must(f.t, f.BeginTOTP(f.ctx, actor, sealedSecret))
	_, _, err := f.ConfirmTOTP(f.ctx, actor, db.TOTPUse{Secret: sealedSecret, Step: 100}, db.FactorSetUp{Codes: hashesOf("first")})
	must(f.t, err)
	f.refresh(actor)
}

func passkeyOf(credential string, counter uint32) db.Passkey {
	return db.Passkey{Name: "key " + credential, Credential: []byte(credential), PublicKey: []byte("public"), Host: "husk.example.com", Counter: counter, Transports: []string{"usb"}}
}

// withPasskey has an actor set up a passkey.
func (f *fixture) withPasskey(actor *db.Actor, credential string, counter uint32) *db.Passkey {
	f.t.Helper()
	p, _, _, err := f.AddPasskey(f.ctx, actor, passkeyOf(credential, counter), db.FactorSetUp{})
	must(f.t, err)
	f.refresh(actor)
	return p
}

// refresh brings an actor up to the store, as the next request would.
func (f *fixture) refresh(actor *db.Actor) {
	f.t.Helper()
	var err error
	actor.User, err = f.User(f.ctx, actor.ID)
	must(f.t, err)
	actor.Session, err = f.Session(f.ctx, actor.Session.ID)
	must(f.t, err)
}

func (f *fixture) factors(user string) *db.Factors {
	f.t.Helper()
	all, err := f.Factors(f.ctx, user)
	must(f.t, err)
	return all
}

func totpUse(step int64) *db.FactorUse {
	return &db.FactorUse{TOTP: &db.TOTPUse{Secret: sealedSecret, Step: step}}
}

func recoveryUse(number int, set string) *db.FactorUse {
	return &db.FactorUse{Recovery: &db.RecoveryUse{Number: number, Verified: fmt.Sprintf("hash %d of %s", number, set)}}
}

// assertion is a use of a passkey in answer to a challenge that is good for a minute.
func (f *fixture) assertion(credential string, counter uint32, challenge string) *db.FactorUse {
	return &db.FactorUse{Passkey: &db.PasskeyUse{Credential: []byte(credential), Counter: counter, Challenge: []byte(challenge), Ends: f.now().Add(time.Minute)}}
}

// enter signs a user in with the password and a factor.
func (f *fixture) enter(u *db.User, use *db.FactorUse) (*db.Session, error) {
	r, _, err := f.CreateSession(f.ctx, &db.Actor{Address: "192.0.2.9"}, db.SignIn{User: u.ID, Verified: u.Password, Factor: use, TTL: time.Hour})
	return r, err
}

// withAll is a user who has every factor: codes of a program, a passkey that counts,
// another one that does not, recovery codes.
func withAll(t *testing.T) (f *fixture, ann *db.Actor) {
	t.Helper()
	f = newStore(t)
	ann = f.withSession("ann@example.com")
	f.withTOTP(ann)
	f.withPasskey(ann, "counts", 5)
	f.withPasskey(ann, "plain", 0)
	return f, ann
}

// Each use that is good lets in once, and makes a session that tells how.
func TestFactorUses(t *testing.T) {
	for name, c := range map[string]struct {
		use     func(f *fixture) *db.FactorUse
		methods string
	}{
		"a code":                     {func(*fixture) *db.FactorUse { return totpUse(101) }, "[password totp]"},
		"a code much later":          {func(*fixture) *db.FactorUse { return totpUse(1 << 40) }, "[password totp]"},
		"a recovery code":            {func(*fixture) *db.FactorUse { return recoveryUse(0, "first") }, "[password recovery]"},
		"the last recovery code":     {func(*fixture) *db.FactorUse { return recoveryUse(9, "first") }, "[password recovery]"},
		"a passkey":                  {func(f *fixture) *db.FactorUse { return f.assertion("counts", 6, "c") }, "[passkey password]"},
		"a passkey that jumps":       {func(f *fixture) *db.FactorUse { return f.assertion("counts", 1<<32-1, "c") }, "[passkey password]"},
		"a passkey that counts none": {func(f *fixture) *db.FactorUse { return f.assertion("plain", 0, "c") }, "[passkey password]"},
		"a passkey that begins to":   {func(f *fixture) *db.FactorUse { return f.assertion("plain", 1, "c") }, "[passkey password]"},
		"a passkey without a password": {func(f *fixture) *db.FactorUse {
			use := f.assertion("counts", 6, "c")
			use.Passkey.Alone = true
			return use
		}, "[passkey]"},
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			use := c.use(f)
			r, err := f.enter(ann.User, use)
			must(t, err)
			if fmt.Sprint(r.Methods) != c.methods || r.Factored.IsZero() || !r.Factored.Equal(f.now()) || !r.Proved.Equal(f.now()) {
				t.Errorf("the session is %+v", r)
			}
			if _, err := f.enter(ann.User, use); !errors.Is(err, db.ErrDenied) || !db.IsFactorRefusal(err) {
				t.Errorf("it is good twice: %v", err)
			}
		})
	}
}

// Each refusal by itself: with the right password, and each by nothing but the factor.
func TestFactorRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		before func(f *fixture, ann *db.Actor) // what came first
		use    func(f *fixture) *db.FactorUse
		code   string
	}{
		"the code that set it up": {nil, func(*fixture) *db.FactorUse { return totpUse(100) }, "code_used"},
		"a code that was used": {func(f *fixture, ann *db.Actor) { must(f.t, second1(f.enter(ann.User, totpUse(105)))) },
			func(*fixture) *db.FactorUse { return totpUse(105) }, "code_used"},
		"a code of an older step": {func(f *fixture, ann *db.Actor) { must(f.t, second1(f.enter(ann.User, totpUse(105)))) },
			func(*fixture) *db.FactorUse { return totpUse(104) }, "code_used"},
		"of another secret meanwhile": {func(f *fixture, ann *db.Actor) {
			must(f.t, f.BeginTOTP(f.ctx, ann, otherSecret))
			must(f.t, second1of3(f.ConfirmTOTP(f.ctx, ann, db.TOTPUse{Secret: otherSecret, Step: 50}, db.FactorSetUp{})))
		}, func(*fixture) *db.FactorUse { return totpUse(101) }, "second_factor_moved"},
		"the secret is gone": {func(f *fixture, ann *db.Actor) { must(f.t, f.RemoveTOTP(f.ctx, ann)) },
			func(*fixture) *db.FactorUse { return totpUse(101) }, "second_factor_moved"},
		"of a secret that waits": {func(f *fixture, ann *db.Actor) { must(f.t, f.BeginTOTP(f.ctx, ann, otherSecret)) },
			func(*fixture) *db.FactorUse { return &db.FactorUse{TOTP: &db.TOTPUse{Secret: otherSecret, Step: 101}} }, "second_factor_moved"},
		"a recovery code that was used": {func(f *fixture, ann *db.Actor) { must(f.t, second1(f.enter(ann.User, recoveryUse(3, "first")))) },
			func(*fixture) *db.FactorUse { return recoveryUse(3, "first") }, "code_used"},
		"a recovery code of no number": {nil, func(*fixture) *db.FactorUse { return recoveryUse(10, "first") }, "second_factor_moved"},
		"a recovery code below zero":   {nil, func(*fixture) *db.FactorUse { return recoveryUse(-1, "first") }, "second_factor_moved"},
		"a recovery code of another's number": {nil, func(*fixture) *db.FactorUse {
			return &db.FactorUse{Recovery: &db.RecoveryUse{Number: 1, Verified: "hash 0 of first"}}
		}, "second_factor_moved"},
		"recovery codes replaced meanwhile": {func(f *fixture, ann *db.Actor) { must(f.t, f.NewRecoveryCodes(f.ctx, ann, hashesOf("second"))) },
			func(*fixture) *db.FactorUse { return recoveryUse(0, "first") }, "second_factor_moved"},
		"a counter that stands still":    {nil, func(f *fixture) *db.FactorUse { return f.assertion("counts", 5, "c") }, "passkey_copied"},
		"a counter that goes back":       {nil, func(f *fixture) *db.FactorUse { return f.assertion("counts", 4, "c") }, "passkey_copied"},
		"a counter that is zero again":   {nil, func(f *fixture) *db.FactorUse { return f.assertion("counts", 0, "c") }, "passkey_copied"},
		"a passkey of nobody":            {nil, func(f *fixture) *db.FactorUse { return f.assertion("none", 9, "c") }, "second_factor_moved"},
		"a passkey without a credential": {nil, func(f *fixture) *db.FactorUse { return f.assertion("", 9, "c") }, "second_factor_moved"},
		"a passkey of another user": {func(f *fixture, _ *db.Actor) { f.withPasskey(f.withSession("bob@example.com"), "bob's", 1) },
			func(f *fixture) *db.FactorUse { return f.assertion("bob's", 2, "c") }, "second_factor_moved"},
		"a challenge that was answered": {func(f *fixture, ann *db.Actor) {
			must(f.t, second1(f.enter(ann.User, f.assertion("plain", 0, "c"))))
		}, func(f *fixture) *db.FactorUse { return f.assertion("plain", 0, "c") }, "challenge_spent"},
		"an assertion sent twice": {func(f *fixture, ann *db.Actor) {
			must(f.t, second1(f.enter(ann.User, f.assertion("counts", 6, "c"))))
		}, func(f *fixture) *db.FactorUse { return f.assertion("counts", 6, "c") }, "challenge_spent"},
		"a challenge that another passkey answered": {func(f *fixture, ann *db.Actor) {
			must(f.t, second1(f.enter(ann.User, f.assertion("counts", 6, "c"))))
		}, func(f *fixture) *db.FactorUse { return f.assertion("plain", 0, "c") }, "challenge_spent"},
		"a stale challenge": {nil, func(f *fixture) *db.FactorUse {
			use := f.assertion("plain", 0, "c")
			f.advance(time.Minute)
			return use
		}, "challenge_spent"},
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			if c.before != nil {
				c.before(f, ann)
			}
			use, before := c.use(f), f.factors(ann.ID)
			sessions := len(f.sessionsOf(ann.User))
			_, err := f.enter(ann.User, use)
			wantErr(t, err, db.ErrDenied, c.code)
			if !db.IsFactorRefusal(err) {
				t.Error("it is not told from a store that failed")
			}
			if n := len(f.sessionsOf(ann.User)); n != sessions {
				t.Errorf("%d sessions became %d", sessions, n)
			}
			if after := f.factors(ann.ID); !reflect.DeepEqual(after, before) {
				t.Errorf("a refusal changed\n%+v to\n%+v", before, after)
			}
		})
	}
}

func second1of3[A, B any](_ A, _ B, err error) error { return err }

// Of many who show the same at once one is let in, at the sign-in and at a proof.
func TestFactorIsGoodOnce(t *testing.T) {
	for name, use := range map[string]func(f *fixture) *db.FactorUse{
		"a code":                     func(*fixture) *db.FactorUse { return totpUse(101) },
		"a recovery code":            func(*fixture) *db.FactorUse { return recoveryUse(4, "first") },
		"a passkey":                  func(f *fixture) *db.FactorUse { return f.assertion("counts", 6, "c") },
		"a passkey that counts none": func(f *fixture) *db.FactorUse { return f.assertion("plain", 0, "c") },
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			shown := use(f)
			var in atomic.Int32
			together(8, func(i int) {
				var err error
				if i%2 == 0 {
					_, err = f.enter(ann.User, shown)
				} else {
					_, _, err = f.Prove(f.ctx, ann, db.Proof{Factor: shown})
				}
				switch {
				case err == nil:
					in.Add(1)
				case !db.IsFactorRefusal(err):
					t.Error(err)
				}
			})
			if n := in.Load(); n != 1 {
				t.Errorf("%d got in", n)
			}
		})
	}
}

// Of many different codes at once each recovery code is good, and none twice.
func TestRecoveryCodesTogether(t *testing.T) {
	f, ann := withAll(t)
	var in atomic.Int32
	together(20, func(i int) {
		if _, err := f.enter(ann.User, recoveryUse(i%10, "first")); err == nil {
			in.Add(1)
		}
	})
	all := f.factors(ann.ID)
	if n := in.Load(); n != 10 || all.CodesLeft() != 0 || len(all.Recovery) != 10 {
		t.Errorf("%d got in, %d are left", n, all.CodesLeft())
	}
	if n := all.Notices; len(n) != 1 || n[0].Kind != db.NoticeRecoveryUsed || n[0].Count != 10 || n[0].Address != "192.0.2.9" {
		t.Errorf("the user is told %+v", n)
	}
}

// The answers to a user's challenges are kept while those could be answered again, and
// so many at most: the next one waits, and then it is let in.
func TestSpentChallengesAreBounded(t *testing.T) {
	f, ann := withAll(t)
	for i := range 64 {
		must(t, second1(f.enter(ann.User, f.assertion("plain", 0, fmt.Sprint("c", i)))))
	}
	_, err := f.enter(ann.User, f.assertion("plain", 0, "one more"))
	wantErr(t, err, db.ErrQuota, "passkey_busy")
	if n := len(f.factors(ann.ID).Challenges); n != 64 {
		t.Errorf("%d are kept", n)
	}
	must(t, second1(f.enter(ann.User, totpUse(101)))) // another way in stays open
	f.advance(time.Minute + time.Second)
	must(t, second1(f.enter(ann.User, f.assertion("plain", 0, "one more"))))
	if n := len(f.factors(ann.ID).Challenges); n != 1 {
		t.Errorf("%d are kept of what is stale", n)
	}
}

// No session without the factor where there is one, whichever came first.
func TestNoSessionWithoutTheFactor(t *testing.T) {
	for name, setUp := range map[string]func(f *fixture, ann *db.Actor){
		"codes of a program": (*fixture).withTOTP,
		"a passkey":          func(f *fixture, ann *db.Actor) { f.withPasskey(ann, "c", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			ann := f.withSession("ann@example.com")
			must(t, second1(f.enter(ann.User, nil)))
			found := ann.User // as the sign-in found them before the factor was set up
			setUp(f, ann)
			_, err := f.enter(found, nil)
			wantErr(t, err, db.ErrDenied, "login_failed")
			if n := len(f.sessionsOf(ann.User)); n != 1 {
				t.Errorf("there are %d sessions", n)
			}
		})
	}
}

// The other way round: a factor that was removed during the sign-in is no proof.
func TestFactorRemovedDuringTheSignIn(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	f.withTOTP(ann)
	must(t, f.RemoveTOTP(f.ctx, ann))
	_, err := f.enter(ann.User, totpUse(101))
	wantErr(t, err, db.ErrDenied, "second_factor_moved")
	must(t, second1(f.enter(ann.User, nil)))
}

// A factor makes up for no password, but for a passkey that verified its user.
func TestFactorAloneIsNotEnough(t *testing.T) {
	for name, use := range map[string]func(f *fixture) *db.FactorUse{
		"a code":          func(*fixture) *db.FactorUse { return totpUse(101) },
		"a recovery code": func(*fixture) *db.FactorUse { return recoveryUse(0, "first") },
		"a passkey":       func(f *fixture) *db.FactorUse { return f.assertion("plain", 0, "c") },
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			shown := use(f)
			other := *ann.User
			other.Password = "the hash before"
			_, err := f.enter(&other, shown)
			wantErr(t, err, db.ErrDenied, "login_failed")
			must(t, second1(f.enter(ann.User, shown))) // nothing was spent
		})
	}
}

// Of a user who is disabled no passkey opens anything either.
func TestPasskeyOfDisabledUser(t *testing.T) {
	f, ann := withAll(t)
	_, err := f.UpdateUser(f.ctx, local, ann.ID, db.UserChange{Disabled: ptr(true)})
	must(t, err)
	use := f.assertion("plain", 0, "c")
	use.Passkey.Alone = true
	_, err = f.enter(ann.User, use)
	wantErr(t, err, db.ErrDenied, "login_failed")
}

// The use of a recovery code is in the audit log, as that of its owner.
func TestRecoveryCodeIsAudited(t *testing.T) {
	f, ann := withAll(t)
	must(t, second1(f.enter(ann.User, recoveryUse(0, "first"))))
	events := f.events()
	i := slices.IndexFunc(events, func(e db.Event) bool { return e.Action == "recovery_code.use" })
	if i < 0 || events[i].Actor != ann.ID || events[i].ActorName != "ann@example.com" || events[i].Target != ann.ID || events[i].Address != "192.0.2.9" {
		t.Errorf("%+v", events)
	}
	if last := events[len(events)-1]; last.Action != "session.login" || last.Actor != ann.ID {
		t.Errorf("the last one is %+v", last)
	}
	for _, e := range events {
		if strings.Contains(fmt.Sprintf("%+v", e), "hash 0") {
			t.Errorf("the log has a hash: %+v", e)
		}
	}
}
