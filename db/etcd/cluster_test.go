package etcd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/etcd"
	"husk/db/etcd/etcdtest"
)

const bucket = "bucket"

func put(t *testing.T, e db.Engine, pairs ...string) {
	t.Helper()
	if err := e.Update(t.Context(), func(tx db.Tx) error {
		for i := 0; i+1 < len(pairs); i += 2 {
			if err := tx.Put(bucket, []byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, e db.Engine, key string) (value string) {
	t.Helper()
	if err := e.View(t.Context(), func(tx db.Tx) error {
		v, err := tx.Get(bucket, []byte(key))
		value = string(v)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return value
}

// TestReverse scans downward over keys of many shapes, from many places.
func TestReverse(t *testing.T) {
	dbtest.TakesVeryLong(t, "thousands of keys of seven shapes, downward")
	c := etcdtest.Start(t, etcdtest.Options{})
	random := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func(i int) string{
		"numbers":             func(i int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(i))) },
		"far apart":           func(i int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(i)<<37)) },
		"random":              func(int) string { return string(binary.BigEndian.AppendUint64(nil, random.Uint64())) },
		"alike at the start":  func(i int) string { return fmt.Sprintf("a long beginning that all have %07d of many", i) },
		"one within the next": func(i int) string { return strings.Repeat("a", i%700+1) },
		"many bytes of 255":   func(i int) string { return strings.Repeat("\xff", i%9+1) + strconv.Itoa(i) },
		"few":                 func(i int) string { return strconv.Itoa(i % 7) },
	}
	for shape, key := range shapes {
		t.Run(shape, func(t *testing.T) {
			o := options(c)
			create(t, o)
			e := open(t, o)
			var all []string
			for range 8 {
				var pairs []string
				for range 400 {
					k := key(len(all))
					all = append(all, k)
					pairs = append(pairs, k, "v"+k)
				}
				put(t, e, pairs...)
			}
			slices.Sort(all)
			all = slices.Compact(all)
			for _, from := range []string{"", all[0], all[len(all)/2], all[len(all)-1], all[len(all)/3] + "\x00", "\x01"} {
				want := slices.Clone(all)
				slices.Reverse(want)
				if from != "" {
					want = slices.DeleteFunc(want, func(k string) bool { return k > from })
				}
				var got []string
				if err := e.View(t.Context(), func(tx db.Tx) error {
					got = nil
					return tx.Scan(bucket, nil, []byte(from), true, func(k, v []byte) bool {
						if string(v) != "v"+string(k) {
							t.Errorf("%q has %q", k, v)
						}
						got = append(got, string(k))
						return true
					})
				}); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Errorf("from %q downward there are %d keys, want %d", from, len(got), len(want))
				}
			}
		})
	}
}

// TestMembersFail counts upward by three engines over three members, of which one after
// the other is killed, or stands still: what was answered is there exactly once.
func TestMembersFail(t *testing.T) {
	dbtest.TakesVeryLong(t, "three members that are killed and stand still")
	c := etcdtest.Start(t, etcdtest.Options{Members: 3})
	o := options(c)
	create(t, o)
	var engines []*etcd.Engine
	for range 3 {
		engines = append(engines, open(t, o))
	}
	ctx, stop := context.WithCancel(t.Context())
	var done, unknown, refused atomic.Int64
	var work sync.WaitGroup
	for i := range 6 {
		work.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := engines[i%3].Update(t.Context(), func(tx db.Tx) error {
					v, err := tx.Get(bucket, []byte("counter"))
					if err != nil {
						return err
					}
					count, _ := strconv.Atoi(string(v))
					if err := tx.Put(bucket, fmt.Appendf(nil, "%d/%06d", i, n), []byte("v")); err != nil {
						return err
					}
					return tx.Put(bucket, []byte("counter"), strconv.AppendInt(nil, int64(count)+1, 10))
				})
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, db.ErrUnknown):
					unknown.Add(1)
				case errors.Is(err, db.ErrUnavailable):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	for round := range 6 {
		m := c.Members[round%3]
		time.Sleep(300 * time.Millisecond)
		if round%2 == 0 {
			m.Kill()
			time.Sleep(1500 * time.Millisecond)
			m.Run()
		} else {
			m.Stop()
			time.Sleep(2 * time.Second)
			m.Continue()
		}
		m.Ready()
	}
	stop()
	work.Wait()
	keys := 0
	if err := engines[0].View(t.Context(), func(tx db.Tx) error {
		keys = 0
		return tx.Scan(bucket, nil, nil, false, func(k, _ []byte) bool {
			if string(k) != "counter" {
				keys++
			}
			return true
		})
	}); err != nil {
		t.Fatal(err)
	}
	count, _ := strconv.ParseInt(get(t, engines[0], "counter"), 10, 64)
	t.Logf("%d done, %d unknown, %d refused; the counter is at %d", done.Load(), unknown.Load(), refused.Load(), count)
	if int(count) != keys || count < done.Load() || count > done.Load()+unknown.Load() || done.Load() == 0 {
		t.Errorf("%d done, %d unknown; the counter is at %d, and %d keys are there", done.Load(), unknown.Load(), count, keys)
	}
}

// TestFresh writes by one engine and looks how long another one that listens takes to
// hear of it, or to say that it does not know: also where the member that it listens to
// stands still.
func TestFresh(t *testing.T) {
	dbtest.TakesVeryLong(t, "three members that stand still")
	c := etcdtest.Start(t, etcdtest.Options{Members: 3})
	o := options(c)
	create(t, o)
	writer, reader := open(t, o), open(t, o)
	if reader.Fresh() {
		t.Error("one who does not listen says that it knows")
	}
	var heard sync.Map
	go func() {
		_ = reader.Feed(t.Context(), func(c db.Changes) {
			for _, k := range c.Keys {
				heard.Store(string(k.Key), time.Now())
			}
		})
	}()
	fresh := func(want bool, within time.Duration) {
		t.Helper()
		for end := time.Now().Add(within); reader.Fresh() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("fresh is %t after %v", !want, within)
			}
		}
	}
	fresh(true, 10*time.Second)
	late, slowest := 0, time.Duration(0)
	for i := range 60 {
		if i%15 == 5 {
			c.Members[i/15%3].Stop()
		}
		key := fmt.Sprint("k", i)
		put(t, writer, key, "v")
		began := time.Now()
		for {
			at, ok := heard.Load(key)
			if ok {
				slowest = max(slowest, at.(time.Time).Sub(began))
				break
			}
			if since := time.Since(began); since > time.Second+50*time.Millisecond && reader.Fresh() {
				if _, ok := heard.Load(key); !ok {
					t.Fatalf("after %v it has not heard of what was written, and says that it knows", since)
				}
			} else if since > time.Second {
				late++
			}
			if time.Since(began) > 20*time.Second {
				t.Fatal("it never hears")
			}
			time.Sleep(time.Millisecond)
		}
		if i%15 == 10 {
			c.Members[i/15%3].Continue()
		}
	}
	t.Logf("the slowest took %v; for %d ms somebody waited longer than a second and was told so", slowest, late)
	for _, m := range c.Members[:2] {
		m.Stop()
	}
	fresh(false, 3*time.Second)
	for _, m := range c.Members[:2] {
		m.Continue()
	}
	fresh(true, 20*time.Second)
}

// TestDebian holds the engine to its contract over the etcd that Debian has.
func TestDebian(t *testing.T) {
	dbtest.TakesVeryLong(t, "another etcd")
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Debian(t)})
	dbtest.Run(t, func(t *testing.T) db.Engine {
		o := options(c)
		create(t, o)
		return open(t, o)
	})
	dbtest.RunShared(t, func(t *testing.T) (one, other db.Engine) {
		o := options(c)
		create(t, o)
		return open(t, o), open(t, o)
	})
}
