package web

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"husk/web/console"
)

// Who opens what is not there in a browser sees a page of this server, with its
// policy; every program gets the error.
func TestUnknownAddresses(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.visitor()
	for _, path := range []string{"/nosuch", "/nosuch/", "/security/nosuch", "/%3Cscript%3E"} {
		a := v.get(path)
		a.isPage(t, http.StatusNotFound, "Nothing here", "There is no page at this address.")
		if strings.Contains(a.body, "nosuch") || strings.Contains(a.body, "<script") || a.Header.Get("Content-Security-Policy") != console.Policy {
			t.Errorf("%s: %v %s", path, a.Header, a.body)
		}
		v.get(path, "Accept", "*/*").fails(t, http.StatusNotFound, "not_found")
		v.get(path, "Accept", "application/json").fails(t, http.StatusNotFound, "not_found")
		v.get(path, "X-Api-Token", "bad").fails(t, http.StatusNotFound, "not_found")
		v.do("POST", path, "application/json", "{}").fails(t, http.StatusNotFound, "not_found")
	}
	v.get("/account/login").isPage(t, http.StatusMethodNotAllowed, "That can&#39;t be opened")
	if log := h.log.String(); strings.Contains(log, "level=ERROR") {
		t.Error(log)
	}
}

func TestFavicon(t *testing.T) {
	t.Parallel()
	v := newTestHouse(t, nil).visitor()
	a := v.get("/favicon.ico", "Accept", "image/avif,image/webp,*/*")
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "image/x-icon" || a.Header.Get("Cache-Control") != "public, max-age=86400" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	// ICONDIR: an icon, of two images, that of 16 pixels first.
	if !bytes.HasPrefix([]byte(a.body), []byte{0, 0, 1, 0, 2, 0, 16, 16}) || strings.Count(a.body, "\x89PNG\r\n\x1a\n") != 2 {
		t.Errorf("%q is no icon", a.body)
	}
}

// A collection is not listed by itself, and says what lists it: 405 where there
// is another method for it, 404 where there is none.
func TestCollectionsNameTheirSearch(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	status := map[string]int{
		"/auth/access_token": 405, "/security/user": 405, "/security/role": 405, "/security/session": 405,
		"/security/key": 404, "/security/audit": 404, "/security/principal": 404, "/connector": 404,
	}
	if len(status) != len(v.lists) {
		t.Errorf("%d collections are tried of %v", len(status), v.lists)
	}
	for path, want := range status {
		for _, spelled := range []string{path, path + "/", path + "?from=0&size=10"} {
			a := v.get(spelled, "Accept", "application/json")
			a.fails(t, want, map[int]string{405: "method_not_allowed", 404: "not_found"}[want])
			if !strings.Contains(a.body, "GET "+path+"/_search lists it") || (want == 405) != (a.Header.Get("Allow") != "") {
				t.Errorf("GET %s = %q %s", spelled, a.Header.Get("Allow"), a.body)
			}
		}
		v.get(path).isPage(t, want, "Nothing is listed here: GET "+path+"/_search lists it.")
		if a := v.json("PATCH", path, "{}"); strings.Contains(a.body, "_search") {
			t.Errorf("PATCH %s = %s", path, a.body)
		}
	}
}

// JSON that curl calls a form is told to be JSON, wherever a body is read.
func TestJSONCalledAForm(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	tried := 0
	for key, o := range operations {
		if o.example == nil {
			continue
		}
		tried++
		method, path, _ := strings.Cut(key, " ")
		for _, body := range []string{mustJSON(t, o.example), " \r\n" + mustJSON(t, o.example)} {
			a := v.do(method, strings.ReplaceAll(path, ":id", "x"), formType, body, "Accept", "*/*")
			a.fails(t, http.StatusUnsupportedMediaType, "content_type")
			advice := "add the header Content-Type: " + o.sentAs()
			if o.sentAs() == formMedia {
				advice = "send a form"
			}
			if !strings.Contains(a.body, advice) {
				t.Errorf("%s = %s", key, a.body)
			}
		}
	}
	for _, path := range []string{"/password", "/connect"} {
		v.do("POST", path, formType, "{}", "Accept", "*/*").fails(t, http.StatusUnsupportedMediaType, "content_type")
	}
	v.do("POST", "/account/login", formType, `{"password":"x"}`).isPage(t, http.StatusUnsupportedMediaType, "Content-Type: application/json")
	if tried < 12 {
		t.Errorf("%d bodies were tried", tried)
	}
}

// The searches of the desktop program: nothing is found, whatever is asked, and
// asking is bounded.
func TestSearchesFindNothing(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v, nobody := h.visitor(), h.visitor()
	v.signIn("", testPassword)
	for _, key := range []string{"POST /query", "POST /datasource", "POST /mcp_server", "POST /assistant", "GET /connector"} {
		method, path, _ := strings.Cut(key, " ")
		path += "/_search"
		for _, spelled := range []string{path, path + "/", path + "?from=0&size=5000&query=x&sort=_score&filter=a%3Ab"} {
			v.do(method, spelled, "", "").same(t, `{"took":0,"hits":{"total":{"value":0,"relation":"eq"},"max_score":0,"hits":[]}}`)
			nobody.do(method, spelled, "", "", "Accept", "*/*").fails(t, http.StatusUnauthorized, "not_signed_in")
			nobody.do(method, spelled, "", "", "X-Api-Token", "bad").fails(t, http.StatusUnauthorized, "invalid_token")
		}
		v.do(method, path+"?from=-1", "", "").fails(t, http.StatusBadRequest, "bad_page")
		v.do(method, path, "", strings.Repeat("x", maxBody)).same(t, `{"took":0,"hits":{"total":{"value":0,"relation":"eq"},"max_score":0,"hits":[]}}`)
		v.do(method, path, "", strings.Repeat("x", maxBody+1)).fails(t, http.StatusRequestEntityTooLarge, "body_too_large")
	}
}
