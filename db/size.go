package db

// An engine may bound an update; see Bounder. What has more to write goes in
// steps, and each of them leaves a store in which everything fits and every
// rule holds: whoever is killed between two of them has done a part, and the
// next run does the rest.

// size is how large a transaction is, and may become.
type size struct {
	bound         Bound
	writes, bytes int
	cut           bool // something was left for the next step
	before        int  // how many were removed by the updates before; see makeRoom
}

const (
	// spareWrites is the room that a step leaves to what follows it in the same
	// transaction: entries of the audit log, the clock's mark, a session renewed.
	spareWrites = 40

	auditWrites = 7       // of one entry: itself, five keys of its index, the head
	writeBytes  = 2 << 10 // that a write is taken for; the larger ones stand among many small
)

// unbounded tells whether nothing has to be counted.
func (t *txn) unbounded() bool { return t.size.bound == Bound{} }

// hasRoom tells whether the transaction has room for so many more writes, and
// remembers where it has not. The first ones always have: what is too large by
// itself the engine refuses.
func (t *txn) hasRoom(writes int) bool {
	z := &t.size
	within := func(n, most int) bool { return most == 0 || n <= most }
	if z.writes > 0 && !(within(z.writes+writes+spareWrites, z.bound.Writes) && within(z.bytes+(writes+spareWrites)*writeBytes, z.bound.Bytes)) {
		z.cut = true
	}
	return !z.cut
}

// step is how many things of so many writes each a transaction takes at most,
// and most where it takes that many.
func (t *txn) step(most, writes int) int {
	if b := t.size.bound; b.Writes > 0 {
		most = min(most, (b.Writes-spareWrites)/writes)
	}
	if b := t.size.bound; b.Bytes > 0 {
		most = min(most, (b.Bytes/writeBytes-spareWrites)/writes)
	}
	return max(1, most)
}

// Put implements Tx.
func (t *txn) Put(bucket string, key, value []byte) error {
	t.size.writes++
	t.size.bytes += len(key) + len(value)
	return t.Tx.Put(bucket, key, value)
}

// Delete implements Tx.
func (t *txn) Delete(bucket string, key []byte) error {
	t.size.writes++
	return t.Tx.Delete(bucket, key)
}

// GetMany implements ManyGetter.
func (t *txn) GetMany(bucket string, keys [][]byte) ([][]byte, error) {
	return GetMany(t.Tx, bucket, keys)
}

// makeRoom is the error of a change that goes together with the removal of what
// it leaves worthless, where that is too much for one transaction. Store.update
// removes as much of it as there is room for and tries again, until what is left
// goes with the change: so the change is made with the last of it, or not at
// all, and what was allowed is asked anew each time.
type makeRoom struct {
	remove func(*txn) (removed int, err error)
}

func (*makeRoom) Error() string { return "what goes with the change is too much for one transaction" }
