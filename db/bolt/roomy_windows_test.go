package bolt

import (
	"bytes"
	"testing"

	"husk/db"
)

// roomy makes a store that has free pages: where the mapping is no longer than the
// file, one that has to grow waits for its readers.
func roomy(t *testing.T) string {
	t.Helper()
	path := create(t)
	e := open(t, path)
	for _, change := range []func(db.Tx) error{
		func(tx db.Tx) error { return tx.Put("room", []byte("k"), bytes.Repeat([]byte("v"), 1<<20)) },
		func(tx db.Tx) error { return tx.Delete("room", []byte("k")) },
	} {
		if err := e.Update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
