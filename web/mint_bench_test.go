package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest"
	"husk/web/password"
	"husk/web/token"
)

// BenchmarkMint makes API tokens, each of them durable when it is answered, by
// one client and by 32, against plain bbolt, in turns: the same records, with
// one synced Update for each token. A token that a request makes has one key
// more in the audit log, that of the request.
//
//	go test ./web -run '^$' -bench Mint -benchtime 10x
func BenchmarkMint(b *testing.B) {
	s, apiToken, _ := benchServer(b)
	ways := []struct {
		name   string
		mint   func(b *testing.B) func() error                  // what one client does
		record func(b *testing.B, store *db.Store) func() error // the same, for the records of it
	}{
		{"handler", func(b *testing.B) func() error {
			c := dialBench(b, s.HTTPServer(), "")
			c.request = []byte("POST /auth/access_token HTTP/1.1\r\nHost: localhost\r\nX-API-TOKEN: " + apiToken + "\r\nContent-Length: 0\r\n\r\n")
			return c.once
		}, mintByHandler},
		{"store",
			func(*testing.B) func() error { return func() error { return mintOne(s.Store) } },
			func(_ *testing.B, store *db.Store) func() error { return func() error { return mintOne(store) } }},
	}
	for _, way := range ways {
		plain := newPlainMint(b, way.record)
		for _, clients := range []int{1, 32} {
			b.Run(way.name+"/"+map[int]string{1: "one", 32: "many"}[clients], func(b *testing.B) {
				var own, base []float64
				var mints []func() error
				for range clients {
					mints = append(mints, way.mint(b))
				}
				each := max(16, 64/clients)
				commits := s.Store.Engine().(*bolt.Engine).Stats().Commits
				for range b.N + 1 {
					own = append(own, mintPerSecond(b, mints, each))
					base = append(base, mintPerSecond(b, slices.Repeat([]func() error{plain.mint}, clients), each))
				}
				commits = s.Store.Engine().(*bolt.Engine).Stats().Commits - commits
				b.ReportMetric(float64((b.N+1)*clients*each)/float64(commits), "tokens/commit")
				b.ReportMetric(median(own), "tokens/s")
				b.ReportMetric(median(base), "plain-tokens/s")
				b.ReportMetric(median(own)/median(base), "x-plain")
				b.ReportMetric(0, "ns/op")
				b.Log(dbtest.Figures("mint", "by", way.name, "clients", clients, "tokens_per_s", fmt.Sprintf("%.0f", median(own)), "x_plain", fmt.Sprintf("%.2f", median(own)/median(base))))
			})
		}
	}
}

func mintOne(store *db.Store) error {
	secret, id := token.New()
	sum := token.Hash(secret)
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	_, err := store.CreateToken(context.Background(), actor, db.NewToken{ID: id, Hash: sum[:]})
	return err
}

// mintByHandler mints by requests to a server over a store, without a network.
func mintByHandler(b *testing.B, store *db.Store) func() error {
	s, err := New(Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	apiToken, id := token.New()
	sum := token.Hash(apiToken)
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	if _, err := store.CreateToken(b.Context(), actor, db.NewToken{ID: id, Hash: sum[:]}); err != nil {
		b.Fatal(err)
	}
	return func() error {
		r := httptest.NewRequest("POST", "/auth/access_token", nil)
		r.Header.Set("X-API-TOKEN", apiToken)
		answer := httptest.NewRecorder()
		if s.ServeHTTP(answer, r); answer.Code != http.StatusOK {
			return fmt.Errorf("%d: %s", answer.Code, answer.Body)
		}
		return nil
	}
}

// mintPerSecond lets each client mint so many.
func mintPerSecond(b *testing.B, clients []func() error, each int) float64 {
	var working sync.WaitGroup
	began := time.Now()
	for _, mint := range clients {
		working.Go(func() {
			for range each {
				if err := mint(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	return float64(len(clients)*each) / time.Since(began).Seconds()
}

// recordedMints is more than ten turns by one client and by 32 need.
const recordedMints = 1 << 13

// plainMint writes what a mint writes, as it was recorded from a store.
type plainMint struct {
	*bolt.Engine
	plain *bbolt.DB

	mu   sync.Mutex
	sets [][]put // of one token each
}

type put struct {
	bucket     string
	key, value []byte
}

func newPlainMint(b *testing.B, record func(*testing.B, *db.Store) func() error) *plainMint {
	dir := b.TempDir()
	open := func(name string) string {
		path := filepath.Join(dir, name)
		if err := bolt.Create(path, db.Init); err != nil {
			b.Fatal(err)
		}
		return path
	}
	engine, err := bolt.Open(open("recorded"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	p := &plainMint{Engine: engine}
	store, err := db.Open(b.Context(), p, db.Options{})
	if err != nil {
		b.Fatal(err)
	}
	mint := record(b, store)
	p.sets = nil // of what the server needed
	mintPerSecond(b, slices.Repeat([]func() error{mint}, 256), recordedMints/256)
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	p.plain, err = bbolt.Open(open("plain"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 28})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.plain.Close() })
	return p
}

// Update records what f puts.
func (p *plainMint) Update(ctx context.Context, f func(db.Tx) error) error {
	var puts []put
	err := p.Engine.Update(ctx, func(tx db.Tx) error {
		r := &recorder{Tx: tx}
		err := f(r)
		puts = r.puts
		return err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sets = append(p.sets, puts)
	return err
}

type recorder struct {
	db.Tx
	puts []put
}

func (r *recorder) Put(bucket string, key, value []byte) error {
	r.puts = append(r.puts, put{bucket, key, value})
	return r.Tx.Put(bucket, key, value)
}

// mint writes one of the recorded tokens in an Update of its own.
func (p *plainMint) mint() error {
	p.mu.Lock()
	if len(p.sets) == 0 { // to write one again would not let the file grow
		p.mu.Unlock()
		return errors.New("all that was recorded is used up: ask for fewer turns")
	}
	set := p.sets[0]
	p.sets = p.sets[1:]
	p.mu.Unlock()
	return p.plain.Update(func(tx *bbolt.Tx) error {
		for _, one := range set {
			bucket, err := tx.CreateBucketIfNotExists([]byte(one.bucket))
			if err == nil {
				err = bucket.Put(one.key, one.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
