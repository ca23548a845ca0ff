package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest/large"
	"husk/web/console"
	"husk/web/manual"
	"husk/web/password"
	"husk/web/session"
)

// BenchmarkHouse measures each page of the house over loopback, as an administrator asks
// for it, in a store of 100,000 users with a million tokens: ms-page is the median, and
// ms-most the longest that one took; ms-floor is an echo handler in the same run.
//
//	go test ./web -run '^$' -bench House -benchtime 20x
func BenchmarkHouse(b *testing.B) {
	const tokens = 1_000_000
	store := large.Open(b, large.Shared(b, tokens))
	touch(b, store, tokens/large.TokensOfUser)
	if err := store.CreateRole(b.Context(), localActor, benchRole, db.RoleChange{}); err != nil && !errors.Is(err, db.ErrConflict) {
		b.Fatal(err)
	}
	s, err := New(Config{Store: store, Passwords: password.New(password.Config{Params: password.InsecureTestParams()}), Log: slog.New(slog.DiscardHandler), Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := store.Keys(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	jwt, err := session.Sign(keys.Signing, large.AdminSession(), large.AdminSecret)
	if err != nil {
		b.Fatal(err)
	}
	header := "Cookie: " + cookieName + "=" + jwt + "\r\nAccept: " + browserAccept
	random := 0
	for _, path := range benchPlaces() {
		b.Run(strings.TrimPrefix(path, "/"), func(b *testing.B) {
			page, base := dialBench(b, s.HTTPServer(), header), dialBench(b, &http.Server{Handler: echoFloor()}, "")
			page.anyStatus = strings.Contains(path, "/system/backups/") // there is none
			page.body = make([]byte, 1<<20)
			plain := string(page.request)
			ask := func(c *benchClient) time.Duration {
				began := time.Now()
				if err := c.once(); err != nil {
					b.Fatal(path, err)
				}
				return time.Since(began)
			}
			var took, floors []time.Duration
			for range max(b.N, 3) {
				random = (random + 7919) % tokens
				page.request = []byte(strings.Replace(plain, "/account/profile", benchAddress(path, random), 1))
				took, floors = append(took, ask(page)), append(floors, ask(base))
			}
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(median(took)), "ms-page")
			b.ReportMetric(ms(maxOf(took)), "ms-most")
			b.ReportMetric(ms(median(floors)), "ms-floor")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchRole can be changed, as no role can that is built in.
const benchRole = "team"

// benchPlaces are all pages, and lists that are narrowed by what is no index.
func benchPlaces() (paths []string) {
	for _, p := range console.Places() {
		if p.Method == http.MethodGet {
			paths = append(paths, p.Path)
		}
	}
	return append(paths, "/console/tokens?filter=never", "/console/tokens?filter=expiring", "/console/tokens?q=deploy", "/console/users?q=person", "/console/users?role=admin",
		"/console/sessions?address=203.0.113.7", "/console/audit?actor="+large.UserID(7), "/console/audit?action=user.create", "/console/audit?result=refused", "/console/audit?address=203.0.113.7", "/console?span=30d", "/console/manual?q=backup")
}

func maxOf(all []time.Duration) (most time.Duration) {
	for _, d := range all {
		most = max(most, d)
	}
	return most
}

// benchAddress has a record of a number in the place of the name of one; under /me it is
// one of who asks.
func benchAddress(path string, i int) string {
	users := 1_000_000 / large.TokensOfUser
	for under, id := range map[string]string{
		"/me/tokens/": large.TokenID(i % large.TokensOfUser * users), "/me/sessions/": large.AdminSession().ID,
		"/console/tokens/": large.TokenID(i), "/console/sessions/": large.ID("session", 1+i%(users-1)), "/console/users/": large.UserID(i % users),
		"/console/audit/request/": large.RequestID(i), "/console/roles/": benchRole, "/console/manual/": manual.Pages()[i%len(manual.Pages())].Name,
		"/console/system/backups/": "none",
	} {
		if rest, named := strings.CutPrefix(path, under+":"); named {
			_, act, _ := strings.Cut(rest, "/")
			if act == "rotate" { // which its owner alone does
				id = large.TokenID(i % large.TokensOfUser * users)
			}
			return strings.TrimSuffix(under+id+"/"+act, "/")
		}
	}
	if path == "/console/sessions/end" {
		return fmt.Sprintf("%s?user=%s", path, large.UserID(i%users))
	}
	return path
}
