package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"husk/db"
)

// peekTries is how often Peek reads anew what was changed under it.
const peekTries = 100

// Peek reads one record of the file at path as its last commit left it. It takes
// no lock and writes nothing, so it answers beside whoever has the store. A commit
// uses pages again that the one before the last gave up: what was read while one
// came is read anew, and what the record says of itself is for the caller to
// verify. Its error is one of OpenFile's about the file itself, or wraps
// db.ErrDamaged or db.ErrDisk.
func Peek(path, bucket string, key []byte) (value []byte, err error) {
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, classify(err)
	}
	defer f.Close()
	for range peekTries {
		var m meta
		if m, err = inspect(f); err == nil {
			value, err = lookUp(f, m, bucket, key)
		}
		if now, e := newest(f, m.pageSize); e == nil && now.txid == m.txid {
			break
		}
	}
	if err != nil && !errors.Is(err, db.ErrDamaged) {
		err = damaged(err, "%s is refused: %v", path, err)
	}
	return value, err
}

// lookUp goes the way to one record through the pages of a commit.
func lookUp(f *os.File, m meta, bucket string, key []byte) (value []byte, err error) {
	c := newChecker(f, m, func(wrong error) {
		if err == nil {
			err = wrong
		}
	})
	found := false
	c.record = func(in string, k, v []byte) {
		if in == bucket && bytes.Equal(k, key) {
			value, found = bytes.Clone(v), true
		}
	}
	for c.todo = []subtree{{page: m.root}}; len(c.todo) > 0 && err == nil; {
		next := c.todo[0]
		c.todo = c.todo[1:]
		if next.bucket == "" || next.bucket == bucket {
			c.subtree(next)
		}
	}
	if err == nil && !found {
		err = fmt.Errorf("record %q in bucket %q is not there", key, bucket)
	}
	return value, err
}
