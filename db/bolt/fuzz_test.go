package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"husk/db"
)

const fuzzPage = 1 << 10 // small pages make small files

// fuzzStore is the bytes of a small store with branches, leaves, an inline
// bucket, a record that is longer than a page, and free pages.
func fuzzStore(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.db")
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: fuzzPage, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	put := func(bucket, key string, size int) {
		err := b.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte(bucket))
			return errors.Join(err, bucket.Put([]byte(key), bytes.Repeat([]byte{'v'}, size)))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		put("b", fmt.Sprintf("key %06d", i), 150)
	}
	put("b", "key 000003x", 2*fuzzPage)
	put("small", "k", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newest(bytes.NewReader(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	return text[:int64(m.pages)*m.pageSize]
}

// resum makes the checksums of the headers right, so that what they say is
// believed.
func resum(text []byte) {
	for _, at := range []int{0, fuzzPage} {
		if len(text) >= at+pageHeader+metaSize {
			raw := text[at+pageHeader:]
			sum := fnv.New64a()
			sum.Write(raw[:metaChecksum])
			order.PutUint64(raw[metaChecksum:], sum.Sum64())
		}
	}
}

// patched damages a store by steps of four bytes: what, two numbers, a value.
// A fuzzer finds more in them than in the bytes of a whole file.
func patched(store []byte, steps []byte) []byte {
	b := bytes.Clone(store)
	pages := len(b) / fuzzPage
	page := func(n byte) []byte { return b[int(n)%pages*fuzzPage:][:fuzzPage] }
	for ; len(steps) >= 4; steps = steps[4:] {
		n, m, value := steps[1], steps[2], steps[3]
		switch steps[0] % 5 {
		case 0: // a byte anywhere
			b[(int(n)<<8|int(m))%len(b)] = value
		case 1: // one of the small structures that hold the rest together
			page(n)[m] = value
		case 2:
			clear(page(n))
		case 3: // one page over another; it may say that it is that one
			copy(page(m), page(n))
			if value%2 == 1 {
				order.PutUint64(page(m), uint64(int(m)%pages))
			}
		case 4:
			first := bytes.Clone(page(n))
			copy(page(n), page(m))
			copy(page(m), first)
		}
	}
	return b
}

// FuzzOpen opens damaged files, reads all of each and writes to it: it works or
// is refused as damaged, and nothing else. sound says that its headers have
// right checksums, whatever they say; cut is how much is missing at the end.
func FuzzOpen(f *testing.F) {
	store := fuzzStore(f)
	f.Add([]byte{}, true, uint16(0))
	f.Add([]byte{}, true, uint16(len(store)/2))
	f.Add([]byte{}, false, uint16(len(store)-1))
	for page := range byte(len(store) / fuzzPage) {
		for _, step := range [][]byte{
			{2, page, 0, 0}, {3, page, page + 1, 1}, {4, page, page + 1, 0}, // cleared, copied, swapped
			{1, page, 8, flagBranch}, {1, page, 9, 0xFF}, {1, page, 10, 0xFF}, {1, page, 11, 0xFF}, {1, page, 15, 0x80}, // flags, count, overflow
			{1, page, 16, 2}, {1, page, 19, 0x80}, {1, page, 20, 0xFF}, {1, page, 24, 3}, {1, page, 28, 0xFF}, {1, page, 31, 0x80}, // the first element, or the header's fields
			{1, page, 48, 0xFF}, {1, page, 56, 0xFF}, {1, page, 63, 0xFF}, {1, page, 71, 0xFF},
		} {
			f.Add(step, true, uint16(0))
		}
	}
	path := filepath.Join(memoryDir(f), fmt.Sprintf("%d.db", os.Getpid()))
	f.Fuzz(func(t *testing.T, steps []byte, sound bool, cut uint16) {
		text := patched(store, steps)
		text = text[:max(0, len(text)-int(cut))]
		if sound {
			resum(text)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
		lookAt(t, path)
		e, err := Open(path, Options{})
		if err != nil {
			wantDamaged(t, "open", err)
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, text) {
				t.Fatalf("a refused file was changed: %v", err)
			}
			return
		}
		defer e.Close()
		wantDamaged(t, "read", readAll(e))
		wantDamaged(t, "check", e.Check(t.Context(), func(error) {}))
		for place, parts := []byte{}, 0; place != nil; parts++ {
			if place, err = e.Scrub(t.Context(), place, func(string, []byte, []byte) {}, func(error) {}); err != nil {
				wantDamaged(t, "scrub", err)
			}
			if parts > 1000 {
				t.Fatal("the scrub does not end")
			}
		}
		wantDamaged(t, "write", set(e, "key 000005x", string(bytes.Repeat([]byte{'n'}, 3000))))
		wantDamaged(t, "write", set(e, "k", "v"))
	})
}

// memoryDir is a folder in memory, where there is one: what is written is not
// to outlive the process, and each input writes and syncs.
func memoryDir(f *testing.F) string {
	dir, err := os.MkdirTemp("/dev/shm", "husk-fuzz-*")
	if err != nil {
		return f.TempDir()
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func wantDamaged(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, db.ErrDamaged) {
		t.Fatalf("%s = %v, want db.ErrDamaged", what, err)
	}
}

// lookAt walks the file without opening it.
func lookAt(t *testing.T, path string) {
	t.Helper()
	file, err := OpenFile(path, time.Second)
	if err != nil {
		wantDamaged(t, "look", err)
		return
	}
	defer file.Close()
	if err := file.Walk(t.Context(), func(string, []byte, []byte) {}, func(error) {}); err != nil {
		t.Fatalf("walk = %v", err)
	}
}
