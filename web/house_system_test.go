package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/db/dbtest"
	"husk/web/api"
	"husk/web/chromiumtest"
	"husk/web/gate"
	"husk/web/upkeep"
)

// newSystemHouse keeps backups in a folder, which is returned; "" where it keeps none.
func newSystemHouse(t *testing.T, keeps bool) (h *testHouse, dir string) {
	t.Helper()
	if keeps {
		dir = t.TempDir()
	}
	h = newTestHouse(t, func(c *Config) {
		c.Upkeep = &upkeep.Upkeep{Config: upkeep.Config{Backups: upkeep.Backups{Dir: dir, Every: 24 * time.Hour, Keep: 14}}}
		c.OpenCopy = func(path string) (db.Engine, error) { return bolt.Open(path, bolt.Options{}) }
		c.Configuration = ConfigurationOfTests
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	if keeps { // or it might be made while one that is asked for is to be
		until(t, func() bool { _, last := h.Upkeep.LastBackups(); return !last.Newest.IsZero() })
	}
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	return h, dir
}

func (h *testHouse) admin() *visitor {
	v := h.visitor()
	v.signIn("", testPassword)
	return v
}

var systemPages = []string{"/console", "/console/system", "/console/system/backups", "/console/system/keys", "/console/system/keys/rotate", "/console/system/settings"}

// What an administrator sees an ordinary user is refused, and a stranger is led to the
// sign-in.
func TestSystemPagesAreForAdministrators(t *testing.T) {
	h, _ := newSystemHouse(t, true)
	admin, ann := h.admin(), h.visitor()
	ann.signIn("ann@example.com", testPassword)
	for _, path := range systemPages {
		admin.get(path).isPage(t, http.StatusOK, "<h1>")
		h.visitor().get(path).isStatus(t, http.StatusSeeOther)
		ann.get(path).isPage(t, http.StatusForbidden, "Not permitted")
	}
	for _, path := range []string{"/console/system/check", "/console/system/backups", "/console/system/backups/fresh", "/console/system/backups/x/download", "/console/system/keys/rotate"} {
		ann.post(path).isPage(t, http.StatusForbidden, "Not permitted")
		h.visitor().get(path).isStatus(t, 0)
	}
	if a := ann.get("/me"); strings.Contains(a.body, `href="/console"`) {
		t.Error("an ordinary user is shown the way to the overview")
	}
}

func (a answer) isStatus(t *testing.T, status int) {
	t.Helper()
	if status == 0 && a.StatusCode == http.StatusOK || status != 0 && a.StatusCode != status {
		t.Errorf("%d, want %d", a.StatusCode, status)
	}
}

// Each part of the room is shown to who may see it: without the right to backups and
// keys there is no way to them.
func TestSystemTabs(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	if err := h.Store.CreateRole(t.Context(), localActor, "watcher", db.RoleChange{Permissions: []string{db.PermSystemRead}}); err != nil {
		t.Fatal(err)
	}
	h.user("bob@example.com", testPassword, false, "watcher")
	bob := h.visitor()
	bob.signIn("bob@example.com", testPassword)
	page := bob.get("/console/system")
	page.isPage(t, http.StatusOK, `href="/console/system/settings"`, "<svg")
	for _, absent := range []string{"/console/system/backups", "/console/system/keys", "/console/system/check"} {
		if strings.Contains(page.body, absent) {
			t.Errorf("the page has %s", absent)
		}
	}
	overview := bob.get("/console")
	overview.isPage(t, http.StatusOK, "all is well", "none yet")
	for _, absent := range []string{`href="/console/users"`, `href="/console/sessions"`, `href="/console/audit"`, `href="/console/tokens?filter=expiring"`} {
		if strings.Contains(overview.body, absent) {
			t.Errorf("the overview has %s", absent)
		}
	}
}

func TestOverviewTellsWhatIs(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	admin := h.admin()
	h.visitor().post("/account/login", "email", "ann@example.com", "password", "wrong and wrong")
	ann := h.visitor()
	ann.signIn("ann@example.com", testPassword)
	ann.get("/console")
	if err := h.Store.FlushLastUsed(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := admin.get("/console")
	page.isPage(t, http.StatusOK, "Sign-in as ann@example.com", "no right to", `data-live="30"`, `<svg viewBox="0 0 360 160" role="img"`, "Nobody knocked at the gate", "The numbers", "husk health --verbose")
	admin.get(page.link(t, `/console/audit/request/[^"]+`)).isPage(t, http.StatusOK, "refused")
	admin.get("/console?span=30d").isPage(t, http.StatusOK, `href="/console?span=30d" aria-current="true"`, "data-day")
	admin.get("/console?span=%22%3E%3Cscript").isPage(t, http.StatusOK, `href="/console?span=24h" aria-current="true"`)
	admin.get("/console/system?span=400d").isPage(t, http.StatusOK, `href="/console/system?span=400d" aria-current="true"`)
}

// A warning is told with what to do.
func TestOverviewAdvises(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	admin := h.admin()
	ends := h.time().Add(-time.Hour)
	h.CertExpiry = func() time.Time { return ends }
	for _, path := range []string{"/console", "/console/system"} {
		admin.get(path).isPage(t, http.StatusOK, "needs attention", "The TLS certificate has expired.", "Renew it", "ended at 2026-11-24T11:00:00Z", `href="/console/manual/proxy"`)
	}
	admin.get("/console", "Accept-Language", "zh").isPage(t, http.StatusOK, "TLS 证书已到期。", "需要处理")
}

func TestCheckOfTheStoreByPage(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	admin := h.admin()
	admin.get("/console/system").isPage(t, http.StatusOK, `action="/console/system/check"`, "data-busy", "husk check")
	admin.post("/console/system/check").isPage(t, http.StatusOK, "All is sound")
	admin.get("/console/system/check").isStatus(t, http.StatusMethodNotAllowed)
}

// A backup is made, listed and taken; the password is asked for where it was shown long
// ago, and who takes it is in the audit log.
func TestBackupsByPage(t *testing.T) {
	h, dir := newSystemHouse(t, true)
	admin := h.admin()
	admin.get("/console/system/backups").isPage(t, http.StatusOK, "by schedule", "One is made every day, and the newest 14", "not encrypted")
	admin.post("/console/system/backups").leadsTo(t, "/console/system/backups?done=made")
	page := admin.get("/console/system/backups?done=made")
	page.isPage(t, http.StatusOK, "The backup is made.", "on request", "users: 2, tokens: 0", "husk-20261124T120000Z-asked.tar")
	again := admin.post("/console/system/backups")
	again.isPage(t, http.StatusTooManyRequests, "less than a minute old", "husk-20261124T120000Z-asked.tar")
	if again.Header.Get("Retry-After") == "" {
		t.Error("it is not told when the next one may be made")
	}

	const path = "/console/system/backups/husk-20261124T120000Z-asked.tar/download"
	got := admin.post(path)
	kept, err := os.ReadFile(filepath.Join(dir, "husk-20261124T120000Z-asked.tar"))
	if err != nil || got.body != string(kept) || got.StatusCode != http.StatusOK || got.ContentLength != int64(len(kept)) {
		t.Fatalf("%d, %d bytes of %d, %v", got.StatusCode, len(got.body), len(kept), err)
	}
	if d, kind := got.Header.Get("Content-Disposition"), got.Header.Get("Content-Type"); d != `attachment; filename="husk-20261124T120000Z-asked.tar"` || kind != "application/x-tar" {
		t.Errorf("%s %s", d, kind)
	}
	for range 2 { // as a form that is done once would not be
		if got := admin.post(path, "once", "a name of twenty letters"); got.body != string(kept) {
			t.Errorf("taken again: %d %s", got.StatusCode, got.Header.Get("Content-Type"))
		}
	}
	h.wait(11 * time.Minute)
	for _, proof := range []string{"", "wrong and wrong"} {
		admin.post(path, "proof", proof).isPage(t, http.StatusOK, `name="proof"`, `action="`+path+`"`, "every password hash")
	}
	if got := admin.post(path, "proof", testPassword); got.body != string(kept) {
		t.Errorf("with the password: %d", got.StatusCode)
	}
	admin.post("/console/system/backups/husk-20200101T000000Z.tar/download").isPage(t, http.StatusNotFound, "Nothing here")
	admin.post("/console/system/backups/..%2fhusk.db/download").isStatus(t, http.StatusNotFound)
	admin.get(path).isStatus(t, http.StatusMethodNotAllowed)

	found, err := (&api.Client{Base: h.base, HTTP: admin.client}).SearchAudit(t.Context(), api.ListOptions{Size: 100, Filter: map[string]string{"action": "system.backup"}})
	if err != nil || found.Hits.Total.Value < 3 {
		t.Errorf("%d entries tell of it, %v", found.Hits.Total.Value, err)
	}
	admin.get("/console/audit?action=system.backup").isPage(t, http.StatusOK, "husk-20261124T120000Z-asked.tar, as a download")
	admin.get("/security/audit/_export").isStatus(t, http.StatusOK)
	admin.get("/console/audit?action=audit.export").isPage(t, http.StatusOK, ">as a download<")
	admin.get("/console/audit?action=system.backup", "Accept-Language", "zh").isPage(t, http.StatusOK, "husk-20261124T120000Z-asked.tar（已下载）")
}

// A download that breaks off is cut, not ended: the browser knows that it is not whole.
// It goes through the page as it comes, or there would be nothing left to cut.
func TestDownloadThatBreaksOff(t *testing.T) {
	h, dir := newSystemHouse(t, true)
	admin := h.admin()
	const name = "husk-20200101T000000Z.tar"
	whole := filepath.Join(dir, name)
	if err := errors.Join(os.WriteFile(whole, nil, 0o600), os.Truncate(whole, 64<<20)); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.base+"/console/system/backups/"+name+"/download", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", formType)
	req.Header.Set("Accept", browserAccept)
	res, err := admin.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ContentLength != 64<<20 {
		t.Fatalf("%d bytes are to come: %s", res.ContentLength, res.Header.Get("Content-Type"))
	}
	if err := os.Truncate(whole, 1<<20); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) >= 64<<20 {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	if rest := bytes.TrimLeft(got, "\x00"); len(rest) > 0 {
		t.Errorf("there are bytes of something else in it: %.100s", rest)
	}
}

// A fresh copy is a whole backup, of a server that keeps none as well.
func TestFreshBackupByPage(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	admin := h.admin()
	admin.get("/console/system/backups").isPage(t, http.StatusOK, "keeps no backups", "/etc/husk/husk.yaml", "backup-dir: /var/backups/husk", "--backup-dir")
	a := admin.post("/console/system/backups/fresh")
	if d := a.Header.Get("Content-Disposition"); d != `attachment; filename="husk-20261124T120000Z.tar"` || a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, d)
	}
	if page := admin.get("/me"); !strings.Contains(page.body, "Three steps") || strings.Count(page.body, ">done<") != 1 {
		t.Errorf("the first steps do not know of it: %s", page.body)
	}
	manifest, err := archive.Look(strings.NewReader(a.body), int64(len(a.body)))
	if err != nil || manifest.Counts["users"] != 2 {
		t.Errorf("%+v, %v", manifest, err)
	}
	h.wait(11 * time.Minute)
	admin.post("/console/system/backups/fresh").isPage(t, http.StatusOK, `name="proof"`, `action="/console/system/backups/fresh"`)
}

func TestKeysByPage(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	admin, other := h.admin(), h.admin()
	h.wait(11 * time.Minute)
	form := admin.get("/console/system/keys/rotate")
	form.isPage(t, http.StatusOK, "Sign-ins stay", "There are 2 sign-ins", "End all sign-ins now", `name="proof"`)
	admin.post("/console/system/keys/rotate", "now", "yes").isPage(t, http.StatusOK, `value="yes" checked`, "Nothing has been done yet")
	once := form.hidden(t, "once")
	for range 2 { // a second click makes no second key
		admin.post("/console/system/keys/rotate", "now", "no", "proof", testPassword, "once", once)
	}
	page := admin.get("/console/system/keys?done=rotated")
	page.isPage(t, http.StatusOK, "A new key signs from now on.")
	if n := strings.Count(page.body, "verifies only") + strings.Count(page.body, ">signs<"); n != 2 {
		t.Errorf("%d keys", n)
	}
	other.get("/me").isPage(t, http.StatusOK)
	admin.post("/console/system/keys/rotate", "now", "yes", "proof", testPassword).leadsTo(t, "/console/system/keys?done=rotated")
	other.get("/me").isStatus(t, http.StatusSeeOther)
	admin.get("/me").isStatus(t, http.StatusSeeOther)
}

func TestSettingsByPage(t *testing.T) {
	h, _ := newSystemHouse(t, false)
	h.admin().get("/console/system/settings").isPage(t, http.StatusOK, "configuration file, line 9", "variable HUSK_TOKEN_FILE", "a secret is in that file", "/etc/husk/husk.yaml", "husk config show", `data-filter="settings"`)
	h.admin().get("/console/system/settings", "Accept-Language", "zh").isPage(t, http.StatusOK, "含有用于 server 的 API 令牌的文件")
}

// All pages of the system in a browser, with some life behind them.
func TestBrowserSystem(t *testing.T) {
	dbtest.TakesVeryLong(t, "the pages of the system in a browser")
	t.Parallel()
	h, _ := newSystemHouse(t, true)
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("main form button")
	h.lives(t)
	p.Visit("/console/system/backups")
	p.Shoot("backups-0")
	p.Click("main form button")
	p.At("/console/system/backups", "Backups")
	p.Shoot("backups-1")
	for name, path := range map[string]string{"overview-24h": "/console", "overview-30d": "/console?span=30d", "system": "/console/system", "keys": "/console/system/keys", "key-rotate": "/console/system/keys/rotate", "settings": "/console/system/settings"} {
		p.Visit(path)
		p.Shoot(name)
	}
	p.Visit("/console/tokens?q=job")
	p.Visit(p.Eval(`document.querySelector("td a").getAttribute("href")`))
	p.Shoot("token-used")
	p.Visit("/console/system/settings")
	p.Eval(`(() => { const f = document.querySelector("main input[type=search]"); f.value = "token"; f.dispatchEvent(new Event("input")); })()`)
	if got := p.Eval(`[...document.querySelectorAll("[data-row]")].filter((r) => r.offsetParent).length`); got != "1" {
		t.Errorf("%s settings are left of those that have token", got)
	}
}

// lives has some hours pass, with sign-ins, refusals, tokens and requests.
func (h *testHouse) lives(t *testing.T) {
	t.Helper()
	rules, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: []gate.Rule{
		{Host: "wiki.example.com", Require: []string{"any"}}, {Host: "a-very-long-name-of-a-host-that-somebody-gave.example.com", Require: []string{"public"}}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h.SetGate(rules)
	program := h.visitor()
	program.signIn("", testPassword)
	secret := ""
	for i, days := range []int{-1, 3, 20, 80, 80, 300, 300, 300} {
		ends := int64(-1)
		if days > 0 {
			ends = h.time().AddDate(0, 0, days).Unix()
		}
		made, err := (&api.Client{Base: h.base, HTTP: program.client}).CreateToken(t.Context(), api.NewToken{Name: strings.Repeat("job ", i+1), ExpireIn: ends})
		if err != nil {
			t.Fatal(err)
		}
		secret = made.AccessToken
	}
	for round := range 3 {
		for range 2 + round*2 {
			ann := h.visitor()
			ann.signIn("ann@example.com", testPassword)
			ann.get("/console")
			h.visitor().get("/me/tokens")
			h.visitor().get("/account/profile", "X-Api-Token", "nonsense")
			h.visitor().get("/account/profile", "X-Api-Token", secret)
			for _, host := range []string{"wiki.example.com", "a-very-long-name-of-a-host-that-somebody-gave.example.com", "absent.example.com"} {
				h.visitor().get("/api/authz/forward-auth", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/", "X-Forwarded-For", "198.51.100.7")
			}
		}
		h.visitor().post("/account/login", "email", "ann@example.com", "password", "wrong and wrong")
		if err := h.Store.FlushLastUsed(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.wait(2 * time.Hour)
	}
}
