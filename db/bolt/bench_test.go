package bolt

import (
	"context"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"husk/db"
)

// The updates of the engine stand beside plain ones of bbolt, by one writer
// and by 32.
func BenchmarkUpdate(b *testing.B) {
	value := make([]byte, 200)
	engine := func(b *testing.B) func(key []byte) error {
		e := open(b, create(b))
		return func(key []byte) error {
			return e.Update(context.Background(), func(tx db.Tx) error { return tx.Put("b", key, value) })
		}
	}
	plain := func(b *testing.B) func(key []byte) error {
		bolt, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, &bbolt.Options{
			Timeout: time.Second, FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapReserve,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { bolt.Close() })
		return func(key []byte) error {
			return bolt.Update(func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte("b"))
				if err != nil {
					return err
				}
				return bucket.Put(key, value)
			})
		}
	}
	for _, kind := range []struct {
		name string
		open func(b *testing.B) func(key []byte) error
	}{{"engine", engine}, {"plain", plain}} {
		for _, writers := range []int{1, 32} {
			b.Run(kind.name+"/writers="+strconv.Itoa(writers), func(b *testing.B) { benchUpdate(b, writers, kind.open(b)) })
		}
	}
}

func benchUpdate(b *testing.B, writers int, update func(key []byte) error) {
	var next atomic.Int64
	done := make(chan error)
	b.ResetTimer()
	for range writers {
		go func() {
			var err error
			for n := next.Add(1); n <= int64(b.N) && err == nil; n = next.Add(1) {
				err = update([]byte(strconv.FormatInt(n%10_000, 10)))
			}
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func BenchmarkView(b *testing.B) {
	e := open(b, create(b))
	populate(b, e, 10_000)
	key := []byte("key 005000")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := e.View(context.Background(), func(tx db.Tx) error { _, err := tx.Get("b", key); return err })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
