// Package db holds what Husk knows: users, roles, API tokens, sessions,
// signing keys and the audit log, each with its invariants, in a typed store
// over an ordered key-value engine.
//
// A change goes one way. A method of Store takes the Actor who asks, opens one
// Update, reads what the decision rests on, checks the rule, writes record,
// indexes, counters and the audit entry in that same transaction, and when it
// has committed, drops the changed records from the memory of decoded ones.
// So nothing is half-done, nothing escapes the audit, and no cached record
// outlives its change.
//
// One noun lives in one file (user.go, role.go, token.go, session.go, key.go,
// and audit.go, which is none of a collection) and has a line in noun.go, which
// lists what is done for every one. What they share is in collection.go and
// shelf.go (records with indexes and counters), list.go (pages from an index),
// envelope.go (the checksum around every record), cache.go (decoded records in
// memory) and cache_set.go (all roles, all keys). What is in memory ends in
// Store.drop (store.go) alone.
package db
