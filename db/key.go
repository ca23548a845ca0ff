package db

import (
	"cmp"
	"context"
	"crypto/rand"
	"time"

	"github.com/google/uuid"
)

// Key is a signing key for JWTs: HS256 with a random 256-bit secret (RFC 7518,
// 3.2), made per store, never derived and never shown.
type Key struct {
	ID      string    `json:"id"` // the kid
	Secret  []byte    `json:"secret"`
	Created time.Time `json:"created"`
	Retired time.Time `json:"retired,omitzero"` // signs no more; zero: it is the one that signs
	Ends    time.Time `json:"ends,omitzero"`    // verifies no more; set with Retired
}

var keyRecords = collection[Key]{
	bucket: "key",
	id:     func(k *Key) string { return k.ID },
	count:  func(*Key) []string { return []string{"key"} },
}

func newKey(now time.Time) *Key {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails (crypto/rand)
	return &Key{ID: uuid.NewString(), Secret: secret, Created: now}
}

// KeySet is all signing keys at one moment; read only.
type KeySet struct {
	Signing *Key
	ByID    map[string]*Key
}

// Keys returns the signing keys as they are now.
func (s *Store) Keys(ctx context.Context) (*KeySet, error) {
	return s.keys.get("", func() (set *KeySet, err error) {
		err = s.view(ctx, func(t *txn) error { set, err = t.keySet(); return err })
		return set, err
	})
}

func (t *txn) keySet() (*KeySet, error) {
	set := &KeySet{ByID: map[string]*Key{}}
	var damage error
	err := t.scan(keyRecords.bucket, nil, nil, false, func(id, value []byte) bool {
		k, err := keyRecords.decode(string(id), value)
		if err != nil {
			damage = err
			return false
		}
		set.ByID[k.ID] = k
		if k.Retired.IsZero() {
			set.Signing = k
		}
		return true
	})
	if err := cmp.Or(err, damage); err != nil {
		return nil, err
	}
	if set.Signing == nil {
		return nil, damagedRecord(keyRecords.bucket, []byte("the signing key"))
	}
	return set, nil
}

// Ended tells whether the key verifies nothing any more at now.
func (k *Key) Ended(now time.Time) bool { return !k.Ends.IsZero() && !now.Before(k.Ends) }
