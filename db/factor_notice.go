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

// tell adds a notice.
func (f *Factors) tell(n FactorNotice) {
	n.Count = 1
	i := slices.IndexFunc(f.Notices, func(o FactorNotice) bool { return o.Kind == n.Kind && o.Name == n.Name })
	if i >= 0 {
		n.Count = f.Notices[i].Count + 1
		f.Notices = slices.Delete(f.Notices, i, i+1)
	}
	f.Notices = append(f.Notices, n)
}

// NoteWrongCode has a user be told that somebody showed the right password and a wrong
// code. It is as often as the throttle lets one try.
func (s *Store) NoteWrongCode(ctx context.Context, user, address string) error {
	return s.notice(ctx, user, func(f *Factors) {
		f.tell(FactorNotice{Kind: NoticeWrongCode, Time: s.Now(), Address: address})
	})
}

// NotePasskeyCopy has a user be told that the counter of a passkey went back, and the
// audit log, too.
func (s *Store) NotePasskeyCopy(ctx context.Context, actor *Actor, user string, credential []byte) error {
	return s.update(ctx, &Actor{Transport: actor.Transport, Address: actor.Address, RequestID: actor.RequestID}, func(t *txn) error {
		u, err := userRecords.get(t, user)
		if err != nil {
			return err
		}
		_, _, err = t.changeFactors(u, func(f *Factors) error {
			if p := f.Passkey(credential); p != nil {
				p.Suspected = t.now
				f.tell(FactorNotice{Kind: NoticePasskeyCopy, Time: t.now, Address: actor.Address, Name: p.Name})
			}
			return nil
		})
		if err != nil {
			return err
		}
		return t.auditAs(u, "passkey.copied")
	})
}

// notice changes what a user is told; of one who is gone nothing.
func (s *Store) notice(ctx context.Context, user string, tell func(*Factors)) error {
	return s.update(ctx, &Actor{}, func(t *txn) error {
		u, err := userRecords.get(t, user)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		_, _, err = t.changeFactors(u, func(f *Factors) error { tell(f); return nil })
		return err
	})
}

// SeenNotices forgets what the actor was told that happened up to a time.
func (s *Store) SeenNotices(ctx context.Context, actor *Actor, until time.Time) error {
	return s.notice(ctx, actor.ID, func(f *Factors) {
		f.Notices = slices.DeleteFunc(f.Notices, func(n FactorNotice) bool { return !n.Time.After(until) })
	})
}
