package etcd

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
	"husk/db/etcd/etcdtest"
)

func addOne(ctx context.Context, e *Engine) error {
	return e.Update(ctx, func(tx db.Tx) error {
		v, err := tx.Get("b", []byte("first"))
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(v))
		return tx.Put("b", []byte("first"), strconv.AppendInt(nil, int64(n)+1, 10))
	})
}

// TestTurns: of three who write without a pause, each commits, also the one whose changes
// need many reads, and none waits long.
func TestTurns(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var all sync.WaitGroup
	var done [3]atomic.Int64
	var longest [3]time.Duration
	for i := range 3 {
		e := opened(t, o)
		all.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				err := e.Update(t.Context(), func(tx db.Tx) error {
					if i == 2 { // much to read, each time anew
						for n := range 20 {
							if _, err := tx.Get("b", strconv.AppendInt(nil, int64(n), 10)); err != nil {
								return err
							}
						}
					}
					v, err := tx.Get("b", []byte("first"))
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(string(v))
					return tx.Put("b", []byte("first"), strconv.AppendInt(nil, int64(n)+1, 10))
				})
				if err != nil {
					t.Errorf("engine %d, after %v: %v", i, time.Since(began), err)
				}
				longest[i] = max(longest[i], time.Since(began))
				done[i].Add(1)
			}
		})
	}
	all.Wait()
	t.Logf("%d, %d and %d commits; the longest took %v", done[0].Load(), done[1].Load(), done[2].Load(), longest)
	sum := done[0].Load() + done[1].Load() + done[2].Load()
	for i := range done {
		if done[i].Load() < sum/20 {
			t.Errorf("engine %d came to commit %d times of %d", i, done[i].Load(), sum)
		}
	}
	if got, want := values(t, opened(t, o)), "first="+strconv.FormatInt(sum+1, 10); len(got) != 1 || got[0] != want {
		t.Errorf("it has %q, want %s", got, want)
	}
}

// TestTurnOfAnother: as long as it is another one's turn nobody commits; a turn that
// nobody takes is over by itself, and with a commit it is over at once.
func TestTurnOfAnother(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	e, gone := opened(t, o), opened(t, o)
	if err := addOne(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	gone.askTurn()
	if !gone.turn.mine {
		t.Fatal("nobody had it, and it was not given")
	}
	if e.askTurn(); e.turn.mine {
		t.Fatal("it was given twice")
	}
	began := time.Now()
	if err := addOne(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < turnLife {
		t.Errorf("it was committed after %v, while it was another one's turn", took)
	}
	gone.askTurn()
	began = time.Now()
	if err := addOne(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if err := addOne(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > turnLife/2 {
		t.Errorf("after a commit the turn went on for %v", took)
	}
	// Who has nothing to commit in its turn passes it on.
	gone.askTurn()
	failed := errors.New("not so")
	if err := gone.Update(t.Context(), func(db.Tx) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if r, err := e.members.all[0].client.Get(t.Context(), e.prefix+turnKey); err != nil || len(r.Kvs) > 0 || gone.turn.mine {
		t.Errorf("who had nothing to commit keeps its turn: %v, %v", r, err)
	}
	// A turn that was over in the meantime is none.
	gone.turn.mine = true
	if err := addOne(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if got := values(t, e); got[0] != "first=6" {
		t.Errorf("it has %q", got)
	}
}

// TestSentAgainOutOfTurn: a commit whose first answer was lost is sent again under its
// name, also where it has become another one's turn: the first may be on its way yet.
func TestSentAgainOutOfTurn(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	r := etcdtest.NewRelay(t, c.Members[0].Endpoint)
	o := created(t, r.Endpoint)
	e, other := opened(t, o), opened(t, Options{Endpoints: c.Endpoints(), Prefix: o.Prefix})
	if err := addOne(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	client := other.members.all[0].client
	key := e.prefix + turnKey
	if _, err := client.Put(t.Context(), key, "another"); err != nil {
		t.Fatal(err)
	}
	on, err := e.pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &writes{}
	w.set("b/first", []byte("new"))
	r.Lose(true)
	time.AfterFunc(200*time.Millisecond, func() { r.Lose(false); r.Cut() })
	time.AfterFunc(time.Second, func() { _, _ = client.Delete(context.Background(), key) })
	began := time.Now()
	made, _, err := e.send(on, w)
	if err != nil || !made || time.Since(began) < 900*time.Millisecond {
		t.Errorf("it is made: %t, %v, after %v", made, err, time.Since(began))
	}
	// Where the turn does not end, nobody knows.
	if _, err := client.Put(t.Context(), key, "another", clientv3.WithPrevKV()); err != nil {
		t.Fatal(err)
	}
	if on, err = e.pin(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Lose(true)
	time.AfterFunc(200*time.Millisecond, func() { r.Lose(false); r.Cut() })
	if made, _, err := e.send(on, w); made || !errors.Is(err, db.ErrUnknown) {
		t.Errorf("it is made: %t, %v", made, err)
	}
}
