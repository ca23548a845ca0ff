package db_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"husk/db"
)

// counted asks for a page of the action that all entries of unlocks have, and
// tells how many index keys were read for it.
func (f *timedStore) counted(want int64) (keys int) {
	f.t.Helper()
	ctx := context.Background()
	page, err := f.Audit(ctx, db.AuditQuery{Action: "user.unlock", Size: 5})
	must(f.t, err)
	if page.Total != want || page.AtMost {
		f.t.Errorf("total is %d, want %d", page.Total, want)
	}
	if n := min(int(want), 5); len(page.Items) != n {
		f.t.Errorf("%d items on the page, want %d", len(page.Items), n)
	}
	if n := f.RecountAudit(ctx, "user.unlock"); n != want {
		f.t.Errorf("there are %d", n)
	}
	return f.KeysToCount(ctx, "user.unlock")
}

// A filter is counted once, and then only what was appended; but anew where
// the log is not the one that was counted.
func TestAuditIsCountedOnce(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(50)
	if n := f.counted(50); n != 50 {
		t.Errorf("few are counted each time: %d keys read", n)
	}
	f.unlocks(1200)
	if n := f.counted(1250); n != 0 {
		t.Errorf("%d keys are read again", n)
	}
	f.unlocks(7)
	if n := f.KeysToCount(ctx, "user.unlock"); n != 7 {
		t.Errorf("%d keys are read for 7 new ones", n)
	}
	f.counted(1257)
	f.user("ann@example.com")
	f.counted(1257)
	removed, err := f.PruneAudit(ctx, db.Retention{Since: f.Now().Add(-300 * time.Second)})
	if err != nil || removed < 900 {
		t.Fatalf("removed %d, %v", removed, err)
	}
	if n := f.KeysToCount(ctx, "user.unlock"); n < 200 {
		t.Errorf("%d keys are read where retention came by", n)
	}
	if n := f.counted(f.RecountAudit(ctx, "user.unlock")); n != 0 {
		t.Errorf("%d keys are read again", n)
	}
}

// A number that was given out again after a commit was lost is another entry.
func TestAuditCountOfALostCommit(t *testing.T) {
	ctx := context.Background()
	for _, more := range []int{0, 1, 5} {
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			f := newTimedStore(t)
			f.unlocks(200)
			last, _, err := f.AuditHead(ctx)
			must(t, err)
			back := f.keepAudit()
			f.unlocks(10)
			f.counted(210)
			back(last)
			f.counted(200) // shorter than it was
			f.unlocks(10)
			f.counted(210)
			back(last)
			for range 10 + more { // the same numbers, for other entries
				must(t, f.Note(ctx, local, nil, "user.other"))
			}
			f.counted(200)
		})
	}
}

// keepAudit returns a function that takes the log back to its end as it is
// now, whose number is told.
func (f *timedStore) keepAudit() func(last uint64) {
	f.t.Helper()
	ctx := context.Background()
	var head []byte
	must(f.t, f.Engine().View(ctx, func(tx db.Tx) (err error) { head, err = tx.Get("meta", []byte("audit")); return err }))
	return func(last uint64) {
		f.t.Helper()
		must(f.t, f.Engine().Update(ctx, func(tx db.Tx) error {
			for _, bucket := range []string{"audit", "audit.index"} {
				var gone [][]byte
				err := tx.Scan(bucket, nil, nil, false, func(key, _ []byte) bool {
					if binary.BigEndian.Uint64(key[len(key)-8:]) > last {
						gone = append(gone, key)
					}
					return true
				})
				for _, key := range gone {
					if err == nil {
						err = tx.Delete(bucket, key)
					}
				}
				if err != nil {
					return err
				}
			}
			return tx.Put("meta", []byte("audit"), bytes.Clone(head))
		}))
	}
}

func TestAuditCountsAreBounded(t *testing.T) {
	if n := db.FillAuditCounts(1000); n > db.MaxAuditCounts || n < db.MaxAuditCounts/2 {
		t.Errorf("%d counts are kept", n)
	}
}
