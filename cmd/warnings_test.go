//go:build unix

package cmd

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

func TestWideNetworks(t *testing.T) {
	for network, want := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "0.0.0.0/1": true, "128.0.0.0/1": true, "8.0.0.0/7": true,
		"2000::/3": true, "::/1": true, "8000::/1": true, "fc00::/6": true, "fe00::/9": true, "2001::/15": true,
		"10.0.0.0/8": false, "127.0.0.0/8": false, "100.64.0.0/10": false, "172.16.0.0/12": false, "10.0.0.7/32": false,
		"fc00::/7": false, "fd00::/8": false, "fe80::/10": false, "2001:db8::/32": false, "::1/128": false, "2002::/16": false,
	} {
		if got := isWide(netip.MustParsePrefix(network)); got != want {
			t.Errorf("%s: %t", network, got)
		}
	}
}

// TestSettingsWarnings: each at the start of serve, and by 'config check'.
func TestSettingsWarnings(t *testing.T) {
	t.Parallel()
	f := newPairFiles(t, goodPair(t, "first"))
	tls := "tls-cert: " + f.cert + "\ntls-key: " + f.key + "\n"
	const wide, noTLS = "trusted-proxy 0.0.0.0/0 is believed", "neither tls-cert nor trusted-proxy"
	const insecure, unasked = "gate.login_url is https and public-url is not set", "rules of gate have no upstream"
	for name, c := range map[string]struct{ file, want string }{
		"all the world":               {"trusted-proxy: [10.0.0.0/8, 0.0.0.0/0]\n", wide},
		"https and nothing for it":    {"public-url: https://id.example.com\n", noTLS},
		"https by a proxy":            {"public-url: https://id.example.com\ntrusted-proxy: 127.0.0.1\n", ""},
		"https by itself":             {"public-url: https://id.example.com\n" + tls, ""},
		"http":                        {"public-url: http://id.example.com\n", ""},
		"rules and nobody to ask":     {"public-url: http://id.example.com\ngate: {rules: [{host: a.example, require: any}]}\n", unasked},
		"rules of husk's own proxy":   {"public-url: http://id.example.com\ngate: {rules: [{host: a.example, require: any, upstream: 'http://127.0.0.1:1'}]}\n", ""},
		"one of both":                 {"public-url: http://id.example.com\ngate: {rules: [{host: a.example, require: any, upstream: 'http://127.0.0.1:1'}, {host: b.example, require: any}]}\n", unasked},
		"two rules, one upstream":     {"public-url: http://id.example.com\ngate: {rules: [{host: a.example, path: /open, require: public}, {host: a.example, require: any, upstream: 'http://127.0.0.1:1'}]}\n", ""},
		"rules and a proxy":           {"trusted-proxy: 127.0.0.1\n" + goodRule, insecure},
		"all that a proxy needs":      {"public-url: https://auth.example.com\ntrusted-proxy: 127.0.0.1\n" + goodRule, ""},
		"no rules yet":                {"gate: {cookie_domain: example.com}\n", ""},
		"networks that are one's own": {"trusted-proxy: [10.0.0.0/8, 'fd00::/8', 127.0.0.1]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := writeFile(t, dir, "husk.yaml", c.file)
			d := program{data: filepath.Join(dir, "data")}.start(t, "--config", path)
			d.ready()
			d.end()
			check := runHere(t, nil, "", "config", "check", path)
			if check.code != exitDone {
				t.Fatal(check.errors)
			}
			for which, said := range map[string]string{"serve": d.log.String(), "config check": check.errors} {
				for _, warning := range []string{wide, noTLS, insecure, unasked} {
					if strings.Contains(said, warning) != (warning == c.want) {
						t.Errorf("%s: %q is said where it should not be, or is not:\n%s", which, warning, said)
					}
				}
			}
		})
	}
	path := writeFile(t, t.TempDir(), "husk.yaml", "public-url: https://id.example.com\n")
	if r := runHere(t, []string{"HUSK_TLS_CERT=" + f.cert}, "", "config", "check", path); strings.Contains(r.errors, "warning") {
		t.Errorf("it warns though the environment names the certificate: %s", r.errors)
	}
	if r := runHere(t, nil, "", "config", "check", path, "--quiet"); r.errors != "" {
		t.Errorf("--quiet says %s", r.errors)
	}
}

// TestTokenInTheOpen: nothing is asked of the other machine here.
func TestTokenInTheOpen(t *testing.T) {
	file := writeFile(t, t.TempDir(), "token", "a-token")
	for _, c := range []struct {
		server, file string
		quiet, warns bool
	}{
		{"http://id.example.com", file, false, true},
		{"http://192.0.2.1:9000", file, false, true},
		{"http://[2001:db8::1]:9000", file, false, true},
		{"http://localhost.example.com", file, false, true},
		{"HTTP://ID.example.com", file, false, true},
		{"http://id.example.com", file, true, false},
		{"http://id.example.com", "", false, false},
		{"https://id.example.com", file, false, false},
		{"http://localhost:9000", file, false, false},
		{"http://127.0.0.1:9000", file, false, false},
		{"http://[::1]:9000", file, false, false},
	} {
		var said strings.Builder
		a := &app{stderr: &said}
		a.settings.Server, a.settings.TokenFile, a.settings.Quiet = c.server, c.file, c.quiet
		s, err := a.connectRemote()
		if err != nil {
			t.Fatal(err)
		}
		s.end()
		if got := strings.HasPrefix(said.String(), "warning: the token travels unencrypted"); got != c.warns || strings.Count(said.String(), "\n") > 1 {
			t.Errorf("%s with %q, quiet %t: %q", c.server, c.file, c.quiet, said.String())
		}
	}
}
