package web

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
)

// An ordinary user is shown nothing of the rooms of others, not even an empty form.
func TestRoomsOfOthersAreShut(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	v := h.newAnn()
	u := h.user("bob@example.com", testPassword, false)
	h.signedIn(u.Email).makeToken("of bob")
	ids := map[string]string{"/console/tokens/": h.allTokens()[0].ID}
	looked := 0
	for _, p := range console.Places() {
		if p.Method != http.MethodGet || !strings.HasPrefix(p.Path, "/console") || strings.HasPrefix(p.Path, "/console/manual") {
			continue
		}
		id := u.ID
		for room, other := range ids {
			if strings.HasPrefix(p.Path, room) {
				id = other
			}
		}
		a := v.get(strings.ReplaceAll(p.Path, ":id", id))
		if a.StatusCode != http.StatusForbidden && (a.StatusCode != http.StatusNotFound || !strings.Contains(p.Path, "/tokens/:id")) {
			t.Errorf("%s: %d", p.Path, a.StatusCode)
		}
		a.lacks(t, "bob@example.com", "of bob", "<form method=\"post\" action=\"/console")
		looked++
	}

	// Nor by a form that came over a sign-in, or that lacks the password.
	h.wait(11 * time.Minute)
	for _, p := range console.Places() {
		if p.Method == http.MethodGet || !strings.HasPrefix(p.Path, "/console") {
			continue
		}
		path, mine := strings.ReplaceAll(p.Path, ":id", u.ID), ""
		if p.Path == "/console/tokens" {
			mine = "yes" // without it that makes a token of one's own, as anywhere
		}
		for _, kept := range []string{"yes", mine} {
			form := url.Values{"kept": {kept}, "way": {"invite"}, "email": {"eve@example.com"}, "roles": {"admin"}, "user": {u.ID}}
			maps.DeleteFunc(form, func(name string, _ []string) bool { return !slices.Contains(p.Handler.Reads(), name) })
			a := v.send(path, form)
			if p.Handler.Uploads {
				a = v.upload(path, twoUsers, nil, "kept", kept)
			}
			if a.StatusCode < 400 || strings.Contains(a.body, "not known here") {
				t.Errorf("POST %s: %d %s", path, a.StatusCode, a.Header.Get("Location"))
			}
		}
		looked++
	}
	if looked < 40 {
		t.Errorf("%d pages", looked)
	}
}

// Beside records the API has routes with an underscore, which are none.
func TestNoRecordIsARoute(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	for _, p := range console.Places() {
		if !strings.Contains(p.Path, ":id") {
			continue
		}
		for _, id := range []string{"_search", "_ended", "_cat", "_import"} {
			v.do(p.Method, strings.ReplaceAll(p.Path, ":id", id), formType, "").isPage(t, http.StatusNotFound)
		}
	}
}

// A link of another site does not have the browser take all of the audit log, or a
// backup, and so write into the log that somebody did. A program that shows its own
// credential may be asked from anywhere.
func TestLinksToWhatWrites(t *testing.T) {
	t.Parallel()
	h, _ := newSystemHouse(t, true)
	admin := h.admin()
	admin.post("/console/system/backups").leadsTo(t, "/console/system/backups?done=made")
	_, secret := admin.makeToken("program")
	written := func() int64 {
		found, err := admin.asks().SearchAudit(t.Context(), api.ListOptions{Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		return found.Hits.Total.Value
	}
	links := []string{"/security/audit/_export", "/system/backup", "/system/backup/_file/husk-20261124T120000Z-asked.tar"}
	for _, path := range links {
		before := written()
		for _, site := range []string{"cross-site", "same-site"} {
			for _, method := range []string{"GET", "HEAD"} {
				a := admin.do(method, path, "", "", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate")
				if a.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s from another site (%s): %d", method, path, site, a.StatusCode)
				}
			}
		}
		if n := written(); n != before {
			t.Errorf("%s: %d entries", path, n-before)
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Site", "same-origin"}, {}} {
			if a := admin.do("GET", path, "", "", append(header, "Accept", "*/*")...); a.StatusCode != http.StatusOK {
				t.Errorf("%s with %v: %d", path, header, a.StatusCode)
			}
		}
		if a := h.visitor().do("GET", path, "", "", "Sec-Fetch-Site", "cross-site", "X-API-TOKEN", secret); a.StatusCode != http.StatusOK {
			t.Errorf("%s by a program: %d", path, a.StatusCode)
		}
	}
}

// Who types the address of a backup is led to where the password is asked for.
func TestBackupInTheAddressBar(t *testing.T) {
	t.Parallel()
	h, _ := newSystemHouse(t, true)
	admin := h.admin()
	admin.post("/console/system/backups").leadsTo(t, "/console/system/backups?done=made")
	h.wait(11 * time.Minute)
	for _, path := range []string{"/system/backup", "/system/backup?x=1", "/system/backup/_file/husk-20261124T120000Z-asked.tar", "/system/backup/_file/none"} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "none"}, {}} {
			admin.get(path, header...).leadsTo(t, "/console/system/backups")
		}
	}
}

// at has the browser ask for a page under a Host, and whatever else names one.
func (v *visitor) at(host, method, path, body string) answer {
	v.Helper()
	r, err := http.NewRequestWithContext(v.Context(), method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.Fatal(err)
	}
	r.Host = host
	for _, cookie := range v.client.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(v.base, "http://")}) {
		r.AddCookie(cookie)
	}
	for name, value := range map[string]string{"Accept": browserAccept, "Content-Type": formType, "Sec-Fetch-Site": "same-origin", "X-Forwarded-Host": "evil.example",
		"X-Forwarded-Proto": "gopher", "Forwarded": "host=evil.example;proto=gopher", "X-Original-Url": "http://evil.example/", "X-Host": "evil.example"} {
		r.Header.Set(name, value)
	}
	res, err := v.visitors.RoundTrip(r)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answer{res, string(text)}
}

// Without a public-url, what people copy names the Host that was asked for: one that is
// a host, and no header beside it. It is in no answer but that one, which nobody keeps.
func TestHostThatIsCopied(t *testing.T) {
	t.Parallel()
	v := newSignedIn(t)
	v.loopback.Store(false) // where others can come, its names are not known
	token := url.Values{"name": {"x"}, "ends": {"90"}, "rights": {"these"}, "permissions": {db.PermTokenSearch}}.Encode()
	for _, host := range []string{"husk.example.com", "husk_app:9000", "HUSK.lan", "husk.lan.", "husk.lan.:9000", "192.0.2.7:443", "[2001:db8::7]:9000", "[2001:db8::7]"} {
		a := v.at(host, "POST", "/me/tokens", token)
		a.isPage(t, http.StatusOK, "&#39;http://"+host+"/account/profile&#39;")
		a.lacks(t, "evil.example", "gopher")
		for path, status := range map[string]int{"/login": http.StatusSeeOther, "/me": http.StatusOK, "/console/users/new": http.StatusOK, "/me/none": http.StatusNotFound} {
			a := v.at(host, "GET", path, "")
			if a.StatusCode != status || a.Header.Get("Cache-Control") != "no-store" || strings.HasPrefix(a.Header.Get("Location"), "http") {
				t.Errorf("%s at %s: %d, %v", path, host, a.StatusCode, a.Header)
			}
			if strings.Contains(strings.ToLower(a.body), "evil.example") || strings.Contains(a.body, host) {
				t.Errorf("%s at %s names a host:\n%s", path, host, a.body)
			}
		}
	}
	before := len(v.tokens(t))
	for _, host := range []string{"a'$(id)'", "a;id", "x&y", "a:b", "a:9:9", "a:999999", "..", "a..b", ".", ":80", "[::1", "[x]", "a[::1]", "(a)", "a=b", "a,evil.example", "%65vil.example", "*.example.com"} {
		for _, a := range []answer{v.at(host, "POST", "/me/tokens", token), v.at(host, "GET", "/login", ""), v.at(host, "GET", "/me", "")} {
			a.isPage(t, http.StatusBadRequest, "The Host header is no name of a host")
			if strings.Contains(a.body, host) && len(host) > 2 || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q: %v\n%s", host, a.Header, a.body)
			}
		}
	}
	if after := len(v.tokens(t)); after != before {
		t.Errorf("%d tokens are made", after-before)
	}
	v.at("@", "POST", "/me/tokens", token).isPage(t, http.StatusOK, "&#39;http://HOST/account/profile&#39;") // which goes out as none
}

// What people copy names the server as it is configured, whatever was asked for.
func TestWhatIsCopiedNamesThePublicURL(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.PublicURL = "http://husk.example.com" })
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	v.send("/me/tokens", url.Values{"name": {"x"}, "ends": {"90"}, "rights": {"these"}, "permissions": {db.PermTokenSearch}}).isPage(t, http.StatusOK, "http://husk.example.com/account/profile")
	v.post("/console/users", "email", annEmailHere, "way", "invite").isPage(t, http.StatusOK, "http://husk.example.com/login")
}
