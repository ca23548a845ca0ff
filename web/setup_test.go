package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/web/api"
)

func setupBody(t *testing.T, in api.Setup) string {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestSetupJSON(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	const path = "/setup/_initialize"
	v.json("POST", path, setupBody(t, api.Setup{Name: "Ann", Password: testPassword, Language: "en-US"})).fails(t, http.StatusForbidden, "setup_code")
	a := v.json("POST", path, setupBody(t, api.Setup{Password: testPassword, Code: "aaaaa-bbbbb-ccccc"}))
	a.fails(t, http.StatusForbidden, "setup_code")
	if !strings.Contains(a.body, "husk passwd") || !strings.Contains(a.body, "husk serve") {
		t.Errorf("the reason names no next step: %s", a.body)
	}
	v.json("POST", path, setupBody(t, api.Setup{Password: "password", Code: h.SetupCode()})).fails(t, http.StatusBadRequest, "password_common")
	v.json("POST", path, setupBody(t, api.Setup{Code: h.SetupCode()})).fails(t, http.StatusBadRequest, "password_missing")
	v.json("POST", path, setupBody(t, api.Setup{Email: "ann", Password: testPassword, Code: h.SetupCode()})).fails(t, http.StatusBadRequest, "bad_email")
	v.json("POST", path, setupBody(t, api.Setup{Email: "annabel@example.com", Password: "annabel2026", Code: h.SetupCode()})).fails(t, http.StatusBadRequest, "password_personal")
	v.json("POST", path, `{"password":`).fails(t, http.StatusBadRequest, "bad_json")
	v.do("POST", path, "text/plain", "x", "Accept", "*/*").fails(t, http.StatusUnsupportedMediaType, "content_type")

	v.json("POST", path, setupBody(t, api.Setup{Name: "Ann", Email: "ann@example.com", Password: testPassword, Language: "en-US",
		Code: " " + strings.ToUpper(strings.ReplaceAll(h.SetupCode(), "-", " "))})).same(t, `{"acknowledged":true}`)
	v.json("POST", path, setupBody(t, api.Setup{Password: testPassword, Code: h.SetupCode()})).fails(t, http.StatusConflict, "setup_done")
	v.json("POST", path, `{}`).fails(t, http.StatusConflict, "setup_done")

	u, err := h.Store.UserByEmail(t.Context(), "ann@example.com")
	if err != nil || u.Roles[0] != "admin" || u.Name != "Ann" || u.MustChange {
		t.Errorf("%+v, %v", u, err)
	}
	v.signIn("ann@example.com", testPassword)
	if log := h.log.String(); strings.Contains(log, h.SetupCode()) || strings.Contains(log, testPassword) {
		t.Error("a secret is in the log")
	}
}

func TestSetupSingleUser(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	v.json("POST", "/setup/_initialize/", setupBody(t, api.Setup{Password: testPassword, Code: h.SetupCode()})).same(t, `{"acknowledged":true}`)
	a := v.json("POST", "/account/login", `{"password":"`+testPassword+`"}`)
	var in api.LoggedIn
	if err := json.Unmarshal([]byte(a.body), &in); err != nil || in.ID != "coco-default-user" {
		t.Errorf("%s, %v", a.body, err)
	}
}

func TestSetupForm(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	v.get("/").leadsTo(t, "/login")
	v.get("/login").leadsTo(t, "/setup")
	v.post("/account/login", "password", "whatever it is").leadsTo(t, "/setup")
	v.get("/setup").isPage(t, http.StatusOK, `name="code"`, `name="password"`)

	v.post("/setup/_initialize", "code", "wrong", "email", `"><b>@example.com`, "name", "<script>").
		isPage(t, http.StatusForbidden, "set-up code", "&lt;script&gt;", "&#34;&gt;&lt;b&gt;@example.com")
	a := v.post("/setup/_initialize", "code", h.SetupCode(), "password", testPassword, "again", "another")
	a.isPage(t, http.StatusBadRequest, "not the same", `value="`+h.SetupCode()+`"`)
	if strings.Contains(a.body, testPassword) {
		t.Error("the password is sent back")
	}
	v.post("/setup/_initialize", "code", h.SetupCode(), "password", "short", "again", "short").isPage(t, http.StatusBadRequest, "too short")
	v.do("POST", "/setup/_initialize", formType, "code=wrong", "Accept", "*/*").fails(t, http.StatusForbidden, "setup_code")
	v.do("POST", "/setup/_initialize", formType, "code=x", "Sec-Fetch-Site", "cross-site").isPage(t, http.StatusForbidden, "another origin")

	v.post("/setup/_initialize", "code", h.SetupCode(), "password", testPassword, "again", testPassword, "email", "", "name", "").leadsTo(t, "/")
	v.post("/setup/_initialize", "code", h.SetupCode(), "password", testPassword).isPage(t, http.StatusConflict, "set up")
	v.get("/").isPage(t, http.StatusOK, "coco-default-user") // setting up signs in
	v.get("/setup").leadsTo(t, "/login")
	h.visitor().get("/login").isPage(t, http.StatusOK, "Password")
}

func TestSetupCodeIsNewAtEachStart(t *testing.T) {
	h := newTestHouse(t, nil)
	old := h.SetupCode()
	again, err := NewKept(h.Config)
	if err != nil {
		t.Fatal(err)
	}
	if again.SetupCode() == old || len(old) != 17 {
		t.Fatalf("%q, %q", old, again.SetupCode())
	}
	h.Server = again
	h.serve()
	h.visitor().json("POST", "/setup/_initialize", setupBody(t, api.Setup{Password: testPassword, Code: old})).fails(t, http.StatusForbidden, "setup_code")
	h.visitor().json("POST", "/setup/_initialize", setupBody(t, api.Setup{Password: testPassword, Code: again.SetupCode()})).same(t, `{"acknowledged":true}`)
}

func TestSetupCodeIsLimited(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	try := func(code string) answer {
		return v.json("POST", "/setup/_initialize", setupBody(t, api.Setup{Password: testPassword, Code: code}))
	}
	for range setupFree {
		try("aaaaa-bbbbb-ccccc").fails(t, http.StatusForbidden, "setup_code")
	}
	a := try(h.SetupCode()) // also the right one: the answer tells nothing
	a.fails(t, http.StatusTooManyRequests, "throttled")
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	h.wait(time.Second)
	try("aaaaa-bbbbb-ccccc").fails(t, http.StatusForbidden, "setup_code")
	if a := try("x"); a.Header.Get("Retry-After") != "2" {
		t.Errorf("the delay does not grow: %q", a.Header.Get("Retry-After"))
	}
	page := v.post("/setup/_initialize", "code", h.SetupCode(), "password", testPassword)
	page.isPage(t, http.StatusTooManyRequests, "Too many tries failed. Wait before the next one.")
	if page.Header.Get("Retry-After") != "2" {
		t.Error("the page has no Retry-After")
	}
	h.wait(2 * time.Second)
	try(h.SetupCode()).same(t, `{"acknowledged":true}`)
}

func TestSetupOnce(t *testing.T) {
	h := newTestHouse(t, nil)
	const n = 8
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range n {
		v := h.visitor()
		body := setupBody(t, api.Setup{Password: testPassword, Code: h.SetupCode(), Email: []string{"", "ann@example.com", "bob@example.com"}[i%3]})
		all.Go(func() { answers[i] = v.json("POST", "/setup/_initialize", body) })
	}
	all.Wait()
	won := 0
	for _, a := range answers {
		if a.StatusCode == http.StatusOK {
			won++
		} else {
			a.fails(t, http.StatusConflict, "setup_done")
		}
	}
	if won != 1 {
		t.Errorf("%d of %d set up", won, n)
	}
}
