package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
)

// threeOf is a house with its administrator, who is signed in, a user ann who is, too,
// and bob, who may read the audit log and sign-ins and nothing else.
func threeOf(t *testing.T, change func(*Config)) (h *testHouse, admin, ann, bob *visitor) {
	t.Helper()
	h = newTestHouse(t, change)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	if err := h.Store.CreateRole(t.Context(), localActor, "auditor", db.RoleChange{Permissions: []string{db.PermAuditSearch, db.PermSessionSearch}}); err != nil {
		t.Fatal(err)
	}
	h.user("bob@example.com", testPassword, false, "auditor")
	admin, ann, bob = h.visitor(), h.visitor(), h.visitor()
	admin.signIn("", testPassword)
	ann.signIn("ann@example.com", testPassword)
	bob.signIn("bob@example.com", testPassword)
	return h, admin, ann, bob
}

// listed is the page without what stands above its list, such as all that can be chosen.
func (a answer) listed() answer {
	if _, rows, found := strings.Cut(a.body, "</form>\n"); found {
		_, a.body, _ = strings.Cut(rows, "</form>\n") // that of the sign-out stands before
	}
	return a
}

// written has the store write down what it keeps in memory for a while.
func (h *testHouse) written() {
	h.Helper()
	if err := h.Store.FlushLastUsed(h.Context()); err != nil {
		h.Fatal(err)
	}
}

// link is the first link of the page that fits.
func (a answer) link(t *testing.T, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(`href="(` + pattern + `)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no link like %s in\n%s", pattern, a.body)
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// Pages of everybody's are for those who may, and nobody else learns that there is
// anything.
func TestAuditRoomsNeedTheirPermissions(t *testing.T) {
	_, admin, ann, bob := threeOf(t, nil)
	s := admin.get("/console/sessions").link(t, `/console/sessions/[^"]+`)
	for _, path := range []string{"/console/sessions", s, s + "/end", "/console/sessions/end?user=bob@example.com", "/console/audit", "/console/audit/request/x", "/console/audit/verify",
		"/console/audit/verify?check=yes", "/console/rules", "/console/rules/test", "/console/rules/test?url=https://x.example.com/", "/console/rules/test/token"} {
		admin.get(path).isPage(t, http.StatusOK)
		ann.get(path).isPage(t, http.StatusForbidden, "ask an administrator")
		if !strings.Contains(path, "rules") && !strings.Contains(path, "/end") {
			bob.get(path).isPage(t, http.StatusOK)
		} else {
			bob.get(path).isPage(t, http.StatusForbidden)
		}
	}
	for _, path := range []string{s + "/end", "/console/sessions/end"} {
		ann.post(path, "user", "bob@example.com").isPage(t, http.StatusForbidden)
		bob.post(path, "user", "ann@example.com").isPage(t, http.StatusForbidden)
	}
	ann.post("/console/rules/test/token", "url", "https://x.example.com/", "secret", "x").isPage(t, http.StatusForbidden)
	bob.get(s).lacks(t, "/end", `href="/console/users/`)
	bob.get("/console/sessions?user=ann@example.com").lacks(t, "/console/sessions/end")
}

func TestAllSessions(t *testing.T) {
	_, admin, ann, _ := threeOf(t, nil)
	list := admin.get("/console/sessions")
	list.isPage(t, http.StatusOK, "ann@example.com", "bob@example.com", "this one", "127.0.0.1")
	if got := strings.Count(list.body, "<tr><td"); got != 3 {
		t.Errorf("%d sign-ins are listed", got)
	}
	of := admin.get("/console/sessions?user=ann@example.com")
	of.isPage(t, http.StatusOK, "ann@example.com", `value="ann@example.com"`, "End all sign-ins of this user")
	of.lacks(t, "bob@example.com")
	admin.get("/console/sessions?address=127.0.0.0/8").isPage(t, http.StatusOK, "bob@example.com")
	admin.get("/console/sessions?address=192.0.2.1").isPage(t, http.StatusOK, "Nothing matches")
	admin.get("/console/sessions?user=nobody@example.com").isPage(t, http.StatusNotFound, `id="user-problem"`, "There is no user with that email or ID.", `value="nobody@example.com"`)
	admin.get("/console/sessions?address=here").isPage(t, http.StatusBadRequest, `id="address-problem"`, `value="here"`)

	one := of.link(t, `/console/sessions/[^"?]+`)
	admin.get(one).isPage(t, http.StatusOK, "Sign-in of ann@example.com", "127.0.0.1", "Make API tokens", ">good<")
	ask := admin.get(one + "/end")
	ask.isPage(t, http.StatusOK, "End a sign-in of ann@example.com?", "signed out at once")
	ann.get("/me").isPage(t, http.StatusOK)
	once := ask.hidden(t, "once")
	admin.post(one+"/end", "once", once).leadsTo(t, "/console/sessions?done=ended")
	admin.post(one+"/end", "once", once).isPage(t, http.StatusConflict, "Done already")
	admin.post(one+"/end", "once", "another").leadsTo(t, "/console/sessions?done=ended") // it is gone: what was asked for
	admin.get("/console/sessions?done=ended").isPage(t, http.StatusOK, "The sign-in is ended.")
	admin.get(one).isPage(t, http.StatusNotFound)
	ann.get("/account/profile").fails(t, http.StatusUnauthorized, "invalid_token")
}

func TestEndAllSessionsOfAUser(t *testing.T) {
	h, admin, ann, bob := threeOf(t, nil)
	other := h.visitor()
	other.signIn("ann@example.com", testPassword)
	ask := admin.get(admin.get("/console/sessions?user=ann@example.com").link(t, `/console/sessions/end\?user=[^"]+`))
	ask.isPage(t, http.StatusOK, "End all sign-ins of ann@example.com?", "2 browsers are signed out")
	ask.lacks(t, "This is your own")
	admin.post("/console/sessions/end", "once", ask.hidden(t, "once"), "user", ask.hidden(t, "user")).leadsTo(t, "/console/sessions?done=all")
	admin.get("/console/sessions?done=all").isPage(t, http.StatusOK, "All sign-ins of the user are ended.")
	for _, v := range []*visitor{ann, other} {
		v.get("/account/profile").fails(t, http.StatusUnauthorized, "invalid_token")
	}
	bob.get("/me").isPage(t, http.StatusOK)
	admin.get("/console/sessions/end?user=ann@example.com").leadsTo(t, "/console/sessions?user=ann%40example.com")
	admin.get("/console/sessions/end").leadsTo(t, "/console/sessions?user=")
	admin.get("/console/sessions/end?user=coco-default-user").isPage(t, http.StatusOK, "This is your own")
	admin.post("/console/sessions/end", "user", "nobody@example.com").isPage(t, http.StatusNotFound)
	admin.post("/console/sessions/end", "user", "").isPage(t, http.StatusBadRequest)

	by := admin.get("/console/sessions/end?user=bob@example.com").hidden(t, "by")
	h.wait(25 * time.Hour)
	login := admin.post("/console/sessions/end", "user", "bob@example.com", "by", by)
	login.isPage(t, http.StatusUnauthorized, "what you typed is kept")
	resume := admin.post("/account/login", "password", testPassword, "kept_form", login.hidden(t, "kept_form"))
	resume.isPage(t, http.StatusOK, `action="/console/sessions/end"`, `value="bob@example.com"`)
}

func TestAuditList(t *testing.T) {
	_, admin, ann, _ := threeOf(t, nil)
	ann.post("/me/tokens", "name", "ci <b>", "ends", "90")
	ann.get("/console/audit")
	admin.written()
	list := admin.get("/console/audit")
	list.isPage(t, http.StatusOK, "API token made", "ci &lt;b&gt;", "ann@example.com", ">Access refused</a></span>", "127.0.0.1", `data-live="10"`, "the machine itself")
	list.listed().lacks(t, "Nothing matches")
	if rows := list.listed().body; strings.Index(rows, "API token made<") > strings.Index(rows, "Store made<") || !strings.Contains(rows, "Store made<") {
		t.Error("the newest entry does not stand first")
	}
	annID := regexp.MustCompile(`actor=([^"]+)">ann@example.com`).FindStringSubmatch(list.body)
	if annID == nil {
		t.Fatal(list.body)
	}
	for query, want := range map[string][2]string{ // the first is there, the second is not
		"actor=ann@example.com":             {"API token made<", "User made<"},
		"actor=" + annID[1]:                 {"What ann@example.com did.", "User made<"},
		"action=user.create":                {"User made<", "API token made<"},
		"action=&actor=+local+":             {"User made<", "API token made<"},
		"target=ci+%3Cb%3E":                 {"API token made<", "User made<"},
		"since=2026-11-24&until=2026-11-24": {"API token made<", "Nothing matches"},
		"since=2026-11-25":                  {"Nothing matches", "API token made<"},
		"until=2026-11-23":                  {"Nothing matches", "API token made<"},
		"since=2026-11-24T12:00:00Z":        {"API token made<", "Nothing matches"},
		"result=refused":                    {"Access refused<", "API token made<"},
		"result=ok&address=":                {"API token made<", "Access refused<"},
		"address=127.0.0.1":                 {"API token made<", "Store made<"},
		"address=+127.0.0.0%2F8&result=":    {"API token made<", "Store made<"},
		"address=192.0.2.1":                 {"Nothing matches", "API token made<"},
	} {
		a := admin.get("/console/audit?" + query)
		a.isPage(t, http.StatusOK, "Show all")
		a.listed().isPage(t, http.StatusOK, want[0])
		a.listed().lacks(t, want[1], "data-live")
	}
	for query, field := range map[string]string{
		"actor=nobody%40example.com": "actor", "target=nothing": "target", "action=token.make": "action", "since=yesterday": "since",
		"since=2026-11-24&until=2026-11-01": "since", "result=denied": "result", "address=here": "address",
	} {
		a := admin.get("/console/audit?" + query)
		if a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", query, a.StatusCode)
		}
		a.isPage(t, a.StatusCode, `id="`+field+`-problem"`)
	}
	admin.get("/console/audit?since=2026-11-24T12:00:00Z").isPage(t, http.StatusOK, `type="search" value="2026-11-24T12:00:00Z"`)
	admin.get("/console/audit?result=refused").isPage(t, http.StatusOK, `<option value="refused" selected>refused</option>`, "<details>")
	admin.get("/console/audit?address=127.0.0.1").isPage(t, http.StatusOK, "<details open>")
	admin.get("/console/audit?after=forged").isPage(t, http.StatusBadRequest)
	admin.get("/console/audit", "Accept-Language", "zh").isPage(t, http.StatusOK, "创建 API 令牌", "访问被拒绝")
}

func TestAuditPager(t *testing.T) {
	h, admin, _, _ := threeOf(t, nil)
	for i := range 30 {
		h.user(fmt.Sprintf("u%d@example.com", i), testPassword, false)
	}
	first := admin.get("/console/audit?action=user.create")
	second := admin.get(first.link(t, `/console/audit\?[^"]*after=[^"]+`))
	second.isPage(t, http.StatusOK, "User made<", "First page", `value="user.create" selected`)
	second.lacks(t, "data-live")
	if strings.Count(first.listed().body, "User made<") != 25 || strings.Count(second.listed().body, "User made<") != 7 {
		t.Errorf("%d and %d entries", strings.Count(first.listed().body, "User made<"), strings.Count(second.listed().body, "User made<"))
	}
}

// What is rare is looked for further on by one link after another, with all that was
// asked for; the overview leads there.
func TestRefusalsFurtherOn(t *testing.T) {
	h, admin, ann, _ := threeOf(t, nil)
	admin.get("/console").isPage(t, http.StatusOK, "Nothing was refused, as far back as the audit log goes.", `href="/console/audit?result=refused">All refusals`)
	ann.get("/console/audit")
	admin.written()
	h.done(60)
	admin.get("/console").isPage(t, http.StatusOK, "Asked for what they have no right to")
	h.done(db.MostLooked)
	overview := admin.get("/console")
	overview.isPage(t, http.StatusOK, "Nothing was refused lately. There may be refusals further back")
	overview.lacks(t, "Asked for what they have no right to")
	first := admin.get("/console/audit?actor=&result=refused&address=127.0.0.0/8")
	first.isPage(t, http.StatusOK, "There may be more further on.")
	first.listed().lacks(t, "Nothing matches", "<table")
	second := admin.get(first.link(t, `/console/audit\?[^"]*after=[^"]+`))
	second.isPage(t, http.StatusOK, ">Access refused</a>", `value="127.0.0.0/8"`, `value="refused" selected`, "First page")
	first.isPage(t, http.StatusOK, `href="/security/audit/_export"`)

	story := admin.get(second.link(t, `/console/audit/request/[^"]+`))
	admin.get(story.link(t, `/console/audit\?address=[^"]+`)).isPage(t, http.StatusOK, `value="127.0.0.1"`)
}

// done has as many acts stand in the audit log.
func (h *testHouse) done(n int) {
	h.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := h.Store.AuditRead(h.Context(), localActor, "audit.export", db.NoTarget); err != nil {
				h.Error(err)
			}
		})
	}
	all.Wait()
}

// The story of a request is that of its id, whatever that is made of.
func TestAuditStory(t *testing.T) {
	_, admin, ann, bob := threeOf(t, nil)
	made := ann.post("/me/tokens", "name", "ci", "ends", "90")
	id := made.Header.Get("X-Request-Id")
	path := "/console/audit/request/" + url.PathEscape(id)
	admin.get("/console/audit").isPage(t, http.StatusOK, `href="`+path+`"`)
	admin.get(path).isPage(t, http.StatusOK, "ann@example.com made the API token ci", id, "127.0.0.1", ">done<")
	admin.get(path, "Accept-Language", "zh").isPage(t, http.StatusOK, "ann@example.com 创建了 API 令牌 ci")
	ann.get("/console/sessions")
	admin.written()
	refused := admin.get("/console/audit?action=access.refused").link(t, `/console/audit/request/[^"]+`)
	admin.get(refused).isPage(t, http.StatusOK, "was refused what they have no right to", `<a href="/console/roles">See which roles there are`, "It needs the permission “List and show other people&#39;s sign-ins” (<code>generic#security:session/search</code>)")
	admin.get(refused).lacks(t, "an administrator can", "<code>husk")
	bob.get(refused).isPage(t, http.StatusOK, "an administrator can give them a role that grants it.")
	bob.get(refused).lacks(t, "husk role list", "husk explain", `href="/console/roles"`)
	for _, unknown := range []string{"none", "..%2f..%2fme", "a%2Fb", "%3Cb%3E", "x%3Factor%3Dann@example.com", strings.Repeat("x", 300)} {
		a := admin.get("/console/audit/request/" + unknown)
		a.isPage(t, http.StatusOK, "The log has nothing of that request")
		a.lacks(t, "API token", "<b>")
	}
}

func TestAuditVerify(t *testing.T) {
	_, admin, ann, _ := threeOf(t, nil)
	page := admin.get("/console/audit/verify")
	page.isPage(t, http.StatusOK, "Is the log whole?", "Every entry is read")
	page.lacks(t, "The log is whole")
	kept := regexp.MustCompile(`id="keep" value="([0-9]+:[0-9a-f]{64})"`).FindStringSubmatch(page.body)
	if kept == nil {
		t.Fatal(page.body)
	}
	ann.post("/me/tokens", "name", "ci", "ends", "90")
	admin.get("/console/audit/verify?check=yes").isPage(t, http.StatusOK, "The log is whole", `id="keep"`)
	admin.get("/console/audit/verify?check=yes&head=+"+kept[1]).isPage(t, http.StatusOK, "The log is whole", "all that stands before it is as it was", `value=" `+kept[1]+`"`)
	admin.get("/console/audit/verify?check=yes&head="+strings.Repeat("0", 64)).isPage(t, http.StatusOK, "The log is not whole", "is not there", `role="alert"`, "<li>No entry has the hash that was kept: entries were removed from the end, or the log was written anew.</li>")
	admin.get("/console/audit/verify?check=yes&head=1:"+strings.Repeat("0", 64), "Accept-Language", "zh").isPage(t, http.StatusOK, "<li>第 1 条记录的哈希值与所保存的不同：日志被重写。</li>")
	admin.get("/console/audit/verify?check=yes&head="+strings.Repeat("z", 64)).isPage(t, http.StatusBadRequest, `id="head-problem"`, "hexadecimal")
	admin.get("/console/audit/verify?check=yes&head=%3Cb%3E:1").isPage(t, http.StatusBadRequest, `id="head-problem"`, `value="&lt;b&gt;:1"`)
	admin.get("/console/audit").isPage(t, http.StatusOK, `href="/security/audit/_export" download="husk-audit.ndjson"`)
	export := admin.get("/security/audit/_export")
	if export.StatusCode != http.StatusOK || export.Header.Get("Content-Disposition") != `attachment; filename="husk-audit.ndjson"` || !strings.Contains(export.body, `"action":"token.create"`) {
		t.Errorf("%d %v", export.StatusCode, export.Header)
	}
	admin.get("/console/audit").isPage(t, http.StatusOK, "Audit log read as a whole")
}

// What the store has as actions, the filter offers.
func TestAuditFilterOffersEveryAction(t *testing.T) {
	v := newSignedIn(t)
	page := v.get("/console/audit")
	for _, action := range db.Actions() {
		page.isPage(t, http.StatusOK, `<option value="`+action+`"`)
	}
}
