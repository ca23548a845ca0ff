package web

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"husk/db"
	"husk/web/gate"
	"husk/web/logtest"
)

// BenchmarkGate measures an allowed decision with 200 rules, asked by forward-auth
// with an API token, and with the cookie of a host, against the floor: an echo handler
// that gets the same request. See BenchmarkCheck.
//
//	go test ./web -run '^$' -bench Gate -benchtime 20000x
func BenchmarkGate(b *testing.B) {
	s, apiToken, pass := benchGate(b)
	floor := echoFloor()
	const asked = "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app199.example.com\r\nX-Forwarded-Uri: /dashboards/7?from=now-6h\r\nX-Forwarded-For: 192.0.2.1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\n"
	for _, c := range []struct{ name, header string }{
		{"token", asked + "X-Api-Token: " + apiToken},
		{"cookie", asked + "Cookie: theme=dark; husk_gate=" + pass},
	} {
		b.Run(c.name, func(b *testing.B) {
			base, own := dialBench(b, &http.Server{Handler: floor}, c.header), dialBench(b, s.HTTPServer(), c.header)
			own.at("/api/authz/forward-auth")
			compare(b, base, own)
		})
	}
}

// benchGate is a server with 200 rules, an API token, and a cookie for the last host.
func benchGate(b testing.TB) (s *Server, apiToken, pass string) {
	b.Helper()
	made, apiToken, _ := benchServer(b)
	config := made.Config
	config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	var rules []gate.Rule
	for i := range 200 {
		rules = append(rules, gate.Rule{Host: fmt.Sprintf("app%d.example.com", i), Require: []string{"role:admin"}})
	}
	parsed, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: rules})
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	config.Gate = parsed
	s, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	r, _, err := s.Store.CreateSession(ctx, &db.Actor{}, db.SignIn{User: db.SingleUser, TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	const scope = "app199.example.com"
	code, err := s.Store.MakeCode(ctx, &db.Actor{ID: db.SingleUser, Session: r}, scope, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	if pass, _, err = s.Store.TakeCode(ctx, &db.Actor{}, code, scope); err != nil {
		b.Fatal(err)
	}
	return s, apiToken, pass
}

// BenchmarkGateProxy measures Husk's own proxy, decision included, against a bare
// httputil.ReverseProxy to the same application.
//
//	go test ./web -run '^$' -bench GateProxy -benchtime 20000x
func BenchmarkGateProxy(b *testing.B) {
	app := listenBench(b, &http.Server{Handler: echoFloor()})
	upstream := &url.URL{Scheme: "http", Host: app}
	made, apiToken, _ := benchServer(b)
	config := made.Config
	rules, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "app.example.com", Require: []string{"role:admin"}, UpstreamURL: upstream.String()}}})
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	config.Gate = rules
	s, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.EndUpgraded)
	bare := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.SetXForwarded()
		},
	}
	header := "X-Api-Token: " + apiToken
	base, own := dialBench(b, &http.Server{Handler: bare}, header), dialBench(b, s.HTTPServer(), header)
	for _, c := range []*benchClient{base, own} {
		c.request = bytes.Replace(c.request, []byte("Host: localhost"), []byte("Host: app.example.com"), 1)
	}
	compare(b, base, own)
}

// An allowed decision spends at most six allocations, and is no line of the log and
// no write.
func TestGateCostsLittle(t *testing.T) {
	s, apiToken, pass := benchGate(t)
	log := &logtest.Buffer{}
	s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for name, header := range map[string][2]string{"token": {"X-Api-Token", apiToken}, "cookie": {"Cookie", "theme=dark; husk_gate=" + pass}} {
		r := &http.Request{Method: "GET", RequestURI: "/api/authz/forward-auth", RemoteAddr: "127.0.0.1:5", URL: &url.URL{Path: "/api/authz/forward-auth"}, Header: http.Header{
			"X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app199.example.com"}, "X-Forwarded-Uri": {"/d/7?x"}, "X-Forwarded-For": {"192.0.2.1"}, header[0]: {header[1]},
		}}
		w := &discarded{header: http.Header{}}
		ask := func() { s.ServeHTTP(w, r) }
		ask()
		engine := s.Store.Engine().(db.Measurer)
		before := engine.Stats().Commits
		if n := testing.AllocsPerRun(500, ask); w.status != http.StatusOK || n > 6 {
			t.Errorf("%s: %d, %v allocations", name, w.status, n)
		}
		if after := engine.Stats().Commits; after != before {
			t.Errorf("%s: %d commits", name, after-before)
		}
	}
	if text := log.String(); text != "" {
		t.Errorf("the log has %s", text)
	}
}

// discarded is an answer of which the status is kept.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
