package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
)

func TestSweepRemovesWhatHasEnded(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	short := f.session(ann, time.Hour)
	long := f.session(bob, 48*time.Hour)
	for i := range 450 { // more than two steps
		f.session(ann, time.Hour)
		if i%50 == 0 {
			f.token(fmt.Sprintf("00000000-0000-4000-8000-%012d", i), ann.ID)
		}
	}
	kept := f.token("10000000-0000-4000-8000-000000000000", bob.ID)
	if due, err := f.SweepDue(ctx); err != nil || due {
		t.Fatalf("due %v, %v before anything has ended", due, err)
	}
	f.clock.pass(2 * time.Hour)
	if due, err := f.SweepDue(ctx); err != nil || !due {
		t.Fatalf("due %v, %v", due, err)
	}
	n, err := f.Sweep(ctx)
	if err != nil || n != 451 {
		t.Fatalf("swept %d, %v; want 451", n, err)
	}
	if _, err := f.Session(ctx, short.ID); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("expired session: %v", err)
	}

	if _, err := f.DeleteUser(ctx, local, ann.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Sweep(ctx); err != nil || n != 9 {
		t.Errorf("swept %d, %v of what a deleted user left; want 9", n, err)
	}
	if due, err := f.SweepDue(ctx); err != nil || due {
		t.Errorf("due %v, %v after the sweep", due, err)
	}
	if _, err := f.Session(ctx, long.ID); err != nil {
		t.Errorf("another's session: %v", err)
	}
	if _, err := f.Token(ctx, kept.ID); err != nil {
		t.Errorf("another's token: %v", err)
	}
}

// stepEngine counts the sessions and tokens that each transaction removes.
type stepEngine struct {
	db.Engine
	steps []int
}

type stepTx struct {
	db.Tx
	n int
}

func (e *stepEngine) Update(ctx context.Context, f func(db.Tx) error) error {
	tx := &stepTx{}
	err := e.Engine.Update(ctx, func(inner db.Tx) error {
		tx.Tx, tx.n = inner, 0
		return f(tx)
	})
	e.steps = append(e.steps, tx.n)
	return err
}

func (t *stepTx) Delete(bucket string, key []byte) error {
	if bucket == "session" || bucket == "token" {
		t.n++
	}
	return t.Tx.Delete(bucket, key)
}

// A sweep goes in small steps: who writes meanwhile waits for one of them.
func TestSweepGoesInSmallSteps(t *testing.T) {
	const step, sessions, tokens = 200, 450, 450
	ctx := context.Background()
	f := newTimedStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	for range sessions {
		f.session(ann, time.Hour)
	}
	for i := range tokens {
		f.token(fmt.Sprintf("00000000-0000-4000-8000-%012d", i), bob.ID)
	}
	_, err := f.DeleteUser(ctx, local, bob.ID)
	must(t, err)
	f.clock.pass(2 * time.Hour)
	e := &stepEngine{Engine: f.Engine()}
	s, err := db.Open(ctx, e, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(t, err)
	f.clock.pass(15 * time.Minute) // the clock has proved itself
	_, err = s.Sweep(ctx)
	must(t, err)
	total := 0
	for _, n := range e.steps {
		total += n
		if n > step {
			t.Errorf("one transaction removes %d", n)
		}
	}
	if total != sessions+tokens {
		t.Errorf("%d are removed, in steps of %v", total, e.steps)
	}
}

func TestRotateKey(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	u := f.user("ann@example.com")
	s := f.session(u, 3*time.Hour)
	before, err := f.Keys(ctx)
	must(t, err)
	key, err := f.RotateKey(ctx, local, false)
	must(t, err)
	after, err := f.Keys(ctx)
	must(t, err)
	if after.Signing.ID != key.ID {
		t.Error("the new key does not sign")
	}
	old := after.ByID[before.Signing.ID]
	if old == nil || !old.Ends.Equal(s.Expires) {
		t.Fatalf("the old key ends %v, its last session %v", old, s.Expires)
	}
	f.clock.pass(3*time.Hour - time.Second)
	if old.Ended(f.Now()) {
		t.Error("the old key ends before its last session")
	}
	f.clock.pass(time.Second)
	if !old.Ended(f.Now()) {
		t.Error("the old key outlives its last session")
	}
	if _, err := f.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if swept, _ := f.Keys(ctx); len(swept.ByID) != 1 {
		t.Errorf("%d keys are left", len(swept.ByID))
	}

	s = f.session(u, time.Hour)
	if _, err := f.RotateKey(ctx, local, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(ctx, s.ID); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("a session outlives rotation at once: %v", err)
	}
	set, err := f.Keys(ctx)
	must(t, err)
	for id, k := range set.ByID {
		if id != set.Signing.ID && !k.Ended(f.Now()) {
			t.Errorf("key %s still verifies", id)
		}
	}
}

// However many keys verify yet, a rotation that ends every session keeps to the
// engine's bound, and ends all of them.
func TestRotationEndsManyKeys(t *testing.T) {
	f := newStore(t)
	f.as(f.user("ann@example.com")) // by whose session each key verifies on
	for range small.Writes {
		must(t, second1(f.RotateKey(f.ctx, local, false)))
	}
	e := &dbtest.Altered{Engine: f.engine, Limit: small}
	s, err := db.Open(f.ctx, e, db.Options{Now: f.now})
	must(t, err)
	signing, err := s.RotateKey(f.ctx, local, true)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys(f.ctx)
	must(t, err)
	for _, k := range keys.ByID {
		if k.ID != signing.ID && !k.Ended(f.Now()) {
			t.Fatalf("of %d keys %s verifies yet", len(keys.ByID), k.ID)
		}
	}
}
