package web

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"husk/db"
	"husk/web/api"
	"husk/web/gate"
)

// FuzzImportLine: a line of an import is a user, nobody, or refused in words of our own,
// whatever it was to be.
func FuzzImportLine(f *testing.F) {
	for _, line := range []string{
		`{"email":"ann@example.com","name":"Ann","roles":["user"],"password_hash":"$2y$05$abcdefghijklmnopqrstuuJZ0Qm9Lw1i4p6DdC2xwzvK7a1bcdefg","disabled":false}`,
		`{"email":1}`, `{"email":"a@b"}{}`, `[]`, `null`, `{"email":"a@b","password_hash":"x"}`, "{\"email\":\"\xff\"}", `{"roles":{}}`,
		"ann:$2y$10$tsq4rj0Dc1E3Audye6AKs.4K0GwIsU42jzW5ahsTB0xB9.Kp3qJG.", "ann@example.org:$apr1$a$b:more", "# ann", ":", "ann:", "a\xff:$1$x", "{:{", "ann:rqXexS6ZhobKA", " ", "#",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, in := range []importAsked{{format: api.FormatNDJSON}, {format: api.FormatHtpasswd, domain: "example.com"}, {format: api.FormatHtpasswd}} {
			var read importRead
			if err := in.readLine(&read, bytes.TrimSpace(line), 7); err != nil {
				var own *failure
				if !errors.As(err, &own) || own.status != 400 || own.line != 7 || !strings.HasPrefix(own.reason, "line 7: ") || strings.Contains(own.reason, "json:") {
					t.Fatalf("%s: %q is refused by %v", in.format, line, err)
				}
				continue
			}
			for _, u := range read.users {
				if u.Line != 7 || !utf8.ValidString(u.Email) || !utf8.ValidString(u.Name) || in.format == api.FormatHtpasswd && (u.Password == "" || !strings.Contains(u.Email, "@")) {
					t.Fatalf("%s: %q is taken as %+v", in.format, line, u)
				}
			}
			for _, h := range read.unsupportedLines {
				if h.Line != 7 || !utf8.ValidString(h.Kind) || len(h.Kind) > 50 || in.format != api.FormatHtpasswd {
					t.Fatalf("%s: %q has %+v", in.format, line, h)
				}
			}
		}
	})
}

// FuzzAllowedIPs: what is taken is a valid network, and read again the same.
func FuzzAllowedIPs(f *testing.F) {
	for _, text := range []string{"10.0.0.0/8", "2001:db8::/32", "::ffff:10.0.0.1", "::ffff:0:0/96", "fe80::1%lo", "10.0.0.1/33", "1", "", "10.0.0.7/8"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		taken, err := parsePrefixes([]string{text})
		if err != nil {
			var own *failure
			if !errors.As(err, &own) || own.status != 400 {
				t.Fatalf("%q is refused by %v", text, err)
			}
			return
		}
		again, err := parsePrefixes([]string{taken[0].String()})
		if err != nil || again[0] != taken[0] || !taken[0].IsValid() || taken[0].Addr().Is4In6() || taken[0].Addr().Zone() != "" {
			t.Fatalf("%q is taken as %v, and that as %v, %v", text, taken, again, err)
		}
	})
}

// FuzzReach: what is taken for a token's hosts, paths and methods is read again the
// same, and fits what it names itself.
func FuzzReach(f *testing.F) {
	for _, text := range []string{"app.example.com", "*.Example.COM.", "[::1]", "::0", "[2001:db8::]", "::ffff:192.0.2.1", "bücher.example", "/", "/admin/", "/caf%C3%A9", "/100%25", "/a?b", "/a%3Fb", "/%2541", "GET", "get", "*", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		one := []string{text}
		for name, lists := range map[string][3][]string{"hosts": {one, nil, nil}, "paths": {nil, one, nil}, "methods": {nil, nil, one}} {
			taken, err := parseReach(lists[0], lists[1], lists[2])
			if err != nil {
				if own := explain(err); own.status != 400 || !strings.HasPrefix(own.code, "bad_") {
					t.Fatalf("%s: %q is refused by %v", name, text, err)
				}
				continue
			}
			again, err := parseReach(taken.AllowedHosts, taken.AllowedPaths, taken.AllowedMethods)
			if err != nil || !reflect.DeepEqual(again, taken) {
				t.Fatalf("%s: %q is taken as %+v, and that as %+v, %v", name, text, taken, again, err)
			}
		}
	})
}

// A token's hosts and paths fit what those of a rule of the gate fit.
func TestReachFitsAsRulesDo(t *testing.T) {
	hosts := []string{"a", "a.b", "b.b", "*.b", "*.a.b", "a.a.b", "::1", "xb"}
	paths := []string{"/", "/a", "/a/", "/ab", "/a/b", "/a/b/", "/b"}
	for _, pattern := range hosts {
		for _, host := range hosts {
			k := &db.Reach{AllowedHosts: []string{pattern}}
			if got := k.Reaches("GET", host, "/"); got != gate.HostFits(pattern, host) {
				t.Errorf("%s fits %s: %t", pattern, host, got)
			}
		}
	}
	for _, pattern := range paths {
		for _, path := range paths {
			k := &db.Reach{AllowedPaths: []string{pattern}}
			if got := k.Reaches("GET", "a", path); got != gate.PathFits(pattern, path) {
				t.Errorf("%s fits %s: %t", pattern, path, got)
			}
		}
	}
}

// FuzzHop: a hop of a forwarded header is an address, with or without a port,
// or nothing.
func FuzzHop(f *testing.F) {
	for _, hop := range []string{"192.0.2.7", "192.0.2.7:80", "[fd00::1]:9", "fd00::1", "[fd00::1]", "::ffff:192.0.2.7", "unknown", "_hidden", "192.0.2.7:", "fe80::1%eth0", ""} {
		f.Add(hop)
	}
	f.Fuzz(func(t *testing.T, hop string) {
		address, ok := parseHop(hop)
		if !ok {
			return
		}
		if !address.IsValid() || address.Is4In6() || address.Zone() != "" {
			t.Fatalf("%q is taken as %v", hop, address)
		}
		if again, ok := parseHop(netip.AddrPortFrom(address, 80).String()); !ok || again != address {
			t.Fatalf("%q is %v, and with a port %v", hop, address, again)
		}
	})
}
