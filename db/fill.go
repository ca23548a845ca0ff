package db

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Filling describes many records that Fill makes at once. Each function
// returns the record of a number below its count, the same at each call.
type Filling struct {
	Roles    int
	Role     func(i int) *Role
	Users    int
	User     func(i int) *User
	Sessions int
	Session  func(i int) *Session
	Tokens   int
	Token    func(i int) *Token
	Used     func(i int) LastUsed // the last use of a token; the zero value: never
	Ended    int
	EndedOf  func(i int) *EndedToken
	Events   int
	Event    func(i int) Event
}

// Fill writes records as they would stand there had each been made by itself,
// with indexes, counters and the audit chain. It checks no rule and asks
// nobody: it is for the large stores of tests and measurements. Bucket by
// bucket it writes in the order of keys, so that tx may commit on the way.
func Fill(tx Tx, f Filling) error {
	t := newStore(nil, Options{}).begin(tx, &Actor{})
	steps := []func() error{
		func() error { return fillRecords(t, &roleRecords, f.Roles, f.Role) },
		func() error { return fillRecords(t, &userRecords, f.Users, f.User) },
		func() error { return fillRecords(t, &sessionRecords, f.Sessions, f.Session) },
		func() error { return fillRecords(t, &tokenRecords, f.Tokens, f.Token) },
		func() error { return fillUses(t, f) },
		func() error { return fillRecords(t, &endedRecords, f.Ended, f.EndedOf) },
		func() error { return fillAudit(t, f) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// entries are keys and values of one bucket.
type entries []entry

type entry struct{ key, value []byte }

func (e *entries) add(key, value []byte) { *e = append(*e, entry{key, value}) }

func (e entries) put(t *txn, bucket string) error {
	slices.SortFunc(e, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	for _, one := range e {
		if err := t.put(bucket, one.key, one.value); err != nil {
			return err
		}
	}
	return nil
}

func fillRecords[T any](t *txn, c *collection[T], n int, record func(i int) *T) error {
	var records, index entries
	counts := map[string]int64{}
	for i := range n {
		r := record(i)
		value, err := json.Marshal(r)
		if err != nil {
			return err
		}
		id := []byte(c.id(r))
		records.add(id, value)
		d := c.derived(r)
		for _, key := range d.keys {
			index.add(key, id)
		}
		for _, name := range d.counts {
			counts[name]++
		}
	}
	if err := records.put(t, c.bucket); err != nil {
		return err
	}
	if err := index.put(t, c.indexBucket()); err != nil {
		return err
	}
	return t.addCounts(counts)
}

func fillUses(t *txn, f Filling) error {
	if f.Used == nil {
		return nil
	}
	var uses entries
	for i := range f.Tokens {
		use := f.Used(i)
		if use.Time.IsZero() {
			continue
		}
		value, err := json.Marshal(use)
		if err != nil {
			return err
		}
		uses.add([]byte(f.Token(i).ID), value)
	}
	return uses.put(t, tokenUseBucket)
}

// fillAudit is append for many entries.
func fillAudit(t *txn, f Filling) error {
	head, _, err := t.auditEnds()
	if err != nil {
		return err
	}
	budget, err := t.strangersBudget()
	if err != nil {
		return err
	}
	var index entries
	for i := range f.Events {
		e := f.Event(i)
		head.chain(&e)
		value, err := json.Marshal(&e)
		if err != nil {
			return err
		}
		key := seqKey(e.Seq)
		if err := t.put(auditBucket, key, value); err != nil {
			return err
		}
		for _, k := range auditIndexKeys(&e) {
			index.add(k, key)
		}
		head = head.next(&e, value)
		if e.stranger() {
			budget.Kept++
		}
	}
	if err := index.put(t, auditIndex); err != nil {
		return err
	}
	if err := t.putJSON(metaBucket, metaStrangers, budget); err != nil {
		return err
	}
	return t.putJSON(metaBucket, metaHead, head)
}
