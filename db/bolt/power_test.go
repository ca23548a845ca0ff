//go:build unix

package bolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
)

// The calls whose effect a power cut can take away, and those by which the
// workload tells what it did.
var powerCalls = []string{"-xx", "-s", "100000000",
	"-e", "trace=openat,pwrite64,write,fdatasync,fsync,ftruncate,link,linkat,unlink,unlinkat,rename,renameat,renameat2"}

const sector = 512 // what a disk writes whole or not at all

// write is a change of the file that may be in the cache alone: data at an
// offset, or with no data a size.
type write struct {
	at   int64
	data []byte
}

func (w write) apply(image []byte) []byte {
	end := w.at + int64(len(w.data))
	if w.data == nil && int64(len(image)) > w.at {
		return image[:w.at]
	}
	if grow := end - int64(len(image)); grow > 0 {
		image = append(image, make([]byte, grow)...)
	}
	copy(image[w.at:], w.data)
	return image
}

func applyAll(image []byte, writes []write) []byte {
	image = bytes.Clone(image)
	for _, w := range writes {
		image = w.apply(image)
	}
	return image
}

// disk is what is known of one at a moment of the trace.
type disk struct {
	durable  []byte
	pending  []write // since the last sync, in their order
	doubtful []write // of a sync that failed: on the disk or not, whatever later syncs say
	named    bool    // the name of the store is in its folder
	nameSafe bool    // and the folder was synced since
}

// sync makes what is pending durable. A page that was written anew is in doubt
// no more.
func (d *disk) sync() {
	d.durable = applyAll(d.durable, d.pending)
	d.doubtful = slices.DeleteFunc(d.doubtful, func(w write) bool {
		return slices.ContainsFunc(d.pending, func(p write) bool {
			return p.data != nil && w.data != nil && p.at <= w.at && p.at+int64(len(p.data)) >= w.at+int64(len(w.data)) ||
				p.data == nil && w.data == nil
		})
	})
	d.pending = nil
}

func (d *disk) failedSync() {
	d.doubtful = append(d.doubtful, d.pending...)
	d.durable, d.pending = bytes.Clone(d.durable), nil
}

func (d *disk) unsynced() []write { return append(slices.Clone(d.doubtful), d.pending...) }

// content is what a store holds: a digest of all of it, and what the words of
// the workload are about.
type content struct {
	digest   [sha256.Size]byte
	tokens   map[string]bool
	sessions map[string]bool
	users    map[string]*db.User // by id and email
}

// replay goes through a trace.
type replay struct {
	t      *testing.T
	path   string // of the file that is opened
	random *rand.Rand
	most   int // crash points between two syncs
	cases  int // of each crash point, beside the two plain ones

	disk    disk
	begun   map[string]bool // "mint ID"
	states  []*content      // those that a crash may leave, the durable one first
	known   map[[sha256.Size]byte]*content
	onDisk  []byte // what the file at path holds
	torn    bool   // one of its metas is: that is told, because it may have been the last one
	tried   map[string]int
	refused map[string]int
	lost    map[string]int
}

func newReplay(t *testing.T, most, cases int) *replay {
	return &replay{
		t: t, path: filepath.Join(memory(t), "husk.db"), random: rand.New(rand.NewSource(1)), most: most, cases: cases,
		begun: map[string]bool{}, known: map[[sha256.Size]byte]*content{},
		tried: map[string]int{}, refused: map[string]int{}, lost: map[string]int{},
	}
}

// memory is a folder that no disk is behind, where there is one.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "husk-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// report prints the line that docs/reliability.md has.
func (r *replay) report(kind string) {
	r.t.Helper()
	dbtest.Cases(kind, r.tried[kind], r.refused[kind], r.lost[kind]).Report(r.t)
}

// run plays the calls on the store at path, and cuts the power between them.
func (r *replay) run(calls []*syscalls.Call, path, kind string) {
	dir := filepath.Dir(path)
	of := func(name string) bool { return name == path || strings.HasPrefix(name, filepath.Join(dir, newPrefix)) }
	calls = syscalls.ByEffect(calls)
	points := r.points(calls, of)
	for i, c := range calls {
		if c.Name == "write" {
			r.told(c)
			continue
		}
		if !c.OK() {
			if strings.HasSuffix(c.Name, "sync") && of(c.Path()) {
				r.disk.failedSync()
			}
			continue
		}
		switch {
		case c.Name == "pwrite64" && of(c.Path()):
			r.wrote(write{c.Int(3), c.Bytes(1)[:c.Result]})
		case c.Name == "ftruncate" && of(c.Path()):
			r.wrote(write{c.Int(1), nil})
		case strings.HasSuffix(c.Name, "sync") && of(c.Path()):
			r.disk.sync()
			r.settled()
		case c.Name == "fsync" && c.Path() == dir:
			r.disk.nameSafe = r.disk.named
		case strings.HasPrefix(c.Name, "link") && c.Named(len(c.Args)-2) == path,
			strings.HasPrefix(c.Name, "rename") && slices.ContainsFunc([]int{1, 3}, func(n int) bool { return c.Named(n) == path }):
			r.disk.named = true
			r.settled()
		default:
			continue
		}
		if points[i] {
			r.cut(kind)
		}
	}
}

// points chooses where the power is cut: everywhere, but of a commit of very
// many pages at some places alone.
func (r *replay) points(calls []*syscalls.Call, of func(string) bool) map[int]bool {
	points, between := map[int]bool{}, []int{}
	for i, c := range calls {
		between = append(between, i)
		if strings.HasSuffix(c.Name, "sync") && of(c.Path()) || i == len(calls)-1 {
			for n := range min(len(between), r.most) {
				points[between[n*len(between)/min(len(between), r.most)]] = true
			}
			points[i] = true
			between = nil
		}
	}
	return points
}

// told reads what the workload says, and holds what was acknowledged against
// what is durable.
func (r *replay) told(c *syscalls.Call) {
	words := strings.Fields(string(c.Bytes(1)))
	if len(words) != 3 {
		return
	}
	what, id := words[1], words[2]
	switch words[0] {
	case "begin":
		r.begun[what+" "+id] = true
	case "done":
		if what != "create" && !r.disk.nameSafe {
			r.t.Errorf("%s: acknowledged before the name of the store was durable", c)
		}
		if err := r.states[0].holds(what, id); err != nil {
			r.t.Errorf("acknowledged before it was durable: %v; %s", err, c)
		}
	case "fail":
		// What was answered as failed is not there: not in what is durable.
		if what == "mint" && r.states[0].tokens[id] {
			r.t.Errorf("answered as failed, but durable: %s", c)
		}
	}
}

// holds tells what of an acknowledged operation is not in the content.
func (s *content) holds(what, id string) error {
	ok := true
	switch what {
	case "mint":
		ok = s.tokens[id]
	case "revoke":
		ok = !s.tokens[id]
	case "user":
		ok = s.users[id] != nil
	case "logout":
		ok = !s.sessions[id]
	case "password":
		ok = s.users[id] != nil && s.users[id].Password == "second"
	case "disable":
		ok = s.users[id] != nil && s.users[id].Disabled
	case "import":
		ok = len(s.users) > 450
	}
	if !ok {
		return fmt.Errorf("%s %s", what, id)
	}
	return nil
}

func (r *replay) wrote(w write) {
	r.disk.pending = append(r.disk.pending, w)
	if w.data == nil || w.at > maxPageSize || !r.disk.named {
		return
	}
	before, _ := newest(bytes.NewReader(r.disk.durable), 0)
	if w.at < 2*before.pageSize { // a meta: with it comes another state
		r.states = append(r.states, r.look(applyAll(r.disk.durable, r.disk.unsynced())))
	}
}

// settled makes another state the durable one; what is in doubt stays possible.
// A store that has no name yet is nobody's.
func (r *replay) settled() {
	if !r.disk.named {
		return
	}
	durable := r.look(r.disk.durable)
	if len(r.disk.doubtful) == 0 {
		r.states = nil
	}
	r.states = append([]*content{durable}, r.states...)
	for id := range durable.tokens {
		if !r.begun["mint "+id] {
			r.t.Errorf("the token %s is there, and nobody made it", id)
		}
	}
}

// look reads a whole image that has to be sound.
func (r *replay) look(image []byte) *content {
	r.t.Helper()
	r.put(image)
	s, err := r.open(true)
	if err != nil {
		r.t.Fatalf("the store after a whole commit: %v", err)
	}
	if old := r.known[s.digest]; old != nil {
		return old
	}
	r.known[s.digest] = s
	return s
}

// cut tries what a power cut at this moment may leave.
func (r *replay) cut(kind string) {
	if !r.disk.nameSafe {
		r.cutInCreation(kind)
	}
	if !r.disk.named {
		return
	}
	unsynced := r.disk.unsynced()
	r.try(kind, r.disk.durable)
	if len(unsynced) == 0 {
		return
	}
	r.try(kind, applyAll(r.disk.durable, unsynced))
	last := unsynced[len(unsynced)-1]
	r.try(kind, last.apply(bytes.Clone(r.disk.durable)))
	for range r.cases {
		r.try(kind, r.some(unsynced))
	}
	if last.data != nil && last.at <= r.metaEnd() {
		r.tearMeta(kind, unsynced, last)
	}
}

// cutInCreation tries a folder in which the name of the store is not, but
// perhaps the half of one under a temporary name: a store is made there.
func (r *replay) cutInCreation(kind string) {
	r.tried[kind]++
	dir := filepath.Join(filepath.Dir(r.path), "creation")
	defer os.RemoveAll(dir)
	half, path := filepath.Join(dir, newPrefix+"1"), filepath.Join(dir, "husk.db")
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.WriteFile(half, r.some(r.disk.unsynced()), 0o600)
	}
	if err == nil {
		err = Create(path, db.Init)
	}
	if err == nil {
		var e *Engine
		if e, err = Open(path, Options{}); err == nil {
			wantWhole(r.t, e)
			err = e.Close()
		}
	}
	if err != nil {
		r.refused[kind]++
		r.t.Errorf("a store beside the half of one: %v", err)
	}
}

func (r *replay) metaEnd() int64 {
	m, err := newest(bytes.NewReader(r.disk.durable), 0)
	if err != nil {
		return -1
	}
	return m.pageSize
}

// tearMeta writes a meta in part: whatever part it is, its checksum has to
// tell.
func (r *replay) tearMeta(kind string, unsynced []write, meta write) {
	whole := applyAll(r.disk.durable, unsynced[:len(unsynced)-1])
	r.torn = true
	defer func() { r.torn = false }()
	for n := pageHeader; n < pageHeader+metaSize; n += 1 + r.random.Intn(8) {
		r.try(kind, write{meta.at, meta.data[:n]}.apply(bytes.Clone(whole)))
		r.try(kind, write{meta.at + int64(n), meta.data[n:]}.apply(bytes.Clone(whole)))
	}
}

// some writes a part of what is unsynced, in any order, and some of it torn
// between sectors or between pages of 4 KiB.
func (r *replay) some(unsynced []write) []byte {
	image := bytes.Clone(r.disk.durable)
	likely := []float64{0.1, 0.5, 0.9}[r.random.Intn(3)]
	for _, i := range r.random.Perm(len(unsynced)) {
		w := unsynced[i]
		if r.random.Float64() > likely {
			continue
		}
		if w.data == nil || r.random.Intn(3) > 0 {
			image = w.apply(image)
			continue
		}
		unit := []int{sector, 4096}[r.random.Intn(2)]
		for from := 0; from < len(w.data); from += unit {
			if r.random.Intn(2) == 0 {
				part := write{w.at + int64(from), w.data[from:min(from+unit, len(w.data))]}
				image = part.apply(image)
			}
		}
	}
	return image
}

// try opens what a power cut left: it is one of the states that may be, whole.
func (r *replay) try(kind string, image []byte) {
	r.t.Helper()
	r.tried[kind]++
	r.put(image)
	every := r.tried[kind]%16 == 0
	s, err := r.open(every)
	switch {
	case err != nil:
		r.refused[kind]++
		r.t.Errorf("case %d of %s is refused: %v", r.tried[kind], kind, err)
	case !slices.ContainsFunc(r.states, func(may *content) bool { return may.digest == s.digest }):
		r.lost[kind]++
		r.t.Errorf("case %d of %s holds another state than the acknowledged one or the one in flight", r.tried[kind], kind)
	}
	if every && err == nil {
		r.goOn(kind)
	}
	if r.refused[kind]+r.lost[kind] > 20 {
		r.t.Fatal("too many failures")
	}
}

// goOn makes a change to what a power cut left, and reads it again.
func (r *replay) goOn(kind string) {
	e, err := Open(r.path, Options{})
	if err == nil {
		err = set(e, "k", "v")
	}
	if err == nil {
		err = e.Close()
	}
	if err == nil {
		e, err = Open(r.path, Options{})
	}
	if err == nil {
		wantWhole(r.t, e)
		err = e.Close()
	}
	if err != nil {
		r.t.Errorf("a change after case %d of %s: %v", r.tried[kind], kind, err)
	}
	r.onDisk = nil
}

// put makes the file hold the image, by writing what differs.
func (r *replay) put(image []byte) {
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	const step = 4096
	if err := f.Truncate(int64(len(image))); err != nil {
		r.t.Fatal(err)
	}
	for from := 0; from < len(image); from += step {
		to := min(from+step, len(image))
		if len(r.onDisk) >= to && bytes.Equal(r.onDisk[from:to], image[from:to]) {
			continue
		}
		if _, err := f.WriteAt(image[from:to], int64(from)); err != nil {
			r.t.Fatal(err)
		}
	}
	r.onDisk = bytes.Clone(image)
}

// open opens the file as a server does, checks all of it, and reads it. Facts
// are read where they are asked for.
func (r *replay) open(facts bool) (s *content, err error) {
	e, err := Open(r.path, Options{})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var faults []string
	fault := func(err error) {
		if !r.torn || !errors.Is(err, errOldHeader) {
			faults = append(faults, err.Error())
		}
	}
	ctx := context.Background()
	if err := e.Check(ctx, fault); err != nil {
		return nil, err
	}
	store, err := db.Open(ctx, e, db.Options{})
	if err != nil {
		return nil, err
	}
	s = &content{}
	if s.digest, err = digest(e); err != nil {
		return nil, err
	}
	if r.known[s.digest] == nil { // else all its records were looked at before
		if _, err := store.Check(ctx, fault); err != nil {
			return nil, err
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("it is not sound: %s", strings.Join(faults, "; "))
	}
	if facts {
		err = s.read(ctx, store)
	}
	return s, err
}

// digest is that of all keys and values.
func digest(e *Engine) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = e.read(context.Background(), func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			fmt.Fprintf(h, "%d %s", len(name), name)
			return b.ForEach(func(k, v []byte) error {
				fmt.Fprintf(h, "%d %d ", len(k), len(v))
				h.Write(k)
				h.Write(v)
				return nil
			})
		})
	})
	h.Sum(sum[:0])
	return sum, err
}

func (s *content) read(ctx context.Context, store *db.Store) error {
	s.tokens, s.sessions, s.users = map[string]bool{}, map[string]bool{}, map[string]*db.User{}
	tokens, err := store.Tokens(ctx, db.ListQuery{Size: 1000})
	if err != nil {
		return err
	}
	for _, k := range tokens.Items {
		s.tokens[k.ID] = true
	}
	sessions, err := store.Sessions(ctx, db.ListQuery{Size: 1000})
	if err != nil {
		return err
	}
	for _, k := range sessions.Items {
		s.sessions[k.ID] = true
	}
	users, err := store.Users(ctx, db.ListQuery{Size: 1000})
	for _, u := range users.Items {
		s.users[u.ID], s.users[u.Email] = u, u
	}
	return err
}

// TestPowerCut replays one run of the workload up to every moment, with any
// part of what was not yet synced.
func TestPowerCut(t *testing.T) {
	most, cases := 10, 4
	if long() {
		most, cases = 40, 15
	}
	variable := ""
	if slow {
		most, cases, variable = 1, 0, tracedAlone+"=yes"
	}
	syscalls.Need(t)
	calls, dir, said := traceSelf(t, variable, powerCalls...)
	if !strings.Contains(said, "failed 0, unread 0") {
		t.Fatalf("the workload failed: %s", said)
	}
	path := filepath.Join(dir, "husk.db")
	grown := 0
	for _, c := range calls {
		if c.Name == "ftruncate" && c.Path() == path {
			grown++
		}
	}
	if grown == 0 && !slow {
		t.Error("the store did not grow")
	}
	r := newReplay(t, most, cases)
	r.run(calls, path, "power-cut")
	r.report("power-cut")
}
