package etcd

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// writes are what a transaction, or several that share a commit, have put and deleted:
// by the key below the prefix, nil where it was deleted.
type writes struct {
	values map[string][]byte
	order  []string // in which they were written last
	bytes  int      // of keys and values
}

func (w *writes) set(key string, value []byte) {
	if w.values == nil {
		w.values = map[string][]byte{}
	}
	if old, again := w.values[key]; again {
		w.bytes -= len(key) + len(old)
		w.order = slices.DeleteFunc(w.order, func(k string) bool { return k == key })
	}
	w.values[key] = value
	w.order = append(w.order, key)
	w.bytes += len(key) + len(value)
}

func (w *writes) get(key string) (value []byte, written bool) {
	if w == nil {
		return nil, false
	}
	value, written = w.values[key]
	return value, written
}

// within returns the keys that were written from lo to before hi.
func (w *writes) within(lo, hi string) (keys []string) {
	if w == nil {
		return nil
	}
	for key := range w.values {
		if key >= lo && key < hi {
			keys = append(keys, key)
		}
	}
	return keys
}

// ordered sorts keys in the order of a scan, each once.
func ordered(keys []string, reverse bool) []string {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if reverse {
		slices.Reverse(keys)
	}
	return keys
}

// encode makes one value of them: for each its key and its value with one more than its
// length in front, 0 of what is deleted.
func (w *writes) encode() []byte {
	b := make([]byte, 0, w.bytes+10*len(w.order))
	for _, key := range w.order {
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
		value := w.values[key]
		if value == nil {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(value))+1)
		b = append(b, value...)
	}
	return b
}

var errRedo = errors.New("what a large change was yet to write can't be read")

func decodeWrites(b []byte) (*writes, error) {
	w := &writes{}
	next := func(n uint64) (string, bool) {
		if n > uint64(len(b)) {
			return "", false
		}
		s := string(b[:n])
		b = b[n:]
		return s, true
	}
	length := func() (uint64, bool) {
		n, used := binary.Uvarint(b)
		if used <= 0 {
			return 0, false
		}
		b = b[used:]
		return n, true
	}
	for len(b) > 0 {
		n, ok := length()
		key, ok2 := next(n)
		m, ok3 := length()
		if !ok || !ok2 || !ok3 || !strings.Contains(key, "/") {
			return nil, errRedo
		}
		if m == 0 {
			w.set(key, nil)
			continue
		}
		value, ok := next(m - 1)
		if !ok {
			return nil, errRedo
		}
		w.set(key, []byte(value))
	}
	return w, nil
}
