package cmd

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// asksForASecondFactor: a browser is led to it through the proxy, and back with a cookie
// that is good there; a program is told, and a token is not asked.
func (g *gated) asksForASecondFactor() {
	g.t.Helper()
	target := g.at("app.example.com", "/safe/page?x=1&y")
	g.wantAs("a token where a second factor is asked for", g.ask(nil, "GET", target, nil, "Authorization: Bearer "+g.token), "ann@example.com")
	a := g.ask(g.signed, "GET", target, nil)
	if g.wantRefused("a program without a second factor", a, http.StatusForbidden); a.Header.Get("Location") != "" {
		g.t.Errorf("a program without a second factor is led to %s", a.Header.Get("Location"))
	}
	a = g.ask(g.signed, "GET", target, nil, navigating)
	g.wantRefused("a page without a second factor", a, http.StatusFound)
	sealed, found := strings.CutPrefix(a.Header.Get("Location"), g.at("id.example.com", "/second-factor?return="))
	if !found || a.Header.Get("Cache-Control") != "no-store" {
		g.t.Errorf("a page without a second factor leads to %q, %v", a.Header.Get("Location"), a.Header)
	}
	g.setsUpASecondFactor()
	a = g.ask(g.signed, "GET", g.at("id.example.com", "/continue?to="+sealed), nil, navigating)
	for step := 0; a.StatusCode >= 300 && a.StatusCode < 400 && step < 5; step++ {
		to, err := a.Request.URL.Parse(a.Header.Get("Location"))
		if err != nil {
			g.t.Fatal(err)
		}
		a = g.ask(g.signed, "GET", to.String(), nil, navigating)
	}
	g.wantAs("back from the second factor", a, "ann@example.com")
	if a.shown == nil || a.shown.URI != "/safe/page?x=1&y" {
		g.t.Errorf("it came back to %+v", a.shown)
	}
	g.wantAs("a program with the cookie", g.ask(g.signed, "GET", target, nil), "ann@example.com")
}

// setsUpASecondFactor sets one up in the browser's session, by the calls that its page
// makes.
func (g *gated) setsUpASecondFactor() {
	g.t.Helper()
	call := func(method, body string) gateAnswer {
		g.t.Helper()
		a := g.ask(g.signed, method, g.at("id.example.com", "/account/totp"), strings.NewReader(body),
			"Content-Type: application/json", "Origin: https://id.example.com:"+g.port)
		if a.StatusCode != http.StatusOK {
			g.t.Fatalf("%s: %s %s", method, a.Status, a.body)
		}
		return a
	}
	var made struct{ Secret string }
	if err := json.Unmarshal([]byte(call("POST", "").body), &made); err != nil {
		g.t.Fatal(err)
	}
	code, err := totp.GenerateCode(made.Secret, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	call("PUT", `{"code":"`+code+`"}`)
}
