package db

import (
	"context"
	"errors"
	"slices"
	"time"
)

// What a user is told of at the next sign-in.
const (
	NoticeWrongCode    = "wrong_code"    // somebody had the right password, and no right code
	NoticeRecoveryUsed = "recovery_used" // a recovery code was used
	NoticeReset        = "reset"         // somebody else took the second factor away
	NoticePasskeyCopy  = "passkey_copy"  // the counter of a passkey went back
)

// FactorNotice tells a user what happened to their second factor. Several of one kind
// are one, with the last of them.
type FactorNotice struct {
	Kind    string    `json:"kind"`
	Time    time.Time `json:"time"`              // of the last one
	Address string    `json:"address,omitempty"` // that it came from
	By      string    `json:"by,omitempty"`      // who did it: a user's name, or the local actor's
	Name    string    `json:"name,omitempty"`    // of the passkey
	Count   int       `json:"count"`             // how many there were since it was last seen
}

// maxNotices is how many of one kind there are: as many as there are passkeys, of which
// each may have one. Names are the user's, who could make any number of them.
const maxNotices = MaxPasskeys

// tell adds a notice. Of too many of one kind the oldest goes.
func (f *Factors) tell(n FactorNotice) {
	n.Count = 1
	alike := func(o FactorNotice) bool { return o.Kind == n.Kind && o.Name == n.Name }
	if i := slices.IndexFunc(f.Notices, alike); i >= 0 {
		n.Count = f.Notices[i].Count + 1
		f.Notices = slices.Delete(f.Notices, i, i+1)
	}
	f.Notices = append(f.Notices, n)
	ofKind := func(o FactorNotice) bool { return o.Kind == n.Kind }
	kept := 0
	for _, o := range f.Notices {
		if ofKind(o) {
			kept++
		}
	}
	if kept > maxNotices {
		i := slices.IndexFunc(f.Notices, ofKind)
		f.Notices = slices.Delete(f.Notices, i, i+1)
	}
}

// NoteWrongCode has a user be told that somebody showed the right password and a wrong
// code. It is as often as the throttle lets one try.
func (s *Store) NoteWrongCode(ctx context.Context, user, address string) error {
	return s.notice(ctx, &Actor{Address: address}, user, func(t *txn, _ *User, f *Factors) error {
		f.tell(FactorNotice{Kind: NoticeWrongCode, Time: t.now, Address: address})
		return nil
	})
}

// NotePasskeyCopy has a user be told that the counter of a passkey went back, and the
// audit log, too.
func (s *Store) NotePasskeyCopy(ctx context.Context, actor *Actor, user string, credential []byte) error {
	by := &Actor{Transport: actor.Transport, Address: actor.Address, RequestID: actor.RequestID}
	return s.notice(ctx, by, user, func(t *txn, u *User, f *Factors) error {
		p := f.Passkey(credential)
		if p == nil {
			return nil // removed meanwhile
		}
		p.Suspected = t.now
		f.tell(FactorNotice{Kind: NoticePasskeyCopy, Time: t.now, Address: actor.Address, Name: p.Name})
		return t.auditAs(u, "passkey.copied")
	})
}

// notice changes what a user is told; of one who is gone nothing.
func (s *Store) notice(ctx context.Context, actor *Actor, user string, tell func(*txn, *User, *Factors) error) error {
	return s.update(ctx, actor, func(t *txn) error {
		u, err := userRecords.get(t, user)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		_, _, err = t.changeFactors(u, func(f *Factors) error { return tell(t, u, f) })
		return err
	})
}

// SeenNotices forgets what the actor was told that happened up to a time.
func (s *Store) SeenNotices(ctx context.Context, actor *Actor, until time.Time) error {
	return s.notice(ctx, actor, actor.ID, func(_ *txn, _ *User, f *Factors) error {
		f.Notices = slices.DeleteFunc(f.Notices, func(n FactorNotice) bool { return !n.Time.After(until) })
		return nil
	})
}
