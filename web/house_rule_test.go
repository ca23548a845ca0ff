package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/web/api"
	"husk/web/gate"
)

// gated is the Config of a house with rules, each at a line of its own.
func gated(t *testing.T, rules ...gate.Rule) func(*Config) {
	t.Helper()
	for i := range rules {
		rules[i].Line = 10 * (i + 1)
	}
	parsed, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: rules})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return func(c *Config) { c.Gate = parsed }
}

func wiki(t *testing.T) func(*Config) {
	return gated(t,
		gate.Rule{Host: "wiki.example.com", Path: "/status", Require: []string{"public"}},
		gate.Rule{Host: "wiki.example.com", Path: "/edit", Methods: []string{"POST"}, Require: []string{"wiki#page/edit", "role:editor"}},
		gate.Rule{Host: "wiki.example.com", Path: "/safe", From: []string{"10.0.0.0/8"}, Require: []string{"any"}, SecondFactor: true},
		gate.Rule{Host: "wiki.example.com", Require: []string{"user:ann@example.com", "generic#security:audit/search"}},
		gate.Rule{Host: "*.apps.example.com", Require: []string{"any"}, Preflight: true, UpstreamURL: "http://127.0.0.1:3000"},
	)
}

func TestRulesPage(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	bare := h.visitor()
	bare.signIn("", testPassword)
	bare.get("/console/rules").isPage(t, http.StatusOK, "There are no access rules yet", `href="/console/manual/gate"`)

	_, admin, _, _ := threeOf(t, wiki(t))
	page := admin.get("/console/rules")
	page.isPage(t, http.StatusOK, "wiki.example.com/status", "everybody, without a sign-in", ">10<", ">50<", "who has the role editor", "nobody is granted role:editor", "nobody is granted wiki#page/edit",
		"1 rule requires a permission", "from 10.0.0.0/8", "second factor", "who has the permission “Read, export and verify the audit log”", "http://127.0.0.1:3000", "preflight", ">POST<")
	if strings.Index(page.body, "/status") > strings.Index(page.body, "*.apps.example.com") {
		t.Error("the rules do not stand in their order")
	}
	admin.get("/console/rules", "Accept-Language", "zh").isPage(t, http.StatusOK, "所有人，无需登录", "没有人拥有 role:editor")
	admin.get(page.link(t, `/console/rules/test\?url=[^"]+`)).isPage(t, http.StatusOK, "Allowed", "rule 1 · line 10")
}

// Rules about which nobody is believed to ask let nobody in: the page of the rules says so,
// and what to do, and so do health and the overview, in which nothing turns yellow for it.
func TestRulesOfNoUse(t *testing.T) {
	const told, toldZh = "Set trusted-proxy to the address of your proxy", "请将 trusted-proxy 设置为代理的地址"
	for name, c := range map[string]struct {
		change func(*Config)
		told   bool
	}{
		"nobody asks": {wiki(t), true},
		"a proxy asks": {func(c *Config) {
			wiki(t)(c)
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}, false},
		"husk is the proxy": {gated(t, gate.Rule{Host: "wiki.example.com", Require: []string{"any"}, UpstreamURL: "http://127.0.0.1:3000"}), false},
		"no rules":          {gated(t), false},
	} {
		_, admin, _, _ := threeOf(t, c.change)
		for _, path := range []string{"/console/rules", "/console", "/console/system"} {
			for lang, text := range map[string]string{"en": told, "zh": toldZh} {
				if got := strings.Contains(admin.get(path, "Accept-Language", lang).body, text); got != c.told {
					t.Errorf("%s: %s in %s tells of it: %t", name, path, lang, got)
				}
			}
		}
		if got := strings.Contains(admin.get("/console", "Accept-Language", "en").body, "all is well"); got == c.told {
			t.Errorf("%s: the overview says that all is well: %t", name, got)
		}
		if ready := admin.get("/readyz"); strings.Contains(ready.body, "upstream") {
			t.Errorf("%s: everybody is told %s", name, ready.body)
		}
		health, err := admin.asks().HealthDetails(t.Context())
		if coded := slices.ContainsFunc(health.Warnings, func(w api.Warning) bool { return w.Code == "gate_no_proxy" && w.Text == UnaskedRules }); coded != c.told || health.Status != "green" || err != nil {
			t.Errorf("%s: %+v, %v", name, health, err)
		}
	}
}

// Many rules are shown in parts.
func TestRulesPager(t *testing.T) {
	rules := make([]gate.Rule, 150)
	for i := range rules {
		rules[i] = gate.Rule{Host: "wiki.example.com", Path: "/" + strings.Repeat("x", i+1), Require: []string{"any"}}
	}
	_, admin, _, _ := threeOf(t, gated(t, rules...))
	first := admin.get("/console/rules")
	second := admin.get(first.link(t, `/console/rules\?after=[^"]+`))
	if strings.Count(first.body, "<tr data-row") != 100 || strings.Count(second.body, "<tr data-row") != 50 || !strings.Contains(second.body, ">1500<") {
		t.Errorf("%d and %d rules", strings.Count(first.body, "<tr data-row"), strings.Count(second.body, "<tr data-row"))
	}
	for _, hostile := range []string{"-1", "99999999999999999999", "x", "1000"} {
		admin.get("/console/rules?after="+hostile).isPage(t, http.StatusOK, "Access rules")
	}
}

func TestWhoMayReachThis(t *testing.T) {
	_, admin, _, _ := threeOf(t, wiki(t))
	for name, c := range map[string]struct {
		ask  url.Values
		want []string
	}{
		"public":            {url.Values{"url": {"https://wiki.example.com/status"}}, []string{"Allowed", "verdict allowed", "rule 1 · line 10", "lets everybody in", "everybody, without a sign-in"}},
		"nobody":            {url.Values{"url": {"https://wiki.example.com/"}}, []string{"Sign-in first", "verdict signin", "rule 4 · line 40", "Nobody", "nobody is signed in"}},
		"ann":               {url.Values{"url": {"https://wiki.example.com/"}, "user": {"ann@example.com"}}, []string{"Allowed", "rule 4 · line 40", "this is met: ann@example.com.", `value="ann@example.com"`}},
		"ann, of an editor": {url.Values{"url": {"https://wiki.example.com/edit"}, "user": {"ann@example.com"}, "method": {"POST"}}, []string{"Refused", "verdict refused", "rule 2 · line 20", "Nothing of what the rule asks for is met.", "No role grants this", `value="POST" selected`, "nobody is granted role:editor"}},
		"another host":      {url.Values{"url": {"https://other.example.com/"}, "user": {"ann@example.com"}}, []string{"Refused", "no rule", "No rule is about this host"}},
		"from":              {url.Values{"url": {"https://wiki.example.com/safe"}, "from": {"10.1.2.3"}}, []string{"Sign-in first", "rule 3 · line 30", `value="10.1.2.3"`}},
	} {
		a := admin.get("/console/rules/test?" + c.ask.Encode())
		a.isPage(t, http.StatusOK, c.want...)
		// In Chinese nothing of it is English.
		zh := admin.get("/console/rules/test?"+c.ask.Encode(), "Accept-Language", "zh")
		zh.lacks(t, `<p lang="en"`, "the rule", "The rule", "No rule")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	for name, c := range map[string]struct {
		ask    url.Values
		status int
		field  string
	}{
		"no url":         {url.Values{"url": {"wiki"}}, http.StatusBadRequest, "url"},
		"a bad address":  {url.Values{"url": {"https://wiki.example.com/"}, "from": {"10.0.0.0/8"}}, http.StatusBadRequest, "from"},
		"nobody's email": {url.Values{"url": {"https://wiki.example.com/"}, "user": {"no@example.com"}}, http.StatusNotFound, "user"},
	} {
		a := admin.get("/console/rules/test?" + c.ask.Encode())
		a.isPage(t, c.status, `id="`+c.field+`-problem"`, `value="`+c.ask.Get(c.field)+`"`)
		a.lacks(t, "verdict")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// A token is a secret: it is sent by POST, is on no page, and in no log.
func TestWhoMayReachThisByToken(t *testing.T) {
	h, admin, ann, _ := threeOf(t, wiki(t))
	made := ann.post("/me/tokens", "name", "ci", "ends", "90")
	shown := regexp.MustCompile(`id="secret" value="([^"]+)"`).FindStringSubmatch(made.body)
	if shown == nil {
		t.Fatal(made.body)
	}
	secret := shown[1]
	page := admin.get("/console/rules/test/token?url=https%3A%2F%2Fwiki.example.com%2F")
	page.isPage(t, http.StatusOK, `method="post"`, `type="password"`, `value="https://wiki.example.com/"`)
	ask := []string{"url", "https://wiki.example.com/", "method", "GET", "from", ""}
	good := admin.post("/console/rules/test/token", append(ask, "secret", secret+" ")...)
	good.isPage(t, http.StatusOK, "Allowed", "rule 4 · line 40", `value="https://wiki.example.com/"`)
	bad := admin.post("/console/rules/test/token", append(ask, "secret", "nonsense of mine")...)
	bad.isPage(t, http.StatusOK, "Refused", "none of Husk")
	admin.post("/console/rules/test/token", append(ask, "secret", "")...).isPage(t, http.StatusBadRequest, `id="secret-problem"`)
	admin.post("/console/rules/test/token", "url", "wiki", "secret", secret).isPage(t, http.StatusBadRequest, `id="url-problem"`)
	for _, a := range []answer{good, bad} {
		a.lacks(t, secret, "nonsense of mine")
	}
	if log := h.log.String(); strings.Contains(log, secret) || strings.Contains(log, "nonsense of mine") {
		t.Error("the token is in the log")
	}
}

// Who may see the rules but no users tests for nobody and for themselves.
func TestWhoMayReachThisWithoutUsers(t *testing.T) {
	h, _, _, _ := threeOf(t, wiki(t))
	if err := h.Store.CreateRole(t.Context(), localActor, "watcher", db.RoleChange{Permissions: []string{db.PermSystemRead}}); err != nil {
		t.Fatal(err)
	}
	eve := h.user("eve@example.com", testPassword, false, "watcher")
	v := h.visitor()
	v.signIn("eve@example.com", testPassword)
	page := v.get("/console/rules/test")
	page.isPage(t, http.StatusOK, `<select id="user"`, ">eve<")
	v.get("/console/rules/test?url=https://wiki.example.com/&user="+eve.ID).isPage(t, http.StatusOK, "Refused", "rule 4")
	v.get("/console/rules/test?url=https://wiki.example.com/&user=ann@example.com").isPage(t, http.StatusForbidden, `id="user-problem"`)
}
