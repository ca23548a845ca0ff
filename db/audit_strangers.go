package db

import (
	"encoding/json"
	"time"
)

// What nobody known was refused is the one part of the log that anybody in the
// world can have written. So it has a budget of its own: in retention (see
// PruneAudit), and by the day.

// maxStrangersDay is how many entries of strangers a day may have. Beyond it
// they are counted only, and one entry tells the number.
const maxStrangersDay = 2000

// ActionLeftOut is the entry that tells how many refusals of a day had none of
// their own: its target is the day, its count the number.
const ActionLeftOut = "audit.left_out"

const metaStrangers = "audit.strangers"

// strangersBudget is what is known of strangers' entries. Kept and Pruned can
// be counted anew.
type strangersBudget struct {
	Kept      int64  `json:"kept"`      // entries in the log
	Pruned    int64  `json:"pruned"`    // entries that retention took out of its middle, behind the stub
	Day       int64  `json:"day"`       // since 1970, that the next two are of
	Written   int64  `json:"written"`   // entries
	LeftOut   int64  `json:"left_out"`  // refusals beyond maxStrangersDay
	Forgotten uint64 `json:"forgotten"` // number of the newest entry, of whomever, that went and whose hash is kept no more
}

// strangersBudget reads the budget. One that is damaged is counted anew: it
// must not keep refusals, and what is flushed with them, from being written.
func (t *txn) strangersBudget() (b strangersBudget, err error) {
	value, err := t.get(metaBucket, []byte(metaStrangers))
	if err == nil && (value == nil || json.Unmarshal(value, &b) == nil) {
		return b, nil
	}
	return t.countStrangers()
}

// countStrangers counts what can be counted.
func (t *txn) countStrangers() (b strangersBudget, err error) {
	_, stub, err := t.auditEnds()
	if err != nil {
		return b, err
	}
	err = t.Scan(auditIndex, indexPrefix(byStranger, everything), nil, false, func(_, _ []byte) bool {
		b.Kept++
		return true
	})
	if err != nil {
		return b, err
	}
	return b, t.eachRange(stub.Seq+1, func(r auditRange, ok bool) bool {
		if ok {
			b.Pruned += r.size()
		}
		return true
	})
}

// putRefusals writes the first of what was refused, as much as there is room
// for and strangers' within their budget, and tells how many those are.
func (t *txn) putRefusals(refused []Event) (done int, err error) {
	if len(refused) == 0 {
		return 0, nil
	}
	err = t.inBudget(func(b *strangersBudget) (err error) {
		for _, e := range refused {
			if !t.hasRoom(auditWrites) {
				break
			}
			if e.stranger() {
				err = t.putStranger(b, e)
			} else {
				err = t.append(e)
			}
			if err != nil {
				return err
			}
			done++
		}
		return nil
	})
	return done, err
}

// inBudget runs f with the budget of today, and writes it where it changed.
func (t *txn) inBudget(f func(*strangersBudget) error) error {
	before, err := t.strangersBudget()
	if err != nil {
		return err
	}
	b := before
	if err := t.closeDay(&b); err != nil {
		return err
	}
	if err := f(&b); err != nil || b == before {
		return err
	}
	return t.putJSON(metaBucket, metaStrangers, b)
}

func (t *txn) putStranger(b *strangersBudget, e Event) error {
	if b.Written >= maxStrangersDay {
		b.LeftOut += int64(e.Count)
		return nil
	}
	b.Written++
	b.Kept++
	return t.append(e)
}

// closeDay begins a new day, and tells what the one before left out.
func (t *txn) closeDay(b *strangersBudget) error {
	const day = int64(24 * time.Hour / time.Second)
	today := t.now.Unix() / day
	if b.Day == today {
		return nil
	}
	left, of := b.LeftOut, time.Unix(b.Day*day, 0).UTC()
	b.Day, b.Written, b.LeftOut = today, 0, 0
	if left == 0 {
		return nil
	}
	return t.putStranger(b, Event{Time: t.now, Address: ManyAddresses, Action: ActionLeftOut,
		Target: of.Format(time.DateOnly), Result: ResultRefused, Count: int(left)})
}
