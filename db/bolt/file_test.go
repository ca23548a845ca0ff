//go:build unix

package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// walkFile walks a file of the given content and returns what it meets: by
// bucket and key, "?" where the bucket is not known.
func walkFile(t *testing.T, content []byte) (met map[string]string, reports []string, f *File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	met = map[string]string{}
	err = f.Walk(t.Context(), func(bucket string, key, value []byte) {
		if bucket == "" {
			bucket = "?"
		}
		met[bucket+"/"+string(key)] = string(value)
	}, func(err error) { reports = append(reports, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	return met, reports, f
}

func TestWalkOfASoundFile(t *testing.T) {
	met, reports, f := walkFile(t, populated(t))
	if len(met) != 3001 || len(reports) > 0 || f.Unreadable() != nil {
		t.Errorf("%d records, reports %v, %v", len(met), reports, f.Unreadable())
	}
	if met["b/key 002999"] != strings.Repeat("v", 50+2999%100) || met["small/k"] != "v" {
		t.Errorf("%q, %q", met["b/key 002999"], met["small/k"])
	}
}

// branchOf returns the page of the root of bucket b, which is a branch.
func branchOf(t *testing.T, b []byte) page {
	t.Helper()
	m, err := newest(bytes.NewReader(b), 0)
	if err != nil {
		t.Fatal(err)
	}
	root := page(b[int64(m.root)*m.pageSize:])
	for i := range root.count() {
		if key, value, _, ok := root.element(i, false); ok && string(key) == "b" {
			p := page(b[int64(order.Uint64(value))*m.pageSize:][:m.pageSize])
			if p.flags() != flagBranch {
				t.Fatal("the bucket has one page only")
			}
			return p
		}
	}
	t.Fatal("the bucket is not found")
	return nil
}

// What lies behind a damaged page is found without it.
func TestWalkBehindADamagedPage(t *testing.T) {
	for name, damage := range map[string]func(b []byte){
		"zeroed":        func(b []byte) { clear(branchOf(t, b)) },
		"no page":       func(b []byte) { order.PutUint16(branchOf(t, b)[8:], 0) },
		"an element":    func(b []byte) { order.PutUint32(branchOf(t, b)[pageHeader:], 1<<30) },
		"another child": func(b []byte) { order.PutUint64(branchOf(t, b)[pageHeader+8:], 1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := populated(t)
			damage(b)
			met, reports, _ := walkFile(t, b)
			if len(reports) == 0 {
				t.Error("nothing is reported")
			}
			found := 0
			for i := range 3000 {
				key := fmt.Sprintf("key %06d", i)
				if value := met["b/"+key] + met["?/"+key]; value == strings.Repeat("v", 50+i%100) {
					found++
				}
			}
			if found != 3000 {
				t.Errorf("%d of 3000 records are found", found)
			}
		})
	}
}

// A page of which a copy stands in the place of another one is read once.
func TestWalkReadsACopyOnce(t *testing.T) {
	b := populated(t)
	root := branchOf(t, b)
	size := int64(len(root))
	child := func(p page, i int) page {
		_, value, _, _ := p.element(i, true)
		return page(b[int64(order.Uint64(value))*size:][:size])
	}
	parent := root
	for child(parent, 0).flags() == flagBranch {
		parent = child(parent, 0)
	}
	copy(child(parent, 1), child(parent, 0))
	clear(root)
	path := filepath.Join(t.TempDir(), "husk.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	times := map[string]int{}
	if err := f.Walk(t.Context(), func(_ string, key, _ []byte) { times[string(key)]++ }, func(error) {}); err != nil {
		t.Fatal(err)
	}
	for key, n := range times {
		if n > 1 {
			t.Fatalf("%q is met %d times", key, n)
		}
	}
	if len(times) < 2900 || len(times) > 2999 {
		t.Errorf("%d records are met", len(times))
	}
}

// A page that was given up is not taken for one that is in use, wherever a
// copy of it stands.
func TestWalkTakesNoOldPage(t *testing.T) {
	path := create(t)
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	populate(t, e, 3000)
	var removed int
	err = e.Update(t.Context(), func(tx db.Tx) error {
		for i := range 1500 {
			removed++
			if err := tx.Delete("b", fmt.Appendf(nil, "key %06d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte("key 000007")) {
		t.Fatal("the file holds nothing of what was removed")
	}
	// A misdirected write: the old page stands in the place of the root.
	root := branchOf(t, b)
	m, _ := newest(bytes.NewReader(b), 0)
	for id := int64(2); id < int64(m.pages); id++ {
		if p := page(b[id*m.pageSize:][:m.pageSize]); p.flags() == flagLeaf && bytes.Contains(p, []byte("key 000007")) {
			copy(root, p)
		}
	}
	met, _, _ := walkFile(t, b)
	for key := range met {
		for i := range 1500 {
			if strings.HasSuffix(key, fmt.Sprintf("key %06d", i)) {
				t.Fatalf("%s was removed, and is back", key)
			}
		}
	}
	if len(met) < 1000 {
		t.Errorf("only %d records are found of those that are there", len(met))
	}
}

// Nor is it where the list of free pages is damaged, which has no checksum: then
// a page that was given up is missed in it.
func TestWalkTakesNoOldPageForALostOne(t *testing.T) {
	const removed = 1500
	path := create(t)
	e, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	populate(t, e, 3000)
	err = e.Update(t.Context(), func(tx db.Tx) error {
		for i := range removed {
			if err := tx.Delete("b", fmt.Appendf(nil, "key %06d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	store, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newest(bytes.NewReader(store), 0)
	if err != nil {
		t.Fatal(err)
	}
	list := func(b []byte) page { return page(b[int64(m.freelist)*m.pageSize:]) }
	ids := func(b []byte) []byte { return list(b)[pageHeader:] }
	holds := func(id uint64) bool {
		p := page(store[int64(id)*m.pageSize:][:m.pageSize])
		return p.id() == id && p.flags() == flagLeaf && bytes.Contains(p, []byte("key 000"))
	}
	given := -1 // where in the list a page is that holds what was removed
	for i := range list(store).count() {
		if given < 0 && i > 0 && holds(order.Uint64(ids(store)[8*i:])) {
			given = i
		}
	}
	if given < 0 {
		t.Fatal("no page that was given up holds what was removed")
	}
	for name, damage := range map[string]func(b []byte){
		"nothing":      func([]byte) {},
		"cut short":    func(b []byte) { order.PutUint16(list(b)[10:], uint16(given)) },
		"emptied":      func(b []byte) { order.PutUint16(list(b)[10:], 0) },
		"out of order": func(b []byte) { order.PutUint64(ids(b)[8*given:], order.Uint64(ids(b)[8*given-8:])-1) },
		"a used one":   func(b []byte) { order.PutUint64(ids(b)[8*given:], m.root) },
		"a lost one":   func(b []byte) { order.PutUint64(ids(b)[8*given:], branchOf(t, b).id()) },
		"twice":        func(b []byte) { order.PutUint64(ids(b)[8*given:], order.Uint64(ids(b)[8*given-8:])) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(store)
			damage(b)
			order.PutUint16(branchOf(t, b)[8:], 0) // so that pages are looked for
			met, _, _ := walkFile(t, b)
			for key := range met {
				for i := range removed {
					if strings.HasSuffix(key, fmt.Sprintf("key %06d", i)) {
						t.Fatalf("%s was removed, and is back", key)
					}
				}
			}
			if name == "nothing" && len(met) < 1000 {
				t.Errorf("only %d records are found", len(met))
			}
		})
	}
}

// Where the header is lost nothing is guessed, and whatever is wrong with a
// file is told and no panic.
func TestWalkOfWhatIsNoStore(t *testing.T) {
	store := populated(t)
	size := pageSizeOf(t, store)
	noHeader := bytes.Clone(store)
	clear(noHeader[:2*size])
	for name, c := range map[string]struct {
		content    []byte
		says       string
		unreadable bool
	}{
		"empty":     {nil, "it is empty", true},
		"text":      {[]byte(strings.Repeat("users: none\n", 10_000)), "form of a store", true},
		"no header": {noHeader, "form of a store", true},
		"half":      {store[:len(store)/3], "truncated", false},
		"metas":     {store[:2*size], "truncated", false},
	} {
		t.Run(name, func(t *testing.T) {
			met, reports, f := walkFile(t, c.content)
			if !strings.Contains(strings.Join(reports, "\n"), c.says) || (f.Unreadable() != nil) != c.unreadable {
				t.Errorf("reports %q, unreadable: %v", reports, f.Unreadable())
			}
			if c.unreadable && len(met) > 0 {
				t.Errorf("%d records are taken", len(met))
			}
		})
	}
}

func TestFileHoldsTheLock(t *testing.T) {
	path := create(t)
	f, err := OpenFile(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Timeout: 20 * time.Millisecond}); !errors.Is(err, db.ErrLocked) {
		t.Errorf("open = %v, want db.ErrLocked", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	open(t, path)
	if _, err := OpenFile(path+"x", 0); !errors.Is(err, db.ErrAbsent) {
		t.Errorf("an absent file: %v", err)
	}
}

// Who fills a store in the folder of another user is not led out of it.
func TestFillFollowsNoLink(t *testing.T) {
	if noFollow == 0 {
		t.Skip("this system can't keep an open from following links")
	}
	dir := t.TempDir()
	elsewhere, path := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "husk.db")
	if err := errors.Join(os.WriteFile(elsewhere, nil, 0o600), os.Symlink(elsewhere, path)); err != nil {
		t.Fatal(err)
	}
	if err := Fill(path, func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) }); err == nil {
		t.Error("it is filled")
	}
	if b, err := os.ReadFile(elsewhere); err != nil || len(b) > 0 {
		t.Errorf("%d bytes stand elsewhere, %v", len(b), err)
	}
}
