package db_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// filled is a store with a record of every noun.
func filled(t *testing.T) (f *fixture, u *db.User, k *db.Token, actor *db.Actor) {
	f = newStore(t)
	u = f.user("ann@example.com")
	actor = f.as(u)
	k = f.mint(actor, db.NewToken{Name: "deploy"})
	f.NoteTokenUse(k.ID, "192.0.2.1", false)
	f.NoteSessionUse(actor.Session.ID, "192.0.2.1")
	f.NoteCounts(counted())
	must(t, errors.Join(f.FlushLastUsed(f.ctx), f.FlushCounts(f.ctx)))
	must(t, f.DeleteToken(f.ctx, local, f.mint(actor, db.NewToken{Name: "gone"}).ID))
	carol := f.withSession("carol@example.com")
	f.withTOTP(carol)
	f.withPasskey(carol, "carol's", 0)
	return f, u, k, actor
}

var buckets = []string{"meta", "user", "user.index", "token", "token.index", "token.use", "ended_token", "ended_token.index", "session", "session.index", "session.use", "factor", "factor.index", "role", "role.index", "key", "count", "audit", "audit.index", "statistics"}

// A flipped byte, wherever it is, is refused as damage and reported; nothing is
// half read.
func TestFlippedByteIsRefused(t *testing.T) {
	f, u, k, actor := filled(t)
	f.broken = true
	reads := map[string]func(*db.Store) error{
		"meta":  func(s *db.Store) error { _, err := s.Schema(f.ctx); return err },
		"user":  func(s *db.Store) error { _, err := s.User(f.ctx, u.ID); return err },
		"token": func(s *db.Store) error { _, err := s.Token(f.ctx, k.ID); return err },
		"session": func(s *db.Store) error {
			_, err := s.Session(f.ctx, actor.Session.ID)
			return err
		},
		"role":        func(s *db.Store) error { _, err := s.Roles(f.ctx); return err },
		"key":         func(s *db.Store) error { _, err := s.Keys(f.ctx); return err },
		"count":       func(s *db.Store) error { _, err := s.Counts(f.ctx); return err },
		"user.index":  func(s *db.Store) error { _, err := s.Users(f.ctx, db.ListQuery{Size: 9, Sort: "name"}); return err },
		"token.index": func(s *db.Store) error { _, err := s.Tokens(f.ctx, db.ListQuery{Size: 9}); return err },
		"token.use":   func(s *db.Store) error { _, err := s.TokenLastUsed(f.ctx, k.ID); return err },
		"session.use": func(s *db.Store) error { _, err := s.SessionLastUsed(f.ctx, actor.Session.ID); return err },
	}
	for _, bucket := range buckets {
		keys := f.keys(bucket)
		if len(keys) == 0 {
			t.Fatalf("%s is empty", bucket)
		}
		for _, key := range keys {
			var whole []byte
			flip := func(at int) {
				f.raw(func(tx db.Tx) error {
					sealed, err := tx.Get(bucket, []byte(key))
					whole = bytes.Clone(sealed)
					sealed[(at+len(sealed))%len(sealed)] ^= 0x10
					return errors.Join(err, tx.Put(bucket, []byte(key), sealed))
				})
			}
			for _, at := range []int{0, 1, 8, 9, -1} {
				flip(at)
				if faults := f.check(); len(faults) == 0 {
					t.Errorf("%s %q flipped at %d: check reports nothing", bucket, key, at)
				}
				read := reads[bucket]
				if read != nil && !(bucket == "meta" && key != "schema") && !strings.Contains(bucket, "index") && (bucket != "user" || key == u.ID) && (bucket != "session" || key == actor.Session.ID) && (bucket != "count" || !strings.Contains(key, "/")) {
					if err := read(f.bare()); !errors.Is(err, db.ErrDamaged) {
						t.Errorf("%s %q flipped at %d: %v", bucket, key, at, err)
					}
				}
				f.raw(func(tx db.Tx) error { return tx.Put(bucket, []byte(key), whole) })
			}
		}
		// Lists refuse a damaged entry of their index.
		if read := reads[bucket]; strings.HasSuffix(bucket, ".index") && read != nil {
			for _, key := range keys {
				if kind := map[string]string{"user.index": "*\x00n", "token.index": "*\x00c"}[bucket]; !strings.HasPrefix(key, kind) {
					continue
				}
				f.raw(func(tx db.Tx) error { return tx.Put(bucket, []byte(key), []byte("\x01damaged, and yet long enough")) })
				if err := read(f.bare()); !errors.Is(err, db.ErrDamaged) {
					t.Errorf("%s %q: %v", bucket, key, err)
				}
				break
			}
		}
	}
}

// bare is the store with nothing in memory, whatever its schema says.
func (f *fixture) bare() *db.Store { return db.Bare(f.engine, f.now) }

// The error tells a person what to do and a program what it is, and has the
// place for the log alone.
func TestDamageTells(t *testing.T) {
	f, _, k, _ := filled(t)
	f.broken = true
	f.raw(func(tx db.Tx) error { return tx.Put("token", []byte(k.ID), []byte("x")) })
	_, err := f.bare().Token(f.ctx, k.ID)
	wantErr(t, err, db.ErrDamaged, "store_damaged")
	var e *db.Error
	if !errors.As(err, &e) || e.Cause == nil || !strings.Contains(e.Cause.Error(), k.ID) || strings.Contains(e.Reason, k.ID) || !strings.Contains(e.Reason, "husk check") {
		t.Errorf("%+v", e)
	}
	// A damaged record stops what would change it, and nothing else.
	wantErr(t, f.DeleteToken(f.ctx, local, k.ID), db.ErrDamaged, "store_damaged")
	f.user("bob@example.com")
}

// A good record under another key is refused as well.
func TestMovedRecordIsRefused(t *testing.T) {
	f, u, k, _ := filled(t)
	f.broken = true
	other := f.mint(local, db.NewToken{Name: "other"})
	f.raw(func(tx db.Tx) error {
		sealed, err := tx.Get("token", []byte(k.ID))
		return errors.Join(err, tx.Put("token", []byte(other.ID), sealed), tx.Put("user", []byte(other.ID), sealed))
	})
	if _, err := f.bare().Token(f.ctx, other.ID); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("another token's record: %v", err)
	}
	if _, err := f.bare().User(f.ctx, other.ID); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("a token's record as user: %v", err)
	}
	// Sealed anew, it still has the wrong id.
	f.raw(func(tx db.Tx) error {
		sealed, err := tx.Get("token", []byte(k.ID))
		must(t, err)
		value, err := db.Unseal("token", []byte(k.ID), sealed)
		return errors.Join(err, tx.Put("token", []byte(other.ID), db.Seal("token", []byte(other.ID), value)))
	})
	if _, err := f.bare().Token(f.ctx, other.ID); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("another token's record, sealed anew: %v", err)
	}
	_ = u
}

func TestCheckFinds(t *testing.T) {
	sealed := func(tx db.Tx, bucket, key, value string) error {
		return tx.Put(bucket, []byte(key), db.Seal(bucket, []byte(key), []byte(value)))
	}
	first := func(tx db.Tx, bucket, prefix string) (found string) {
		tx.Scan(bucket, []byte(prefix), nil, false, func(k, _ []byte) bool { found = string(k); return false })
		return found
	}
	for name, c := range map[string]struct {
		change func(tx db.Tx, u *db.User, k *db.Token) error
		want   string
	}{
		"an index entry gone": {func(tx db.Tx, u *db.User, _ *db.Token) error {
			return tx.Delete("user.index", []byte("=ann@example.com"))
		}, "missing in the index"},
		"a word gone": {func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return tx.Delete("token.index", []byte(first(tx, "token.index", "*\x00w")))
		}, "missing in the index"},
		"an index entry of another": {func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return sealed(tx, "user.index", "=ann@example.com", db.SingleUser)
		}, "missing in the index"},
		"an index entry too many": {func(tx db.Tx, u *db.User, _ *db.Token) error {
			return sealed(tx, "user.index", "=eve@example.com", u.ID)
		}, "has it not"},
		"an entry of nobody": {func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return sealed(tx, "token.index", "*\x00n\x00x\x00y", "y")
		}, "has it not"},
		"a record gone":          {func(tx db.Tx, u *db.User, _ *db.Token) error { return tx.Delete("user", []byte(u.ID)) }, "has it not"},
		"a token gone":           {func(tx db.Tx, _ *db.User, k *db.Token) error { return tx.Delete("token", []byte(k.ID)) }, "counter token"},
		"uses of a token gone":   {func(tx db.Tx, _ *db.User, k *db.Token) error { return tx.Delete("token", []byte(k.ID)) }, "token.use"},
		"a counter too high":     {func(tx db.Tx, _ *db.User, _ *db.Token) error { return sealed(tx, "count", "user", "7") }, "counter user is 7 and should be 3"},
		"a counter gone":         {func(tx db.Tx, _ *db.User, _ *db.Token) error { return tx.Delete("count", []byte("user")) }, "counter user is missing"},
		"a counter of nothing":   {func(tx db.Tx, _ *db.User, _ *db.Token) error { return sealed(tx, "count", "token/owner/x", "1") }, "should be 0"},
		"a counter that is none": {func(tx db.Tx, _ *db.User, _ *db.Token) error { return sealed(tx, "count", "user", "many") }, "counter user"},
		"a record of no JSON":    {func(tx db.Tx, u *db.User, _ *db.Token) error { return sealed(tx, "user", u.ID, "x") }, "user"},
		"a record of another id": {func(tx db.Tx, u *db.User, _ *db.Token) error { return sealed(tx, "user", u.ID, `{"id":"x"}`) }, "user"},
		"an audit index entry gone": {func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return tx.Delete("audit.index", []byte(first(tx, "audit.index", "")))
		}, "audit index"},
		"an audit index entry too many": {func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return sealed(tx, "audit.index", "actor\x00x\x00y", "y")
		}, "audit index"},
		"a token of nobody":   {func(tx db.Tx, u *db.User, _ *db.Token) error { return tx.Delete("user", []byte(u.ID)) }, "belongs to user"},
		"a session of nobody": {func(tx db.Tx, u *db.User, _ *db.Token) error { return tx.Delete("user", []byte(u.ID)) }, "session \""},
		"a damaged tombstone": {func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return tx.Put("estate", []byte("x"), []byte("damaged, and long enough"))
		}, "estate"},
		"an orphaned use": {func(tx db.Tx, _ *db.User, _ *db.Token) error { return sealed(tx, "session.use", "x", `{}`) }, "session.use"},
	} {
		t.Run(name, func(t *testing.T) {
			f, u, k, _ := filled(t)
			if faults := f.check(); len(faults) > 0 {
				t.Fatalf("before: %v", faults)
			}
			f.broken = true
			f.raw(func(tx db.Tx) error { return c.change(tx, u, k) })
			if faults := fmt.Sprint(f.check()); !strings.Contains(faults, c.want) {
				t.Errorf("check reports %s, want %q", faults, c.want)
			}
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	f, _, _, _ := filled(t)
	ctx, stop := context.WithCancel(f.ctx)
	stop()
	if _, err := f.Check(ctx, func(error) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestEnvelope(t *testing.T) {
	sealed := db.Seal("token", []byte("key"), []byte("value"))
	if got, err := db.Unseal("token", []byte("key"), sealed); err != nil || string(got) != "value" {
		t.Errorf("%q, %v", got, err)
	}
	for name, c := range map[string]struct {
		bucket, key string
		sealed      []byte
	}{
		"other bucket":    {"user", "key", sealed},
		"other key":       {"token", "kez", sealed},
		"a shifted key":   {"tokenk", "ey", sealed},
		"empty":           {"token", "key", nil},
		"cut":             {"token", "key", sealed[:len(sealed)-1]},
		"cut to its head": {"token", "key", sealed[:8]},
		"longer":          {"token", "key", append(slices.Clone(sealed), 0)},
		"other format":    {"token", "key", append([]byte{2}, sealed[1:]...)},
	} {
		if _, err := db.Unseal(c.bucket, []byte(c.key), c.sealed); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEnvelope: what is sealed is unsealed, and whatever else is refused.
func FuzzEnvelope(f *testing.F) {
	f.Fuzz(func(t *testing.T, bucket string, key, value, other []byte) {
		sealed := db.Seal(bucket, key, value)
		if got, err := db.Unseal(bucket, key, sealed); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("%q became %q, %v", value, got, err)
		}
		got, err := db.Unseal(bucket, key, other)
		if err == nil && !bytes.Equal(db.Seal(bucket, key, got), other) {
			t.Fatalf("%q unsealed to %q", other, got)
		}
		if err != nil && !errors.Is(err, db.ErrDamaged) {
			t.Fatal(err)
		}
		if len(other) > 0 && len(key) < 1<<16 && len(bucket) < 1<<16 && !bytes.Equal(key, other) {
			if _, err := db.Unseal(bucket, other, sealed); err == nil {
				t.Fatalf("unsealed under the key %q, sealed under %q", other, key)
			}
		}
	})
}

// FuzzRecord: whatever stands in a record, it is read or refused as damaged.
func FuzzRecord(f *testing.F) {
	for _, c := range [][3]string{
		{"user", "x", `{"id":"x","email":"A@B","roles":["user","user"],"created":"9999-12-31T23:59:59Z"}`},
		{"token", "x", `{"id":"x","owner":"","expires":-9223372036854775808,"allowed_ips":["10.0.0.0/8"],"previous":{"hash":"AAAA"}}`},
		{"session", "x", `{"id":"x","expires":"0001-01-01T00:00:00Z"}`},
		{"role", "", `{"name":"","permissions":null}`},
		{"key", "x", `{"id":"x","secret":"!"}`},
		{"user", "x", `{"id":"y"}`},
		{"user", "x", `null`},
		{"user", "x", ``},
	} {
		f.Add(c[0], c[1], []byte(c[2]))
	}
	f.Fuzz(func(t *testing.T, bucket, key string, value []byte) {
		if _, err := db.DecodeRecord(bucket, key, value); err != nil && !errors.Is(err, db.ErrDamaged) {
			t.Fatal(err)
		}
	})
}
