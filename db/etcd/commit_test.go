package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/etcd/etcdtest"
)

func opened(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func created(t *testing.T, endpoints ...string) Options {
	t.Helper()
	o := Options{Endpoints: endpoints, Prefix: strings.ReplaceAll(t.Name(), "/", "-")}
	if err := Create(t.Context(), o, func(tx db.Tx) error { return tx.Put("b", []byte("first"), []byte("1")) }); err != nil {
		t.Fatal(err)
	}
	return o
}

func values(t *testing.T, e *Engine) (all []string) {
	t.Helper()
	if err := e.View(t.Context(), func(tx db.Tx) error {
		all = nil
		return tx.Scan("b", nil, nil, false, func(k, v []byte) bool { all = append(all, string(k)+"="+string(v)); return true })
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// begun is a large commit of a process that ended as soon as it was made, with more keys.
func begun(t *testing.T, e *Engine, more ...string) {
	t.Helper()
	s, err := e.pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &writes{}
	for i := range 400 {
		w.set(fmt.Sprintf("b/k%03d", i), []byte("v"))
	}
	w.set("b/first", nil)
	for _, key := range more {
		w.set(key, []byte("v"))
	}
	r, err := e.members.all[0].client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(e.prefix+headKey), "=", s.headAt)).
		Then(clientv3.OpPut(e.prefix+headKey, s.head.next("another").encode()), clientv3.OpPut(e.prefix+redoKey, string(w.encode()))).Commit()
	if err != nil || !r.Succeeded {
		t.Fatal(r, err)
	}
}

// TestRedo: what a large commit was yet to write is there for everybody as soon as it is
// made, and whoever writes next carries it out.
func TestRedo(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	e := opened(t, o)
	heard := make(chan db.Changes, 100)
	go func() { _ = e.Feed(t.Context(), func(c db.Changes) { heard <- c }) }()
	<-heard
	begun(t, opened(t, o))
	if got := values(t, e); len(got) != 400 || slices.Contains(got, "first=1") {
		t.Errorf("before it is carried out there are %d records: %q", len(got), got[:min(3, len(got))])
	}
	if c := <-heard; len(c.Keys) != 401 || c.All {
		t.Errorf("of a large commit %d keys are told, all %t", len(c.Keys), c.All)
	}
	if err := e.Update(t.Context(), func(tx db.Tx) error {
		if v, err := tx.Get("b", []byte("k399")); string(v) != "v" || err != nil {
			t.Errorf("who writes next reads %q, %v", v, err)
		}
		return tx.Put("b", []byte("k000"), []byte("new"))
	}); err != nil {
		t.Fatal(err)
	}
	if c := <-heard; len(c.Keys) != 1 || c.All || string(c.Keys[0].Key) != "k000" {
		t.Errorf("of what carried it out %d keys are told, all %t, want those of the next commit", len(c.Keys), c.All)
	}
	if got := values(t, e); len(got) != 400 || got[0] != "k000=new" {
		t.Errorf("after it was carried out there are %d records, %q", len(got), got[0])
	}
	if r, err := e.members.all[0].client.Get(t.Context(), e.prefix+redoKey); err != nil || len(r.Kvs) > 0 {
		t.Errorf("it is still there: %v, %v", r.Kvs, err)
	}
}

// TestAnswerLost: a commit whose answer is lost is made once, and told as made.
func TestAnswerLost(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	r := etcdtest.NewRelay(t, c.Members[0].Endpoint)
	e := opened(t, created(t, r.Endpoint))
	add := func(key string) error {
		return e.Update(t.Context(), func(tx db.Tx) error {
			v, err := tx.Get("b", []byte(key))
			if err != nil {
				return err
			}
			return tx.Put("b", []byte(key), append(v, '+'))
		})
	}
	if err := add("a"); err != nil {
		t.Fatal(err)
	}
	r.Lose(true)
	time.AfterFunc(300*time.Millisecond, func() { r.Lose(false); r.Cut() })
	if err := add("a"); err != nil {
		t.Errorf("an answer that was lost: %v", err)
	}
	if got := values(t, e); !slices.Equal(got, []string{"a=++", "first=1"}) {
		t.Errorf("it has %q", got)
	}
	// Where nobody answers any more, nobody knows.
	if err := add("b"); err != nil {
		t.Fatal(err)
	}
	r.Lose(true)
	time.AfterFunc(200*time.Millisecond, func() { r.Refuse(true); r.Cut() })
	began := time.Now()
	if err := add("b"); !errors.Is(err, db.ErrUnknown) || time.Since(began) > 5*time.Second {
		t.Errorf("with nobody to ask it is %v after %v", err, time.Since(began))
	}
	if err := add("a"); !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), r.Endpoint) {
		t.Errorf("what was not sent is %v", err)
	}
	r.Lose(false)
	r.Refuse(false)
	if got := values(t, e); len(got) != 3 || got[0] != "a=++" || got[1] != "b=+" && got[1] != "b=++" {
		t.Errorf("it has %q", got)
	}
}

// TestOneElected: of two who stand at once, where nobody leads, one is elected.
func TestOneElected(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	both := []*Engine{opened(t, o), opened(t, o)}
	for i, e := range both {
		e.leader.name = fmt.Sprint("engine ", i)
	}
	for range 30 {
		if _, err := both[0].members.all[0].client.Delete(t.Context(), both[0].prefix+leaderKey); err != nil {
			t.Fatal(err)
		}
		var mine [2]bool
		var all sync.WaitGroup
		for i, e := range both {
			all.Go(func() { mine[i], _ = e.elected() })
		}
		all.Wait()
		if mine[0] == mine[1] {
			t.Fatalf("of two one is to be elected: %t, %t", mine[0], mine[1])
		}
	}
}

// TestFate: what a head tells of a commit on an older one.
func TestFate(t *testing.T) {
	on := head{Form: form, Number: 7}
	h := on
	for i := range remembered + 1 {
		h = h.next(fmt.Sprint(i))
	}
	for name, want := range map[string][2]bool{"32": {true, true}, "1": {true, true}, "0": {false, false}} {
		if made, known := h.fate(name, on); made != want[0] || known != want[1] {
			t.Errorf("%s: made %t, known %t", name, made, known)
		}
	}
	if made, known := on.next("a").fate("b", on); made || !known {
		t.Errorf("another one came first: made %t, known %t", made, known)
	}
}

// TestRefused: what is wrong is told by its kind, and where to look.
func TestRefused(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	member := c.Members[0].Endpoint
	o := created(t, member)
	e := opened(t, o)
	client := e.members.all[0].client
	put := func(key, value string) {
		t.Helper()
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	put("others/key", "v")
	put("newer/_head", `{"form":2}`)
	put("broken/_head", `{`)
	relay := etcdtest.NewRelay(t, member)
	relay.Lose(true)
	tests := map[string]struct {
		prefix, endpoint string
		kind             error
		words            string
	}{
		"no store":            {"none", member, db.ErrAbsent, `"none/"`},
		"another's keys":      {"others", member, db.ErrDamaged, `"others/key"`},
		"a newer form":        {"newer", member, db.ErrNewer, "form 2"},
		"a broken head":       {"broken", member, db.ErrDamaged, "no store of Husk"},
		"nobody listens":      {o.Prefix, "127.0.0.1:1", db.ErrUnavailable, "127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		"nobody answers":      {o.Prefix, relay.Endpoint, db.ErrUnavailable, relay.Endpoint + ": "},
		"no prefix":           {"/", member, db.ErrInvalid, "prefix"},
		"the store with a /":  {"/" + o.Prefix + "/", member, nil, ""},
		"one that is no etcd": {o.Prefix, httpServer(t), db.ErrUnavailable, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			e, err := Open(context.Background(), Options{Endpoints: []string{tt.endpoint}, Prefix: tt.prefix})
			if !errors.Is(err, tt.kind) || err != nil && !strings.Contains(err.Error(), tt.words) || time.Since(began) > 5*time.Second {
				t.Errorf("after %v it is %v, want %v with %q", time.Since(began), err, tt.kind, tt.words)
			}
			if err == nil {
				e.Close()
			}
		})
	}
	if err := Create(t.Context(), o, func(db.Tx) error { t.Error("it is made"); return nil }); !errors.Is(err, errExists) {
		t.Errorf("a store where there is one: %v", err)
	}
	if err := Create(t.Context(), Options{Endpoints: o.Endpoints, Prefix: "others"}, func(db.Tx) error { return nil }); !errors.Is(err, db.ErrDamaged) {
		t.Errorf("a store among another's keys: %v", err)
	}
	// A store that is deleted beneath who has it.
	if _, err := client.Delete(t.Context(), e.prefix, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	if err := e.Update(t.Context(), func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) }); !errors.Is(err, db.ErrMoved) {
		t.Errorf("a store that was deleted: %v", err)
	}
}

// TestFull: nothing is changed when etcd is full, and reads go on.
func TestFull(t *testing.T) {
	dbtest.TakesVeryLong(t, "an etcd that is filled")
	c := etcdtest.Start(t, etcdtest.Options{Args: []string{"--quota-backend-bytes", "4194304"}})
	e := opened(t, created(t, c.Endpoints()...))
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = e.Update(t.Context(), func(tx db.Tx) error { return tx.Put("b", fmt.Append(nil, i), make([]byte, 200_000)) })
	}
	if !errors.Is(err, db.ErrFull) || !strings.Contains(err.Error(), "NOSPACE") {
		t.Errorf("a full etcd: %v", err)
	}
	if got := values(t, e); len(got) == 0 {
		t.Error("nothing can be read")
	}
	if m := e.Members(t.Context()); !slices.Equal(m[0].Alarms, []string{"NOSPACE"}) {
		t.Errorf("a full member says %+v", m)
	}
}

// TestCompacted: history that is compacted beneath an engine costs it nothing, and one who
// reads in it is told.
func TestCompacted(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	e, other := opened(t, o), opened(t, o)
	set := func(e *Engine, v string) {
		t.Helper()
		if err := e.Update(t.Context(), func(tx db.Tx) error {
			if err := tx.Scan("b", nil, nil, true, func(k, v []byte) bool { return true }); err != nil {
				return err
			}
			return tx.Put("b", []byte("k"), []byte(v))
		}); err != nil {
			t.Fatal(err)
		}
	}
	compact := func() {
		t.Helper()
		client := e.members.all[0].client
		r, err := client.Put(t.Context(), "others/key", "v")
		if err == nil {
			_, err = client.Compact(t.Context(), r.Header.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(e, "1")
	compact()
	set(e, "2")
	set(other, "3")
	compact()
	set(e, "4")
	err := e.View(t.Context(), func(tx db.Tx) error {
		set(other, "5")
		compact()
		_, err := tx.Get("b", []byte("k"))
		return err
	})
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "compacted") {
		t.Errorf("a view whose history is gone: %v", err)
	}
}
