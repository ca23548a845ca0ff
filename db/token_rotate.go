package db

import (
	"bytes"
	"context"
	"time"
)

// A rotation is done in one step, by RotateToken, or in two. Between
// BeginRotation and SettleRotation the old secret is all that it was, and the
// new one is good beside it: whoever hands the new one over may fail, or be
// killed, at any moment, and one that is known is good.

// OldSecret is a secret that was replaced and is valid for a while yet.
type OldSecret struct {
	Hash []byte `json:"hash"` // SHA-256, 32 bytes
	Ends int64  `json:"ends"` // Unix seconds
}

// Replaced returns the token as the secret before has it, which ends with its
// grace: what it makes must not live longer than itself.
func (k *Token) Replaced() *Token {
	old := *k
	old.Hash, old.Expires = k.Previous.Hash, k.Previous.Ends
	return &old
}

// NextSecret is a new secret whose rotation is not settled. It ends with the
// token, at the latest.
type NextSecret struct {
	Hash    []byte    `json:"hash"` // SHA-256, 32 bytes
	Made    time.Time `json:"made"`
	Expires int64     `json:"expires"` // of the token once it is settled: Unix seconds, or Never
}

// Begun returns the token as the secret of an unsettled rotation has it.
func (k *Token) Begun() *Token {
	next := *k
	next.Hash = k.Next.Hash
	if later(next.Expires, k.Next.Expires) {
		next.Expires = k.Next.Expires
	}
	return &next
}

// Rotation is what RotateToken replaces a secret by.
type Rotation struct {
	Hash    []byte        // SHA-256 of the whole new secret
	Grace   time.Duration // how long the old secret stays valid
	Expires int64         // Unix seconds, Never, or 0: see RotateToken
	MaxTTL  time.Duration // 0: none
}

// RotateToken gives a token a new secret under the same id, name, permissions
// and limits. Where no expiry is asked, a rotation by a token keeps the old
// one, any other gives a life as long as the old one was. It is for one's own
// tokens, and for the local actor.
func (s *Store) RotateToken(ctx context.Context, actor *Actor, id string, in Rotation) (k *Token, err error) {
	err = s.rotation(ctx, actor, id, in.Grace, func(t *txn, old *Token) (err error) {
		if k, err = t.rotated(old, in); err != nil {
			return err
		}
		if err := tokenRecords.put(t, old, k); err != nil {
			return err
		}
		return t.audit("token.rotate", k.Target())
	})
	return k, err
}

// BeginRotation makes a new secret good beside the old one, which stays all
// that it was until SettleRotation. It returns the token as it is going to be,
// refuses what RotateToken refuses, and takes the place of one that was begun
// before. Grace is for SettleRotation.
func (s *Store) BeginRotation(ctx context.Context, actor *Actor, id string, in Rotation) (k *Token, err error) {
	err = s.rotation(ctx, actor, id, in.Grace, func(t *txn, old *Token) (err error) {
		if k, err = t.rotated(old, in); err != nil {
			return err
		}
		begun := *old
		begun.Next = &NextSecret{Hash: in.Hash, Made: t.now, Expires: k.Expires}
		if err := tokenRecords.put(t, old, &begun); err != nil {
			return err
		}
		return t.audit("token.rotate_begin", k.Target())
	})
	return k, err
}

// Settlement ends a rotation that was begun.
type Settlement struct {
	Hash  []byte        // of the new secret: who knows it may settle
	Grace time.Duration // how long the old secret stays valid
	Undo  bool          // the new secret ends, not the old one
}

// The token would end with the secret, and the old one is gone by then.
var errRotationEnded = fail(ErrConflict, "rotation_ended", "the new secret has ended, and the old one stays: undo the rotation, or begin another one")

var errNotBegun = fail(ErrConflict, "no_rotation", "there is no rotation to that secret to settle: it was undone, or another one took its place")

// SettleRotation ends the old secret, after the grace, or with Undo the new
// one. To settle what is settled changes nothing.
func (s *Store) SettleRotation(ctx context.Context, actor *Actor, id string, in Settlement) error {
	return s.rotation(ctx, actor, id, in.Grace, func(t *txn, old *Token) error {
		switch {
		case !in.Undo && bytes.Equal(old.Hash, in.Hash):
			return nil
		case old.Next == nil || !bytes.Equal(old.Next.Hash, in.Hash):
			return errNotBegun
		case !in.Undo && old.Next.Expires != Never && old.Next.Expires <= t.now.Unix():
			return errRotationEnded
		}
		settled, action := *old, "token.rotate_undo"
		settled.Next = nil
		if !in.Undo {
			action = "token.rotate"
			t.replaceSecret(&settled, old, in.Hash, old.Next.Expires, in.Grace)
			if err := t.notAbove(&settled); err != nil {
				return err
			}
		}
		if err := tokenRecords.put(t, old, &settled); err != nil {
			return err
		}
		return t.audit(action, settled.Target())
	})
}

// EndSecret ends what one secret of a token of the actor's own opens, found by its
// SHA-256: all of the token where it is the secret of now, and else, in its time of
// grace or before its rotation is settled, that secret alone. Whoever shows a secret
// may end it, whatever else they may. One that is not good is ErrNotFound; of several
// at once exactly one succeeds.
func (s *Store) EndSecret(ctx context.Context, actor *Actor, id string, hash []byte) (whole bool, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := tokenRecords.get(t, id)
		if err != nil {
			return err
		}
		if old.Owner != actor.ID || old.Expired(t.now) {
			return errAbsentRecord
		}
		if whole = bytes.Equal(old.Hash, hash); whole {
			return t.revokeToken(old)
		}
		return t.endBeside(old, hash)
	})
	return whole, err
}

// endBeside ends a secret that is good beside the token's own.
func (t *txn) endBeside(old *Token, hash []byte) error {
	k, action := *old, "token.update"
	switch p, n := old.Previous, old.Next; {
	case p != nil && bytes.Equal(p.Hash, hash) && t.now.Unix() < p.Ends:
		k.Previous = nil
	case n != nil && bytes.Equal(n.Hash, hash) && !old.Begun().Expired(t.now):
		k.Next, action = nil, "token.rotate_undo"
	default:
		return errAbsentRecord
	}
	k.Updated = t.now
	if err := tokenRecords.put(t, old, &k); err != nil {
		return err
	}
	return t.audit(action, old.Target())
}

// rotation runs f on a token whose secret the actor may replace.
func (s *Store) rotation(ctx context.Context, actor *Actor, id string, grace time.Duration, f func(*txn, *Token) error) error {
	if grace < 0 {
		return fail(ErrInvalid, "bad_grace", "grace is a duration such as 24h, and not negative")
	}
	return s.update(ctx, actor, func(t *txn) error {
		old, err := t.visibleToken(id)
		if err != nil {
			return err
		}
		if old.Owner != actor.ID && !actor.Local() {
			return fail(ErrDenied, "not_owner", "one rotates only one's own tokens: the new secret would be another's")
		}
		return f(t, old)
	})
}

// rotated returns the token under its new secret.
func (t *txn) rotated(old *Token, in Rotation) (*Token, error) {
	expires, err := t.rotatedExpiry(old, in)
	if err != nil {
		return nil, err
	}
	k := *old
	k.Next = nil
	t.replaceSecret(&k, old, in.Hash, expires, in.Grace)
	return &k, t.notAbove(&k)
}

func (t *txn) replaceSecret(k, old *Token, hash []byte, expires int64, grace time.Duration) {
	k.Hash, k.Expires, k.Issued, k.Updated = hash, expires, t.now, t.now
	k.Previous = t.oldSecret(old, k, grace)
}

// oldSecret is what is left of the secret that is replaced: nothing, or a
// grace that outlives neither it nor the one that replaces it. What the old
// one mints in its grace ends with that too.
func (t *txn) oldSecret(old, replaced *Token, grace time.Duration) *OldSecret {
	ends := min(t.now.Unix()+int64(grace/time.Second), MaxExpiry)
	for _, k := range []*Token{old, replaced} {
		if k.Expires != Never {
			ends = min(ends, k.Expires)
		}
	}
	if ends <= t.now.Unix() {
		return nil
	}
	return &OldSecret{Hash: old.Hash, Ends: ends}
}

func (t *txn) rotatedExpiry(old *Token, in Rotation) (int64, error) {
	if in.Expires != 0 {
		return t.tokenExpiry(in.Expires, in.MaxTTL)
	}
	expires := old.Expires
	if old.Expires != Never && t.actor.Token == nil {
		expires = min(t.now.Unix()+old.Expires-old.Issued.Unix(), MaxExpiry)
	}
	if bound := t.now.Unix() + int64(in.MaxTTL/time.Second); in.MaxTTL > 0 && later(expires, bound) {
		expires = bound
	}
	return expires, nil
}
