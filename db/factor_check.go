package db

import (
	"bytes"
	"errors"
	"fmt"
)

// A user's record says which second factors there are, and a record of its own has
// them. This file compares the two, for a check and for a repair.

// compared tells of each user of whom the two say different things. A record that a
// repair put in the place of a lost one is as it should be.
func (t *txn) compared(differ func(u *User, f *Factors) error) error {
	err := t.eachReadable(userRecords.bucket, func(id string, value []byte) error {
		if !bytes.Contains(value, []byte(`"factors":`)) {
			return nil // as nearly all are: it need not be read
		}
		u, err := userRecords.decode(id, value)
		if err != nil || len(u.Factors) == 0 {
			return nil
		}
		f, err := factorRecords.get(t, id)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			return differ(u, nil)
		}
		if err != nil || len(f.Lost) > 0 || f.isOf(u) {
			return err
		}
		return differ(u, f)
	})
	if err != nil {
		return err
	}
	return t.eachReadable(factorRecords.bucket, func(id string, value []byte) error {
		f, err := factorRecords.decode(id, value)
		if err != nil || len(f.known()) == 0 {
			return nil
		}
		u, err := userRecords.get(t, id)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			return nil // told of where it stands
		}
		if err != nil || len(u.Factors) > 0 {
			return err
		}
		return differ(u, f)
	})
}

// eachReadable calls f for each record of a bucket whose checksum holds.
func (t *txn) eachReadable(bucket string, f func(id string, value []byte) error) error {
	var failed error
	err := t.Scan(bucket, nil, nil, false, func(key, sealed []byte) bool {
		if value, err := unseal(bucket, key, sealed); err == nil {
			failed = f(string(key), value)
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}

// factors reports where what a user has is not what their record says.
func (w *walk) factors() error {
	return w.compared(func(u *User, f *Factors) error {
		switch {
		case f == nil:
			w.report(fmt.Errorf("user %q has a second factor, and its record is damaged or gone: nobody gets in by it; %s", u.Username(), resetOf(u)))
		case len(u.Factors) == 0:
			w.report(fmt.Errorf("user %q has a second factor, %v, of which the user's record says nothing: the password alone gets in; 'husk check --repair' asks for it again", u.Username(), f.known()))
		default:
			w.report(fmt.Errorf("user %q has the second factors %v, and the user's record says %v: nobody gets in by them; %s", u.Username(), f.Methods(), u.Factors, resetOf(u)))
		}
		return w.ctx.Err()
	})
}

func resetOf(u *User) string {
	return "'husk user reset-second-factor " + u.Username() + "' lets them in again"
}

// mendFactors has nobody get in with less than they needed before. What a record says
// that a user's does not is asked for again; and in the place of one that was lost, or
// is of another time, comes one that lets nobody in, which a reset takes away.
func (r *repair) mendFactors() error {
	type pair struct {
		u *User
		f *Factors
	}
	var all []pair
	if err := r.compared(func(u *User, f *Factors) error { all = append(all, pair{u, f}); return nil }); err != nil {
		return err
	}
	for _, p := range all {
		if err := r.mendFactorsOf(p.u, p.f); err != nil {
			return err
		}
	}
	return nil
}

func (r *repair) mendFactorsOf(u *User, f *Factors) error {
	if len(u.Factors) == 0 {
		addLine(&r.Made, "what the record of %s says of a second factor: %v, which is asked for again", u.Username(), f.known())
		changed := *u
		changed.Factors = f.known()
		return userRecords.put(r.txn, u, &changed)
	}
	if f != nil {
		key := []byte(u.ID)
		sealed, err := r.Get(factorRecords.bucket, key)
		if err != nil {
			return err
		}
		r.setAside(factorRecords.bucket, key, sealed, fmt.Errorf("%s has the second factors %v, and the user's record says %v", placeText(factorRecords.bucket, key), f.Methods(), u.Factors))
	}
	addLine(&r.Made, "a record that lets nobody in for the second factor of %s, which was lost: %s", u.Username(), resetOf(u))
	return factorRecords.put(r.txn, f, &Factors{User: u.ID, Lost: u.Factors})
}

// known are the methods that the record tells of, be it that they were lost.
func (f *Factors) known() []string {
	if len(f.Lost) > 0 {
		return f.Lost
	}
	return f.Methods()
}
