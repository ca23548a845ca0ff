package db_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// A session is found by its secret alone: neither by its id nor by its hash,
// and not by a record under its id that has another hash.
func TestSessionBySecret(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	r, secret, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour})
	must(t, err)
	if got, err := f.SessionBySecret(f.ctx, secret); err != nil || got.ID != r.ID {
		t.Errorf("by its secret: %+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"its id": r.ID, "its hash": string(r.Hash), "nothing": "", "another": strings.ToLower(secret), "more": secret + "A", "less": secret[1:],
	} {
		if _, err := f.SessionBySecret(f.ctx, text); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("by %s: %v", name, err)
		}
	}
	f.raw(func(tx db.Tx) error {
		value, err := tx.Get("session", []byte(r.ID))
		if err != nil {
			return err
		}
		other := strings.Replace(string(value[9:]), `"hash":"`, `"hash":"AAAA`, 1)
		return tx.Put("session", []byte(r.ID), db.Seal("session", []byte(r.ID), []byte(other)))
	})
	if _, err := f.reopened().SessionBySecret(f.ctx, secret); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("with another hash: %v", err)
	}
}
