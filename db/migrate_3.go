package db

import "fmt"

// toSchema3 ends all sessions: until schema 2 a session's id was the jti of its
// JWT, and stands in the audit log and in every backup, where it could be read.
// Nobody who has such a copy is signed in with it.
//
// The audit log's own steps to schema 3 are in toSchema3Audit.
func toSchema3(t *txn) error {
	if err := t.endEverySession(); err != nil {
		return fmt.Errorf("end the sessions: %w", err)
	}
	if err := toSchema3Audit(t); err != nil {
		return fmt.Errorf("index the audit log: %w", err)
	}
	return nil
}

// endEverySession ends the sessions of all users. What is damaged of them goes,
// too: nobody could tell later what it would still open.
func (t *txn) endEverySession() error {
	for {
		var entries []indexed
		err := t.scan(sessionRecords.indexBucket(), indexPrefix(everything, byCreated), nil, false, func(key, id []byte) bool {
			entries = append(entries, indexed{append([]byte(nil), key...), string(id)})
			return len(entries) < migrateStep
		})
		if err != nil || len(entries) == 0 {
			return err
		}
		if err := t.removeSessions(entries); err != nil {
			return err
		}
	}
}
