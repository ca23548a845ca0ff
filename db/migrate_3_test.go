package db_test

import (
	"fmt"
	"testing"
	"time"

	"husk/db"
)

// Damage keeps no store from being upgraded to schema 3, wherever in what goes
// with the sessions it is, and none of them is left.
func TestUpgradeToSchema3BesideDamage(t *testing.T) {
	for _, c := range []struct{ bucket, prefix string }{
		{"session", ""}, {"session.index", ""}, {"session.use", ""}, {"count", "session"}, {"meta", "audit.stub"}, {"", ""}, // nothing
	} {
		t.Run(fmt.Sprint(c.bucket, " ", c.prefix), func(t *testing.T) {
			f := newStore(t)
			u := f.user("ann@example.com")
			for range 3 {
				r, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour})
				must(t, err)
				f.NoteSessionUse(r.ID, "192.0.2.1")
			}
			must(t, f.FlushLastUsed(f.ctx))
			f.raw(func(tx db.Tx) error {
				if c.bucket == "meta" { // a new store has none
					must(t, tx.Put(c.bucket, []byte(c.prefix), []byte("{}")))
				}
				if c.bucket != "" {
					var first []byte
					must(t, tx.Scan(c.bucket, []byte(c.prefix), nil, false, func(k, _ []byte) bool { first = append(first, k...); return false }))
					must(t, tx.Put(c.bucket, first, []byte("\x01damaged")))
				}
				const schema = `{"schema":2,"created":"2026-11-26T00:00:00Z"}`
				return tx.Put("meta", []byte("schema"), db.Seal("meta", []byte("schema"), []byte(schema)))
			})
			f.upgrade(2)
			page, err := f.Sessions(f.ctx, db.ListQuery{Size: 10})
			if err != nil || page.Total != 0 || len(page.Items) != 0 {
				t.Errorf("%d sessions are left, %v", page.Total, err)
			}
			if c.bucket == "meta" {
				f.raw(func(tx db.Tx) error { return tx.Delete("meta", []byte("audit.stub")) }) // or the check at the end tells of it
			}
		})
	}
}
