package db

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	metaProof   = "proof"
	proofBucket = "proof"

	// sparePages is by how many pages a proof is larger than what it rehearses:
	// what stays splits pages, and what is put back does not. Of 3,000 sign-ins
	// none took over five pages more than the proof before it.
	sparePages = 6
)

// proofRecord is what ProveWrite writes.
type proofRecord struct {
	Time time.Time `json:"time"`
}

// proofSpare fills half a page.
type proofSpare struct {
	Fill string `json:"fill"`
}

// ProveWrite makes a change that is as large as what it is to prove: somebody
// signs in, a token is minted, and in the same transaction all of it is put back
// as it was. The commit writes the same pages of the file as if it had stayed: a
// small record alone fits where no sign-in does. It changes nothing that anybody
// reads.
func (s *Store) ProveWrite(ctx context.Context) error {
	half := max(s.Stats().Engine.PageSize, 4<<10)/2 - 128
	return s.update(ctx, &Actor{}, func(t *txn) error {
		if err := t.rehearse(s.usualChange); err != nil {
			return err
		}
		spare := proofSpare{strings.Repeat("-", half)}
		for i := range 2 * sparePages {
			if err := t.putJSON(proofBucket, string(rune('a'+i)), spare); err != nil {
				return err
			}
		}
		return t.putJSON(metaBucket, metaProof, proofRecord{t.now})
	})
}

// usualChange is larger than each of the two alone, since one more entry may
// split a page.
func (s *Store) usualChange(t *txn) error {
	user, err := userRecords.get(t, SingleUser)
	if err != nil {
		return err
	}
	const name = "proof that a change can be written"
	t.actor = &Actor{RequestID: name, Address: "2001:db8::1"}
	if _, err := s.signIn(t, user, newSessionSecret(), SignIn{TTL: time.Hour, IP: t.actor.Address, UserAgent: name}); err != nil {
		return err
	}
	k := &Token{ID: uuid.NewString(), Hash: make([]byte, 32), Owner: user.ID, Name: name, Created: t.now, Issued: t.now, Updated: t.now, Expires: Never}
	if err := tokenRecords.put(t, nil, k); err != nil {
		return err
	}
	return t.audit("token.create", k.Target())
}

// rehearse runs f and puts back all that it wrote.
func (t *txn) rehearse(f func(*txn) error) error {
	r := &rehearsal{Tx: t.Tx}
	play := &txn{Tx: r, actor: t.actor, now: t.now, use: t.use}
	if err := f(play); err != nil {
		return err
	}
	for _, w := range slices.Backward(r.before) {
		if err := w.putBack(t.Tx); err != nil {
			return err
		}
	}
	return nil
}

// rehearsal is a transaction that remembers what was there before.
type rehearsal struct {
	Tx
	before []former
}

// former is what stood under a key; nil: nothing.
type former struct {
	bucket     string
	key, value []byte
}

func (w former) putBack(tx Tx) error {
	if w.value == nil {
		return tx.Delete(w.bucket, w.key)
	}
	return tx.Put(w.bucket, w.key, w.value)
}

func (r *rehearsal) remember(bucket string, key []byte) error {
	value, err := r.Get(bucket, key)
	r.before = append(r.before, former{bucket, slices.Clone(key), value})
	return err
}

// Put implements Tx.
func (r *rehearsal) Put(bucket string, key, value []byte) error {
	if err := r.remember(bucket, key); err != nil {
		return err
	}
	return r.Tx.Put(bucket, key, value)
}

// Delete implements Tx.
func (r *rehearsal) Delete(bucket string, key []byte) error {
	if err := r.remember(bucket, key); err != nil {
		return err
	}
	return r.Tx.Delete(bucket, key)
}
