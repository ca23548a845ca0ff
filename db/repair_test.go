package db_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
)

// repaired makes a store of what the fixture's holds, and opens it.
func (f *fixture) repaired() (r db.Repaired, aside []db.Aside, s *db.Store) {
	f.t.Helper()
	return f.repairedBy(db.Repair, func(*db.Store) {})
}

// repairedBy is repaired, by another Repair, and readied before it is checked.
func (f *fixture) repairedBy(repair func(context.Context, db.Tx, db.Walk, func(db.Aside) error) (db.Repaired, error), ready func(*db.Store)) (r db.Repaired, aside []db.Aside, s *db.Store) {
	f.t.Helper()
	walk := func(record func(bucket string, key, sealed []byte), _ func(error)) error {
		return f.engine.View(f.ctx, func(tx db.Tx) error {
			for _, bucket := range append(buckets, "audit.pruned", "audit.checkpoint", "estate", "unknown", "parcel", "parcel.index", "parcel.use") {
				err := tx.Scan(bucket, nil, nil, false, func(k, v []byte) bool { record(bucket, k, v); return true })
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	path := filepath.Join(f.t.TempDir(), "repaired.db")
	err := bolt.Fill(path, func(tx db.Tx) (err error) {
		r, err = repair(f.ctx, tx, walk, func(a db.Aside) error { aside = append(aside, a); return nil })
		return err
	})
	must(f.t, err)
	engine, err := bolt.Open(path, bolt.Options{})
	must(f.t, err)
	f.t.Cleanup(func() { engine.Close() })
	s, err = db.Open(f.ctx, engine, db.Options{Now: f.now})
	must(f.t, err)
	ready(s)
	for _, check := range []func() error{
		func() error {
			_, err := s.Check(f.ctx, func(err error) { f.t.Errorf("after the repair: %v", err) })
			return err
		},
		func() error { return engine.Check(f.ctx, func(err error) { f.t.Errorf("after the repair: %v", err) }) },
	} {
		must(f.t, check())
	}
	return r, aside, s
}

// everything is all that a store answers.
func everything(t *testing.T, s *db.Store) string {
	t.Helper()
	ctx := t.Context()
	users, err := s.Users(ctx, db.ListQuery{Size: 100, Sort: "name:asc"})
	must(t, err)
	tokens, err := s.Tokens(ctx, db.ListQuery{Size: 100})
	must(t, err)
	roles, err := s.Roles(ctx)
	must(t, err)
	audit, err := s.AuditFrom(ctx, 1)
	must(t, err)
	counts, err := s.Counts(ctx)
	must(t, err)
	text, err := json.Marshal([]any{users.Items, tokens.Items, roles, audit, counts})
	must(t, err)
	return string(text)
}

func TestRepairOfASoundStore(t *testing.T) {
	f, _, _, _ := filled(t)
	r, aside, s := f.repaired()
	if !r.Sound() || len(aside) > 0 || r.Records == 0 {
		t.Errorf("%+v, %v", r, aside)
	}
	if got, want := everything(t, s), everything(t, f.Store); got != want {
		t.Errorf("it became\n%s\nof\n%s", got, want)
	}
}

// What stands beside records is made anew: nothing is lost.
func TestRepairOfWhatStandsBeside(t *testing.T) {
	sealed := func(tx db.Tx, bucket, key, value string) error {
		return tx.Put(bucket, []byte(key), db.Seal(bucket, []byte(key), []byte(value)))
	}
	for name, change := range map[string]func(tx db.Tx, u *db.User, k *db.Token) error{
		"an index entry gone": func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return tx.Delete("user.index", []byte("=ann@example.com"))
		},
		"an index entry damaged": func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return tx.Put("user.index", []byte("=ann@example.com"), []byte("x"))
		},
		"an index entry of another": func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return sealed(tx, "user.index", "=ann@example.com", db.SingleUser)
		},
		"an index entry too many": func(tx db.Tx, u *db.User, _ *db.Token) error {
			return sealed(tx, "user.index", "=eve@example.com", u.ID)
		},
		"a counter":      func(tx db.Tx, _ *db.User, _ *db.Token) error { return sealed(tx, "count", "user", "7") },
		"a counter gone": func(tx db.Tx, _ *db.User, _ *db.Token) error { return tx.Delete("count", []byte("token")) },
		"a counter damaged": func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return tx.Put("count", []byte("token"), []byte("damaged"))
		},
		"an audit index entry too many": func(tx db.Tx, _ *db.User, _ *db.Token) error {
			return sealed(tx, "audit.index", "actor\x00x\x00y", "y")
		},
		"an orphaned use": func(tx db.Tx, _ *db.User, _ *db.Token) error { return sealed(tx, "session.use", "x", `{}`) },
	} {
		t.Run(name, func(t *testing.T) {
			f, u, k, _ := filled(t)
			want := everything(t, f.Store)
			f.broken = true
			f.raw(func(tx db.Tx) error { return change(tx, u, k) })
			r, aside, s := f.repaired()
			if r.Sound() || len(aside)+len(r.Lost)+len(r.Made) > 0 {
				t.Errorf("%+v, %v", r, aside)
			}
			// The repair itself is the newest audit entry.
			audit, err := s.Audit(f.ctx, db.AuditQuery{Size: 1})
			if err != nil || audit.Items[0].Action != "store.repair" {
				t.Errorf("%+v, %v", audit, err)
			}
			if got := everything(t, s); dropEvents(got) != dropEvents(want) {
				t.Errorf("it became\n%s\nof\n%s", got, want)
			}
		})
	}
}

// dropEvents leaves the audit entries out of what everything answers.
func dropEvents(text string) string {
	var all []json.RawMessage
	_ = json.Unmarshal([]byte(text), &all)
	all[3] = nil
	out, _ := json.Marshal(all)
	return string(out)
}

// A damaged record is set aside as it was, named as lost, and refused; the
// rest is there.
func TestRepairSetsAside(t *testing.T) {
	flip := func(bucket, key string) func(tx db.Tx) error {
		return func(tx db.Tx) error {
			sealed, err := tx.Get(bucket, []byte(key))
			sealed[len(sealed)-1] ^= 1
			return errors.Join(err, tx.Put(bucket, []byte(key), sealed))
		}
	}
	f, u, k, actor := filled(t)
	asked := *local
	asked.RequestID = "0123-4" // as every request has one
	other := f.mint(&asked, db.NewToken{Name: "other"})
	f.broken = true
	for name, c := range map[string]struct {
		bucket, key string
		lost, made  string
		aside       int
	}{
		"a token":         {"token", k.ID, "token " + k.ID, "", 1},
		"a user":          {"user", u.ID, "user " + u.ID + " (ann@example.com)", "", 3}, // with their token and session
		"the single user": {"user", db.SingleUser, "user " + db.SingleUser, "disabled and without a password", 1},
		"a session":       {"session", actor.Session.ID, "session " + actor.Session.ID, "", 1},
		"a built-in role": {"role", "admin", "role admin", "the built-in role admin", 1},
		"the use":         {"token.use", k.ID, "", "", 1},
		"what is counted": {"statistics", "d2040-05-06", "", "", 1},
		"the schema":      {"meta", "schema", "", fmt.Sprintf("the schema, taken for %d", db.SchemaVersion), 1},
		"the secret":      {"meta", "secret", "", "the store's own secret", 1},
		"the signing key": {"key", f.keys("key")[0], "", "a signing key", 1},
		"the clock":       {"meta", "clock", "", "", 1},
		"the log's end":   {"meta", "audit", "", "the end of the audit log, at entry ", 1},
		"an audit entry":  {"audit", "\x00\x00\x00\x00\x00\x00\x00\x02", "audit: entry 2 was lost to damage", "", 1},
		"the first entry": {"audit", "\x00\x00\x00\x00\x00\x00\x00\x01", "audit: entry 1 was lost to damage", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var whole []byte
			f.raw(func(tx db.Tx) (err error) { whole, err = tx.Get(c.bucket, []byte(c.key)); return err })
			if whole == nil {
				t.Fatalf("there is no %s", name)
			}
			f.raw(flip(c.bucket, c.key))
			defer f.raw(func(tx db.Tx) error { return tx.Put(c.bucket, []byte(c.key), whole) })
			r, aside, s := f.repaired()
			if len(aside) != c.aside || r.Aside != c.aside {
				t.Fatalf("%d are set aside, want %d: %+v", len(aside), c.aside, r)
			}
			first := aside[0]
			if first.Bucket != c.bucket || string(first.Key) != c.key || !bytes.Equal(first.Value[:len(whole)-1], whole[:len(whole)-1]) || first.Why == "" {
				t.Errorf("set aside is %+v", first)
			}
			for _, w := range []struct {
				list []string
				want string
			}{{r.Lost, c.lost}, {r.Made, c.made}} {
				if got := strings.Join(w.list, "\n"); !strings.Contains(got, w.want) || w.want == "" && got != "" {
					t.Errorf("it tells %q, want %q", got, w.want)
				}
			}
			if _, err := s.Token(f.ctx, other.ID); err != nil {
				t.Errorf("the other token: %v", err)
			}
			if v, err := s.VerifyAudit(f.ctx, ""); err != nil || !v.OK {
				t.Errorf("the audit log: %+v, %v", v, err)
			}
			if page, err := s.Audit(f.ctx, db.AuditQuery{RequestID: asked.RequestID, Size: 9}); err != nil || len(page.Items) != 1 {
				t.Errorf("what a request did: %+v, %v", page, err)
			}
			if single, err := s.User(f.ctx, db.SingleUser); err != nil || single.Disabled != (c.key == db.SingleUser) {
				t.Errorf("the single user: %+v, %v", single, err)
			}
			if _, err := s.CreateUser(f.ctx, local, db.NewUser{Email: "new@example.com"}); err != nil {
				t.Errorf("a new user: %v", err)
			}
		})
	}
}

// A lost entry of the audit log is named by every verdict, for ever; the rest
// verifies, and what is changed behind it is still found.
func TestRepairedAuditLog(t *testing.T) {
	f, _, _, _ := filled(t)
	for i := range 6 {
		f.user(fmt.Sprintf("u%d@example.com", i))
	}
	last, head, err := f.AuditHead(f.ctx)
	must(t, err)
	f.broken = true
	f.raw(func(tx db.Tx) error {
		return errors.Join(tx.Delete("audit", seq(3)), tx.Put("audit", seq(4), []byte("damaged, and long enough")), tx.Delete("audit", seq(last)))
	})
	r, _, s := f.repaired()
	want := []string{"entries 3 to 4 were lost to damage", fmt.Sprintf("entry %d was lost to damage", last)}
	if v, err := s.VerifyAudit(f.ctx, ""); err != nil || !v.OK || !slices.Equal(v.Gaps, want) || v.Last != last+1 || v.Entries != int64(last)-2 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, w := range want {
		if !slices.Contains(r.Lost, "audit: "+w) {
			t.Errorf("lost is %q, want %q", r.Lost, w)
		}
	}
	// The newest hash that was kept elsewhere is still one of the log.
	if v, err := s.VerifyAudit(f.ctx, head); err != nil || !v.OK {
		t.Errorf("with the head of before: %+v, %v", v, err)
	}
	if page, err := s.Audit(f.ctx, db.AuditQuery{Size: 100}); err != nil || page.Total != int64(len(page.Items)) {
		t.Errorf("%d entries are counted, %d are listed, %v", page.Total, len(page.Items), err)
	}
	raw := func(change func(tx db.Tx) error) { must(t, s.Engine().Update(f.ctx, change)) }
	var before [][3]string
	raw(func(tx db.Tx) (err error) { before, err = allOf(tx, "audit", "meta"); return err })
	for name, change := range map[string]func(tx db.Tx) error{
		"an entry behind it gone": func(tx db.Tx) error { return tx.Delete("audit", seq(6)) },
		"one at its edge gone":    func(tx db.Tx) error { return tx.Delete("audit", seq(5)) },
		"the record of it gone":   func(tx db.Tx) error { return tx.Delete("meta", []byte("audit.gaps")) },
		"the record of it forged": func(tx db.Tx) error {
			key := []byte("audit.gaps")
			sealed, err := tx.Get("meta", key)
			must(t, err)
			text, err := db.Unseal("meta", key, sealed)
			must(t, err)
			var gaps []map[string]any
			must(t, json.Unmarshal(text, &gaps))
			gaps[0]["mac"] = gaps[1]["mac"]
			text, err = json.Marshal(gaps)
			return errors.Join(err, tx.Put("meta", key, db.Seal("meta", key, text)))
		},
	} {
		raw(func(tx db.Tx) error { return change(tx) })
		v, err := s.VerifyAudit(f.ctx, "")
		if err != nil || v.OK || strings.Contains(name, "forged") != strings.Contains(coded(v), db.FoundGapUnsigned) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		sameFindings(t, v)
		raw(func(tx db.Tx) error { return putAll(tx, before) })
	}
	// Retention goes over a gap.
	f.advance(48 * time.Hour)
	if _, err := s.PruneAudit(f.ctx, db.Retention{Since: f.now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if v, err := s.VerifyAudit(f.ctx, ""); err != nil || !v.OK {
		t.Errorf("after retention: %+v, %v", v, err)
	}
}

// allOf returns what is in buckets, putAll puts it back.
func allOf(tx db.Tx, buckets ...string) (all [][3]string, err error) {
	for _, bucket := range buckets {
		err = errors.Join(err, tx.Scan(bucket, nil, nil, false, func(k, v []byte) bool {
			all = append(all, [3]string{bucket, string(k), string(v)})
			return true
		}))
	}
	return all, err
}

func putAll(tx db.Tx, all [][3]string) (err error) {
	for _, r := range all {
		err = errors.Join(err, tx.Put(r[0], []byte(r[1]), []byte(r[2])))
	}
	return err
}

func seq(n uint64) []byte {
	return []byte{0, 0, 0, 0, 0, 0, byte(n >> 8), byte(n)}
}

// Records under a bucket that is not known, or not theirs, are found by their
// checksum; of two with one key the first is taken.
func TestRepairFindsTheBucket(t *testing.T) {
	f, u, k, _ := filled(t)
	want := everything(t, f.Store)
	f.broken = true
	f.raw(func(tx db.Tx) error {
		for bucket, key := range map[string]string{"token": k.ID, "user": u.ID} {
			sealed, err := tx.Get(bucket, []byte(key))
			if err := errors.Join(err, tx.Delete(bucket, []byte(key)), tx.Put("unknown", []byte(key), sealed)); err != nil {
				return err
			}
		}
		return tx.Put("unknown", []byte("x"), []byte("of no bucket at all"))
	})
	r, aside, s := f.repaired()
	if len(aside) != 1 || string(aside[0].Key) != "x" || len(r.Lost) > 0 {
		t.Errorf("%+v, %v", r, aside)
	}
	if got := everything(t, s); dropEvents(got) != dropEvents(want) {
		t.Errorf("it became\n%s\nof\n%s", got, want)
	}
}

func TestRepairRefusesOtherSchemas(t *testing.T) {
	for schema, want := range map[string]error{`{"schema":9,"needs":"0.9.0"}`: db.ErrNewer} {
		f, _, _, _ := filled(t)
		f.broken = true
		must(t, f.PutRaw(f.ctx, "meta", []byte("schema"), []byte(schema)))
		walk := func(record func(bucket string, key, sealed []byte), _ func(error)) error {
			return f.engine.View(f.ctx, func(tx db.Tx) error {
				return tx.Scan("meta", nil, nil, false, func(k, v []byte) bool { record("meta", k, v); return true })
			})
		}
		err := bolt.Fill(filepath.Join(t.TempDir(), "x.db"), func(tx db.Tx) error {
			_, err := db.Repair(f.ctx, tx, walk, func(db.Aside) error { return nil })
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", schema, err, want)
		}
	}
	f, _, _, _ := filled(t)
	defer db.AddMigrations(writes("first", "1"))()
	f.broken = true
	walk := func(record func(bucket string, key, sealed []byte), _ func(error)) error {
		return f.engine.View(f.ctx, func(tx db.Tx) error {
			return tx.Scan("meta", nil, nil, false, func(k, v []byte) bool { record("meta", k, v); return true })
		})
	}
	err := bolt.Fill(filepath.Join(t.TempDir(), "x.db"), func(tx db.Tx) error {
		_, err := db.Repair(f.ctx, tx, walk, func(db.Aside) error { return nil })
		return err
	})
	wantErr(t, err, db.ErrInvalid, "store_older")
}
