package db_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"testing"

	"husk/db"
)

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func withoutMember(text []byte, name string) []byte {
	return regexp.MustCompile(`"`+name+`":"[^"]*",`).ReplaceAll(text, nil)
}

// A record of what retention removed, whatever stands in it, makes nothing
// panic, and is believed only as the store has signed it.
func FuzzPruned(fuzz *testing.F) {
	f := newTimedStore(fuzz)
	f.unlocks(2)
	f.mixed(3, 100)
	f.prune(db.Retention{Refusals: 100})
	texts, keys := map[string][]byte{}, map[string][]byte{}
	for _, bucket := range []string{"audit.pruned", "audit.checkpoint"} {
		key := f.keysOf(bucket)[0]
		keys[bucket] = key
		must(fuzz, f.Engine().View(fuzz.Context(), func(tx db.Tx) error {
			sealed, err := tx.Get(bucket, key)
			must(fuzz, err)
			texts[bucket], err = db.Unseal(bucket, key, sealed)
			return err
		}))
		fuzz.Add(bucket == "audit.pruned", texts[bucket])
		fuzz.Add(bucket == "audit.pruned", bytes.ReplaceAll(texts[bucket], []byte("1"), []byte("2")))
	}
	for _, text := range []string{"", "{}", `{"from":4,"to":18446744073709551615}`, `{"from":4,"to":3}`, `{"last":1,"marks":"AA=="}`, `{"from":4,"to":9223372036854775807,"mac":""}`} {
		fuzz.Add(true, []byte(text))
		fuzz.Add(false, []byte(text))
	}
	_, head, err := f.AuditHead(fuzz.Context())
	must(fuzz, err)
	if !f.verdict(head).OK {
		fuzz.Fatal("the log is not whole")
	}
	same := func(bucket string, text []byte) bool { // as JSON, which has more than one spelling
		var a, b any
		return json.Unmarshal(text, &a) == nil && json.Unmarshal(texts[bucket], &b) == nil && equalJSON(a, b)
	}
	e := &overlaid{Engine: f.Engine()}
	store, err := db.Open(fuzz.Context(), e, db.Options{Now: f.clock.now, Monotonic: f.clock.monotonic})
	must(fuzz, err)
	fuzz.Fuzz(func(t *testing.T, ranges bool, text []byte) {
		e.bucket = "audit.checkpoint"
		if ranges {
			e.bucket = "audit.pruned"
		}
		e.key = keys[e.bucket]
		e.value = db.Seal(e.bucket, e.key, text)
		v, err := store.VerifyAudit(t.Context(), head)
		must(t, err)
		if ranges && v.OK && !same(e.bucket, text) {
			t.Errorf("%q is believed: %+v", text, v)
		}
		if v, err := store.VerifyAudit(t.Context(), "7:"+hashOf(text)); err != nil || v.OK {
			t.Errorf("%+v, %v", v, err)
		}
		faults := 0
		_, err = store.Check(t.Context(), func(error) { faults++ })
		must(t, err)
		if faults == 0 && !same(e.bucket, text) {
			t.Errorf("a check believes %q", text)
		}
	})
}

// overlaid is an engine that shows another value in one place.
type overlaid struct {
	db.Engine
	bucket     string
	key, value []byte
}

func (e *overlaid) View(ctx context.Context, f func(db.Tx) error) error {
	return e.Engine.View(ctx, func(tx db.Tx) error { return f(overlaidTx{tx, e}) })
}

type overlaidTx struct {
	db.Tx
	of *overlaid
}

func (t overlaidTx) Scan(bucket string, prefix, from []byte, reverse bool, f func(key, value []byte) bool) error {
	return t.Tx.Scan(bucket, prefix, from, reverse, func(key, value []byte) bool {
		if bucket == t.of.bucket && bytes.Equal(key, t.of.key) {
			value = bytes.Clone(t.of.value)
		}
		return f(key, value)
	})
}

// equalJSON compares members that are known; others are nobody's.
func equalJSON(a, b any) bool {
	mine, ok := a.(map[string]any)
	theirs, ok2 := b.(map[string]any)
	if !ok || !ok2 {
		return false
	}
	for name, value := range theirs {
		if mine[name] != value {
			return false
		}
	}
	return true
}
