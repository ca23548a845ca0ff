package db_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// Hashes of several costs; salts and tags are none.
const (
	ownHash    = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"
	peersHash  = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"
	bcryptHash = "$2y$10$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
)

func (f *fixture) hashed(email, hash string) *db.User {
	f.t.Helper()
	u, err := f.CreateUser(f.ctx, local, db.NewUser{Email: email, Password: hash})
	must(f.t, err)
	return u
}

// An imported hash is known as one until the password is hashed here.
func TestImportedHash(t *testing.T) {
	for what, c := range map[string]struct {
		change func(f *fixture, u *db.User) error
		stays  bool
	}{
		"nothing":          {func(*fixture, *db.User) error { return nil }, true},
		"unlock":           {func(f *fixture, u *db.User) error { return f.UnlockUser(f.ctx, local, u.ID) }, true},
		"sign-in as it is": {func(f *fixture, u *db.User) error { f.as(u); return nil }, true},
		"sign-in": {func(f *fixture, u *db.User) error {
			_, _, err := f.CreateSession(f.ctx, &db.Actor{}, db.SignIn{User: u.ID, Verified: u.Password, Rehash: ownHash, TTL: time.Hour})
			return err
		}, false},
		"new password": {func(f *fixture, u *db.User) error {
			hash := ownHash
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Password: &hash})
			return err
		}, false},
		"own change": {func(f *fixture, u *db.User) error {
			_, _, err := f.ChangePassword(f.ctx, f.as(u), db.PasswordChange{Verified: u.Password, Password: ownHash})
			return err
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			f := newStore(t)
			lines := []db.ImportUser{{NewUser: db.NewUser{Email: "ann@example.com", Password: peersHash}}, {NewUser: db.NewUser{Email: "bob@example.com"}}}
			_, err := f.ImportUsers(f.ctx, local, lines, false, false)
			must(t, err)
			u, err := f.UserByEmail(f.ctx, "ann@example.com")
			must(t, err)
			if robot, err := f.UserByEmail(f.ctx, "bob@example.com"); err != nil || robot.Imported {
				t.Errorf("one without a password is %+v, %v", robot, err)
			}
			if !u.Imported {
				t.Fatal("it is not known as imported")
			}
			must(t, c.change(f, u))
			if u, err = f.User(f.ctx, u.ID); err != nil || u.Imported != c.stays {
				t.Errorf("it is %+v, %v", u, err)
			}
		})
	}
}

// What most hashes begin with is kept beside them; the salt is no part of it.
func TestCommonHash(t *testing.T) {
	f := newStore(t)
	want := func(common string) {
		t.Helper()
		for _, s := range []*db.Store{f.Store, f.reopened()} {
			if got, err := s.CommonHash(f.ctx); err != nil || got != common {
				t.Errorf("most begin with %q, %v; want %q", got, err, common)
			}
		}
	}
	want("")
	f.hashed("nobody@example.com", "")
	f.user("odd@example.com")
	f.hashed("cut@example.com", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA")
	f.hashed("long@example.com", "$2b$10"+strings.Repeat("0", 1000)+"$x")
	want("")
	f.hashed("a@example.com", bcryptHash)
	want("$2b$10")
	f.hashed("b@example.com", "$2a"+bcryptHash[3:])
	own := f.hashed("c@example.com", ownHash)
	want("$2b$10")
	f.hashed("d@example.com", ownHash)
	f.hashed("e@example.com", ownHash)
	want("$argon2id$v=19$m=19456,t=2,p=1")
	hash := peersHash
	_, err := f.UpdateUser(f.ctx, local, own.ID, db.UserChange{Password: &hash})
	must(t, err)
	_, err = f.DeleteUser(f.ctx, local, "e@example.com")
	must(t, err)
	want("$2b$10")
	for _, name := range f.keys("count") {
		if strings.Contains(name, "c2Fs") || strings.Contains(name, "abcdef") {
			t.Errorf("the counter %q holds a salt", name)
		}
	}
}

// From schema 2: hashes are counted, and those that husk can't have made are
// known as imported.
func TestUpgradeCountsHashes(t *testing.T) {
	f := newStore(t)
	hashes := map[string]string{"own@example.com": ownHash, "bcrypt@example.com": bcryptHash, "peer@example.com": peersHash, "second@example.com": bcryptHash, "robot@example.com": ""}
	for email, hash := range hashes {
		f.hashed(email, hash)
	}
	lost := f.hashed("lost@example.com", ownHash)
	f.raw(func(tx db.Tx) error {
		var err error
		var names [][]byte
		err = tx.Scan("count", []byte("user/hash/"), nil, false, func(k, _ []byte) bool { names = append(names, bytes.Clone(k)); return true })
		for _, name := range names {
			err = errors.Join(err, tx.Delete("count", name))
		}
		schema := []byte(`{"schema":2,"created":"2026-11-26T00:00:00Z"}`)
		return errors.Join(err, tx.Put("user", []byte(lost.ID), []byte("this was a user")), tx.Put("meta", []byte("schema"), db.Seal("meta", []byte("schema"), schema)))
	})
	f.broken = true
	s, err := db.Open(f.ctx, f.engine, db.Options{Now: f.now, Keep: new(kept).keep})
	must(t, err)
	f.Store = s
	if common, err := s.CommonHash(f.ctx); err != nil || common != "$2b$10" {
		t.Errorf("most begin with %q, %v", common, err)
	}
	for email, hash := range hashes {
		u, err := s.UserByEmail(f.ctx, email)
		if err != nil || u.Imported != (hash != "" && hash != ownHash) {
			t.Errorf("%s: imported %t, %v", email, u.Imported, err)
		}
	}
	for _, fault := range f.check() {
		if strings.Contains(fault, "counter user/hash/") {
			t.Error(fault)
		}
	}
}
