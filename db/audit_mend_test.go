package db_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"husk/db"
)

// prunedStore is a store of whose middle strangers' entries were taken out.
func prunedStore(t *testing.T) *fixture {
	t.Helper()
	f := newStore(t)
	for day := range 6 {
		f.user(fmt.Sprintf("u%d@example.com", day))
		for i := range 100 {
			f.NoteRefusal(nobodyAt(fmt.Sprint("10.0.0.", i)), "session.login", db.NoTarget)
		}
		must(t, f.FlushLastUsed(f.ctx))
		f.advance(24 * time.Hour)
	}
	n, err := f.PruneAudit(f.ctx, db.Retention{Refusals: 200})
	must(t, err)
	if n != 400 {
		t.Fatalf("%d are pruned", n)
	}
	return f
}

// A repair knows what retention took out: it is no damage, and where its record
// is lost, that is told as the gap that it leaves.
func TestRepairKnowsWhatWasPruned(t *testing.T) {
	first := func(tx db.Tx, bucket string) (key []byte) {
		must(t, tx.Scan(bucket, nil, nil, false, func(k, _ []byte) bool { key = k; return false }))
		return key
	}
	for name, c := range map[string]struct {
		spoil func(tx db.Tx) error
		gaps  []string
		sound bool
	}{
		"sound": {func(db.Tx) error { return nil }, nil, true},
		"a range lost": {func(tx db.Tx) error { return tx.Delete("audit.pruned", first(tx, "audit.pruned")) },
			[]string{"entries 3 to 102 were lost to damage"}, false},
		"a range damaged": {func(tx db.Tx) error {
			return tx.Put("audit.pruned", first(tx, "audit.pruned"), []byte("damaged, and long enough"))
		},
			[]string{"entries 3 to 102 were lost to damage"}, false},
		"an entry before one lost": {func(tx db.Tx) error { return tx.Delete("audit", seq(103)) },
			[]string{"entry 103 was lost to damage"}, false},
		"the secret lost": {func(tx db.Tx) error { return tx.Delete("meta", []byte("secret")) }, nil, false},
		"the budget lost": {func(tx db.Tx) error { return tx.Delete("meta", []byte("audit.strangers")) }, nil, false},
		"the end lost":    {func(tx db.Tx) error { return tx.Delete("meta", []byte("audit")) }, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := prunedStore(t)
			v, err := f.VerifyAudit(f.ctx, "")
			must(t, err)
			f.broken = true
			f.raw(c.spoil)
			r, _, s := f.repaired() // which checks it
			if r.Sound() != c.sound {
				t.Errorf("%+v", r)
			}
			got, err := s.VerifyAudit(f.ctx, v.Head)
			if err != nil || !got.OK || !slices.Equal(got.Gaps, c.gaps) || got.Kept != db.KeptPresent {
				t.Errorf("%+v, %v, want gaps %q", got, err, c.gaps)
			}
			sameFindings(t, got)
			if page, err := s.Audit(f.ctx, db.AuditQuery{Size: 1000}); err != nil || page.Total != int64(len(page.Items)) {
				t.Errorf("%d entries are counted, %d are listed, %v", page.Total, len(page.Items), err)
			}
			if _, err := s.CreateUser(f.ctx, local, db.NewUser{Email: "after@example.com"}); err != nil {
				t.Error(err)
			}
			if got, err := s.VerifyAudit(f.ctx, v.Head); err != nil || !got.OK {
				t.Errorf("after a change: %+v, %v", got, err)
			}
		})
	}
}

// From schema 2: strangers' entries are found by what they are, and the next
// entry names the newest change before.
func TestUpgradeFromSchema2(t *testing.T) {
	f := newStore(t)
	for i := range 300 {
		f.NoteRefusal(nobodyAt(fmt.Sprintf("10.0.%d.%d", i/200, i%200)), "session.login", db.NoTarget)
	}
	f.NoteRefusal(&db.Actor{ID: "ann", Address: "10.0.0.1"}, "user.password", db.Literal("ann"))
	must(t, f.FlushLastUsed(f.ctx))
	f.asSchema2()
	f.upgrade(2)
	_, head, err := f.AuditHead(f.ctx)
	must(t, err)
	f.user("after@example.com")
	n, err := f.PruneAudit(f.ctx, db.Retention{Refusals: 50})
	if err != nil || n != 200 {
		t.Errorf("%d are pruned, %v", n, err)
	}
	v, err := f.VerifyAudit(f.ctx, head)
	if err != nil || !v.OK || v.Pruned != 200 || v.Kept != db.KeptPresent {
		t.Errorf("%+v, %v", v, err)
	}
	if page, err := f.Audit(f.ctx, db.AuditQuery{Size: 1000}); err != nil || page.Total != int64(len(page.Items)) {
		t.Errorf("%d entries are counted, %d are listed, %v", page.Total, len(page.Items), err)
	}
}

// asSchema2 gives the audit log the form of schema 2: no entry names a change,
// strangers are not found, and nothing counts them.
func (f *fixture) asSchema2() {
	f.t.Helper()
	events := f.events()
	f.raw(func(tx db.Tx) error {
		var err error
		var gone [][]byte
		err = tx.Scan("audit.index", []byte("stranger\x00"), nil, false, func(key, _ []byte) bool { gone = append(gone, key); return true })
		for _, key := range gone {
			err = errors.Join(err, tx.Delete("audit.index", key))
		}
		put := func(bucket string, key []byte, v any) {
			text, err2 := json.Marshal(v)
			err = errors.Join(err, err2, tx.Put(bucket, key, db.Seal(bucket, key, text)))
		}
		prev := ""
		for _, e := range events {
			key := binary.BigEndian.AppendUint64(nil, e.Seq)
			e.Prev = prev
			text, err2 := json.Marshal(e)
			err = errors.Join(err, err2)
			text = withoutMember(text, "prev_change")
			prev = hashOf(text)
			err = errors.Join(err, tx.Put("audit", key, db.Seal("audit", key, text)))
		}
		put("meta", []byte("audit"), map[string]any{"seq": len(events), "hash": prev})
		put("meta", []byte("schema"), map[string]any{"schema": 2, "created": f.now()})
		return errors.Join(err, tx.Delete("meta", []byte("audit.strangers")))
	})
}
