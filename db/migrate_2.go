package db

import (
	"encoding/json"
	"fmt"
)

// toSchema2 puts the words of tokens' names into the order in which the tokens
// were made, which spares a commit most of its pages, and lets every entry of
// the audit log be found by its request. What is damaged stays as it is, and is
// refused and told as before.
func toSchema2(t *txn) error {
	err := t.inSteps(tokenRecords.bucket, func(id string, value []byte) error {
		k, err := tokenRecords.decode(id, value)
		if err != nil {
			return nil
		}
		return t.reindexWords(k)
	})
	if err != nil {
		return fmt.Errorf("index the words of tokens: %w", err)
	}
	err = t.inSteps(auditBucket, func(key string, value []byte) error {
		var e Event
		if json.Unmarshal(value, &e) != nil || e.RequestID == "" {
			return nil
		}
		return t.put(auditIndex, append(indexPrefix(byRequest, e.RequestID), key...), []byte(key))
	})
	if err != nil {
		return fmt.Errorf("index the requests of the audit log: %w", err)
	}
	return nil
}

// reindexWords moves the words of one token.
func (t *txn) reindexWords(k *Token) error {
	for _, scope := range []string{k.Owner, everything} {
		for _, w := range words(k.Name) {
			if err := t.Delete(tokenRecords.indexBucket(), indexKey(scope, byWord, []byte(w), k.ID)); err != nil {
				return err
			}
			if err := t.put(tokenRecords.indexBucket(), indexKey(scope, byWord, wordKey(w, k.Created), k.ID), []byte(k.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// migrateStep is how many records of a bucket are held at once.
const migrateStep = 1000

// inSteps calls f for every record of a bucket whose checksum holds. Unlike what
// a scan calls, f may write, but not to that bucket.
func (t *txn) inSteps(bucket string, f func(key string, value []byte) error) error {
	type record struct {
		key   string
		value []byte
	}
	for from, more := "", true; more; {
		var step []record
		err := t.Scan(bucket, nil, []byte(from), false, func(key, sealed []byte) bool {
			if string(key) != from {
				step = append(step, record{string(key), sealed})
			}
			return len(step) < migrateStep
		})
		if err != nil {
			return err
		}
		for _, r := range step {
			from = r.key
			value, err := unseal(bucket, []byte(r.key), r.value)
			if err != nil {
				continue
			}
			if err := f(r.key, value); err != nil {
				return err
			}
		}
		more = len(step) == migrateStep
	}
	return nil
}
