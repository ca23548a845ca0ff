package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
	"husk/db/etcd/etcdtest"
)

// many are n records of several buckets, of which one is large.
func many(n int, value string) map[string]string {
	all := map[string]string{"c/large": strings.Repeat("x", 900_000)}
	for i := range n {
		all[fmt.Sprintf("%c/%06d", "abz"[i%3], i)] = value
	}
	return all
}

func filling(records map[string]string) func(put func(bucket string, key, value []byte) error) error {
	return func(put func(bucket string, key, value []byte) error) error {
		for key, value := range records {
			bucket, key, _ := strings.Cut(key, "/")
			if err := put(bucket, []byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	}
}

// walked is all that an engine has, by walking over it.
func walked(t *testing.T, e db.Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := e.(*Engine).Walk(t.Context(), func(bucket string, key, value []byte) error {
		name := bucket + "/" + string(key)
		if _, twice := all[name]; twice {
			t.Errorf("%q came twice", name)
		}
		all[name] = string(value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func proving(t *testing.T, records map[string]string) func(db.Engine) error {
	return func(e db.Engine) error {
		if got := walked(t, e); !maps.Equal(got, records) {
			return fmt.Errorf("it has %d records, want %d", len(got), len(records))
		}
		return nil
	}
}

func wantCode(t *testing.T, err error, kind error, code string) {
	t.Helper()
	var e *db.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
		t.Errorf("it is %v, want %s", err, code)
	}
}

// TestLoad: a store that is filled is none before its end; whatever broke it off, the
// next one begins anew.
func TestLoad(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := Options{Endpoints: c.Endpoints(), Prefix: "load"}
	first, second := many(4000, "first"), many(2000, "second")
	isNone := func() {
		t.Helper()
		_, err := Open(t.Context(), o)
		wantCode(t, err, db.ErrDamaged, codeUnfinished)
		wantCode(t, Create(t.Context(), o, func(db.Tx) error { return nil }), db.ErrDamaged, codeUnfinished)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := Load(ctx, o, func(put func(bucket string, key, value []byte) error) error {
		return filling(first)(func(bucket string, key, value []byte) error {
			if n++; n == 3000 {
				cancel()
			}
			return put(bucket, key, value)
		})
	}, proving(t, first))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("broken off it answers %v", err)
	}
	isNone()
	wrong := errors.New("it is not the same")
	if err := Load(t.Context(), o, filling(first), func(db.Engine) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("not proved it answers %v", err)
	}
	isNone()
	if err := Load(t.Context(), o, func(func(bucket string, key, value []byte) error) error { return wrong }, proving(t, first)); !errors.Is(err, wrong) {
		t.Errorf("of a source that breaks it answers %v", err)
	}
	isNone()
	if err := Load(t.Context(), o, filling(second), func(e db.Engine) error {
		isNone() // not even now
		return proving(t, second)(e)
	}); err != nil {
		t.Fatal(err)
	}
	e := opened(t, o)
	if got := walked(t, e); !maps.Equal(got, second) {
		t.Errorf("it has %d records, want %d", len(got), len(second))
	}
	if err := e.Update(t.Context(), func(tx db.Tx) error { return tx.Put("a", []byte("k"), []byte("v")) }); err != nil {
		t.Error(err)
	}
	if err := Load(t.Context(), o, filling(first), proving(t, first)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a store it answers %v", err)
	}
	var told []error
	if err := e.Check(t.Context(), func(err error) { told = append(told, err) }); err != nil || told != nil {
		t.Errorf("the check finds %v (%v)", told, err)
	}
}

// TestLoadAlone: of two who fill one store the second is told so, and one who was held up
// until another one could begin writes nothing more.
func TestLoadAlone(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := Options{Endpoints: c.Endpoints(), Prefix: "alone"}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + c.Endpoints()[0]}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first, second := many(1000, "first"), many(1000, "second")
	var other error
	err = Load(t.Context(), o, func(put func(bucket string, key, value []byte) error) error {
		wantCode(t, Load(t.Context(), o, filling(second), proving(t, second)), db.ErrLocked, "store_locked")
		// As if it had stood still for longer than its lease.
		if _, err := client.Delete(t.Context(), "alone/"+loadingKey); err != nil {
			return err
		}
		other = Load(t.Context(), o, filling(second), proving(t, second))
		return filling(first)(put)
	}, proving(t, first))
	wantCode(t, err, db.ErrLocked, "store_locked")
	if other != nil {
		t.Fatal(other)
	}
	if got := walked(t, opened(t, o)); !maps.Equal(got, second) {
		t.Errorf("it has %d records, want those of the second, %d", len(got), len(second))
	}
}

// TestLoadAnswerLost: where the answer to the last step is lost, it is found out whether
// it was made a store; where nobody answers any more, that is told as unknown.
func TestLoadAnswerLost(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	r := etcdtest.NewRelay(t, c.Members[0].Endpoint)
	records := many(300, "v")
	load := func(prefix string, after func()) error {
		return Load(t.Context(), Options{Endpoints: []string{r.Endpoint}, Prefix: prefix}, filling(records), func(e db.Engine) error {
			err := proving(t, records)(e)
			r.Lose(true)
			time.AfterFunc(300*time.Millisecond, func() { after(); r.Cut() })
			return err
		})
	}
	if err := load("found", func() { r.Lose(false) }); err != nil {
		t.Error(err)
	}
	wantCode(t, load("unknown", func() { r.Refuse(true) }), db.ErrUnknown, "unknown_outcome")
	for _, prefix := range []string{"found", "unknown"} {
		if got := walked(t, opened(t, Options{Endpoints: c.Endpoints(), Prefix: prefix})); !maps.Equal(got, records) {
			t.Errorf("%s: it has %d records, want %d", prefix, len(got), len(records))
		}
	}
}

// TestWalkCompacted: a walk whose history is gone ends, and does not go on with another.
func TestWalkCompacted(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := Options{Endpoints: c.Endpoints(), Prefix: "compacted"}
	if err := Load(t.Context(), o, filling(many(300, "v")), func(db.Engine) error { return nil }); err != nil {
		t.Fatal(err)
	}
	e := opened(t, o)
	done := false
	err := e.Walk(t.Context(), func(string, []byte, []byte) error {
		if done {
			return nil
		}
		done = true
		client := e.members.all[0].client
		r, err := client.Put(t.Context(), "others/key", "v")
		if err == nil {
			_, err = client.Compact(t.Context(), r.Header.Revision)
		}
		return err
	})
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "compacted") {
		t.Errorf("it ends with %v", err)
	}
}

// TestWalk has what a large commit is yet to write, and foreign keys are told.
func TestWalk(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	o := created(t, c.Endpoints()...)
	e := opened(t, o)
	begun(t, opened(t, o), "new/bucket")
	if got := walked(t, e); len(got) != 401 || got["b/first"] != "" || got["b/k399"] != "v" || got["new/bucket"] != "v" {
		t.Errorf("there are %d records", len(got))
	}
	stop := errors.New("enough")
	if err := e.Walk(t.Context(), func(string, []byte, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it ends with %v", err)
	}
	for _, key := range []string{"_other", "zz"} {
		if _, err := e.members.all[0].client.Put(t.Context(), e.prefix+key, "v"); err != nil {
			t.Fatal(err)
		}
		var told []string
		if err := e.Check(t.Context(), func(err error) { told = append(told, err.Error()) }); err != nil || len(told) != 1 || !strings.Contains(told[0], `"`+key+`"`) {
			t.Errorf("with %s the check finds %q (%v)", key, told, err)
		}
		if _, err := e.members.all[0].client.Delete(t.Context(), e.prefix+key); err != nil {
			t.Fatal(err)
		}
	}
}
