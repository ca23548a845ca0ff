package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"husk/db"
	"husk/web/password"
)

// BenchmarkPage measures pages over loopback: one that asks the API what is set
// up, and one that asks who is signed in.
//
//	go test ./web -run '^$' -bench Page
func BenchmarkPage(b *testing.B) {
	s, _, jwt := benchServer(b)
	hash, err := s.Passwords.Hash(b.Context(), password.Caller{}, testPassword)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Store.CreateUser(b.Context(), localActor, db.NewUser{Email: "ann@example.com", Password: hash, Roles: []string{db.RoleAdmin}}); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, cookie := range map[string]string{"/login": "", "/": jwt} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				r, _ := http.NewRequest("GET", server.URL+path, nil)
				r.Header.Set("Accept", browserAccept)
				if cookie != "" {
					r.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
				}
				a, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, a.Body)
				a.Body.Close()
				if a.StatusCode != http.StatusOK {
					b.Fatalf("%s: status %d", path, a.StatusCode)
				}
			}
		})
	}
}
