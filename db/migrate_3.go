package db

import "fmt"

// toSchema3 ends all sessions: until schema 2 a session's id was the jti of its
// JWT, and stands in the audit log and in every backup, where it could be read.
// Nobody who has such a copy is signed in with it.
//
// The audit log's own steps to schema 3 are in toSchema3Audit, those of users in
// toSchema3User.
func toSchema3(t *txn) error {
	if err := t.endAllSessions(); err != nil {
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
