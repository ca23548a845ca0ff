package db_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest"
)

// The process of TestDamagedCopies that opens damaged stores: kind, number of
// the first copy, and of how many.
const damagedEnv = "HUSK_TEST_DAMAGED"

// damagedPatience is how long one copy may take before it is said to hang.
const damagedPatience = 60 * time.Second

// damagedCopies is how many copies of each kind are tried.
func damagedCopies() int {
	switch {
	case dbtest.Whole():
		return 500
	case dbtest.Long():
		return 100
	}
	return 50
}

// TestDamagedCopies damages many copies of a real store, each in another way.
// Every copy is opened, read by all that a route reads by, and written to, in
// another process. What comes out is right, or it is refused, or it is missing
// and the damage is reported; never is it another answer, a panic, the end of
// the process, or none.
//
//	go test ./db -run TestDamagedCopies -v
func TestDamagedCopies(t *testing.T) {
	if work := os.Getenv(damagedEnv); work != "" {
		tryDamaged(t, work)
		return
	}
	dbtest.NoRace(t, "another process, which has each copy to itself")
	dbtest.TakesLong(t, "copies of a store that are damaged at random")
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	makeWhole(t, whole)
	for kind := range damages {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			outcomes := map[string]int{}
			for from, n := 0, damagedCopies(); from < n; {
				from = runDamaged(t, whole, kind, from, n, outcomes)
			}
			// "missing" is refused by absence: what is gone is reported.
			dbtest.Cases(kind, damagedCopies(), outcomes["refused"]+outcomes["missing"], outcomes["lost"]).Report(t)
			if sum := outcomes["survived"] + outcomes["refused"] + outcomes["missing"]; sum != damagedCopies() {
				t.Errorf("of %d copies: %v", damagedCopies(), outcomes)
			}
		})
	}
}

// runDamaged has another process try copies, and returns the number of the one
// to go on with: behind the one that ended the process, where one did.
func runDamaged(t *testing.T, whole, kind string, from, to int, outcomes map[string]int) (next int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run", "^TestDamagedCopies$", "-test.v", "-test.timeout", "20m")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %d", damagedEnv, whole, kind, from, to))
	out, err := child.CombinedOutput()
	next = from
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch word {
		case "outcome":
			outcomes[rest]++
			next++
		case "lie":
			t.Errorf("copy %d: %s", next, rest)
		}
	}
	if err != nil && next < to {
		t.Errorf("copy %d ended the process: %v\n%s", next, err, out[max(0, len(out)-4000):])
		outcomes["lost"]++
		next++
	}
	return next
}

// makeWhole makes a store with some of everything, by the calls that make it.
func makeWhole(t *testing.T, path string) {
	t.Helper()
	uuid.SetRand(rand.New(rand.NewSource(1))) // so that the pages are the same in each run
	defer uuid.SetRand(nil)
	must(t, bolt.Create(path, db.Init))
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	s := openFixed(t, engine)
	defer s.Close()
	ctx := t.Context()
	must(t, s.CreateRole(ctx, local, "reader", db.RoleChange{Permissions: []string{db.PermTokenSearch}}))
	for i := range 40 {
		u, err := s.CreateUser(ctx, local, db.NewUser{Email: fmt.Sprintf("user%02d@example.com", i), Name: fmt.Sprintf("User %d", i), Roles: []string{"user", "reader"}, Password: "hash"})
		must(t, err)
		signIn := db.SignIn{User: u.ID, Verified: "hash", TTL: 1000 * time.Hour, IP: "192.0.2.1", UserAgent: strings.Repeat("browser ", 8)}
		r, _, err := s.CreateSession(ctx, &db.Actor{Transport: db.TransportHTTP}, signIn)
		must(t, err)
		s.NoteSessionUse(r.ID, "192.0.2.1")
		if i%4 == 1 {
			_, _, _, err := s.AddPasskey(ctx, &db.Actor{ID: u.ID, User: u, Session: r}, passkeyOf(u.Email, 1), db.FactorSetUp{Codes: hashesOf(u.Email)})
			must(t, err)
		}
		for range 3 {
			id := uuid.NewString()
			_, err := s.CreateToken(ctx, local, db.NewToken{ID: id, Hash: make([]byte, 32), Owner: u.ID, Name: fmt.Sprintf("token of %d", i), Expires: db.Never})
			must(t, err)
			s.NoteTokenUse(id, "192.0.2.7", false)
		}
		gone := uuid.NewString()
		_, err = s.CreateToken(ctx, local, db.NewToken{ID: gone, Hash: make([]byte, 32), Owner: u.ID, Name: "gone", Expires: db.Never})
		must(t, err)
		must(t, s.DeleteToken(ctx, local, gone))
	}
	s.NoteCounts(counted())
	must(t, errors.Join(s.FlushLastUsed(ctx), s.FlushCounts(ctx)))
	_, err = s.DeleteUser(ctx, local, "user39@example.com")
	must(t, err)
}

var fixedNow = time.Date(2040, 5, 6, 7, 8, 9, 0, time.UTC)

func openFixed(t testing.TB, engine db.Engine) *db.Store {
	t.Helper()
	s, err := db.Open(context.Background(), engine, db.Options{Now: func() time.Time { return fixedNow }})
	must(t, err)
	return s
}

// tryDamaged is the process that opens damaged copies.
func tryDamaged(t *testing.T, work string) {
	var whole, kind string
	var from, to int
	if _, err := fmt.Sscan(work, &whole, &kind, &from, &to); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(whole)
	must(t, err)
	dir := t.TempDir()
	try := &damagedTry{t: t, dir: dir, text: text, base: answersOf(t, dir, text)}
	if older := oldHeader(text); older != nil {
		try.older = answersOf(t, dir, older)
	}
	for i := from; i < to; i++ {
		late := time.AfterFunc(damagedPatience, func() { panic(fmt.Sprintf("copy %d hangs", i)) })
		outcome := try.one(rand.New(rand.NewSource(int64(i)+1)), kind)
		late.Stop()
		fmt.Println("outcome " + outcome)
	}
}

type damagedTry struct {
	t           *testing.T
	dir         string
	text        []byte
	base, older map[string]answer // of the sound store; older: as of the commit before the last
}

// one makes a copy, damages it, and tells what became of it.
func (d *damagedTry) one(random *rand.Rand, kind string) (outcome string) {
	path := filepath.Join(d.dir, "husk.db")
	must(d.t, os.WriteFile(path, damages[kind](d, random, bytes.Clone(d.text)), 0o600))
	if kind == "pasted-record" {
		d.paste(random, path)
	}
	if n := random.Intn(8); n == 0 && !d.repairs(path) {
		return "lost"
	}
	engine, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return d.refusal(err)
	}
	defer engine.Close()
	s, err := db.Open(context.Background(), engine, db.Options{Now: func() time.Time { return fixedNow }})
	if err != nil {
		return d.refusal(err)
	}
	base := d.base
	if uint64(engine.Stats().Commits) < commitOf(d.text) && d.older != nil {
		base = d.older // that one of the headers does not hold is told
	}
	outcome = d.compare(base, readEverything(s), s)
	if wrong := writeSome(s, base); wrong != "" {
		fmt.Println("lie " + wrong)
		return "lost"
	}
	return outcome
}

// repairs makes a sound store of what can be read, and looks for what it has
// made up.
func (d *damagedTry) repairs(path string) (ok bool) {
	file, err := bolt.OpenFile(path, time.Second)
	must(d.t, err)
	defer file.Close()
	if file.Unreadable() != nil {
		return true
	}
	fresh := filepath.Join(d.dir, "repaired.db")
	os.Remove(fresh)
	err = bolt.Fill(fresh, func(tx db.Tx) error {
		walk := func(record func(bucket string, key, sealed []byte), report func(error)) error {
			return file.Walk(context.Background(), record, report)
		}
		_, err := db.Repair(context.Background(), tx, walk, func(db.Aside) error { return nil })
		return err
	})
	if err != nil {
		fmt.Printf("lie the repair fails: %v\n", err)
		return false
	}
	engine, err := bolt.Open(fresh, bolt.Options{})
	must(d.t, err)
	s := openFixed(d.t, engine)
	defer s.Close()
	if faults := faultsOf(s); len(faults) > 0 {
		fmt.Printf("lie the repaired store is not sound: %q\n", faults)
		return false
	}
	return d.nothingNew(readEverything(s))
}

// nothingNew compares the records of a repaired store with those of the sound
// one. What the repair makes anew is not among them.
func (d *damagedTry) nothingNew(got map[string]answer) bool {
	for name, a := range got {
		want := d.base[name]
		noun, _, _ := strings.Cut(name, " ")
		if !slices.Contains([]string{"User", "Token", "Session", "TokenLastUsed", "SessionLastUsed"}, noun) || want.id == db.SingleUser {
			continue
		}
		_, within := a.within(want)
		if _, older := a.within(d.older[name]); !within && !older {
			fmt.Printf("lie after the repair %s answers %q\n", name, a.lines)
			return false
		}
	}
	return true
}

func (d *damagedTry) refusal(err error) string {
	if !errors.Is(err, db.ErrDamaged) && !errors.Is(err, db.ErrNewer) {
		fmt.Printf("lie the store is refused by %v\n", err)
		return "lost"
	}
	return "refused"
}

// compare tells an answer that is another one from one that is refused or
// lacks something.
func (d *damagedTry) compare(base, got map[string]answer, s *db.Store) string {
	refused, missing := false, ""
	for name, want := range base {
		a := got[name]
		switch {
		case errors.Is(a.err, db.ErrDamaged):
			refused = true
		case a.err != nil && !errors.Is(a.err, db.ErrNotFound):
			fmt.Printf("lie %s: %v\n", name, a.err)
			return "lost"
		case a.err != nil || a.number != want.number || len(a.lines) < len(want.lines):
			missing = name
		}
		if line, ok := a.within(want); !ok {
			fmt.Printf("lie %s answers %s\n", name, line)
			return "lost"
		}
	}
	told := len(faultsOf(s)) > 0
	switch {
	case missing != "" && !told:
		fmt.Printf("lie %s lacks something, and nothing is reported: %+v, not %+v\n", missing, got[missing], base[missing])
		return "lost"
	case missing != "":
		return "missing"
	case refused || told:
		return "refused"
	}
	return "survived"
}

// faultsOf is all that is reported of a store: by its pages, its records, and
// the scrub.
func faultsOf(s *db.Store) (faults []string) {
	note := func(err error) { faults = append(faults, err.Error()) }
	ctx := context.Background()
	if s.Stats().Engine.OldHeader {
		note(errors.New("the header before the last"))
	}
	if err := s.Engine().(db.Checker).Check(ctx, note); err != nil {
		note(err)
	}
	if _, err := s.Check(ctx, note); err != nil {
		note(err)
	}
	for place := []byte{}; place != nil; {
		var err error
		if place, err = s.Scrub(ctx, place, note); err != nil {
			note(err)
		}
	}
	return faults
}

// writeSome changes this and that. Each change is refused, or it is there
// afterwards; it returns what was neither.
func writeSome(s *db.Store, base map[string]answer) (wrong string) {
	ctx := context.Background()
	tolerated := func(what string, err error) bool {
		if err != nil && !errors.Is(err, db.ErrDamaged) && !errors.Is(err, db.ErrNotFound) && !errors.Is(err, db.ErrConflict) {
			wrong = fmt.Sprintf("%s = %v", what, err)
		}
		return err == nil
	}
	id := uuid.NewString()
	if _, err := s.CreateToken(ctx, local, db.NewToken{ID: id, Hash: make([]byte, 32), Owner: db.SingleUser, Name: "after", Expires: db.Never}); tolerated("CreateToken", err) {
		if k, err := s.Token(ctx, id); tolerated("Token of a new one", err) && k.Name != "after" {
			wrong = "a new token is another one"
		}
	}
	if u, err := s.CreateUser(ctx, local, db.NewUser{Email: "after@example.com", Name: "After"}); tolerated("CreateUser", err) {
		if u, err := s.User(ctx, u.ID); tolerated("User of a new one", err) && u.Email != "after@example.com" {
			wrong = "a new user is another one"
		}
	}
	victim := base["Token 0"].id
	if err := s.DeleteToken(ctx, local, victim); tolerated("DeleteToken", err) {
		if _, err := s.Token(ctx, victim); err == nil {
			wrong = "a deleted token is there"
		}
	}
	disabled := true
	if _, err := s.UpdateUser(ctx, local, "user01@example.com", db.UserChange{Disabled: &disabled}); tolerated("UpdateUser", err) {
		if u, err := s.UserByEmail(ctx, "user01@example.com"); err == nil && !u.Disabled {
			wrong = "a disabled user is not"
		}
	}
	s.NoteTokenUse(base["Token 1"].id, "192.0.2.9", false)
	tolerated("FlushLastUsed", s.FlushLastUsed(ctx))
	s.NoteCounts(counted())
	tolerated("FlushCounts", s.FlushCounts(ctx))
	_, err := s.Sweep(ctx)
	tolerated("Sweep", err)
	_, err = s.PruneAudit(ctx, db.Retention{Changes: 50})
	tolerated("PruneAudit", err)
	tolerated("ProveWrite", s.ProveWrite(ctx))
	return wrong
}

// damages are the ways to damage the bytes of a store.
var damages = map[string]func(d *damagedTry, random *rand.Rand, b []byte) []byte{
	"flipped-bytes": func(_ *damagedTry, random *rand.Rand, b []byte) []byte {
		pages := pagesOf(b)
		for range 1 + random.Intn(1+random.Intn(40)) { // often one or two
			b[random.Intn(pages*os.Getpagesize())] ^= byte(1 + random.Intn(255))
		}
		if random.Intn(2) == 0 { // the small structures that hold the rest together
			b[random.Intn(pages)*os.Getpagesize()+random.Intn(100)] ^= byte(1 + random.Intn(255))
		}
		return b
	},
	"zeroed-pages": func(_ *damagedTry, random *rand.Rand, b []byte) []byte {
		for range 1 + random.Intn(3) {
			clear(pageOf(b, random.Intn(pagesOf(b))))
		}
		return b
	},
	"swapped-pages": func(_ *damagedTry, random *rand.Rand, b []byte) []byte {
		used := usedPages(b)
		i, j := used[random.Intn(len(used))], used[random.Intn(len(used))]
		first, second := pageOf(b, i), bytes.Clone(pageOf(b, j))
		copy(pageOf(b, j), first)
		copy(first, second)
		if random.Intn(2) == 0 { // each says that it is the other
			binary.NativeEndian.PutUint64(pageOf(b, i), uint64(i))
			binary.NativeEndian.PutUint64(pageOf(b, j), uint64(j))
		}
		return b
	},
	"pasted-record": func(_ *damagedTry, _ *rand.Rand, b []byte) []byte { return b }, // see paste
	"truncation": func(_ *damagedTry, random *rand.Rand, b []byte) []byte {
		return b[:random.Intn(len(b)+1)]
	},
}

// paste puts records under keys of others.
func (d *damagedTry) paste(random *rand.Rand, path string) {
	engine, err := bolt.Open(path, bolt.Options{})
	must(d.t, err)
	defer engine.Close()
	must(d.t, engine.Update(context.Background(), func(tx db.Tx) error {
		for range 1 + random.Intn(4) {
			from, to := buckets[random.Intn(len(buckets))], buckets[random.Intn(len(buckets))]
			if random.Intn(2) == 0 {
				to = from
			}
			_, value, err := someRecord(tx, random, from)
			key, _, err2 := someRecord(tx, random, to)
			if err := errors.Join(err, err2, tx.Put(to, key, value)); err != nil {
				return err
			}
		}
		return nil
	}))
}

func someRecord(tx db.Tx, random *rand.Rand, bucket string) (key, value []byte, err error) {
	n := random.Intn(200)
	err = tx.Scan(bucket, nil, nil, false, func(k, v []byte) bool {
		key, value = k, v
		n--
		return n >= 0
	})
	return key, value, err
}

// The header of a page is its number, two bytes of flags, of count and four of
// overflow. Behind it, in the first two pages, stand the page of the list of
// free pages at 32, how many pages there are at 40, and the number of the
// commit at 48. All are in the byte order of the machine.
func pageOf(b []byte, i int) []byte { return b[i*os.Getpagesize():][:os.Getpagesize()] }

func header(b []byte) []byte {
	first, second := pageOf(b, 0)[16:], pageOf(b, 1)[16:]
	if binary.NativeEndian.Uint64(second[48:]) > binary.NativeEndian.Uint64(first[48:]) {
		return second
	}
	return first
}

func pagesOf(b []byte) int { return int(binary.NativeEndian.Uint64(header(b)[40:])) }

// commitOf is the number of the last commit.
func commitOf(b []byte) uint64 { return binary.NativeEndian.Uint64(header(b)[48:]) }

// oldHeader is the store without its last commit.
func oldHeader(b []byte) []byte {
	b = bytes.Clone(b)
	clear(header(b)[:64])
	return b
}

// usedPages are the pages that are not free, but for the headers.
func usedPages(b []byte) (used []int) {
	list := pageOf(b, int(binary.NativeEndian.Uint64(header(b)[32:])))
	free := map[int]bool{}
	for i := range int(binary.NativeEndian.Uint16(list[10:])) {
		free[int(binary.NativeEndian.Uint64(list[16+8*i:]))] = true
	}
	for i := 2; i < pagesOf(b); i++ {
		if !free[i] {
			used = append(used, i)
		}
	}
	return used
}

// answersOf is what a sound store answers.
func answersOf(t *testing.T, dir string, text []byte) map[string]answer {
	t.Helper()
	path := filepath.Join(dir, "base.db")
	must(t, os.WriteFile(path, text, 0o600))
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	s := openFixed(t, engine)
	defer s.Close()
	answers := readEverything(s)
	for name, a := range answers {
		if a.err != nil {
			t.Fatalf("%s of a sound store: %v", name, a.err)
		}
	}
	if len(answers) < 300 || len(answers["Tokens created"].lines) < 100 {
		t.Fatalf("only %d answers", len(answers))
	}
	return answers
}

// answer is what one read came to.
type answer struct {
	lines  []string // one for each thing, in order
	number int64    // a total, where there is one
	id     string
	err    error
}

// within tells whether there is nothing in an answer that is not in the other
// one, in its order.
func (a answer) within(want answer) (line string, ok bool) {
	rest := want.lines
	for _, line := range a.lines {
		i := slices.Index(rest, line)
		if i < 0 {
			return strconv.Quote(line), false
		}
		rest = rest[i+1:]
	}
	return "", true
}
