package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest/large"
	"husk/web/password"
)

// BenchmarkScale compares what a store of a million tokens costs with what one
// of a thousand does, over real loopback connections and in turns of the same
// run. x-small is the ratio of the medians of all turns.
//
//	go test ./web -run '^$' -bench Scale -benchtime 1x
func BenchmarkScale(b *testing.B) {
	sizes := []int{1000, 1_000_000}
	var rigs []*scaleRig
	for _, n := range sizes {
		rigs = append(rigs, newScaleRig(b, n))
	}
	for _, c := range scaleCases {
		b.Run(c.name, func(b *testing.B) {
			took := make([][]time.Duration, len(rigs))
			for _, rig := range rigs {
				rig.dial(b)
			}
			for turn := range max(b.N, scaleTurns) {
				for i, rig := range rigs {
					began := time.Now()
					c.run(b, rig, c.requests)
					if turn > 2 { // warm before
						took[i] = append(took[i], time.Since(began)/time.Duration(c.requests))
					}
				}
			}
			small, big := median(took[0]), median(took[1])
			b.ReportMetric(float64(small.Nanoseconds())/1000, "small-us")
			b.ReportMetric(float64(big.Nanoseconds())/1000, "big-us")
			b.ReportMetric(float64(big)/float64(small), "x-small")
			b.ReportMetric(0, "ns/op")
		})
	}
}

const scaleTurns = 60

func median[T cmp.Ordered](all []T) T {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// scaleRig is a server over one store, with a connection of a stranger and one
// where the owner of the file asks.
type scaleRig struct {
	tokens int
	server *Server
	far    *benchClient
	own    *benchClient
	random *rand.Rand
}

func newScaleRig(b *testing.B, tokens int) *scaleRig {
	store := large.Open(b, large.Shared(b, tokens))
	touch(b, store, tokens/large.TokensOfUser)
	hasher := password.New(password.Config{Params: password.InsecureTestParams()})
	s, err := New(Config{Store: store, Passwords: hasher, Log: slog.New(slog.DiscardHandler), Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	return &scaleRig{tokens: tokens, server: s, random: rand.New(rand.NewPCG(1, 2))}
}

// touch reads all of a store and asks for every user, as a server has that ran
// for long: the first touch of a page costs several microseconds more, or a
// read of the disk.
func touch(b *testing.B, store *db.Store, users int) {
	err := store.Engine().View(b.Context(), func(tx db.Tx) error {
		for _, bucket := range []string{"token", "token.index", "token.use", "ended_token", "ended_token.index", "session.use", "user", "user.index", "session", "session.index", "audit", "audit.index", "count"} {
			if err := tx.Scan(bucket, nil, nil, false, func(_, _ []byte) bool { return true }); err != nil {
				return err
			}
		}
		return nil
	})
	for i := 0; i < users && err == nil; i++ {
		_, err = store.User(b.Context(), large.UserID(i))
	}
	if err != nil {
		b.Fatal(err)
	}
}

// dial makes new connections: the server ends those that say nothing.
func (r *scaleRig) dial(b *testing.B) {
	far, owner := r.server.HTTPServer(), r.server.HTTPServer()
	owner.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return local{transport: db.TransportSocket, owner: true, name: "uid 0"}.with(ctx)
	}
	r.far, r.own = dialBench(b, far, ""), dialBench(b, owner, "")
}

// some is a number among all, the same range of them at each size where hot.
func (r *scaleRig) some(hot bool) int {
	if hot {
		return r.random.IntN(1000)
	}
	return r.random.IntN(r.tokens)
}

type scaleCase struct {
	name     string
	requests int // of a turn
	run      func(b *testing.B, r *scaleRig, n int)
}

// get asks, as the owner of the file, for the path of a number among all tokens.
func get(path func(i int) string) func(*testing.B, *scaleRig, int) {
	return func(b *testing.B, r *scaleRig, n int) {
		for range n {
			r.own.ask(b, "GET "+path(r.some(false))+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
	}
}

func fixed(path string) func(*testing.B, *scaleRig, int) {
	return get(func(int) string { return path })
}

func check(hot bool) func(*testing.B, *scaleRig, int) {
	return func(b *testing.B, r *scaleRig, n int) {
		requests := make([]string, n)
		for i := range requests {
			requests[i] = "GET /account/profile HTTP/1.1\r\nHost: localhost\r\nX-API-TOKEN: " + large.Secret(r.some(hot)) + "\r\n\r\n"
		}
		for _, request := range requests {
			r.far.ask(b, request)
		}
	}
}

var scaleCases = []scaleCase{
	{"check/hot", 500, check(true)},
	{"check/any", 500, check(false)},
	{"login/look-up", 500, func(b *testing.B, r *scaleRig, n int) {
		for range n {
			if _, err := r.server.Store.UserByEmail(context.Background(), large.Email(r.random.IntN(r.tokens/large.TokensOfUser))); err != nil {
				b.Fatal(err)
			}
		}
	}},
	{"tokens/all/created", 40, fixed("/auth/access_token/_search")},
	{"tokens/all/name", 40, fixed("/auth/access_token/_search?sort=name:asc")},
	{"tokens/all/expire_in", 40, fixed("/auth/access_token/_search?sort=expire_in:asc")},
	{"tokens/own/created", 40, get(func(i int) string { return "/auth/access_token/_search?owner=" + large.UserID(i/large.TokensOfUser) })},
	{"tokens/own/name", 40, get(func(i int) string {
		return "/auth/access_token/_search?sort=name&owner=" + large.UserID(i/large.TokensOfUser)
	})},
	{"tokens/own/expire_in", 40, get(func(i int) string {
		return "/auth/access_token/_search?sort=expire_in&owner=" + large.UserID(i/large.TokensOfUser)
	})},
	{"tokens/own/query", 40, get(func(i int) string {
		return "/auth/access_token/_search?query=dep&owner=" + large.UserID(i/large.TokensOfUser)
	})},
	{"tokens/all/query", 40, get(func(i int) string { return fmt.Sprintf("/auth/access_token/_search?query=dep+%07d", i) })},
	{"tokens/all/query-broad", 2, fixed("/auth/access_token/_search?query=dep")},
	{"tokens/all/expiring", 40, fixed("/auth/access_token/_search?size=25&owner=*&filter=expiring")},
	{"tokens/all/no_expiry", 40, fixed("/auth/access_token/_search?size=25&owner=*&filter=no_expiry")},
	{"tokens/all/unused", 40, fixed("/auth/access_token/_search?size=25&owner=*&filter=unused")},
	{"tokens/all/never", 10, fixed("/auth/access_token/_search?size=25&owner=*&filter=never")},
	{"tokens/all/address", 10, fixed("/auth/access_token/_search?size=25&owner=*&address=203.0.113.7")},
	{"tokens/own/never", 40, get(func(i int) string {
		return "/auth/access_token/_search?size=25&filter=never&owner=" + large.UserID(i/large.TokensOfUser)
	})},
	{"tokens/all/ended", 40, fixed("/auth/access_token/_ended?size=25&owner=*")},
	{"tokens/own/ended", 40, get(func(i int) string {
		return "/auth/access_token/_ended?size=25&owner=" + large.UserID(i/large.TokensOfUser)
	})},
	{"sessions/address", 10, fixed("/security/session/_search?size=25&address=203.0.113.7")},
	{"users/created", 40, fixed("/security/user/_search")},
	{"users/name", 40, fixed("/security/user/_search?sort=name:asc")},
	{"users/query", 40, get(func(i int) string { return fmt.Sprintf("/security/user/_search?query=user%06d", i/large.TokensOfUser) })},
	{"principals/query", 40, get(func(i int) string {
		return fmt.Sprintf("/security/principal/_search?query=user%06d", i/large.TokensOfUser)
	})},
	{"sessions/all", 40, fixed("/security/session/_search")},
	{"sessions/user", 40, get(func(i int) string { return "/security/session/_search?user=" + large.UserID(i/large.TokensOfUser) })},
	{"roles", 40, fixed("/security/role/_search")},
	{"audit/newest", 40, fixed("/security/audit/_search?size=20")},
	{"audit/actor", 40, get(func(i int) string { return "/security/audit/_search?actor=" + large.UserID(i/large.TokensOfUser) })},
	{"audit/target", 40, get(func(i int) string { return "/security/audit/_search?target=" + large.TokenID(i) })},
	{"audit/request", 40, get(func(i int) string { return "/security/audit/_search?request_id=" + large.RequestID(i) })},
	{"statistics", 2, fixed("/system/statistics?span=400d")}, // which counts tokens as far as its bound, once a minute
	{"audit/action-broad", 2, fixed("/security/audit/_search?action=token.create")},
}

// ask sends one request and takes its answer off the connection.
func (c *benchClient) ask(b *testing.B, request string) {
	_, err := io.WriteString(c.conn, request)
	if err == nil {
		err = c.read()
	}
	if err != nil {
		b.Fatalf("%.80s: %v", request, err)
	}
}
