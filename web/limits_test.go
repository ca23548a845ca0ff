package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"husk/web"
	"husk/web/api"
)

// Who meets a limit is told its number, to know what would be taken.
func TestLimitsAreToldWithTheirNumber(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *web.Config) { c.Quotas = web.Quotas{Tokens: 1, Changes: 3} })
	admin := s.single()
	long := func(n int) string { return strings.Repeat("n", n) }
	addresses := strings.TrimSuffix(strings.Repeat(`"10.0.0.1",`, 101), ",")
	var roleNames []string
	for i := range 101 {
		roleNames = append(roleNames, fmt.Sprintf("role%d", i))
	}
	for _, c := range []struct{ method, path, body, number string }{
		{"POST", "/auth/access_token", `{"name":"` + long(201) + `"}`, "200"},
		{"POST", "/auth/access_token", `{"description":"` + long(1001) + `"}`, "1000"},
		{"POST", "/auth/access_token", `{"allowed_ips":[` + addresses + `]}`, "100"},
		{"POST", "/auth/access_token", `{"name":"` + long(64<<10) + `"}`, "64 KiB"},
		{"POST", "/security/user", `{"email":"a@example.com","name":"` + long(201) + `"}`, "200"},
		{"POST", "/security/user", `{"email":"` + long(250) + `@example.com"}`, "254"},
		{"POST", "/security/user", `{"email":"a@example.com","password":"short"}`, "8"},
		{"POST", "/security/user", `{"email":"a@example.com","password":"` + long(1025) + `"}`, "1024"},
		{"POST", "/security/user", `{"email":"a@example.com","no_password":true,"roles":` + jsonOf(roleNames) + `}`, "100"},
		{"POST", roles, roleBody(long(65)), "64"},
		{"POST", roles, roleBody("x", slices.Repeat([]string{ownKey}, 1001)...), "1000"},
		{"GET", roles + "/_search?size=1001", "", "1000"},
		{"GET", roles + "/_search?size=1000&from=9001", "", "10000"},
		{"POST", "/security/user/_import", `{"email":"` + long(64<<10) + `"}`, "64 KiB"},
		{"POST", "/account/login", `{"password":"` + long(1025) + `"}`, "1024"},
	} {
		if a := s.do(c.method, c.path, c.body, admin.session()); a.status < 400 || a.status >= 500 || !strings.Contains(a.body, c.number) {
			t.Errorf("%s %s %.60s = %d %s; want %s told", c.method, c.path, c.body, a.status, a.body, c.number)
		}
	}
	ann := s.newUser(annEmail)
	s.mint(ann.session(), api.NewToken{})
	for _, told := range []string{"there are 1 API tokens", "there are 1 API tokens", "takes 3 changes in a minute"} {
		if a := s.do("POST", "/auth/access_token", "", ann.session()); a.status != 429 || !strings.Contains(a.body, told) {
			t.Errorf("%d %s; want %q", a.status, a.body, told)
		}
	}
	many := func(r *http.Request) {
		for i := range 101 {
			r.Header.Set(fmt.Sprintf("X-%d", i), "a")
		}
	}
	if a := s.do("GET", "/health", "", many); a.status != 431 || !strings.Contains(a.body, "over 100 fields") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
