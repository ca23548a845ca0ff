package db

import (
	"context"
	"errors"
	"slices"
	"time"
)

// EndedToken is what is known of an API token that is gone, for a while: nothing
// by which it could be known again when it is shown.
type EndedToken struct {
	ID        string    `json:"id"` // that it had
	Name      string    `json:"name"`
	Owner     string    `json:"owner"`      // the user's id
	OwnerName string    `json:"owner_name"` // at the time; empty where it is not known
	Created   time.Time `json:"created"`
	Expires   int64     `json:"expires"` // Unix seconds, or Never
	Used      time.Time `json:"used,omitzero"`
	Address   string    `json:"address,omitempty"` // of its last use
	Ended     time.Time `json:"ended"`             // when it was removed
	By        string    `json:"by,omitempty"`      // who did that: the id of an actor; empty: it had expired
	ByName    string    `json:"by_name,omitempty"`
	Reason    string    `json:"reason"`
}

// Why a token is gone.
const (
	EndedRevoked      = "revoked"
	EndedExpired      = "expired" // it had, and made room for another one
	EndedOwnerDeleted = "owner_deleted"
)

const (
	// KeepEndedTokens is how long an ended token is known.
	KeepEndedTokens = 90 * 24 * time.Hour

	// MaxEndedTokens is of how many tokens of one owner that is known: the longest
	// ended go first. Tokens are made and revoked as fast as one likes.
	MaxEndedTokens = 1000
)

var endedRecords = collection[EndedToken]{
	bucket: "ended_token",
	id:     func(e *EndedToken) string { return e.ID },
	index: func(e *EndedToken) [][]byte {
		ended := timeKey(e.Ended)
		return [][]byte{indexKey(e.Owner, byEnded, ended, e.ID), indexKey(everything, byEnded, ended, e.ID)}
	},
	count: func(e *EndedToken) []string { return []string{"ended_token", endedTokensOf(e.Owner)} },
	// They have no owner by whom they would go: that they went with their owner is
	// one of the things to be known of them.
}

func endedTokensOf(owner string) string { return counterName("ended_token", "owner", owner) }

// EndedTokens returns a page of the ended tokens of q.Owner, or of everybody, the
// last one first. Whose they may be is for the caller to decide.
func (s *Store) EndedTokens(ctx context.Context, q ListQuery) (Page[EndedToken], error) {
	q.Query = ""
	if q.Sort == "" {
		q.Sort = "ended:desc"
	}
	total := "ended_token"
	if q.Owner != "" {
		total = endedTokensOf(q.Owner)
	}
	return endedRecords.page(ctx, s, q, total, byEnded)
}

// revokeToken removes a token that the actor ends.
func (t *txn) revokeToken(k *Token) error {
	how := EndedToken{By: t.actor.ID, ByName: t.actor.Name, Reason: EndedRevoked}
	if err := t.keepEnded(k, how); err != nil {
		return err
	}
	if err := tokenRecords.remove(t, k); err != nil {
		return err
	}
	return t.audit("token.delete", k.Target())
}

// endToken removes the token that an entry of the index leads to, unless there is
// no room for it. How it ended is told by how; of one that is damaged nothing is.
func (t *txn) endToken(entry indexed, how EndedToken) (removed int, err error) {
	k, err := tokenRecords.get(t, entry.id)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		return t.removeAll(&tokenRecords, []indexed{entry})
	}
	if err != nil {
		return 0, err
	}
	ended := endedRecords.derived(&EndedToken{ID: k.ID, Owner: k.Owner}).writes()
	used, _ := t.use.noted(useKey{tokenUseBucket, k.ID})
	if !t.hasRoom(tokenRecords.derived(k).writes() + 3*ended + auditWrites*(len(used.Seen)+1)) { // two older ones may go for it
		return 0, nil
	}
	if err := t.keepEnded(k, how); err != nil {
		return 0, err
	}
	return 1, tokenRecords.remove(t, k)
}

// keepEnded writes down what is going to be known of a token that ends as how
// says. It comes before its removal, with which its last use goes.
func (t *txn) keepEnded(k *Token, how EndedToken) error {
	e := how
	e.ID, e.Name, e.Owner, e.Created, e.Expires, e.Ended = k.ID, k.Name, k.Owner, k.Created, k.Expires, t.now
	uses, err := t.knownUses(tokenUseBucket, []*match{{id: k.ID}})
	if err != nil && !errors.Is(err, ErrDamaged) { // which must not keep a token from being revoked
		return err
	}
	e.Used, e.Address = uses[k.ID].Time, uses[k.ID].Address
	if e.OwnerName == "" {
		switch u, err := userRecords.get(t, k.Owner); {
		case err == nil:
			e.OwnerName = u.Username()
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged):
			return err
		}
	}
	if err := t.auditUnwritten(k.ID); err != nil {
		return err
	}
	if err := t.roomForEnded(k.Owner); err != nil {
		return err
	}
	return endedRecords.put(t, nil, &e)
}

// auditUnwritten tells of the addresses that a token was used from since the last flush:
// the next one finds no record, and drops them.
func (t *txn) auditUnwritten(id string) error {
	k := useKey{tokenUseBucket, id}
	noted, ok := t.use.noted(k)
	if !ok {
		return nil
	}
	var known LastUsed
	if _, err := t.getJSON(k.bucket, id, &known); err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	told := newAddresses{}.step()
	if err := t.auditSeen(id, noted, &known, told); err != nil {
		return err
	}
	return t.auditMoreAddresses(told)
}

// roomForEnded removes the longest ended token of an owner who has as many as are
// kept, and one more where there are too many.
func (t *txn) roomForEnded(owner string) error {
	n, err := t.count(endedTokensOf(owner))
	over := min(int(n)+1-MaxEndedTokens, 2)
	if err != nil || over <= 0 {
		return err
	}
	oldest, err := t.entries(endedRecords.indexBucket(), indexPrefix(owner, byEnded), nil, nil, over)
	if err != nil {
		return err
	}
	_, err = t.removeAll(&endedRecords, oldest)
	return err
}

// endTokensOf removes up to room of the tokens of a deleted user.
func (t *txn) endTokensOf(user string, room int) (removed int, err error) {
	var left tombstone
	if _, err := t.getJSON(tombstoneBucket, user, &left); err != nil && !errors.Is(err, ErrDamaged) {
		return 0, err // a bare time tells no more, and reads as damage
	}
	how := EndedToken{OwnerName: left.Name, By: left.By, ByName: left.ByName, Reason: EndedOwnerDeleted}
	entries, err := t.owned(tokenRecords.indexBucket(), user, room)
	for _, e := range entries {
		if err != nil {
			break
		}
		var n int
		if n, err = t.endToken(e, how); n == 0 {
			break
		}
		removed++
	}
	return removed, err
}

// oldEndedTokens returns up to most of what is known too long.
func (t *txn) oldEndedTokens(most int) ([]indexed, error) {
	prefix := indexPrefix(everything, byEnded)
	end := slices.Concat(prefix, timeKey(t.now.Add(-KeepEndedTokens)))
	return t.entries(endedRecords.indexBucket(), prefix, nil, end, most)
}

// sweepEndedTokens removes up to room of it.
func (t *txn) sweepEndedTokens(room int) (removed int, err error) {
	old, err := t.oldEndedTokens(room)
	if err != nil {
		return 0, err
	}
	return t.removeAll(&endedRecords, old)
}
