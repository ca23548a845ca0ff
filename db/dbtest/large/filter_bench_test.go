package large_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest/large"
)

// BenchmarkFilter asks for a page of 25 of each filtered list, in a store of a
// thousand tokens and of a million. A list that has nothing of what is asked for is
// the worst: a page looks at all that it may.
//
//	go test ./db/dbtest/large -run '^$' -bench Filter
func BenchmarkFilter(b *testing.B) {
	for _, tokens := range []int{1000, 1_000_000} {
		// All tokens of the store end within a few days of this, and were used long ago.
		end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(20, 0, -10)
		engine, err := bolt.Open(large.Shared(b, tokens), bolt.Options{})
		if err != nil {
			b.Fatal(err)
		}
		store, err := db.Open(b.Context(), engine, db.Options{Now: func() time.Time { return end }})
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range filterCases {
			b.Run(fmt.Sprintf("%d/%s", tokens, c.name), func(b *testing.B) {
				n := 0
				for i := 0; b.Loop(); i++ {
					if n, err = c.ask(b.Context(), store, large.UserID(i*7919%max(1, tokens/large.TokensOfUser))); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n), "found")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/page")
			})
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

type filterCase struct {
	name string
	ask  func(ctx context.Context, s *db.Store, user string) (found int, err error)
}

// tokensBy is a filter of everybody's tokens, or of one user's.
func tokensBy(own bool, f db.TokenFilter) func(context.Context, *db.Store, string) (int, error) {
	return func(ctx context.Context, s *db.Store, user string) (int, error) {
		q := db.ListQuery{Size: 25}
		if own {
			q.Owner = user
		}
		page, err := s.FilteredTokens(ctx, q, f)
		return len(page.Items), err
	}
}

var (
	usual  = netip.MustParsePrefix("127.0.0.0/8") // all tokens were used from there
	nobody = netip.MustParsePrefix("203.0.113.7/32")
)

// auditBy is a filter of the audit log.
func auditBy(q db.AuditQuery) func(context.Context, *db.Store, string) (int, error) {
	q.Size = 25
	return func(ctx context.Context, s *db.Store, _ string) (int, error) {
		page, err := s.Audit(ctx, q)
		return len(page.Items), err
	}
}

var filterCases = []filterCase{
	{"expiring/all", tokensBy(false, db.TokenFilter{Kind: db.TokensExpiring})},
	{"expiring/one", tokensBy(true, db.TokenFilter{Kind: db.TokensExpiring})},
	{"expiring-from/all", tokensBy(false, db.TokenFilter{Kind: db.TokensExpiring, Address: nobody})},
	{"no_expiry/all", tokensBy(false, db.TokenFilter{Kind: db.TokensNoExpiry})},
	{"unused/all", tokensBy(false, db.TokenFilter{Kind: db.TokensUnused})},
	{"unused/one", tokensBy(true, db.TokenFilter{Kind: db.TokensUnused})},
	{"never/all", tokensBy(false, db.TokenFilter{Kind: db.TokensNever})},
	{"never/one", tokensBy(true, db.TokenFilter{Kind: db.TokensNever})},
	{"address-some/all", tokensBy(false, db.TokenFilter{Address: usual})},
	{"address-none/all", tokensBy(false, db.TokenFilter{Address: nobody})},
	{"address-none/one", tokensBy(true, db.TokenFilter{Address: nobody})},
	{"sessions-none/all", func(ctx context.Context, s *db.Store, _ string) (int, error) {
		page, err := s.SessionsFrom(ctx, db.ListQuery{Size: 25}, nobody)
		return len(page.Items), err
	}},
	{"sessions-some/one", func(ctx context.Context, s *db.Store, user string) (int, error) {
		page, err := s.SessionsFrom(ctx, db.ListQuery{Size: 25, Owner: user}, netip.MustParsePrefix("192.0.2.0/24"))
		return len(page.Items), err
	}},
	{"audit-refused/none", auditBy(db.AuditQuery{Result: db.ResultRefused})},
	{"audit-address/none", auditBy(db.AuditQuery{Address: nobody})},
	{"audit-action-refused/none", auditBy(db.AuditQuery{Result: db.ResultRefused, Action: "token.create"})},
	{"ended/all", func(ctx context.Context, s *db.Store, _ string) (int, error) {
		page, err := s.EndedTokens(ctx, db.ListQuery{Size: 25})
		return len(page.Items), err
	}},
	{"ended/one", func(ctx context.Context, s *db.Store, user string) (int, error) {
		page, err := s.EndedTokens(ctx, db.ListQuery{Size: 25, Owner: user})
		return len(page.Items), err
	}},
}
