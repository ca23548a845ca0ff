package etcd_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/etcd"
	"husk/db/etcd/etcdtest"
)

var prefixes atomic.Int64

// options are those of a store below a prefix that no other test has.
func options(c *etcdtest.Cluster) etcd.Options {
	return etcd.Options{Endpoints: c.Endpoints(), Prefix: fmt.Sprintf("test%d", prefixes.Add(1))}
}

func create(t *testing.T, o etcd.Options) {
	t.Helper()
	if err := etcd.Create(t.Context(), o, func(db.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o etcd.Options) *etcd.Engine {
	t.Helper()
	e, err := etcd.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEngine(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	dbtest.Run(t, func(t *testing.T) db.Engine {
		o := options(c)
		create(t, o)
		return open(t, o)
	})
}

func TestShared(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	dbtest.RunShared(t, func(t *testing.T) (one, other db.Engine) {
		o := options(c)
		create(t, o)
		return open(t, o), open(t, o)
	})
}
