package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/web/api"
	"husk/web/listen"
	"husk/web/password"
	"husk/web/upkeep"
)

// measured is a server with metrics, and all that there is to measure.
type measured struct {
	*Server
	registry   *prometheus.Registry
	token, jwt string
}

func newMeasured(t testing.TB, change func(*Config)) *measured {
	t.Helper()
	s, token, jwt := benchServer(t)
	m := &measured{registry: prometheus.NewRegistry(), token: token, jwt: jwt}
	config := s.Config
	var err error
	if config.Metrics, err = NewMetrics(m.registry); err != nil {
		t.Fatal(err)
	}
	config.Connections = listen.NewPool(listen.Limits{})
	config.Upkeep = upkeep.New(upkeep.Config{
		Store: config.Store, Log: config.Log,
		Backups: upkeep.Backups{Dir: t.TempDir(), Every: time.Hour, Keep: 1},
		Source:  archive.Source{Store: config.Store, Open: func(path string) (db.Engine, error) { return bolt.Open(path, bolt.Options{}) }, Dir: t.TempDir()},
	})
	config.CertExpiry = func() time.Time { return time.Unix(2_000_000_000, 0) }
	if change != nil {
		change(&config)
	}
	if m.Server, err = New(config); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *measured) families(t testing.TB) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]*dto.MetricFamily{}
	for _, f := range all {
		families[f.GetName()] = f
	}
	return families
}

// value is that of the one sample whose labels are labels, given as name,
// value, and so on; the number of observations of a histogram.
func (m *measured) value(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	for _, sample := range m.families(t)[name].GetMetric() {
		if len(sample.GetLabel())*2 == len(labels) && hasLabels(sample, labels) {
			return sample.GetCounter().GetValue() + sample.GetGauge().GetValue() + float64(sample.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("there is no %s%q", name, labels)
	return 0
}

func hasLabels(sample *dto.Metric, labels []string) bool {
	has := map[string]string{}
	for _, l := range sample.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(labels); i += 2 {
		if has[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

func ask(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRequestsAreCountedByRouteAndClass(t *testing.T) {
	m := newMeasured(t, nil)
	if err := m.add(route{method: "GET", path: "/panics", need: isPublic, do: raw(func(echo.Context, *db.Actor) error { panic("in a test") })}); err != nil {
		t.Fatal(err)
	}
	ask(m, "GET", "/account/profile", "", "X-API-TOKEN", m.token)
	ask(m, "GET", "/account/profile/", "", "X-API-TOKEN", m.token)
	ask(m, "GET", "/account/profile", "")
	ask(m, "GET", "/auth/access_token/one", "", "X-API-TOKEN", m.token)
	ask(m, "GET", "/auth/access_token/two", "", "X-API-TOKEN", m.token)
	for _, path := range []string{"/no", "/such", "/path"} {
		ask(m, "GET", path, "")
	}
	ask(m, "BREW", "/account/profile", "")
	ask(m, "GET", "/panics", "")
	m.Refuse(httptest.NewRecorder(), &api.Error{Status: http.StatusRequestHeaderFieldsTooLarge})
	for _, c := range []struct {
		route, method, code string
		want                float64
	}{
		{"/account/profile", "GET", "2xx", 2},
		{"/account/profile", "GET", "4xx", 1},
		{"/account/profile", "GET", "5xx", 0},
		{"/auth/access_token/:id", "GET", "4xx", 2},
		{"unmatched", "other", "4xx", 5},
		{"/panics", "GET", "5xx", 1},
		{"/panics", "GET", "2xx", 0},
	} {
		if got := m.value(t, "husk_http_requests_total", "route", c.route, "method", c.method, "code", c.code); got != c.want {
			t.Errorf("%s %s has %v of %s, want %v", c.method, c.route, got, c.code, c.want)
		}
	}
	if n := m.value(t, "husk_http_request_duration_seconds", "route", "/account/profile", "method", "GET"); n != 3 {
		t.Errorf("%v requests were timed, want 3", n)
	}
}

// However many ids, emails, addresses and paths come, the series stay the same.
func TestSeriesAreBounded(t *testing.T) {
	m := newMeasured(t, nil)
	series := func() (n int) {
		for name, f := range m.families(t) {
			if strings.HasPrefix(name, "husk_") {
				n += len(f.GetMetric())
			}
		}
		return n
	}
	before := series()
	for _, odd := range []string{"a", "b", "c"} {
		ask(m, "GET", "/"+odd, "")
		ask(m, odd, "/health", "")
		ask(m, "GET", "/auth/access_token/"+odd, "", "X-API-TOKEN", m.token)
		ask(m, "POST", "/account/login", `{"email":"`+odd+`@example.com","password":"wrong password"}`)
	}
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}

func TestMetricsCostNoAllocation(t *testing.T) {
	m := newMeasured(t, nil)
	c := m.echo.NewContext(httptest.NewRequest("GET", "/livez", nil), httptest.NewRecorder())
	r := route{method: "GET", path: "/livez", need: isPublic, do: raw(func(echo.Context, *db.Actor) error { return nil })}
	counters := m.Metrics.route(r.method, r.path)
	with := testing.AllocsPerRun(200, func() { _ = m.measure(c, r, counters) })
	if without := testing.AllocsPerRun(200, func() { _ = m.measure(c, r, nil) }); with != without {
		t.Errorf("a request allocates %v times with metrics, %v without", with, without)
	}
	if n := m.value(t, "husk_http_requests_total", "route", "/livez", "method", "GET", "code", "2xx"); n < 200 {
		t.Errorf("%v were counted", n)
	}
}

func TestLoginsAreCountedByResult(t *testing.T) {
	m := newMeasured(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1} })
	login := func(password string) { ask(m, "POST", "/account/login", `{"password":"`+password+`"}`) }
	login("right password")
	hash, err := m.Passwords.Hash(t.Context(), password.Caller{}, "right password")
	if err != nil {
		t.Fatal(err)
	}
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}
	if _, err := m.Store.UpdateUser(t.Context(), actor, db.SingleUser, db.UserChange{Password: &hash}); err != nil {
		t.Fatal(err)
	}
	login("right password")
	login("wrong password")
	login("wrong password")
	login("right password")
	for result, want := range map[string]float64{loginSetup: 1, loginOK: 1, loginRefused: 1, loginThrottled: 2, loginBusy: 0, loginError: 0} {
		if got := m.value(t, "husk_logins_total", "result", result); got != want {
			t.Errorf("%v sign-ins have the result %s, want %v", got, result, want)
		}
	}
	if got := m.value(t, "husk_throttled_total"); got != 2 {
		t.Errorf("%v were throttled, want 2", got)
	}
	if got := m.value(t, "husk_password_hashes_total"); got != 3 {
		t.Errorf("%v hashes, want 3: one set and two checked", got)
	}
}

func TestLoginResults(t *testing.T) {
	for name, c := range map[string]struct {
		ok   bool
		err  error
		want string
	}{
		"ok":        {true, nil, loginOK},
		"refused":   {false, errLogin, loginRefused},
		"throttled": {false, &failure{status: http.StatusTooManyRequests}, loginThrottled},
		"setup":     {false, forbidden(codeSetupRequired, ""), loginSetup},
		"full":      {false, db.ErrFull, loginError},
		"panic":     {false, nil, loginError},
	} {
		if got := loginResult(c.ok, c.err); got != c.want {
			t.Errorf("%s is %s", name, got)
		}
	}
	m := newMeasured(t, nil)
	m.tally.countLogin(false, context.Canceled)
	if got := m.value(t, "husk_logins_total", "result", loginError); got != 0 {
		t.Errorf("a client that left counts as %v errors", got)
	}
}

// The store's figures are those of the moment of the scrape.
func TestStoreIsReadAtScrape(t *testing.T) {
	m := newMeasured(t, nil)
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	commits := m.value(t, "husk_store_commits_total")
	entries := m.value(t, "husk_audit_entries_total")
	updates := m.value(t, "husk_store_update_duration_seconds")
	_, err := m.Store.CreateToken(t.Context(), actor, db.NewToken{ID: "0d3b1b52-37ad-4a05-8a0c-3d9b8e3c0001", Hash: make([]byte, 32), Name: "soon", Expires: m.Store.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	misses := m.value(t, "husk_cache_misses_total", "cache", "token")
	for range 3 {
		ask(m, "GET", "/account/profile", "", "X-API-TOKEN", m.token)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"husk_users", nil, 1},
		{"husk_tokens", nil, 2},
		{"husk_sessions", nil, 1},
		{"husk_tokens_expiring", nil, 1},
		{"husk_audit_entries_total", nil, entries + 1},
		{"husk_store_commits_total", nil, commits + 1},
		{"husk_store_update_duration_seconds", nil, updates + 1},
		{"husk_store_up", nil, 1},
		{"husk_clock_behind_seconds", nil, 0},
		{"husk_certificate_expiry_timestamp_seconds", nil, 2_000_000_000},
		{"husk_cache_misses_total", []string{"cache", "token"}, misses + 1},
		{"husk_cache_hits_total", []string{"cache", "token"}, 2},
	} {
		if got := m.value(t, c.name, c.labels...); got != c.want {
			t.Errorf("%s is %v, want %v", c.name, got, c.want)
		}
	}
	if got := m.value(t, "husk_store_size_bytes"); got < 4096 {
		t.Errorf("the store has %v bytes", got)
	}
}

func TestScrapeOfAStoreThatIsClosed(t *testing.T) {
	m := newMeasured(t, nil)
	if err := m.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if up := m.value(t, "husk_store_up"); up != 0 {
		t.Errorf("husk_store_up is %v", up)
	}
	if m.families(t)["husk_users"] != nil {
		t.Error("users are told that could not be read")
	}
}

func TestOneMetricsServesOneServer(t *testing.T) {
	m := newMeasured(t, nil)
	if _, err := New(m.Config); err == nil {
		t.Error("a second server took the same metrics")
	}
	if _, err := NewMetrics(m.registry); err == nil {
		t.Error("a registry took two sets of metrics")
	}
}

func TestNamesFollowTheCustom(t *testing.T) {
	m := newMeasured(t, nil)
	var own []*dto.MetricFamily
	for name, f := range m.families(t) {
		if strings.HasPrefix(name, "husk_") {
			own = append(own, f)
		} else if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s does not begin with husk_", name)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(own).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsListenerHasNothingElse(t *testing.T) {
	m := newMeasured(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := m.Metrics.HTTPServer(slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- hs.Serve(l) }()
	defer func() {
		hs.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/health": 404, "/metrics/": 404, "/debug/pprof/": 404} {
		answer, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s is %d, want %d", path, answer.StatusCode, want)
		}
		if has := strings.Contains(string(body), "husk_build_info"); has != (want == 200) {
			t.Errorf("%s: metrics %v", path, has)
		}
	}
	if w := ask(m, "GET", "/metrics", ""); w.Code != http.StatusNotFound {
		t.Errorf("the main listener answers /metrics with %d", w.Code)
	}
}

func TestMetricsOfScheduledBackups(t *testing.T) {
	m := newMeasured(t, nil)
	value := func(name string) float64 {
		t.Helper()
		f := m.families(t)["husk_"+name]
		if f == nil {
			t.Fatalf("there is no %s", name)
		}
		return f.GetMetric()[0].GetGauge().GetValue()
	}
	if value("backup_period_seconds") != 3600 || value("backup_last_success_timestamp_seconds") != 0 || value("backups_kept") != 0 {
		t.Error("before the first one")
	}
	now := m.Store.Now()
	m.backUp(t, func(b upkeep.BackupFigures) bool { return b.Made > 0 })
	if got := value("backup_last_success_timestamp_seconds"); got < float64(now.Unix()) || got > float64(now.Unix()+60) {
		t.Errorf("the newest is of %v, it is %v", got, now.Unix())
	}
	if value("backups_kept") != 1 || value("backup_last_size_bytes") < 4096 || value("backup_last_duration_seconds") <= 0 {
		t.Error("after the first one")
	}
	if err := os.RemoveAll(m.Upkeep.Backups.Dir); err != nil {
		t.Fatal(err)
	}
	m.backUp(t, func(b upkeep.BackupFigures) bool { return b.Failed > 0 })
	results := map[string]float64{}
	for _, r := range m.families(t)["husk_backup_runs_total"].GetMetric() {
		results[r.GetLabel()[0].GetValue()] = r.GetCounter().GetValue()
	}
	if results["ok"] != 1 || results["failed"] != 1 {
		t.Errorf("the results are %v", results)
	}

	none := newMeasured(t, func(c *Config) { c.Upkeep = nil })
	for name := range none.families(t) {
		if strings.HasPrefix(name, "husk_backup") {
			t.Errorf("a server without backups has %s", name)
		}
	}
}

// A scheduled backup that failed is told to everybody, without the place, and the
// server is ready all the same.
func TestAFailedScheduledBackupIsTold(t *testing.T) {
	m := newMeasured(t, nil)
	dir := m.Upkeep.Backups.Dir
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	m.backUp(t, func(b upkeep.BackupFigures) bool { return b.Failed > 0 })
	a := ask(m, "GET", "/readyz", "")
	if a.Code != http.StatusOK || !strings.Contains(a.Body.String(), "the last scheduled backup failed, none was made") || strings.Contains(a.Body.String(), dir) {
		t.Errorf("readyz is %d %s", a.Code, a.Body)
	}
	if s := m.healthStatus(t.Context()); s != "yellow" {
		t.Errorf("health is %s", s)
	}
}

// run runs what goes on beside the server until stop.
func (m *measured) run(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { m.Upkeep.Run(ctx); close(ended) }()
	until(t, func() bool { return !errors.Is(m.Upkeep.Prove(ctx), upkeep.ErrNotProved) })
	return func() {
		cancel()
		<-ended
	}
}

// backUp runs it until a backup was tried with such a result.
func (m *measured) backUp(t testing.TB, tried func(upkeep.BackupFigures) bool) {
	t.Helper()
	defer m.run(t)()
	until(t, func() bool {
		_, figures := m.Upkeep.LastBackups()
		return tried(figures)
	})
}
