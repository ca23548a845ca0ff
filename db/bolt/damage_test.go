//go:build unix

package bolt

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db"
)

// populated answers the bytes of a store with several levels of pages.
func populated(t testing.TB) []byte {
	t.Helper()
	path := create(t)
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	populate(t, e, 3000)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pageSizeOf(t testing.TB, store []byte) int {
	t.Helper()
	m, err := newest(bytes.NewReader(store), 0)
	if err != nil {
		t.Fatal(err)
	}
	return int(m.pageSize)
}

func TestRefused(t *testing.T) {
	store := populated(t)
	size := pageSizeOf(t, store)
	m, _ := newest(bytes.NewReader(store), 0)
	changed := func(at ...int) []byte {
		b := bytes.Clone(store)
		for _, at := range at {
			b[at] ^= 0x55
		}
		return b
	}
	const txid = pageHeader + 48
	tests := []struct {
		name    string
		content []byte
		says    string
	}{
		{"empty", nil, "empty"},
		{"one byte", []byte("x"), "form of a store"},
		{"text", []byte(strings.Repeat("users: none\n", 10_000)), "form of a store"},
		{"zeros", make([]byte, len(store)), "form of a store"},
		{"half", store[:int(m.pages)*size/2], "truncated"},
		{"one page less", store[:(int(m.pages)-1)*size], "truncated"},
		{"metas only", store[:2*size], "truncated"},
		{"first meta only", store[:size], "truncated"},
		{"both metas", changed(txid, size+txid), "checksums"},
		{"both versions", changed(pageHeader+4, size+pageHeader+4), "version"},
		{"page of the root", changed(int(m.root)*size + 8), "neither branch nor leaf"},
		{"list of free pages", changed(int(m.freelist)*size + 8), "free pages"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "husk.db")
			old := time.Now().Add(-time.Hour).Truncate(time.Second)
			if err := errors.Join(os.WriteFile(path, tt.content, 0o600), os.Chtimes(path, old, old)); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, Options{})
			if !errors.Is(err, db.ErrDamaged) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("open = %v, want db.ErrDamaged that says %q", err, tt.says)
			}
			after, err := os.ReadFile(path)
			info, err2 := os.Stat(path)
			if err != nil || err2 != nil || !bytes.Equal(after, tt.content) || !info.ModTime().Equal(old) {
				t.Errorf("the refused file was changed: %v, %v", err, err2)
			}
			if f, err := claim(path, 0); err != nil {
				t.Errorf("the refused file stays locked: %v", err)
			} else {
				f.Close()
			}
		})
	}
}

func TestNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, "/dev/null"} {
		if _, err := Open(path, Options{}); !errors.Is(err, db.ErrDamaged) || !strings.Contains(err.Error(), "regular") {
			t.Errorf("open(%s) = %v, want db.ErrDamaged", path, err)
		}
	}
}

func TestAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "husk.db")
	if _, err := Open(path, Options{}); !errors.Is(err, db.ErrAbsent) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open = %v, want db.ErrAbsent", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("open made a file")
	}
}

func TestNoPermission(t *testing.T) {
	path := create(t)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	if _, err := Open(path, Options{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("open = %v, want fs.ErrPermission", err)
	}
}

// TestOneMeta damages the meta of the last commit: the store is that of the
// commit before, and works.
func TestOneMeta(t *testing.T) {
	store := populated(t)
	size := pageSizeOf(t, store)
	for slot := range 2 {
		b := bytes.Clone(store)
		clear(b[slot*size : (slot+1)*size])
		path := filepath.Join(t.TempDir(), "husk.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		// The commit that is gone may have been acknowledged: that must be told,
		// also when the next one has written a header over the damaged one.
		for range 3 {
			if !e.Stats().OldHeader {
				t.Errorf("without meta %d: the figures do not tell", slot)
			}
			wantWhole(t, e) // what there is, is: a power cut can leave a header half written
			if err := errors.Join(readAll(e), set(e, "k", "v")); err != nil {
				t.Errorf("without meta %d: %v", slot, err)
			}
		}
		wantValue(t, e, "k", "v")
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if open(t, path).Stats().OldHeader { // both are whole now
			t.Errorf("without meta %d: it is told for ever", slot)
		}
	}
}

// TestFlippedBytes damages copies at random. Each of them works or is refused
// by an error; none may end the process or hang.
func TestFlippedBytes(t *testing.T) {
	const copies = 200
	store := populated(t)
	m, _ := newest(bytes.NewReader(store), 0)
	store = store[:int64(m.pages)*m.pageSize]
	random := rand.New(rand.NewSource(1))
	dir := t.TempDir()
	outcomes := map[string]int{}
	for i := range copies {
		b := bytes.Clone(store)
		for range 24 + random.Intn(41) {
			b[random.Intn(len(b))] ^= byte(1 + random.Intn(255))
		}
		if i%2 == 0 { // more of the small structures that hold the rest together
			page := 2 + random.Intn(int(m.pages)-2)
			b[page*int(m.pageSize)+random.Intn(64)] ^= byte(1 + random.Intn(255))
		}
		path := filepath.Join(dir, "husk.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		outcome := make(chan string, 1)
		go func() { outcome <- exercise(t, path) }()
		select {
		case o := <-outcome:
			outcomes[o]++
		case <-time.After(30 * time.Second):
			t.Fatalf("copy %d hangs", i)
		}
	}
	t.Log(outcomes)
}

// exercise opens a damaged store, walks it and writes to it.
func exercise(t *testing.T, path string) (outcome string) {
	e, err := Open(path, Options{})
	if err != nil {
		if !errors.Is(err, db.ErrDamaged) {
			t.Errorf("open = %v, want db.ErrDamaged", err)
		}
		return "refused"
	}
	defer e.Close()
	outcome = "works"
	for _, err := range []error{readAll(e), set(e, "key 001500x", strings.Repeat("v", 5000)), set(e, "k", "v")} {
		if err != nil {
			outcome = "error"
			if !errors.Is(err, db.ErrDamaged) {
				t.Errorf("error of a damaged store = %v, want db.ErrDamaged", err)
			}
		}
	}
	return outcome
}

// TestUncheckedFlips does the same to stores whose pages Open did not come to,
// so that the guards alone have to hold.
func TestUncheckedFlips(t *testing.T) {
	store := populated(t)
	m, _ := newest(bytes.NewReader(store), 0)
	random := rand.New(rand.NewSource(2))
	dir := t.TempDir()
	for range uncheckedCopies {
		b := bytes.Clone(store)
		for range 40 {
			// Leaves and lists: a circle of branches is what only the check finds.
			page := b[int64(2+random.Intn(int(m.pages)-2))*m.pageSize:]
			if order.Uint16(page[8:]) != flagBranch {
				page[random.Intn(200)] ^= byte(1 + random.Intn(255))
			}
		}
		path := filepath.Join(dir, "husk.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		e := newEngine(path, time.Second)
		f, err := claim(path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.attach(f); err != nil {
			if !errors.Is(err, db.ErrDamaged) {
				t.Errorf("attach = %v", err)
			}
			continue
		}
		_ = readAll(e)
		_ = set(e, "key 001500x", strings.Repeat("v", 5000))
		_ = set(e, "k", "v")
		e.Close()
	}
}

func TestFileCutWhileOpen(t *testing.T) {
	for _, pages := range []int64{2, 0} {
		path := create(t)
		e, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		populate(t, e, 3000)
		if err := os.Truncate(path, pages*e.pageSize); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := readAll(e); !errors.Is(err, db.ErrDamaged) {
				t.Errorf("%d pages left: view = %v, want db.ErrDamaged", pages, err)
			}
			if err := set(e, "key 000001", "v"); !errors.Is(err, db.ErrDamaged) {
				t.Errorf("%d pages left: update = %v, want db.ErrDamaged", pages, err)
			}
		}
		if err := e.Close(); err != nil {
			t.Errorf("%d pages left: close = %v", pages, err)
		}
	}
}

// TestSwallowedDamage has a function look away: the damage is told all the same.
func TestSwallowedDamage(t *testing.T) {
	path := create(t)
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	populate(t, e, 3000)
	if err := os.Truncate(path, 2*e.pageSize); err != nil {
		t.Fatal(err)
	}
	lookAway := func(tx db.Tx) error { _, _ = tx.Get("b", []byte("key 000001")); return nil }
	if err := e.View(t.Context(), lookAway); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("view = %v, want db.ErrDamaged", err)
	}
	if err := e.Update(t.Context(), lookAway); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("update = %v, want db.ErrDamaged", err)
	}
}

// TestCheckFinds has the check name what Open would refuse or could not see.
func TestCheckFinds(t *testing.T) {
	store := populated(t)
	m, _ := newest(bytes.NewReader(store), 0)
	size := int(m.pageSize)
	leaf := 0
	for id := 2; id < int(m.pages); id++ {
		if p := page(store[id*size:]); p.flags() == flagLeaf && p.count() > 10 {
			leaf = id
		}
	}
	tests := []struct {
		name   string
		change func(b []byte)
		says   string
	}{
		{"nothing", func([]byte) {}, ""},
		{"key", func(b []byte) { p := b[leaf*size:]; k, _, _, _ := page(p[:size]).element(3, false); k[0] = 'z' }, "out of order"},
		{"position", func(b []byte) { order.PutUint32(b[leaf*size+pageHeader+4:], 1<<31) }, "points outside"},
		{"page id", func(b []byte) { order.PutUint64(b[leaf*size:], 7777) }, "its header says"},
		{"overflow", func(b []byte) { order.PutUint32(b[leaf*size+12:], 1<<31) }, "its header says"},
		{"free and used", func(b []byte) { order.PutUint64(b[int(m.freelist)*size+pageHeader:], uint64(leaf)) }, "used and free"},
		{"leak", func(b []byte) {
			p := b[int(m.freelist)*size:]
			n := page(p).count()
			copy(p[pageHeader:], p[pageHeader+8:pageHeader+8*n+8])
			order.PutUint16(p[10:], uint16(n-1))
		}, "1 pages are neither"},
		{"free list cut", func(b []byte) { order.PutUint16(b[int(m.freelist)*size+10:], 0) }, "goes on behind its end"},
		{"free list out of order", func(b []byte) { order.PutUint64(b[int(m.freelist)*size+pageHeader:], m.pages-1) }, "the list of free pages is damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bytes.Clone(store)
			tt.change(b)
			var found []string
			c := newChecker(bytes.NewReader(b), m, func(err error) { found = append(found, err.Error()) })
			if err := c.walk(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.leaks()
			if s := strings.Join(found, "; "); !strings.Contains(s, tt.says) || (tt.says == "") != (s == "") {
				t.Errorf("found %q, want %q", s, tt.says)
			}
		})
	}
}
