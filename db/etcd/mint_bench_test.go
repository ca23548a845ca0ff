package etcd

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/etcd/etcdtest"
)

// BenchmarkMint has 32 clients mint tokens, on one node and on three, each a change with
// its audit entry, and as the floor in the same run as many clients that put one key each.
func BenchmarkMint(b *testing.B) {
	for _, members := range []int{1, 3} {
		c := etcdtest.Start(b, etcdtest.Options{Members: members})
		for _, nodes := range []int{1, 3} {
			b.Run(fmt.Sprintf("members=%d/nodes=%d", members, nodes), func(b *testing.B) { benchMint(b, c, nodes) })
		}
	}
}

func benchMint(b *testing.B, c *etcdtest.Cluster, nodes int) {
	const clients, each = 32, 16
	o := Options{Endpoints: c.Endpoints(), Prefix: rand.Text()}
	if err := Create(b.Context(), o, db.Init); err != nil {
		b.Fatal(err)
	}
	var engines []*Engine
	var mints, puts []func() error
	for i := range nodes {
		e, err := Open(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		engines = append(engines, e)
		store, err := db.Open(b.Context(), e, db.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for range (clients + i) / nodes {
			mints = append(mints, func() error {
				_, err := store.CreateToken(b.Context(), &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}, db.NewToken{ID: rand.Text(), Hash: make([]byte, 32)})
				return err
			})
		}
	}
	for i := range clients {
		put := func(ctx context.Context, c *clientv3.Client) error {
			_, err := c.Put(ctx, "floor/"+rand.Text(), string(make([]byte, 300)))
			return err
		}
		puts = append(puts, func() error { _, err := engines[i%nodes].members.ask(b.Context(), put); return err })
	}
	var own, floor []float64
	for range b.N + 2 {
		own = append(own, perSecond(b, mints, each))
		floor = append(floor, perSecond(b, puts, each))
	}
	slices.Sort(own)
	slices.Sort(floor)
	mid := len(own) / 2
	b.ReportMetric(own[mid], "tokens/s")
	b.ReportMetric(floor[mid], "puts/s")
	b.ReportMetric(own[mid]/floor[mid], "x-put")
	b.ReportMetric(0, "ns/op")
	b.Log(dbtest.Figures("mint-etcd", "members", len(c.Members), "nodes", nodes, "tokens_per_s", fmt.Sprintf("%.0f", own[mid]), "x_put", fmt.Sprintf("%.2f", own[mid]/floor[mid])))
}

// perSecond has each function called so often, all at once.
func perSecond(b *testing.B, all []func() error, each int) float64 {
	b.Helper()
	var work sync.WaitGroup
	began := time.Now()
	for _, f := range all {
		work.Go(func() {
			for range each {
				if err := f(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	work.Wait()
	return float64(len(all)*each) / time.Since(began).Seconds()
}
