package db_test

import (
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// What is not as the user's record says is found, and named.
func TestCheckComparesFactors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(tx db.Tx, user string) error
		says   string
	}{
		"gone":                         {losses["the record is gone"], "damaged or gone"},
		"damaged":                      {losses["the record is damaged"], "damaged or gone"},
		"of another time":              {losses["the record is of another time"], "has the second factors [totp], and the user's record says [passkey totp]"},
		"empty":                        {losses["the record is empty"], "has the second factors [], and"},
		"the user knows nothing of it": {func(tx db.Tx, user string) error { return forget(tx, user) }, "the password alone gets in"},
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			f.broken = true
			if faults := f.check(); len(faults) > 0 {
				t.Fatalf("before: %q", faults)
			}
			f.raw(func(tx db.Tx) error { return c.change(tx, ann.ID) })
			if faults := f.check(); !slices.ContainsFunc(faults, func(s string) bool { return containsAllText(s, "ann@example.com", c.says) }) {
				t.Errorf("it says %q", faults)
			}
		})
	}
}

// forget takes the word of second factors out of a user's record.
func forget(tx db.Tx, user string) error {
	sealed, err := tx.Get("user", []byte(user))
	if err != nil {
		return err
	}
	value, err := db.Unseal("user", []byte(user), sealed)
	if err != nil {
		return err
	}
	return putSealed(tx, "user", user, strings.Replace(string(value), `"factors":["passkey","totp"],`, "", 1))
}

// A repair that loses the record leaves nobody in by the password alone, says who needs
// a reset, and makes a store that is sound; the reset is the way back.
func TestRepairOfLostFactor(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			f.broken = true
			f.raw(func(tx db.Tx) error { return lose(tx, ann.ID) })
			r, _, s := f.repaired()
			if !slices.ContainsFunc(r.Made, func(s string) bool { return containsAllText(s, "ann@example.com", "husk user reset-second-factor") }) {
				t.Errorf("it says %q", r.Made)
			}
			f.Store = s
			for _, use := range []*db.FactorUse{nil, totpUse(101), recoveryUse(0, "first"), f.assertion("plain", 0, "c")} {
				if _, err := f.enter(ann.User, use); err == nil {
					t.Errorf("%+v lets in", use)
				}
			}
			_, err := f.Factors(f.ctx, ann.ID)
			wantErr(t, err, db.ErrDamaged, "second_factor_lost")
			u, err := f.ResetFactors(f.ctx, local, ann.ID)
			must(t, err)
			must(t, second1(f.enter(u, nil)))
			for _, fault := range f.check() {
				t.Errorf("after the reset: %s", fault)
			}
		})
	}
}

// A user's record of before the factor was set up must not let in by the password.
func TestRepairAsksForTheFactorAgain(t *testing.T) {
	f, ann := withAll(t)
	f.broken = true
	f.raw(func(tx db.Tx) error { return forget(tx, ann.ID) })
	r, aside, s := f.repaired()
	if len(aside) > 0 || !slices.ContainsFunc(r.Made, func(s string) bool { return containsAllText(s, "ann@example.com", "[passkey totp]") }) {
		t.Errorf("%+v", r)
	}
	f.Store = s
	if _, err := f.enter(ann.User, nil); err == nil {
		t.Error("the password alone gets in")
	}
	must(t, second1(f.enter(ann.User, totpUse(101))))
}

// What a repair put in the place of a lost record is as good for the next one.
func TestRepairTwice(t *testing.T) {
	f, ann := withAll(t)
	f.broken = true
	f.raw(func(tx db.Tx) error { return losses["the record is gone"](tx, ann.ID) })
	_, _, s := f.repaired()
	lost, err := s.User(f.ctx, ann.ID)
	must(t, err)
	f.raw(func(tx db.Tx) error {
		return putSealed(tx, "factor", ann.ID, `{"user":"`+ann.ID+`","lost":["passkey","totp"]}`)
	})
	r, _, _ := f.repaired()
	if len(r.Made) > 0 {
		t.Errorf("it made %q", r.Made)
	}
	f.raw(func(tx db.Tx) error { return forget(tx, ann.ID) })
	_, _, s = f.repaired()
	if u, err := s.User(f.ctx, ann.ID); err != nil || !slices.Equal(u.Factors, lost.Factors) || len(u.Factors) != 2 {
		t.Errorf("%+v, %v", u, err)
	}
}

// Passkeys are found by their index: it is made anew, and keeps those apart.
func TestRepairMakesTheIndexOfPasskeys(t *testing.T) {
	for name, change := range map[string]func(tx db.Tx, key string) error{
		"gone":      func(tx db.Tx, key string) error { return tx.Delete("factor.index", []byte(key)) },
		"damaged":   func(tx db.Tx, key string) error { return tx.Put("factor.index", []byte(key), []byte("x")) },
		"of nobody": func(tx db.Tx, key string) error { return putSealed(tx, "factor.index", key, "nobody") },
		"one more":  func(tx db.Tx, _ string) error { return putSealed(tx, "factor.index", "=00", "nobody") },
	} {
		t.Run(name, func(t *testing.T) {
			f, ann := withAll(t)
			f.broken = true
			keys := f.keys("factor.index")
			if len(keys) != 2 {
				t.Fatalf("the index has %q", keys)
			}
			f.raw(func(tx db.Tx) error { return change(tx, keys[0]) })
			if faults := f.check(); len(faults) == 0 {
				t.Error("the check finds nothing")
			}
			r, aside, s := f.repaired()
			if r.Sound() || len(aside)+len(r.Made) > 0 {
				t.Errorf("%+v", r)
			}
			f.Store = s
			bob := f.withSession("bob@example.com")
			_, _, _, err := f.AddPasskey(f.ctx, bob, passkeyOf("counts", 0), db.FactorSetUp{})
			wantErr(t, err, db.ErrConflict, "passkey_taken")
			must(t, second1(f.enter(ann.User, f.assertion("counts", 6, "c"))))
		})
	}
}

// A record of nobody's is set aside.
func TestRepairOfFactorOfNobody(t *testing.T) {
	f, ann := withAll(t)
	f.broken = true
	f.raw(func(tx db.Tx) error { return tx.Put("user", []byte(ann.ID), []byte("damaged")) })
	_, aside, s := f.repaired()
	if !slices.ContainsFunc(aside, func(a db.Aside) bool { return a.Bucket == "factor" && string(a.Key) == ann.ID }) {
		t.Errorf("%+v", aside)
	}
	if _, err := s.Factors(f.ctx, ann.ID); err == nil {
		t.Error("it is there")
	}
}
