//go:build unix

package cmd

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	websession "husk/web/session"
	"husk/web/token"
)

// shippedProxyFiles are the files of dist/proxy, by their names.
var shippedProxyFiles = map[string][]string{
	"nginx.conf": {"nginx"}, "Caddyfile": {"caddy"}, "traefik.yaml": {"traefik"}, "envoy.yaml": {"envoy"},
	"haproxy.cfg": {"haproxy"}, luaOfHAProxy: {"haproxy", "--lua"},
}

// exampleOfProxy are the flags of the example that dist/proxy has.
var exampleOfProxy = []string{"--public-url", "https://auth.example.com", "--app", "wiki.example.com=http://127.0.0.1:8080"}

// TestPagesOfProxies: the files in dist/proxy are what the command prints.
func TestPagesOfProxies(t *testing.T) {
	for name, args := range shippedProxyFiles {
		args := append([]string{"proxy", "config"}, args...)
		if name != luaOfHAProxy {
			args = append(args, exampleOfProxy...)
		}
		r := runHere(t, nil, "", args...)
		if r.code != exitDone {
			t.Fatalf("%q: %+v", args, r)
		}
		path := filepath.Join("../dist/proxy", name)
		if *update {
			if err := os.WriteFile(path, []byte(r.out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != r.out {
			t.Errorf("%s is not what husk %s prints (-update writes it): %v", path, strings.Join(args, " "), err)
		}
	}
}

// What is given can't be more of a file than the value that it is.
func TestProxyConfigTakesNoSyntax(t *testing.T) {
	app := []string{"--public-url", "https://auth.example.com", "--app", "wiki.example.com=http://127.0.0.1:8080"}
	for _, bad := range []string{";", "{", "}", "\n", " ", "\"", "'", "`", "$", "#", "\\", "%", "(", ")", "<", "*", ",", "\x00", "é;"} {
		for what, args := range map[string][]string{
			"a host":          {"--app", "a" + bad + "b.example.com=http://127.0.0.1:8080"},
			"an upstream":     {"--app", "b.example.com=http://127.0.0.1" + bad + ":8080"},
			"a name":          {"--app", "b.example.com=http://ho" + bad + "st:8080"},
			"a port":          {"--app", "b.example.com=http://127.0.0.1:80" + bad},
			"a path":          {"--app", "b.example.com=http://127.0.0.1:80/" + bad},
			"a zone":          {"--app", "b.example.com=http://[fe80::1%25a" + bad + "]:80"},
			"a certificate":   {"--cert", "/etc/a" + bad + "b.pem", "--key", "/etc/key.pem"},
			"a key":           {"--cert", "/etc/a.pem", "--key", "/etc/" + bad},
			"where it is":     {"--listen", "127.0.0.1" + bad + ":443"},
			"the port of it":  {"--listen", ":443" + bad},
			"Husk":            {"--addr", "127.0.0.1" + bad + ":9000"},
			"a zone of Husk":  {"--addr", "[fe80::1%a" + bad + "]:9000"},
			"Husk's own host": {"--public-url", "https://a" + bad + "b.example.com"},
		} {
			r := runHere(t, nil, "", append(append([]string{"proxy", "config", "nginx"}, app...), args...)...)
			if r.code != exitUsage || r.out != "" {
				t.Errorf("%s with %q: %d %.200s", what, bad, r.code, r.errors)
			}
		}
	}
}

// The files of the proxies that can't be had are YAML with each host and upstream.
func TestProxyConfigIsYAML(t *testing.T) {
	for _, kind := range []string{"traefik", "envoy"} {
		const https = "https://auth.example.com"
		for _, more := range [][]string{{https}, {https, "--cert", "/etc/a.pem", "--key", "/etc/b.pem"}, {"http://auth.example.com:8080"}, {https, "--listen", "10.0.0.7:8443"}} {
			r := runHere(t, nil, "", append([]string{"proxy", "config", kind,
				"--app", "wiki.example.com=http://127.0.0.1:8081", "--app", "*.apps.example.com=https://apps.internal", "--public-url"}, more...)...)
			var all map[string]any
			if err := yaml.Unmarshal([]byte(r.out), &all); err != nil || r.code != exitDone {
				t.Errorf("%s %q: %v, %+v", kind, more, err, r)
			}
			text, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"auth.example.com", "wiki.example.com", "8081", "apps.internal", "9000", "/api/authz/"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s %q has no %s", kind, more, want)
				}
			}
		}
	}
}

// What Husk takes at the gate is told from an application's own by its form.
func TestOwnAuthorization(t *testing.T) {
	one := regexp.MustCompile(strings.Join(ownAuthorization(), "|"))
	var own, others []string
	for range 50 {
		secret, _ := token.New()
		own = append(own, "Bearer "+secret, "bearer  "+secret+" ")
		for _, user := range []string{"", "a", "ab", "abc", "ann@example.com", "é", ":"} {
			pair := base64.StdEncoding.EncodeToString([]byte(strings.TrimSuffix(user, ":") + ":" + secret))
			own = append(own, "Basic "+pair, "BASIC "+pair)
		}
		for _, other := range []string{secret + "x", secret[1:], secret[:len(secret)-1], strings.ReplaceAll(secret, "-", "x"), strings.Repeat("p", len(secret))} {
			for _, user := range []string{"a", "ab", "abc"} {
				others = append(others, "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+other)))
			}
		}
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	header := part(map[string]string{"alg": "HS256", "kid": "k", "typ": "JWT"})
	own = append(own, "Bearer "+header+"."+part(websession.Claims{Iss: websession.Issuer, Aud: websession.Audience, Sub: "x"})+".c2ln")
	others = append(others, "Bearer "+header+"."+part(websession.Claims{Iss: "huskY", Aud: "husk"})+".c2ln", "Bearer "+header+"."+part(map[string]string{"aud": "husk"})+".c2ln",
		"Bearer abc", "Basic YW5uOnBhc3N3b3Jk", "Negotiate abc", "", "Bearer")
	for _, text := range own {
		if !one.MatchString(text) {
			t.Errorf("%q would go to the application", text)
		}
	}
	for _, text := range others {
		if one.MatchString(text) {
			t.Errorf("%q would be kept from the application", text)
		}
	}
}

// luaOfEnvoy runs a function of Envoy's file with the headers of a request, which it
// shows afterwards.
const luaOfEnvoy = `
local sent, answered = %s, nil
local mock = { get = function(_, n) return sent[n] end, remove = function(_, n) sent[n] = nil end, replace = function(_, n, v) sent[n] = v end }
setmetatable(mock, { __pairs = function() return next, sent, nil end })
local handle = { headers = function() return mock end, respond = function(_, h) answered = h[":status"] end }
%s
envoy_on_request(handle)
local names = {}
for n in pairs(sent) do names[#names + 1] = n end
table.sort(names)
if answered then print(answered) else for _, n in ipairs(names) do print(n .. ": " .. sent[n]) end end
`

// What is Lua in Envoy's file does what it says.
func TestLuaOfEnvoy(t *testing.T) {
	if _, err := exec.LookPath("lua5.4"); err != nil {
		prerequisite(t, err.Error())
	}
	r := runHere(t, nil, "", append([]string{"proxy", "config", "envoy"}, exampleOfProxy...)...)
	found := regexp.MustCompile(`(?m)inline_string: \|\n((?: {26}.*\n)+)`).FindAllStringSubmatch(r.out, -1)
	if len(found) != 2 {
		t.Fatalf("%d scripts", len(found))
	}
	for _, c := range []struct {
		script        int
		headers, want string
	}{
		{0, `{["remote-user"]="admin", ["x-forwarded-uri"]="/", ["x-forwarded-proto"]="https", [":path"]="/", ["remote-x"]="1"}`, ":path: /\nremote-x: 1\nx-forwarded-proto: https\n"},
		{0, `{["remote.user"]="admin"}`, "400\n"},
		{0, `{["x.api.token"]="admin"}`, "400\n"},
		{0, `{["x_forwarded-proto"]="http"}`, "400\n"},
		{0, `{["my.header"]="1"}`, "my.header: 1\n"},
		{1, `{["cookie"]="a=1; husk_gate=x; b=2"}`, "cookie: a=1; b=2\n"},
		{1, `{["cookie"]="husk_gate=x"}`, ""},
		{1, `{["cookie"]="husk_gate=x;husk_gate=y; __Host-husk_session=z; c=husk_d"}`, "cookie: c=husk_d\n"},
		{1, `{["cookie"]="xhusk_gate=x"}`, "cookie: xhusk_gate=x\n"},
		{1, `{["accept"]="x"}`, "accept: x\n"},
	} {
		script := strings.Replace(strings.Replace(luaOfEnvoy, "%s", c.headers, 1), "%s", found[c.script][1], 1)
		out, err := exec.Command("lua5.4", "-e", script).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %q, not %q, %v", c.headers, out, c.want, err)
		}
	}
}
