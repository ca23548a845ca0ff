package db_test

import (
	"bytes"
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
	gone := f.verdict(head).OK
	if !gone {
		fuzz.Fatal("the log is not whole")
	}
	same := func(bucket string, text []byte) bool { // as JSON, which has more than one spelling
		var a, b any
		return json.Unmarshal(text, &a) == nil && json.Unmarshal(texts[bucket], &b) == nil && equalJSON(a, b)
	}
	fuzz.Fuzz(func(t *testing.T, ranges bool, text []byte) {
		bucket := "audit.checkpoint"
		if ranges {
			bucket = "audit.pruned"
		}
		key := keys[bucket]
		put := func(text []byte) {
			must(t, f.Engine().Update(t.Context(), func(tx db.Tx) error { return tx.Put(bucket, key, db.Seal(bucket, key, text)) }))
		}
		put(text)
		defer put(texts[bucket])
		v, err := f.VerifyAudit(t.Context(), head)
		must(t, err)
		if ranges && v.OK && !same(bucket, text) {
			t.Errorf("%q is believed: %+v", text, v)
		}
		if _, err := f.VerifyAudit(t.Context(), "7:"+hashOf(text)); err != nil {
			t.Error(err)
		}
		faults := 0
		_, err = f.Check(t.Context(), func(error) { faults++ })
		must(t, err)
		if faults == 0 && !same(bucket, text) {
			t.Errorf("a check believes %q", text)
		}
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
