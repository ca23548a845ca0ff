package web

import (
	"encoding/json"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// same fails unless the answer is 200 with exactly that JSON.
func (a answer) same(t *testing.T, want string) {
	t.Helper()
	var got, expected any
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != http.StatusOK || !reflect.DeepEqual(got, expected) {
		t.Errorf("%d %s\nwant %s", a.StatusCode, a.body, want)
	}
}

func TestSettingApplication(t *testing.T) {
	h := newTestHouse(t, nil)
	v := h.visitor()
	settings := func(required, mode string) string {
		return `{"auth_enabled":true,"setup_required":` + required + `,"search_settings":{"enabled":false,"integration":""},
			"security":{"managed":false,"auth":{"native":true,"static":false,"access_token":true,"oauth":{}}},"login_mode":"` + mode + `"}`
	}
	v.get("/setting/application").same(t, settings("true", "single"))
	v.get("/setting/application/?&t=1").same(t, settings("true", "single"))
	h.user("", testPassword, false)
	v.get("/setting/application").same(t, settings("false", "single"))
	h.user("ann@example.com", testPassword, false)
	v.get("/setting/application").same(t, settings("false", "multi"))
	if _, err := h.Store.DeleteUser(t.Context(), localActor, "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	v.get("/setting/application", "X-Api-Token", "bad").same(t, settings("false", "single"))
}

func TestProviderInfo(t *testing.T) {
	h := newTestHouse(t, nil)
	a := h.visitor().get("/provider/_info", "Host", "evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https")
	if strings.Contains(a.body, "evil") {
		t.Errorf("a header made a URL: %s", a.body)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if _, err := time.Parse(time.RFC3339, got["updated"].(string)); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"name", "icon", "website", "eula", "privacy_policy", "banner", "description"} {
		if _, ok := got["provider"].(map[string]any)[key].(string); !ok {
			t.Errorf("provider.%s is no string", key)
		}
	}
	delete(got, "updated")
	delete(got, "provider")
	rest, _ := json.Marshal(got)
	answer{Response: a.Response, body: string(rest)}.same(t, `{"name":"Husk","endpoint":"`+h.base+`","version":{"number":"1.2.3"},
		"minimal_client_version":{"number":"`+minimalClient+`"},"public":false,"auth_provider":{"sso":{"url":"`+h.base+`/login"}},
		"managed":false,"health":{"status":"green"},"stats":{}}`)
}

func TestEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		public, listen string
		tls            bool
		want           string
	}{
		"nothing known": {"", "", false, "http://localhost"},
		"listening":     {"", "127.0.0.1:9000", false, "http://127.0.0.1:9000"},
		"own tls":       {"", "192.0.2.7:443", true, "https://192.0.2.7:443"},
		"ipv6":          {"", "[2001:db8::1]:9000", false, "http://[2001:db8::1]:9000"},
		"every address": {"", "0.0.0.0:9000", false, "http://localhost:9000"},
		"every ipv6":    {"", "[::]:9000", false, "http://localhost:9000"},
		"named":         {"http://id.example.com:9000", "[::]:9000", false, "http://id.example.com:9000"},
		"public":        {"https://id.example.com/", "127.0.0.1:9000", false, "https://id.example.com"},
	} {
		h := newTestHouse(t, func(c *Config) { c.PublicURL, c.TLS = test.public, test.tls })
		h.listening = "http://localhost"
		if test.listen != "" {
			addr, err := net.ResolveTCPAddr("tcp", test.listen)
			if err != nil {
				t.Fatal(err)
			}
			h.ListensOn(addressed{addr: addr})
		}
		if got := h.Endpoint(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		// Who listens everywhere and says no name leads others to themselves.
		notices := h.Notices()
		if want := strings.HasPrefix(name, "every"); (len(notices) == 1) != want || (want && !strings.Contains(notices[0].Text, h.Endpoint()+",")) {
			t.Errorf("%s: notices %v", name, notices)
		}
	}
}

func TestInfoAndSettings(t *testing.T) {
	h := newTestHouse(t, func(c *Config) { c.BuildDate, c.BuildHash = "2026-11-24T01:02:03Z", "0a1b" })
	h.user("", testPassword, false)
	h.user("bob@example.com", testPassword, false)
	v := h.visitor()
	for _, path := range []string{"/_info", "/settings"} {
		v.get(path).fails(t, http.StatusUnauthorized, "not_signed_in")
		v.get(path, "X-Api-Token", "bad").fails(t, http.StatusUnauthorized, "invalid_token")
	}
	v.get("/_license/info").same(t, `{}`)
	v.get("/_license/info/", "X-Api-Token", "bad").same(t, `{}`)

	v.signIn("bob@example.com", testPassword)
	v.get("/_info").same(t, `{"application":{"name":"Husk","version":{"number":"1.2.3","build_date":"2026-11-24T01:02:03Z","build_hash":"0a1b"}}}`)
	v.get("/settings").fails(t, http.StatusForbidden, "not_permitted")
	v = h.visitor()
	v.signIn("", testPassword)
	none := `{"id":"none","provider_id":"none"}`
	v.get("/settings").same(t, `{"default_model":{"language_model":`+none+`,"vision_model":`+none+`,"embedding_model":`+none+`}}`)
	if a := v.get("/settings"); a.Header.Get("Cache-Control") != "no-store" {
		t.Error("settings may be cached")
	}
}

// A notice is told where warnings are, and the colour stays: a container that is
// asked for its health is not to be restarted for it.
func TestNoticesKeepTheColour(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.ListensOn(addressed{addr: &net.TCPAddr{IP: net.IPv4zero, Port: 9000}})
	v := h.visitor()
	v.signIn("", testPassword)
	var details api.HealthDetails
	var ready api.Ready
	for path, into := range map[string]any{"/system/health": &details, "/readyz": &ready} {
		if err := json.Unmarshal([]byte(v.get(path).body), into); err != nil {
			t.Fatal(err)
		}
	}
	if details.Status != "green" || len(details.Warnings) != 1 || details.Warnings[0].Code != "no_public_url" || !strings.Contains(details.Warnings[0].Text, "--public-url") {
		t.Errorf("%+v", details)
	}
	if ready.Status != "ok" || len(ready.Warnings) != 1 || ready.Warnings[0] != details.Warnings[0].Text {
		t.Errorf("%+v", ready)
	}
	if a := v.get("/health"); !strings.Contains(a.body, `"green"`) {
		t.Error(a.body)
	}
	if a := v.get("/provider/_info"); !strings.Contains(a.body, `"endpoint":"http://localhost:9000"`) || !strings.Contains(a.body, `"status":"green"`) {
		t.Error(a.body)
	}
}
