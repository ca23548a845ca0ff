package db

import (
	"bytes"
	"fmt"
)

// toSchema3 ends all sessions: until schema 2 a session's id was the jti of its
// JWT, and stands in the audit log and in every backup, where it could be read.
// Nobody who has such a copy is signed in with it.
//
// The audit log's own steps to schema 3 are in toSchema3Audit, those of users in
// toSchema3User.
func toSchema3(t *txn) error {
	if err := t.forgetSessions(); err != nil {
		return fmt.Errorf("end the sessions: %w", err)
	}
	if err := toSchema3Audit(t); err != nil {
		return fmt.Errorf("index the audit log: %w", err)
	}
	if err := toSchema3User(t); err != nil {
		return fmt.Errorf("count what passwords cost: %w", err)
	}
	return nil
}

// forgetSessions removes all that there is of sessions, also what is damaged of
// it: as they go together, nothing has to be read.
func (t *txn) forgetSessions() error {
	for _, all := range []struct{ bucket, prefix string }{
		{sessionRecords.bucket, ""}, {sessionRecords.indexBucket(), ""}, {sessionUseBucket, ""}, {countBucket, "session"},
	} {
		if err := t.deleteAll(all.bucket, all.prefix); err != nil {
			return err
		}
	}
	return nil
}

// deleteAll removes what has a prefix, unread and in steps.
func (t *txn) deleteAll(bucket, prefix string) error {
	for {
		var keys [][]byte
		err := t.Scan(bucket, []byte(prefix), nil, false, func(key, _ []byte) bool {
			keys = append(keys, bytes.Clone(key))
			return len(keys) < migrateStep
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if err := t.Delete(bucket, key); err != nil {
				return err
			}
		}
	}
}
