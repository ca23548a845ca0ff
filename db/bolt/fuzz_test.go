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

// FuzzOpen opens any file, reads all of it and writes to it: it works or is
// refused as damaged, and nothing else. The seeds are a small store and damaged
// ones; sound says that its headers have right checksums, whatever they say.
func FuzzOpen(f *testing.F) {
	store := fuzzStore(f)
	f.Add(store, true)
	f.Add(store[:len(store)/2], true)
	f.Add(store[:2*fuzzPage], true)
	for page := range len(store) / fuzzPage {
		for _, damage := range []func(p []byte){
			func(p []byte) { clear(p) },
			func(p []byte) { order.PutUint16(p[8:], flagBranch) },
			func(p []byte) { order.PutUint16(p[10:], 0xFFFF) },
			func(p []byte) { order.PutUint32(p[12:], 1<<31) },
			func(p []byte) { order.PutUint32(p[pageHeader:], 1<<31) },
			func(p []byte) { order.PutUint64(p[pageHeader+8:], 3) },
			func(p []byte) { copy(p, store[2*fuzzPage:3*fuzzPage]) },
		} {
			b := bytes.Clone(store)
			damage(b[page*fuzzPage:][:fuzzPage])
			f.Add(b, true)
		}
	}
	path := filepath.Join(f.TempDir(), fmt.Sprintf("%d.db", os.Getpid()))
	f.Fuzz(func(t *testing.T, text []byte, sound bool) {
		if sound {
			text = bytes.Clone(text)
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
			if place, err = e.Patrol(t.Context(), place, func(string, []byte, []byte) {}, func(error) {}); err != nil {
				wantDamaged(t, "patrol", err)
			}
			if parts > 1000 {
				t.Fatal("the patrol does not end")
			}
		}
		wantDamaged(t, "write", set(e, "key 000005x", string(bytes.Repeat([]byte{'n'}, 3000))))
		wantDamaged(t, "write", set(e, "k", "v"))
	})
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
