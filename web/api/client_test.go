package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// answering is a client of a server that always answers alike, and the
// requests that came.
func answering(t *testing.T, status int, body string, headers ...string) (*api.Client, func() *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(text))
		requests <- r
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return &api.Client{Base: server.URL + "/", HTTP: server.Client()}, func() *http.Request { return <-requests }
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		body    string
		headers []string
		want    api.Error
		text    string
	}{
		"husk's own": {403, `{"status":403,"error":{"reason":"that is not permitted","code":"not_permitted"}}`, nil,
			api.Error{Status: 403, Detail: api.ErrorDetail{Reason: "that is not permitted", Code: "not_permitted"}}, "that is not permitted"},
		"busy": {503, `{"status":503,"error":{"reason":"busy","code":"busy"}}`, []string{"Retry-After", "7"},
			api.Error{Status: 503, Detail: api.ErrorDetail{Reason: "busy", Code: "busy"}, RetryAfter: 7 * time.Second}, "busy"},
		"a date to come back": {429, `{"status":429,"error":{"reason":"later","code":"later"}}`, []string{"Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"},
			api.Error{Status: 429, Detail: api.ErrorDetail{Reason: "later", Code: "later"}}, "later"},
		"a proxy's page":     {502, `<html>Bad Gateway</html>`, nil, api.Error{Status: 502}, "the server answered with status 502"},
		"nothing":            {401, ``, nil, api.Error{Status: 401}, "the server answered with status 401"},
		"a status that lies": {404, `{"status":200,"error":{"reason":"r","code":"c"}}`, nil, api.Error{Status: 404, Detail: api.ErrorDetail{Reason: "r", Code: "c"}}, "r"},
		"half of it":         {400, `{"status":400,"error":{"reason":"r","co`, nil, api.Error{Status: 400}, "the server answered with status 400"},
		"endless":            {500, strings.Repeat("a", 1<<20), nil, api.Error{Status: 500}, "the server answered with status 500"},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := answering(t, c.status, c.body, c.headers...)
			_, err := client.Profile(t.Context())
			var got *api.Error
			if !errors.As(err, &got) || !reflect.DeepEqual(*got, c.want) || got.Error() != c.text {
				t.Errorf("%#v, want %#v", err, c.want)
			}
		})
	}
}

func TestNoHusk(t *testing.T) {
	client, _ := answering(t, 200, "<html>hello</html>")
	if _, err := client.Profile(t.Context()); err == nil || !strings.Contains(err.Error(), "is that a husk server?") {
		t.Errorf("%v", err)
	}
	var unreachable *api.UnreachableError
	gone := &api.Client{Base: "http://127.0.0.1:1"}
	if _, err := gone.Health(t.Context()); !errors.As(err, &unreachable) || strings.Contains(err.Error(), "/health") || errors.Unwrap(err) == nil {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := client.Health(ctx); !errors.As(err, &unreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := (&api.Client{Base: "%"}).Health(t.Context()); err == nil {
		t.Error("a bad address was taken")
	}
}

// An answer that ends before its time is no answer.
func TestCutAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, `{"id":"a"`)
	}))
	defer server.Close()
	c := &api.Client{Base: server.URL}
	var unreachable *api.UnreachableError
	if _, err := c.Profile(t.Context()); !errors.As(err, &unreachable) {
		t.Errorf("%v", err)
	}
	if err := c.Backup(t.Context(), io.Discard, ""); err == nil {
		t.Error("a cut backup is taken for whole")
	}
}

func TestRequests(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		call         func(*api.Client) error
		method, path string
		body         string
	}{
		"health":  {func(c *api.Client) error { _, err := c.Health(ctx); return err }, "GET", "/health", ""},
		"login":   {func(c *api.Client) error { _, err := c.Login(ctx, api.Login{Password: "p"}); return err }, "POST", "/account/login", `{"password":"p"}`},
		"logout":  {func(c *api.Client) error { return c.Logout(ctx) }, "POST", "/account/logout", ""},
		"profile": {func(c *api.Client) error { _, err := c.Profile(ctx); return err }, "GET", "/account/profile", ""},
		"password": {func(c *api.Client) error {
			_, err := c.ChangePassword(ctx, api.PasswordChange{OldPassword: "a", NewPassword: "b"})
			return err
		},
			"PUT", "/account/password", `{"old_password":"a","new_password":"b"}`},
		"mint":   {func(c *api.Client) error { _, err := c.CreateToken(ctx, api.NewToken{}); return err }, "POST", "/auth/access_token", `{}`},
		"token":  {func(c *api.Client) error { _, err := c.GetToken(ctx, "a/b"); return err }, "GET", "/auth/access_token/a%2Fb", ""},
		"tokens": {func(c *api.Client) error { _, err := c.SearchTokens(ctx, api.ListOptions{}); return err }, "GET", "/auth/access_token/_search", ""},
		"filter": {func(c *api.Client) error {
			_, err := c.SearchTokens(ctx, api.ListOptions{From: 1, Size: 2, Query: "a b", Sort: "name:asc", After: "x", Filter: map[string]string{"owner": "*", "none": ""}})
			return err
		}, "GET", "/auth/access_token/_search?after=x&from=1&owner=%2A&query=a+b&size=2&sort=name%3Aasc", ""},
		"update token": {func(c *api.Client) error { _, err := c.UpdateToken(ctx, "i", api.TokenUpdate{Name: "n"}); return err }, "PUT", "/auth/access_token/i", `{"name":"n"}`},
		"delete token": {func(c *api.Client) error { _, err := c.DeleteToken(ctx, "i"); return err }, "DELETE", "/auth/access_token/i", ""},
		"users":        {func(c *api.Client) error { _, err := c.SearchUsers(ctx, api.ListOptions{Size: 1}); return err }, "GET", "/security/user/_search?size=1", ""},
		"user":         {func(c *api.Client) error { _, err := c.GetUser(ctx, "ü?#@e.x"); return err }, "GET", "/security/user/%C3%BC%3F%23@e.x", ""},
		"make user":    {func(c *api.Client) error { _, err := c.CreateUser(ctx, api.NewUser{Email: "e"}); return err }, "POST", "/security/user", `{"email":"e"}`},
		"update user": {func(c *api.Client) error {
			_, err := c.UpdateUser(ctx, "i", api.UserUpdate{Roles: &[]string{}})
			return err
		},
			"PUT", "/security/user/i", `{"roles":[]}`},
		"delete user": {func(c *api.Client) error { _, err := c.DeleteUser(ctx, "i"); return err }, "DELETE", "/security/user/i", ""},
		"backup":      {func(c *api.Client) error { return c.Backup(ctx, io.Discard, "") }, "GET", "/system/backup", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, request := answering(t, 200, "{}")
			client.Token, client.JWT = "a token", "a JWT"
			if err := c.call(client); err != nil {
				t.Fatal(err)
			}
			r := request()
			body, _ := io.ReadAll(r.Body)
			if r.Method != c.method || r.RequestURI != c.path || string(body) != c.body {
				t.Errorf("%s %s %s, want %s %s %s", r.Method, r.RequestURI, body, c.method, c.path, c.body)
			}
			if r.Header.Get("X-API-TOKEN") != "a token" || r.Header.Get("Authorization") != "Bearer a JWT" || (r.Header.Get("Content-Type") == "application/json") != (c.body != "") {
				t.Errorf("headers %v", r.Header)
			}
		})
	}
}

func TestAllPages(t *testing.T) {
	pages := map[string]api.Search[int]{
		"":  {Hits: api.Hits[int]{Hits: []api.Hit[int]{{ID: "1"}, {ID: "2"}}, After: "b"}},
		"b": {Hits: api.Hits[int]{Hits: []api.Hit[int]{{ID: "3"}}}},
	}
	asked := 0
	search := func(_ context.Context, o api.ListOptions) (api.Search[int], error) {
		asked++
		return pages[o.After], nil
	}
	ids := ""
	for hit, err := range api.All(t.Context(), api.ListOptions{}, search) {
		ids += hit.ID
		if err != nil {
			t.Fatal(err)
		}
	}
	if ids != "123" || asked != 2 {
		t.Errorf("%s after %d pages", ids, asked)
	}
	asked = 0
	for range api.All(t.Context(), api.ListOptions{}, search) {
		break
	}
	if asked != 1 {
		t.Errorf("%d pages for one hit", asked)
	}
	failure := errors.New("failure")
	var got []error
	for _, err := range api.All(t.Context(), api.ListOptions{}, func(context.Context, api.ListOptions) (api.Search[int], error) { return api.Search[int]{}, failure }) {
		got = append(got, err)
	}
	if len(got) != 1 || got[0] != failure {
		t.Errorf("%v", got)
	}
}
