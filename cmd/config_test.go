package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"husk/web/api"
)

// samples are three values of a setting that differ from its default and from
// each other, as far as its form has three.
func samples(f *pflag.Flag) [3]string {
	switch f.Name {
	case "addr", "metrics-addr":
		return [3]string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	case "public-url", "server", "cors-origin", "upstream":
		return [3]string{"https://a.example", "https://b.example", "https://c.example"}
	case "log-level":
		return [3]string{"debug", "warn", "error"}
	case "log-format":
		return [3]string{"text", "json", "text"}
	case "data":
		return [3]string{"/a", "/b", "/c"}
	}
	if f.Name == "login-delay" || f.Name == "login-max-delay" {
		return [3]string{"1m", "2m", "3m"}
	}
	switch f.Value.Type() {
	case "bool":
		return [3]string{"true", "true", "true"}
	case "int", "int64", "number":
		return [3]string{"10", "20", "30"}
	case "duration":
		return [3]string{"1h", "2h", "3h"}
	case "origin":
		return [3]string{"https://a.example", "https://b.example,https://c.example", "https://d.example"}
	case "recipient":
		return [3]string{
			"age1feqnwcljfk6lcxhaxl7hgp8ud5xwedks42rwctjlp5xpe8tgtsrqq5rp95",
			"age1feqnwcljfk6lcxhaxl7hgp8ud5xwedks42rwctjlp5xpe8tgtsrqq5rp95,age12tu5j9pwtp5d2yx244jxxsajnnlpcwrwt7dj7a4sce5fpqak0p5q572jqg",
			"age1xu2exte3v5tq075m52839w2f6xdrlcsalvkky4fdtffdkr5vx5eqpk4fv0",
		}
	case "cidr":
		return [3]string{"10.0.0.0/8", "10.1.0.0/16,fd00::/8", "10.2.0.0/16"}
	}
	return [3]string{"a", "b", "c"}
}

// TestPrecedence resolves every setting from every set of sources.
func TestPrecedence(t *testing.T) {
	allSettings().VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" {
			return // it can't stand in the file that it names
		}
		values := samples(f)
		for sources := range 8 {
			var args, env []string
			want, wantFrom := f.DefValue, fromDefault
			if sources&4 != 0 {
				line := f.Name + ": " + values[2] + "\n"
				if _, isList := f.Value.(pflag.SliceValue); isList {
					line = f.Name + ":\n  - " + strings.ReplaceAll(values[2], ",", "\n  - ") + "\n"
				}
				args = append(args, "--config", writeFile(t, t.TempDir(), "husk.yaml", line))
				want, wantFrom = values[2], fromFile
			}
			if sources&2 != 0 {
				env = append(env, envName(f.Name)+"="+values[1])
				want, wantFrom = values[1], fromEnv
			}
			if sources&1 != 0 {
				args = append(args, "--"+f.Name+"="+values[0])
				want, wantFrom = values[0], fromFlag
			}
			r := resolved(t, env, args...)
			got := r.Lookup(f.Name).Value.String()
			if f.Name == "data" && wantFrom == fromDefault {
				want = got // it is made absolute
			}
			if got != want || r.sourceOf(f.Name) != wantFrom {
				t.Errorf("%s of %v %v: want %q from %s, got %q from %s", f.Name, env, args, want, wantFrom, got, r.sourceOf(f.Name))
			}
		}
	})
}

// resolved resolves what serve gets.
func resolved(t testing.TB, env []string, args ...string) *resolution {
	t.Helper()
	a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, getenv: lookIn(env)}
	serve, _, err := a.root().Find([]string{"serve"})
	if err == nil {
		err = serve.ParseFlags(args)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.resolve(serve)
	if err != nil {
		t.Fatalf("%v %v: %v", env, args, err)
	}
	return r
}

// TestSettingsAreTaken: what is resolved also arrives in the struct.
func TestSettingsAreTaken(t *testing.T) {
	var took settings
	r := resolved(t, []string{"HUSK_TRUSTED_PROXY=10.0.0.0/8, ::1"}, "--tls-cert=c", "--tls-key=k", "--max-token-ttl=1y", "--access-log", "--data=x")
	if err := took.take(r.FlagSet); err != nil {
		t.Fatal(err)
	}
	cwd, _ := os.Getwd()
	if !slices.Equal(took.TLSCerts, []string{"c"}) || !slices.Equal(took.TLSKeys, []string{"k"}) || took.MaxTokenTTL.Hours() != 8760 || !took.AccessLog ||
		len(took.TrustedProxies) != 2 || took.TrustedProxies[1].String() != "::1/128" || took.Data != filepath.Join(cwd, "x") {
		t.Errorf("the settings are %+v", took)
	}
}

// TestNoFlagHidesASetting: a flag of another command with a setting's name
// would be taken for it. Those that are left out take the settings themselves.
func TestNoFlagHidesASetting(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		// The probe asks no server of Husk's: its --upstream is the application, by the
		// name that the setting has.
		if slices.Contains([]string{"husk serve", "husk config show", "husk proxy config", "husk proxy probe"}, c.CommandPath()) {
			return
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if allSettings().Lookup(f.Name) != nil {
				t.Errorf("%s has a flag --%s, which is a setting", c.CommandPath(), f.Name)
			}
		})
	}
	walk((&app{getenv: os.Getenv}).root())
}

func TestConfigProblems(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // after "husk.yaml"
	}{
		{"empty", "", nil},
		{"comments", "# addr: x\n\n", nil},
		{"an empty document", "---\n", nil},
		{"a list of one without a dash", "trusted-proxy: 10.0.0.1", nil},
		{"an empty list", "trusted-proxy: []", nil},
		{"items with spaces, as a variable may have", "trusted-proxy: [' 10.0.0.1', '10.0.0.2 ']\ncors-origin: [' https://a.example.com']", nil},
		{"an anchor", "log-level: &a debug\npublic-url: \"\"\nlogin-delay: &b 1m\nlogin-max-delay: *b", nil},
		{"an empty text", `public-url: ""`, nil},
		{"a typo", "\n\nadr: 127.0.0.1:1", []string{":3: there is no setting adr; did you mean addr?"}},
		{"an underscore", "public_url: https://a.example", []string{":1: there is no setting public_url; did you mean public-url?"}},
		{"nothing near", "frobnicate: 1", []string{":1: there is no setting frobnicate"}},
		{"a merge", "<<: {addr: x}", []string{":1: there is no setting <<"}},
		{"itself", "config: x", []string{":1: config names this file, and has no place in it"}},
		{"twice", "addr: :1\nlog-level: debug\naddr: :2", []string{":3: addr is set already, on line 1"}},
		{"a word", "log-level: verbose", []string{":1: log-level: it is debug, info, warn or error"}},
		{"an address", "addr: 9000", []string{":1: addr: it is HOST:PORT, such as 127.0.0.1:9000, [::1]:9000 or :9000"}},
		{"a duration", "session-ttl: 24", []string{":1: session-ttl: a duration is a number with a unit: 90s, 30m, 24h, 30d, 2w, 1y"}},
		{"a negative duration", "session-ttl: -1h", []string{":1: session-ttl: it must not be negative"}},
		{"hardly a life", "session-ttl: 500ms", []string{":1: session-ttl: it must be at least 1s"}},
		{"a bool", "access-log: yes", []string{":1: access-log: it is true or false"}},
		{"a number", "login-attempts: some\naudit-entries: 1.5", []string{":1: login-attempts: it is a whole number from 1 to 100", ":2: audit-entries: it is a whole number"}},
		{"a path in the public URL", "public-url: https://a.example/husk", []string{":1: public-url: it is the scheme and host under which browsers reach husk, such as https://id.example.com"}},
		{"no limit for guessing", "login-attempts: 0\nlogin-address-attempts: -1\nlogin-delay: 0s\nlogin-max-delay: 0s\nsession-ttl: 0s", []string{
			":1: login-attempts: it is a whole number from 1 to 100", ":2: login-address-attempts: it is a whole number from 1 to 2147483647",
			":3: login-delay: it must be longer than 0", ":4: login-max-delay: it must be longer than 0", ":5: session-ttl: it must be longer than 0"}},
		{"a limit too wide", "login-attempts: 101\nlogin-delay: 61m\nlogin-max-delay: 2h", []string{
			":1: login-attempts: it is a whole number from 1 to 100", ":2: login-delay: it must be at most 1h", ":3: login-max-delay: it must be at most 1h"}},
		{"limits as wide as they may be", "login-attempts: 100\nlogin-address-attempts: 2147483647\nlogin-delay: 1h\nlogin-max-delay: 60m", nil},
		{"a pattern as an origin", "cors-origin: https://*.example.com", []string{":1: cors-origin: it is scheme and host, such as https://app.example.com, and no pattern"}},
		{"a password in the public URL", "public-url: https://u:hunter2@a.example", []string{":1: public-url: it is the scheme and host under which browsers reach husk, such as https://id.example.com"}},
		{"a server", "server: a.example", []string{":1: server: it is a URL with scheme and host, such as https://id.example.com"}},
		{"an item of a list", "trusted-proxy:\n  - 10.0.0.1\n  - proxy.local\n  - 10.0.0.1/8\n  - ::ffff:10.0.0.1\n  - [10.0.0.1]", []string{
			":3: trusted-proxy: it is an address or a network: 10.0.0.7, 10.0.0.0/8, fd00::/8",
			":4: trusted-proxy: it has bits beyond its mask; did you mean 10.0.0.0/8?",
			":5: trusted-proxy: it is an address or a network: 10.0.0.7, 10.0.0.0/8, fd00::/8",
			":6: trusted-proxy is a list of plain values",
		}},
		{"a list", "addr: [\":1\"]", []string{":1: addr is one value"}},
		{"a mapping", "addr:\n  host: x", []string{":2: addr is one value"}},
		{"a mapping as a list", "trusted-proxy: {a: b}", []string{":1: trusted-proxy is one value"}},
		{"no value", "addr:\n", []string{":1: addr has no value; leave the line out for the default"}},
		{"half of a pair", "addr: :1\ntls-key: x", []string{":2: tls-key needs tls-cert"}},
		{"a text", "husk", []string{":1: settings are lines of the form 'name: value'"}},
		{"a sequence", "- addr", []string{":1: settings are lines of the form 'name: value'"}},
		{"a list as a name", "? [a]\n: b", []string{":1: the name of a setting is plain text"}},
		{"two documents", "addr: :1\n---\naddr: :2", []string{":2: a second document begins here; settings are one"}},
		{"no YAML", "addr: :1\nlog-level: debug: x", []string{":2: that is not YAML: mapping values are not allowed in this context"}},
		{"no YAML from the start", "addr: b: c", []string{":1: that is not YAML: mapping values are not allowed in this context"}},
		{"a binary", "\x00\x01", []string{":1: that is no text: a control character, or a byte that is not UTF-8"}},
		{"a byte", "addr: :1\r\n# caf\xe9\n", []string{":2: that is no text: a control character, or a byte that is not UTF-8"}},
		{"too long", strings.Repeat("#", maxConfig+1), []string{": the file is over 1 MiB: is it the right one?"}},
		{"several", "adr: x\naddr: y\nlog-level: z", []string{
			":1: there is no setting adr; did you mean addr?",
			":2: addr: it is HOST:PORT, such as 127.0.0.1:9000, [::1]:9000 or :9000",
			":3: log-level: it is debug, info, warn or error",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, t.TempDir(), "husk.yaml", c.text)
			var want strings.Builder
			for _, line := range c.want {
				want.WriteString(path + line + "\n")
			}
			code := exitDone
			if len(c.want) > 0 {
				code = exitInvalid
			}
			if r := runHere(t, nil, "", "config", "check", path); r.code != code || r.out != want.String() {
				t.Errorf("check: want %d and\n%sgot %d and\n%s%s", code, &want, r.code, r.out, r.errors)
			}
			if strings.Contains(want.String(), " needs ") {
				return // which serve sees, and the other commands need not; see TestOneJudgement
			}
			// Every command refuses what check refuses, with the first of it.
			r := runHere(t, []string{"HUSK_CONFIG=" + path}, "", "config", "show")
			if code == exitDone && r.code != exitDone || code != exitDone && (r.code != exitUsage || r.out != "" || !strings.Contains(r.errors, printable(path+c.want[0]))) {
				t.Errorf("show: got %d, %s%s", r.code, r.out, r.errors)
			}
			if more := strings.Contains(r.errors, "husk config check"); more != (len(c.want) > 1) {
				t.Errorf("the hint at more problems is wrong: %s", r.errors)
			}
		})
	}
}

func TestConfigCheckJSON(t *testing.T) {
	path := writeFile(t, t.TempDir(), "husk.yaml", "adr: x\n")
	// Its own file may be broken while another one is checked.
	r := runHere(t, []string{"HUSK_CONFIG=" + path}, "", "config", "check", path, "--json")
	var got []problem
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != exitInvalid ||
		!slices.Equal(got, []problem{{1, "adr", "there is no setting adr; did you mean addr?"}}) {
		t.Errorf("got %d, %v: %s%s", r.code, err, r.out, r.errors)
	}
	path = writeFile(t, t.TempDir(), "husk.yaml", "addr: :1\n")
	if r := runHere(t, nil, "", "config", "check", path, "--json"); r.code != exitDone || r.out != "[]\n" {
		t.Errorf("got %d: %s%s", r.code, r.out, r.errors)
	}
}

func TestConfigFileThatCannotBeRead(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	for _, c := range []struct {
		name string
		code int
		args []string
	}{
		{"check of an absent file", exitNotFound, []string{"config", "check", absent}},
		{"check of a folder", exitFailure, []string{"config", "check", filepath.Dir(absent)}},
		{"a command with an absent file", exitUsage, []string{"version", "--config", absent}},
		{"a command with a folder", exitUsage, []string{"version", "--config", filepath.Dir(absent)}},
	} {
		if r := runHere(t, nil, "", c.args...); r.code != c.code || !strings.Contains(r.errors, "the configuration file can't be read") {
			t.Errorf("%s: want %d, got %d: %s", c.name, c.code, r.code, r.errors)
		}
	}
}

// TestExposedConfig: who may write the file decides what husk does, and where
// the command line sends its token.
func TestExposedConfig(t *testing.T) {
	path := writeFile(t, t.TempDir(), "husk.yaml", "")
	for mode, warned := range map[os.FileMode]bool{0o644: false, 0o664: false, 0o646: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"config", "check", path}, {"version", "--config", path}} {
			r := runHere(t, nil, "", args...)
			if r.code != exitDone || strings.Contains(r.errors, "others may write") != warned {
				t.Errorf("mode %v, %v: got %d: %s", mode, args, r.code, r.errors)
			}
		}
	}
}

func TestWrongVariable(t *testing.T) {
	r := runHere(t, []string{"HUSK_SERVER=ftp://u:hunter2@a.example"}, "", "version")
	if r.code != exitUsage || !strings.HasPrefix(r.errors, "husk: HUSK_SERVER: it is a URL") || strings.Contains(r.errors, "hunter2") {
		t.Errorf("got %d: %s", r.code, r.errors)
	}
}

func TestConfigShow(t *testing.T) {
	file := writeFile(t, t.TempDir(), "husk.yaml", "trusted-proxy:\n- 10.0.0.1\n- fd00::/8\naddr: :1\nlog-level: warn\ngate:\n  login_url: https://a.example\n  rules: [{host: b.example, require: any}, {host: c.example, require: any}]\n")
	env := []string{"HUSK_CONFIG=" + file, "HUSK_LOG_LEVEL=error", "HUSK_SERVER=https://me:hunter2@a.example/", "HUSK_DATA=/data"}
	want := []shownSetting{
		{"access-log", "false", "default"}, {"addr", ":1", "file"}, {"config", file, "env"}, {"data", "/data", "env"},
		{"json", "false", "default"}, {"log-format", "text", "flag"}, {"log-level", "error", "env"}, {"max-token-ttl", "0s", "default"},
		{"public-url", "", "default"}, {"server", "https://hidden@a.example/", "env"}, {"session-ttl", "24h", "default"},
		{"trusted-proxy", "10.0.0.1/32,fd00::/8", "file"},
		{"gate.login_url", "https://a.example", "file"}, {"gate.rules", "2", "file"}, {"gate.return_ttl", "10m", "default"}, {"gate.cookie_domain", "", "default"},
	}
	r := runHere(t, env, "", "config", "show", "--log-format", "text")
	var shown []shownSetting
	for line := range strings.Lines(r.out) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			t.Fatalf("a line is not name, value and source: %q", line)
		}
		if fields[1] == "-" {
			fields[1] = ""
		}
		shown = append(shown, shownSetting{fields[0], fields[1], fields[2]})
	}
	var inJSON []shownSetting
	j := runHere(t, env, "", "config", "show", "--log-format", "text", "--json")
	if err := json.Unmarshal([]byte(j.out), &inJSON); err != nil {
		t.Fatalf("%v: %s%s", err, j.out, j.errors)
	}
	if count := countOf(allSettings()) + 4; len(shown) != count || len(inJSON) != count {
		t.Errorf("of %d settings %d are shown, %d as JSON", count, len(shown), len(inJSON))
	}
	for _, w := range want {
		if !slices.Contains(shown, w) {
			t.Errorf("%v is not shown:\n%s", w, r.out)
		}
		if w.Name != "json" && !slices.Contains(inJSON, w) {
			t.Errorf("%v is not in the JSON:\n%s", w, j.out)
		}
	}
	if strings.Contains(r.out+j.out, "hunter2") {
		t.Errorf("a password is shown")
	}
}

// What the API tells of a setting, beside its value: where it stands, and what of it
// is secret. The same is told where no server runs.
func TestConfigurationTold(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, dir, "husk.yaml", "trusted-proxy:\n- 10.0.0.1\naddr: :1\ngate:\n  rules: [{host: b.example, require: public}]\n")
	env := []string{"HUSK_CONFIG=" + file, "HUSK_DATA=" + filepath.Join(dir, "data"), "HUSK_TLS_KEY=/etc/husk/key.pem"}
	a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, getenv: lookIn(env)}
	cmd := a.root()
	token, _, err := cmd.Find([]string{"token", "create"})
	if err == nil {
		err = a.configure(token, a.resolve)
	}
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]api.ConfigSetting{}
	err = a.use(t.Context(), true, func(s *session) error {
		c, err := s.Configuration(t.Context())
		if c.File != file {
			t.Errorf("the file is %s", c.File)
		}
		for _, one := range c.Settings {
			told[one.Name] = one
		}
		return err
	})
	if count := countOf(allSettings()) + 4; err != nil || len(told) != count {
		t.Errorf("%d settings of %d, %v", len(told), count, err)
	}
	for _, want := range []api.ConfigSetting{
		{Name: "addr", Value: ":1", Source: "file", Line: 3, Group: "server", Default: "127.0.0.1:9000", Variable: "HUSK_ADDR"},
		{Name: "trusted-proxy", Value: "10.0.0.1/32", Source: "file", Line: 1, Group: "server", Variable: "HUSK_TRUSTED_PROXY"},
		{Name: "gate.rules", Value: "1", Source: "file", Line: 5, Group: "gate", Default: "0", Reloadable: true},
		{Name: "log-level", Value: "info", Source: "default", Group: "server", Default: "info", Variable: "HUSK_LOG_LEVEL", Reloadable: true},
		{Name: "token-file", Source: "default", Group: "command", Variable: "HUSK_TOKEN_FILE", Path: true, Secret: true},
		{Name: "tls-key", Value: "/etc/husk/key.pem", Source: "env", Group: "server", Variable: "HUSK_TLS_KEY", Path: true, Secret: true},
		{Name: "backup-dir", Source: "default", Group: "server", Variable: "HUSK_BACKUP_DIR", Path: true},
	} {
		got := told[want.Name]
		if got.About == "" {
			t.Errorf("%s has no words", want.Name)
		}
		if got.About = ""; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// What a reload leaves for a restart is told as it runs.
func TestConfigurationAfterReload(t *testing.T) {
	runs := &api.Configuration{Settings: []api.ConfigSetting{{Name: "addr", Value: ":1"}, {Name: "gate.rules", Value: "1", Group: gateKey}, {Name: "log-level", Value: "info"}}}
	next := &api.Configuration{File: "f", Settings: []api.ConfigSetting{{Name: "addr", Value: ":2"}, {Name: "gate.rules", Value: "1", Group: gateKey, Line: 9}, {Name: "log-level", Value: "warn"}}}
	got := afterReload(runs, next, []string{"addr", gateKey})
	want := []api.ConfigSetting{{Name: "addr", Value: ":1", Waiting: true}, {Name: "gate.rules", Value: "1", Group: gateKey, Waiting: true}, {Name: "log-level", Value: "warn"}}
	if got.File != "f" || !slices.Equal(got.Settings, want) || runs.Settings[0].Waiting {
		t.Errorf("%+v", got)
	}
}

func countOf(f *pflag.FlagSet) (n int) {
	f.VisitAll(func(*pflag.Flag) { n++ })
	return n
}

// TestBoundHoldsOffline: a setting of the server is one of every command.
func TestBoundHoldsOffline(t *testing.T) {
	dir := t.TempDir()
	env := []string{"HUSK_DATA=" + filepath.Join(dir, "data"), "HUSK_CONFIG=" + writeFile(t, dir, "husk.yaml", "max-token-ttl: 24h")}
	if r := runHere(t, env, "", "token", "create", "--expires", "25h"); r.code != exitFailure {
		t.Errorf("a token over the bound: %d, %s", r.code, r.errors)
	}
	if r := runHere(t, env, "", "token", "create", "--expires", "23h"); r.code != exitDone {
		t.Errorf("a token within the bound: %d, %s", r.code, r.errors)
	}
}

// FuzzConfig: whatever the file, it is read or refused, and nothing else.
func FuzzConfig(f *testing.F) {
	f.Add("addr: :1\ntrusted-proxy: [10.0.0.1]\n")
	f.Add("a: &a [*a]\n<<: *a\n? {}\n: !!binary x")
	f.Fuzz(func(t *testing.T, text string) {
		c := &configFile{name: "f", set: allSettings(), lines: map[string]int{}}
		c.parse([]byte(text))
		for _, p := range c.problems {
			if p.Problem == "" || p.Line < 1 {
				t.Errorf("a problem without words: %+v", p)
			}
		}
	})
}

// Every flag is taken: one that is not would change nothing, whatever it says.
func TestEverySettingIsTaken(t *testing.T) {
	t.Parallel()
	var asItIs settings
	if err := asItIs.take(allSettings()); err != nil {
		t.Fatal(err)
	}
	allSettings().VisitAll(func(f *pflag.Flag) {
		changed := allSettings()
		if err := changed.Set(f.Name, samples(f)[0]); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		var s settings
		if err := s.take(changed); err != nil || reflect.DeepEqual(s, asItIs) {
			t.Errorf("take does not take %s (%v)", f.Name, err)
		}
	})
}
