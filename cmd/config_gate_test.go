//go:build unix

package cmd

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"husk/web/gate"
)

const (
	gateHead = "gate:\n  login_url: https://auth.example.com\n"
	// goodRule begins on line 4 of a file with gateHead.
	goodRule = gateHead + "  rules:\n    - host: app.example.com\n      require: any\n"
)

// gateProblems are files with one mistake each: what is wrong, after the name of
// the file.
var gateProblems = []struct{ name, text, want string }{
	{"no value", "gate:\n", ":1: gate is lines of the form 'name: value'"},
	{"a list", "gate: [a]\n", ":1: gate is lines of the form 'name: value'"},
	{"a text", "gate: off\n", ":1: gate is lines of the form 'name: value'"},
	{"twice", goodRule + gateHead, ":6: gate is set already, on line 1"},
	{"a typo of it", "gates: {}\n", ":1: there is no setting gates; did you mean gate?"},
	{"an unknown key", gateHead + "  login-url: x\n", ":3: gate has no login-url; did you mean login_url?"},
	{"a key twice", gateHead + "  login_url: https://b.example\n", ":3: gate.login_url is set already, on line 2"},
	{"a list as a key", "gate:\n  ? [a]\n  : b\n", ":2: a name in gate is plain text"},
	{"no login_url", "gate:\n  login_url:\n", ":2: gate.login_url has no value; leave the line out"},
	{"a blank one", "gate:\n  login_url: ' '\n", ":2: gate.login_url has no value; leave the line out"},
	{"a list of them", "gate:\n  login_url: [https://a.example]\n", ":2: gate.login_url is one value"},
	{"one that is none", "gate:\n  login_url: auth.example.com\n", ":2: login_url is the scheme and host of Husk's own pages"},
	{"one with a path", "gate:\n  login_url: https://auth.example.com/husk\n", ":2: login_url is the scheme and host"},
	{"a domain of one label", goodRule + "  cookie_domain: com\n", ":6: cookie_domain is a domain such as example.com"},
	{"an address as a domain", goodRule + "  cookie_domain: 10.0.0.1\n", ":6: cookie_domain is a domain such as example.com"},
	{"no time at all", goodRule + "  return_ttl: 0s\n", ":6: gate.return_ttl: it must be longer than 0"},
	{"too short a time", goodRule + "  return_ttl: 59s\n", ":6: gate.return_ttl: it must be at least 1m"},
	{"too long a time", goodRule + "  return_ttl: 2d\n", ":6: gate.return_ttl: it must be at most 24h"},
	{"a time without a unit", goodRule + "  return_ttl: 600\n", ":6: gate.return_ttl: a duration is a number with a unit"},
	{"rules that are one", gateHead + "  rules:\n    host: a.example\n", ":4: gate.rules is a list"},
	{"rules that are nothing", gateHead + "  rules:\n", ":3: gate.rules is a list, each of which begins with a dash"},
	{"a rule that is a word", gateHead + "  rules:\n    - any\n", ":4: gate.rules is lines of the form"},
	{"a rule without a host", goodRule + "    - require: any\n      path: /x\n", ":6: a rule needs a host"},
	{"a rule that requires nothing", goodRule + "    - host: b.example.com\n      path: /x\n", ":6: a rule says what it requires"},
	{"an unknown key of a rule", goodRule + "      method: GET\n", ":6: gate.rules has no method; did you mean methods?"},
	{"a key of a rule twice", goodRule + "      host: b.example.com\n", ":6: gate.rules.host is set already, on line 4"},
	{"an empty require", goodRule + "    - host: b.example.com\n      require: []\n", ":7: gate.rules.require is an empty list"},
	{"an empty item", goodRule + "      methods: [GET, '']\n", ":6: gate.rules.methods has no value"},
	{"a list in a list", goodRule + "      methods: [[GET]]\n", ":6: gate.rules.methods is one value; methods, from and require may be lists"},
	{"a host that is none", gateHead + "  rules:\n    - require: any\n      host: app.*.com\n", ":5: host: a host is a name such as"},
	{"a host with a port", gateHead + "  rules:\n    - require: any\n      host: app.example.com:8080\n", ":5: host: a host is a name such as"},
	{"a path that is none", goodRule + "      path: /a/../b\n", ":6: path is the beginning of a path"},
	{"a method in small letters", goodRule + "      methods: [GET, post]\n", ":6: methods are names such as GET and POST, in capitals"},
	{"a network that is none", goodRule + "      from:\n        - 10.0.0.0/8\n        - lan\n", ":6: from is addresses or CIDR prefixes"},
	{"a word that is none", goodRule + "    - host: b.example.com\n      path: /\n      require: everybody\n", ":8: require is a permission"},
	{"public and more", goodRule + "    - host: b.example.com\n      require: [public, any]\n", ":7: public lets everybody in"},
	{"a factor that is none", goodRule + "      second_factor: yes\n", ":6: gate.rules.second_factor: it is true or false"},
	{"a preflight that is none", goodRule + "      preflight: true\n", ":6: gate.rules.preflight: it is allow"},
	{"an upstream that is none", goodRule + "      upstream: 127.0.0.1:3000\n", ":6: upstream is the URL of the application"},
	{"an upstream with a password", goodRule + "      upstream: http://u:hunter2@127.0.0.1:3000\n", ":6: upstream is the URL of the application"},
	{"the host of login_url", gateHead + "  rules:\n    - host: AUTH.example.com\n      require: any\n      upstream: http://127.0.0.1:3000\n", ":6: the host of Husk's own pages can't be an application's too"},
	{"the host of public-url", "public-url: https://id.example.com\n" + gateHead + "  rules:\n    - host: id.example.com\n      require: any\n      upstream: http://127.0.0.1:3000\n", ":7: the host of public-url can't be an application's too"},
	{"nowhere to sign in", "gate:\n  rules:\n    - host: a.example\n      require: public\n    - host: b.example\n      require: any\n", ":5: a rule that asks for a sign-in needs login_url, or public-url"},
	{"upstream and rules", goodRule + "upstream: http://127.0.0.1:3000\n", ":6: upstream is for one application at any host, and gate has rules of its own: they exclude each other"},
	{"an upstream of all that is none", "upstream: ftp://127.0.0.1\n", ":1: upstream: it is the URL of the application"},
	{"an alias of itself", "gate: &a\n  rules: [*a]\n", ":2: gate.rules has no rules"},
	{"too many of a list", goodRule + "      methods: [" + strings.Repeat("GET,", 100) + "PUT]\n", ":6: methods has over 100 values"},
	{"too many rules", gateHead + "  rules: [&a {host: a.example.com, require: any}" + strings.Repeat(",*a", 10_000) + "]\n", ":3: there are over 10,000 rules"},
}

// TestGateProblems: each mistake alone is found by 'config check', at its line, and
// by serve in the same words.
func TestGateProblems(t *testing.T) {
	t.Parallel()
	for _, c := range gateProblems {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := writeFile(t, dir, "husk.yaml", c.text)
			check := runHere(t, nil, "", "config", "check", path)
			first, _, _ := strings.Cut(check.out, "\n")
			if check.code != exitInvalid || !strings.HasPrefix(first, path+c.want) || strings.Count(check.out, "\n") != 1 {
				t.Fatalf("config check: %d, %swant one %s", check.code, check.out, c.want)
			}
			for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0"}, {"config", "show"}} {
				r := runRefused(t, []string{"HUSK_CONFIG=" + path, "HUSK_DATA=" + filepath.Join(dir, "data")}, args...)
				text := strings.TrimPrefix(first, path)
				if strings.HasPrefix(c.want, ":6: upstream is for one") { // of a setting, which has names for places
					text = strings.TrimPrefix(text, ":6: ")
				}
				if r.code != exitUsage || !strings.Contains(r.errors, text) || strings.Contains(r.errors, "hunter2") {
					t.Errorf("%v: %d, %s\nwant %s", args, r.code, r.errors, text)
				}
			}
		})
	}
}

// TestGateProblemsInOrder: several are told as they stand in the file.
func TestGateProblemsInOrder(t *testing.T) {
	t.Parallel()
	path := writeFile(t, t.TempDir(), "husk.yaml", gateHead+"  rules:\n    - host: '*'\n      require: any\n    - host: auth.example.com\n      upstream: http://127.0.0.1:3000\n  cookie_domain: com\n")
	var at []string
	for line := range strings.Lines(runHere(t, nil, "", "config", "check", path).out) {
		number, _, _ := strings.Cut(strings.TrimPrefix(line, path+":"), ":")
		at = append(at, number)
	}
	if got := strings.Join(at, " "); got != "4 6 7 8" {
		t.Errorf("told are the lines %s", got)
	}
}

// runRefused runs a command that is to end by itself, and stops it where it does not.
func runRefused(t testing.TB, env []string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: lookIn(env)}
	return ran{a.run(ctx, args), stdout.String(), stderr.String()}
}

func TestGatesThatAreRight(t *testing.T) {
	t.Parallel()
	const all = "gate:\n  login_url: &l https://auth.example.com\n  cookie_domain: example.com\n  return_ttl: 5m\n  rules:\n" +
		"    - &r\n      host: '*.example.com'\n      path: /api/\n      methods: GET\n      from: [10.0.0.0/8, '::1']\n      require: [grafana#api/read, 'role:ops', 'user:Ann@Example.com']\n" +
		"      second_factor: true\n      preflight: allow\n      upstream: http://127.0.0.1:3000\n    - *r\n"
	for name, text := range map[string]string{
		"one rule":                    goodRule,
		"all of it":                   all,
		"nothing":                     "gate: {}\n",
		"no rules":                    gateHead + "  rules: []\n",
		"login_url by public-url":     "public-url: https://id.example.com\ngate:\n  rules: [{host: a.example, require: any}]\n",
		"public needs no sign-in":     "gate:\n  rules: [{host: a.example, require: public}]\n",
		"one application":             "upstream: http://127.0.0.1:3000\n",
		"with what else the gate has": "upstream: http://127.0.0.1:3000\ngate:\n  return_ttl: 5m\n",
		"a second factor of nobody":   goodRule + "      second_factor: false\n",
	} {
		path := writeFile(t, t.TempDir(), "husk.yaml", text)
		if r := runHere(t, nil, "", "config", "check", path); r.code != exitDone {
			t.Errorf("%s: %d, %s%s", name, r.code, r.out, r.errors)
		}
	}
	a := &app{resolved: resolved(t, nil, "--config", writeFile(t, t.TempDir(), "husk.yaml", all))}
	c, _ := a.gateConfig()
	want := gate.Rule{Line: 6, Host: "*.example.com", Path: "/api/", Methods: []string{"GET"}, From: []string{"10.0.0.0/8", "::1"},
		Require: []string{"grafana#api/read", "role:ops", "user:ann@example.com"}, SecondFactor: true, Preflight: true, UpstreamURL: "http://127.0.0.1:3000"}
	if len(c.Rules) != 2 || !reflect.DeepEqual(c.Rules[0], want) || c.Rules[1].Line != 15 || c.LoginLine != 2 || c.CookieDomain != "example.com" {
		t.Errorf("read as %+v", c)
	}
	a.settings.Upstream = "http://127.0.0.1:3000"
	a.resolved.file = nil
	if c, ok := a.gateConfig(); !ok || len(c.Rules) != 1 || c.Rules[0].Host != gate.AnyHost || c.LoginURL != "" || !reflect.DeepEqual(c.Rules[0].Require, []string{"any"}) {
		t.Errorf("one application is %+v", c)
	}
}

// TestGateIsReloaded: a file with a mistake leaves the rules that there are, and is
// told with its line; a right one takes their place in the running server.
func TestGateIsReloaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := writeFile(t, dir, "husk.yaml", goodRule)
	d := program{data: filepath.Join(dir, "data"), env: []string{"HUSK_CONFIG=" + config}}.start(t, "--trusted-proxy", "127.0.0.1")
	d.ready()
	asked := func(host string) int {
		t.Helper()
		r, err := http.NewRequest("GET", d.url()+"/api/authz/forward-auth", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Method": "GET", "Proto": "https", "Host": host, "Uri": "/"} {
			r.Header.Set("X-Forwarded-"+name, value)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := asked("app.example.com"); got != http.StatusUnauthorized {
		t.Fatalf("at the start: %d", got)
	}
	for i, c := range gateProblems {
		if i%5 == 0 { // each is held to serve's own mind by TestGateProblems
			writeFile(t, dir, "husk.yaml", c.text)
			d.signal(syscall.SIGHUP)
			d.saysTimes("the configuration was not reloaded", i/5+1)
			d.says(config + c.want)
		}
	}
	if got := asked("app.example.com"); got != http.StatusUnauthorized {
		t.Errorf("after files with mistakes: %d", got)
	}
	writeFile(t, dir, "husk.yaml", goodRule+"    - host: open.example.com\n      require: public\n    - host: x.example.com\n      require: nobody#has/this\n")
	d.signal(syscall.SIGHUP)
	d.says(`"msg":"reloaded","applied":"gate"`)
	d.saysTimes("gate.login_url is https and public-url is not set", 2)
	d.says(`rule 3 (line 8) of the gate requires nobody#has/this, which no role grants`)
	if got := asked("open.example.com"); got != http.StatusOK {
		t.Errorf("after a right one: %d", got)
	}
	// What needs a restart is not taken by half.
	writeFile(t, dir, "husk.yaml", "public-url: https://id.example.com\ngate:\n  rules: [{host: open.example.com, require: any}]\n")
	d.signal(syscall.SIGHUP)
	d.says(`"settings":"gate public-url"`)
	if got := asked("open.example.com"); got != http.StatusOK {
		t.Errorf("after one that needs a restart: %d", got)
	}
	writeFile(t, dir, "husk.yaml", "")
	d.signal(syscall.SIGHUP)
	d.saysTimes(`"msg":"reloaded","applied":"gate"`, 2)
	if got := asked("open.example.com"); got != http.StatusForbidden {
		t.Errorf("without rules: %d", got)
	}
	d.end()
}

// FuzzGateFile: whatever stands under gate, it is refused at a line of the file, or
// read as what would be written for it.
func FuzzGateFile(f *testing.F) {
	for _, c := range gateProblems {
		if len(c.text) < 1000 {
			f.Add(c.text)
		}
	}
	f.Add(goodRule)
	f.Add(gateHead + "  rules: [&a {host: '*.b.example', require: &l [any, 'role:x'], from: ['::1']}, *a, {host: c, require: *l, path: /x}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := &configFile{name: "f", set: allSettings(), lines: map[string]int{}}
		c.parse([]byte(text))
		lines := strings.Count(text, "\n") + 1
		if c.gate == nil || len(c.problems) > 0 {
			return
		}
		_, faults := gate.Parse(c.gate.Config)
		for _, fault := range faults {
			if line := c.gate.lineOf(fault); line < 1 || line > lines || fault.Text == "" {
				t.Fatalf("%q: %+v is on line %d", text, fault, line)
			}
		}
		again := &configFile{name: "f", set: allSettings(), lines: map[string]int{}}
		again.parse([]byte(gateText(t, c.gate.Config)))
		if len(again.problems) > 0 || fmt.Sprint(withoutLines(again.gate.Config)) != fmt.Sprint(withoutLines(c.gate.Config)) {
			t.Fatalf("%q is %+v, and written %+v, %v", text, c.gate.Config, again.gate, again.problems)
		}
	})
}

// gateText writes a gate as a file has it.
func gateText(t testing.TB, c gate.Config) string {
	top := map[string]any{}
	put := func(m map[string]any, key string, value any, there bool) {
		if there {
			m[key] = value
		}
	}
	put(top, "login_url", c.LoginURL, c.LoginURL != "")
	put(top, "cookie_domain", c.CookieDomain, c.CookieDomain != "")
	put(top, "return_ttl", c.ReturnTTL.String(), c.ReturnTTL != 0)
	var rules []map[string]any
	for _, r := range c.Rules {
		m := map[string]any{}
		put(m, "host", r.Host, r.Host != "")
		put(m, "path", r.Path, r.Path != "")
		put(m, "methods", r.Methods, len(r.Methods) > 0)
		put(m, "from", r.From, len(r.From) > 0)
		put(m, "require", r.Require, len(r.Require) > 0)
		put(m, "second_factor", true, r.SecondFactor)
		put(m, "preflight", "allow", r.Preflight)
		put(m, "upstream", r.UpstreamURL, r.UpstreamURL != "")
		rules = append(rules, m)
	}
	put(top, "rules", rules, len(rules) > 0)
	text, err := yaml.Marshal(map[string]any{gateKey: top})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func withoutLines(c gate.Config) gate.Config {
	c.LoginLine, c.DomainLine = 0, 0
	for i := range c.Rules {
		c.Rules[i].Line = 0
	}
	return c
}
