package web

import (
	"strings"
	"testing"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// What an administrator looks up: who is signed in, what the rules let in, what became
// of a request, and whether the log of it all is whole.
func TestBrowserAudit(t *testing.T) {
	dbtest.TakesVeryLong(t, "the audit log in a browser")
	t.Parallel()
	h, _, ann, _ := threeOf(t, wiki(t))
	ann.post("/me/tokens", "name", "nightly backup 夜间备份 مريم", "ends", "90")
	ann.get("/console/audit")
	h.visitor().post("/account/login", "email", "bob@example.com", "password", "wrong and wrong")
	h.written()
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("main button")

	p.Visit("/console/sessions")
	p.At("/console/sessions", "Everybody's sign-ins")
	p.Shoot("all-sessions")
	p.Visit("/console/sessions?user=nobody@example.com")
	p.Shoot("all-sessions-wrong")
	p.Visit("/console/sessions?user=ann@example.com")
	p.Click(".list a")
	p.Shoot("session-one")
	p.Click(".acts a.danger")
	p.Shoot("session-end")
	p.Visit("/console/sessions/end?user=ann@example.com")
	p.Shoot("sessions-end")

	p.Visit("/console/rules")
	p.At("/console/rules", "Access rules")
	p.Shoot("rules")
	p.Eval(`{ const f = document.querySelector("[data-filter]"); f.value = "status"; f.dispatchEvent(new Event("input")); }`)
	if left := p.Eval(`[...document.querySelectorAll("[data-row]")].filter((row) => !row.hidden).length`); left != "1" {
		t.Errorf("the filter leaves %s rules", left)
	}
	p.Visit("/console/rules/test?url=https://wiki.example.com/edit&method=POST&user=ann@example.com")
	p.Shoot("rule-refused")
	p.Visit("/console/rules/test?url=https://wiki.example.com/")
	p.Shoot("rule-sign-in")
	p.Visit("/console/rules/test?url=https://wiki.example.com/&user=ann@example.com")
	p.Shoot("rule-allowed")
	p.Visit("/console/rules/test/token")
	p.Shoot("rule-token")

	p.Visit("/console/audit")
	p.At("/console/audit", "Audit log")
	p.Shoot("audit")
	p.Visit("/console/audit?since=2026-11-25&actor=ann@example.com")
	p.Shoot("audit-filtered")
	p.Visit("/console/audit?result=refused&address=127.0.0.0/8")
	p.Shoot("audit-refused")
	p.Visit("/console/audit?action=session.login&actor=")
	p.Visit("/console/audit?action=access.refused")
	p.Click(".list a")
	p.Shoot("audit-story")
	p.Visit("/console/audit/request/none")
	p.Shoot("audit-story-none")
	p.Visit("/console/audit/verify?check=yes&head=" + strings.Repeat("0", 64))
	p.Shoot("audit-broken")
	p.Visit("/console/audit/verify")
	p.Click("main form button")
	if text := p.Text(); !strings.Contains(text, "The log is whole") {
		t.Error(text)
	}
	p.Shoot("audit-whole")
	p.Visit("/console/audit?lang=zh")
	p.Shoot("audit-zh")
	p.Visit("/console/audit/verify?check=yes&head=" + strings.Repeat("0", 64))
	p.Shoot("audit-broken-zh")
	p.Visit("/console/rules/test?url=https://wiki.example.com/edit&method=POST&user=ann@example.com")
	p.Shoot("rule-refused-zh")
}
