package db

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
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
	n.Count = max(n.Count, 1)
	alike := func(o FactorNotice) bool { return o.Kind == n.Kind && o.Name == n.Name }
	if i := slices.IndexFunc(f.Notices, alike); i >= 0 {
		n.Count += f.Notices[i].Count
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

// wrongCodes collects whom to tell of a wrong code until it is written: a refusal that
// waits for the disk would tell by its time that the password was right.
type wrongCodes struct {
	mu      sync.Mutex
	of      map[string]FactorNotice // by user
	writing sync.Mutex              // held by who writes
}

// maxWrongCodes bounds of how many users it is collected. Each is one whose password
// somebody has; beyond that the log alone tells.
const maxWrongCodes = 10_000

func (w *wrongCodes) add(user string, n FactorNotice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string]FactorNotice{}
	}
	other, waits := w.of[user]
	if !waits && len(w.of) >= maxWrongCodes {
		return
	}
	count := n.Count + other.Count
	if other.Time.After(n.Time) {
		n = other
	}
	n.Count = count
	w.of[user] = n
}

// waits returns what waits of a user; ok is false where there is nothing.
func (w *wrongCodes) waits(user string) (n FactorNotice, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok = w.of[user]
	return n, ok
}

// wrote forgets what was written of a user. More may have come meanwhile.
func (w *wrongCodes) wrote(user string, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.of[user]
	if n.Count -= count; n.Count > 0 {
		w.of[user] = n
		return
	}
	delete(w.of, user)
}

func (w *wrongCodes) users() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.of))
}

// NoteWrongCode has a user be told that somebody showed the right password and a wrong
// code. It asks for a flush, which writes it; so do the user's next sign-in and what
// they have seen, before they look.
func (s *Store) NoteWrongCode(user, address string) {
	s.wrongCodes.add(user, FactorNotice{Kind: NoticeWrongCode, Time: s.Now(), Address: address, Count: 1})
	s.use.askFlush()
}

// writeWrongCodes writes what waits to be told to users.
func (s *Store) writeWrongCodes(ctx context.Context, users ...string) error {
	for _, user := range users {
		if _, waits := s.wrongCodes.waits(user); waits {
			if err := s.writeWrongCodesOf(ctx, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeWrongCodesOf writes what waits of one user. Where their second factor is damaged
// there is no place for it.
func (s *Store) writeWrongCodesOf(ctx context.Context, user string) error {
	s.wrongCodes.writing.Lock() // or two would write the same
	defer s.wrongCodes.writing.Unlock()
	n, waits := s.wrongCodes.waits(user)
	if !waits {
		return nil
	}
	err := s.notice(ctx, &Actor{Address: n.Address}, user, func(_ *txn, _ *User, f *Factors) error { f.tell(n); return nil })
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	s.wrongCodes.wrote(user, n.Count)
	return nil
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
	if err := s.writeWrongCodes(ctx, actor.ID); err != nil {
		return err
	}
	return s.notice(ctx, actor, actor.ID, func(_ *txn, _ *User, f *Factors) error {
		f.Notices = slices.DeleteFunc(f.Notices, func(n FactorNotice) bool { return !n.Time.After(until) })
		return nil
	})
}
