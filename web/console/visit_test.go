package console

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// ask serves a request of a browser by h, before an API that answers all with
// status and v.
func ask(t *testing.T, h Handler, r *http.Request, form url.Values, status int, v any) (*httptest.ResponseRecorder, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}))
	defer server.Close()
	var d net.Dialer
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, server.Listener.Addr().String())
	}
	c := &Console{Now: time.Now, MAC: macOf("a key"), IsProgram: func(h http.Header) bool { return h["X-Api-Token"] != nil },
		Cookie: func(name, value string, maxAge int) *http.Cookie {
			return &http.Cookie{Name: name, Value: value, MaxAge: maxAge}
		}}
	w := httptest.NewRecorder()
	err := c.Serve(h, w, r, Sent{Form: form}, dial)
	return w, err
}

func refusal(status int, code, reason string) *api.Error {
	return &api.Error{Status: status, Detail: api.ErrorDetail{Code: code, Reason: reason}}
}

// What the API refuses is told as it tells it, with its status, on every page; a
// browser that has to sign in, or to change its password, is led there.
func TestRefusalOfTheAPIIsShown(t *testing.T) {
	desktop := url.Values{"product": {"coco"}, "provider": {"x"}, "request_id": {"642a985c-6baa-4ec8-be41-d8c6ddbc0e60"}}
	pages := map[string]Handler{
		"/": HomePage, "/password": PasswordPage, "/connect?" + desktop.Encode(): ConnectPage, "/login": LoginPage, "/setup": SetupPage,
		"POST /connect": ConnectProgram, "POST /account/logout": SignOut,
	}
	for path, h := range pages {
		method, target := "GET", path
		if posted, ok := strings.CutPrefix(path, "POST "); ok {
			method, target = "POST", posted
		}
		for _, c := range []struct {
			name   string
			answer *api.Error
			accept string
			status int
			leads  string
		}{
			{"a right is missing", refusal(403, "not_permitted", "that needs the permission <x>"), "text/html", 403, ""},
			{"not signed in", refusal(401, "invalid_token", "no"), "text/html", 303, "/login"},
			{"a generated password", refusal(403, codeMustChange, "no"), "text/html", 303, "/password"},
			{"overloaded", refusal(503, "busy", "too much at once"), "text/html", 503, ""},
			{"a program", refusal(403, "not_permitted", "no"), "application/json", 0, ""},
		} {
			if h.Keeps() && c.answer.Status == http.StatusUnauthorized {
				continue // the form is kept over the sign-in, which a test of its own looks at
			}
			r := httptest.NewRequest(method, target, nil)
			r.Header = http.Header{"Accept": {c.accept}, "Content-Type": {"application/x-www-form-urlencoded"}}
			w, err := ask(t, h, r, desktop, c.answer.Status, c.answer)
			if c.status == 0 {
				if refused := refusedBy(err); refused == nil || refused.Detail.Code != c.answer.Detail.Code || w.Body.Len() > 0 {
					t.Errorf("%s, %s: %v %s", path, c.name, err, w.Body)
				}
				continue
			}
			leads, _, _ := strings.Cut(w.Header().Get("Location"), "?")
			if err != nil || w.Code != c.status || leads != c.leads {
				t.Errorf("%s, %s: %d %q %v", path, c.name, w.Code, leads, err)
			}
			if c.leads == "" && (!strings.Contains(w.Body.String(), escaped(c.answer.Sentence())) || w.Header().Get("Retry-After") != "7") {
				t.Errorf("%s, %s: %v %s", path, c.name, w.Header(), w.Body)
			}
		}
	}
}

// escaped is text as a page has it.
func escaped(text string) string { return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text) }

// Where the API does not answer, there is an error for the log, and no half of a
// page.
func TestAPIThatDoesNotAnswer(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	if w, err := ask(t, HomePage, r, nil, 200, api.Profile{}); err == nil || w.Body.Len() > 0 {
		t.Errorf("%v %s", err, w.Body)
	}
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	if w, err := ask(t, HomePage, r, nil, 200, []string{"what is this"}); err == nil || w.Body.Len() > 0 {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		lines   []string
		offered string
		want    bool
	}{
		{[]string{"gzip"}, "gzip", true},
		{[]string{"br, GZip;q=0.8"}, "gzip", true},
		{[]string{"br", "gzip ; q=1"}, "gzip", true},
		{[]string{"gzip;q=0"}, "gzip", false},
		{[]string{"gzip; Q=0.000"}, "gzip", false},
		{[]string{"gzip;level=9;q=0"}, "gzip", false},
		{[]string{"x-gzip, gzipped"}, "gzip", false},
		{[]string{"*"}, "gzip", false},
		{nil, "gzip", false},
		{[]string{"text/html;level=1"}, "text/html", true},
	} {
		if got := Accepts(c.lines, c.offered); got != c.want {
			t.Errorf("%q offered to %q: %v", c.offered, c.lines, got)
		}
	}
}
