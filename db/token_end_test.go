package db_test

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
)

// Whoever shows a secret of an own token ends that secret, and with that of now
// the token.
func TestEndSecret(t *testing.T) {
	f := newStore(t)
	ann, bob := f.as(f.user("ann@example.com")), f.as(f.user("bob@example.com"))
	hash := func(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }
	end := func(actor *db.Actor, id string, secret byte, whole, done bool) {
		t.Helper()
		all, err := f.EndSecret(f.ctx, actor, id, hash(secret))
		if done && (err != nil || all != whole) || !done && !errors.Is(err, db.ErrNotFound) {
			t.Errorf("it ended, all of it: %t, %v", all, err)
		}
	}
	k := f.mint(ann, db.NewToken{Expires: f.now().Add(30 * time.Minute).Unix()})
	_, err := f.RotateToken(f.ctx, ann, k.ID, db.Rotation{Hash: hash(1), Grace: time.Minute, Expires: f.now().Add(20 * time.Minute).Unix()})
	must(t, err)
	_, err = f.BeginRotation(f.ctx, ann, k.ID, db.Rotation{Hash: hash(2), Expires: f.now().Add(10 * time.Minute).Unix()})
	must(t, err)
	for _, secret := range []byte{0, 1, 2} {
		end(bob, k.ID, secret, false, false)
		end(local, k.ID, secret, false, false) // who owns the data file owns no token
	}
	end(ann, k.ID, 3, false, false)
	end(ann, "00000000-0000-4000-8000-000000000000", 1, false, false)
	f.advance(time.Minute) // the one that was replaced has ended
	end(ann, k.ID, 0, false, false)
	f.advance(9 * time.Minute) // and the one that was held
	end(ann, k.ID, 2, false, false)
	f.advance(10 * time.Minute) // and the token
	end(ann, k.ID, 1, false, false)

	k = f.mint(ann, db.NewToken{})
	_, err = f.RotateToken(f.ctx, ann, k.ID, db.Rotation{Hash: hash(1), Grace: time.Hour})
	must(t, err)
	_, err = f.BeginRotation(f.ctx, ann, k.ID, db.Rotation{Hash: hash(2)})
	must(t, err)
	end(ann, k.ID, 0, false, true)
	end(ann, k.ID, 0, false, false)
	end(ann, k.ID, 2, false, true)
	end(ann, k.ID, 2, false, false)
	if now, err := f.Token(f.ctx, k.ID); err != nil || now.Previous != nil || now.Next != nil || !bytes.Equal(now.Hash, hash(1)) {
		t.Errorf("what is left is %+v, %v", now, err)
	}
	var ended atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch _, err := f.EndSecret(f.ctx, ann, k.ID, hash(1)); {
			case err == nil:
				ended.Add(1)
			case !errors.Is(err, db.ErrNotFound):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := ended.Load(); n != 1 {
		t.Errorf("%d of eight ended it", n)
	}
}

// A credential that ended while it asked ends nothing more.
func TestEndSecretByWhoEnded(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	k := f.mint(ann, db.NewToken{})
	other := f.mint(ann, db.NewToken{})
	by := f.by(other)
	must(t, f.DeleteToken(f.ctx, ann, other.ID))
	if _, err := f.EndSecret(f.ctx, by, k.ID, k.Hash); !errors.Is(err, db.ErrEnded) {
		t.Errorf("by a token that is gone: %v", err)
	}
	if _, err := f.Token(f.ctx, k.ID); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}
