package db

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
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
	memory: func(s *Store) memory { return &s.keys },
}

func newKey(now time.Time) *Key {
	return &Key{ID: uuid.NewString(), Secret: newSecret(), Created: now}
}

func newSecret() []byte {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails (crypto/rand)
	return secret
}

// metaSecret is under which the store keeps a secret of its own, made with it.
const metaSecret = "secret"

type secretRecord struct {
	Secret []byte `json:"secret"` // 32 bytes
}

// Secret returns a key of 32 bytes for one purpose, such as the signing of
// device cookies: the same in every process over this store, and different
// from that of every other purpose (HKDF, RFC 5869, with SHA-256).
func (s *Store) Secret(ctx context.Context, purpose string) ([]byte, error) {
	var r secretRecord
	err := s.view(ctx, func(t *txn) error {
		found, err := t.getJSON(metaBucket, metaSecret, &r)
		if err == nil && (!found || len(r.Secret) != 32) {
			err = damagedRecord(metaBucket, []byte(metaSecret))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return deriveKey(r.Secret, purpose)
}

func deriveKey(secret []byte, purpose string) ([]byte, error) {
	return hkdf.Expand(sha256.New, secret, purpose, 32)
}

// sign returns the HMAC-SHA-256 of text by the key for a purpose.
func sign(secret []byte, purpose, text string) ([]byte, error) {
	key, err := deriveKey(secret, purpose)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil), nil
}

// KeySet is all signing keys at one moment; read only.
type KeySet struct {
	Signing *Key
	ByID    map[string]*Key
}

// Keys returns the signing keys as they are now.
func (s *Store) Keys(ctx context.Context) (*KeySet, error) {
	return s.keys.get(func() (set *KeySet, err error) {
		err = s.view(ctx, func(t *txn) error { set, err = t.keySet(); return err })
		return set, err
	})
}

func (t *txn) keySet() (*KeySet, error) {
	set := &KeySet{ByID: map[string]*Key{}}
	err := keyRecords.each(t, func(k *Key) (more bool, err error) {
		set.ByID[k.ID] = k
		if k.Retired.IsZero() {
			set.Signing = k
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if set.Signing == nil {
		return nil, damagedRecord(keyRecords.bucket, []byte("the signing key"))
	}
	return set, nil
}

// ListKeys returns a page of the signing keys, by created, and which of them
// signs. There are never more than one for each rotation within a session's
// life, and all are in memory: no index is kept.
func (s *Store) ListKeys(ctx context.Context, q ListQuery) (page Page[Key], signing *Key, err error) {
	q.Owner, q.Query = "", ""
	l, err := parseListing(keyRecords.bucket, q, byCreated)
	if err != nil {
		return page, nil, err
	}
	set, err := s.Keys(ctx)
	if err != nil {
		return page, nil, err
	}
	prefix := indexPrefix(everything, byCreated)
	var all []*match
	for _, k := range set.ByID {
		all = append(all, &match{key: indexKey(everything, byCreated, timeKey(k.Created), k.ID)[len(prefix):], id: k.ID})
	}
	items := l.cut(all)
	page.Total, page.After = int64(len(all)), l.cursor(items)
	for _, m := range items {
		page.Items = append(page.Items, set.ByID[m.id])
	}
	return page, set.Signing, nil
}

// Ended tells whether the key verifies nothing any more at now.
func (k *Key) Ended(now time.Time) bool { return !k.Ends.IsZero() && !now.Before(k.Ends) }

// RotateKey makes a new signing key, which signs from now on. The keys before
// it verify until the last session that they can have signed has expired, or,
// with now, nothing any more: then every session ends.
func (s *Store) RotateKey(ctx context.Context, actor *Actor, now bool) (key *Key, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		set, err := t.keySet()
		if err != nil {
			return err
		}
		ends := t.now
		if now {
			err = t.leaveEndedSessions()
		} else {
			ends, err = t.lastExpiry(t.now)
		}
		if err != nil {
			return err
		}
		for _, old := range set.ByID {
			if !t.hasRoom(keyRecords.derived(old).writes()) {
				return &makeRoom{(*txn).endRetired}
			}
			if err := t.retireKey(old, ends, now); err != nil {
				return err
			}
		}
		key = newKey(t.now)
		if err := keyRecords.put(t, nil, key); err != nil {
			return err
		}
		return t.audit("key.rotate", Literal(key.ID))
	})
	if err != nil {
		return nil, err
	}
	if now {
		// They are refused from the rotation on. What can't be removed now goes
		// with a sweep.
		_, _ = s.inSweeps(ctx, func(t *txn) (int, error) { return t.sweepTombstone(nil, endedSessions, sweepStep) })
	}
	return key, nil
}

// retireKey lets a key end at ends. One that was retired before keeps its own
// end, unless all end now.
func (t *txn) retireKey(old *Key, ends time.Time, now bool) error {
	k := *old
	switch {
	case k.Retired.IsZero():
		k.Retired, k.Ends = t.now, ends
	case now && k.Ends.After(ends):
		k.Ends = ends
	default:
		return nil
	}
	return keyRecords.put(t, old, &k)
}

// endRetired goes before a rotation that ends more keys than it has room for: the
// one that signs ends with the rotation.
func (t *txn) endRetired() (ended int, err error) {
	set, err := t.keySet()
	if err != nil {
		return 0, err
	}
	for _, old := range set.ByID {
		if old.Retired.IsZero() || old.Ended(t.now) {
			continue
		}
		if !t.hasRoom(keyRecords.derived(old).writes()) {
			break
		}
		if err := t.retireKey(old, t.now, true); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, t.audit("key.rotate", NoTarget)
}

// lastExpiry returns when the last of all sessions expires, or least.
func (t *txn) lastExpiry(least time.Time) (last time.Time, err error) {
	var id string
	err = t.scan(sessionRecords.indexBucket(), indexPrefix(everything, byExpiry), nil, true, func(_, value []byte) bool {
		id = string(value)
		return false
	})
	if err != nil || id == "" {
		return least, err
	}
	r, err := sessionRecords.get(t, id)
	if err != nil || r.Expires.Before(least) {
		return least, err
	}
	return r.Expires, nil
}
