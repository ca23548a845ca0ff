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

// counted asks for a page of the action that all entries of unlocks have.
func (f *timedStore) counted(want int64) {
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
	n := int64(0)
	for from := uint64(1); ; {
		events, err := f.AuditFrom(ctx, from)
		must(f.t, err)
		if len(events) == 0 {
			break
		}
		from = events[len(events)-1].Seq + 1
		for _, e := range events {
			if e.Action == "user.unlock" {
				n++
			}
		}
	}
	if n != want {
		f.t.Errorf("there are %d", n)
	}
}

// The total is that of the log as it is, whatever was appended or pruned since
// the page before.
func TestAuditIsCounted(t *testing.T) {
	ctx := context.Background()
	f := newTimedStore(t)
	f.unlocks(50)
	f.counted(50)
	f.unlocks(1200)
	f.counted(1250)
	f.unlocks(7)
	f.counted(1257)
	f.user("ann@example.com")
	f.counted(1257)
	removed, err := f.PruneAudit(ctx, db.Retention{Since: f.Now().Add(-300 * time.Second)})
	if err != nil || removed < 900 {
		t.Fatalf("removed %d, %v", removed, err)
	}
	page, err := f.Audit(ctx, db.AuditQuery{Action: "user.unlock", Size: 5})
	if must(t, err); page.Total > 1257-900 {
		t.Errorf("after retention the total is %d", page.Total)
	}
	f.counted(page.Total)
}

// What is counted is bounded, however many entries there are, and the answer
// says where there are more.
func TestAuditCountIsBounded(t *testing.T) {
	for events, want := range map[int]struct {
		total  int64
		atMost bool
		keys   int
	}{
		db.MaxWindow - 1:    {db.MaxWindow - 1, false, db.MaxWindow - 1},
		db.MaxWindow:        {db.MaxWindow, false, db.MaxWindow},
		db.MaxWindow + 1:    {db.MaxWindow, true, db.MaxWindow + 1},
		db.MaxWindow + 2000: {db.MaxWindow, true, db.MaxWindow + 1},
	} {
		t.Run(fmt.Sprint(events), func(t *testing.T) {
			f := newStore(t)
			f.raw(func(tx db.Tx) error {
				return db.Fill(tx, db.Filling{Events: events, Event: func(i int) db.Event {
					return db.Event{Time: f.now(), Actor: "ann", Action: "user.unlock", Target: fmt.Sprint(i % 7), Result: db.ResultOK, Count: 1}
				}})
			})
			page, err := f.Audit(f.ctx, db.AuditQuery{Action: "user.unlock", Size: 5})
			if err != nil || page.Total != want.total || page.AtMost != want.atMost || len(page.Items) != 5 {
				t.Errorf("%d in all, at most %t, %d items, %v; want %+v", page.Total, page.AtMost, len(page.Items), err, want)
			}
			if n := f.KeysToCount(f.ctx, "user.unlock"); n != want.keys {
				t.Errorf("%d keys are read, want %d", n, want.keys)
			}
		})
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
