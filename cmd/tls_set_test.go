//go:build unix

package cmd

import (
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// openPairs opens pairs of the files of each.
func openPairs(t *testing.T, all ...pair) (pairs keyPairs, files []pairFiles) {
	t.Helper()
	for _, p := range all {
		f := newPairFiles(t, p)
		opened, err := openKeyPair(f.cert, f.key, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		pairs, files = append(pairs, opened), append(files, f)
	}
	return pairs, files
}

// servedTo is the certificate that who asks for a host gets.
func servedTo(t testing.TB, addr, host string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestCertificateByHost(t *testing.T) {
	t.Parallel()
	pairs, _ := openPairs(t, goodPair(t, "id.example.com"), goodPair(t, "*.example.com"), goodPair(t, "wiki.example.com"))
	hello := &tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}}
	for host, want := range map[string]string{
		"id.example.com": "id.example.com", "wiki.example.com": "wiki.example.com", "WIKI.example.com": "wiki.example.com",
		"grafana.example.com": "*.example.com", "a.b.example.com": "id.example.com", "example.com": "id.example.com", "": "id.example.com", "other.net": "id.example.com",
	} {
		hello.ServerName = host
		if got := pairs.choose(hello).Leaf.Subject.CommonName; got != want {
			t.Errorf("%q gets %s, want %s", host, got, want)
		}
	}
	hello.ServerName, hello.SignatureSchemes = "wiki.example.com", []tls.SignatureScheme{tls.PSSWithSHA256} // none can be used
	if got := pairs.choose(hello).Leaf.Subject.CommonName; got != "id.example.com" {
		t.Errorf("who can use none gets %s", got)
	}
	for host, want := range map[string]bool{"wiki.example.com": true, "grafana.example.com": true, "*.example.com": true, "*.EXAMPLE.com": true, "127.0.0.1": true, "*.wiki.example.com": false, "example.com": false, "::1": false} {
		if got := pairs.covers(host); got != want {
			t.Errorf("%s is covered: %t", host, got)
		}
	}
}

func TestEarliestCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	soon := newPair(t, "soon", now.Add(-time.Hour), now.Add(time.Hour))
	pairs, files := openPairs(t, goodPair(t, "first"), soon, goodPair(t, "third"))
	if got := pairs.expiry(); !got.Equal(pairs[1].served.Load().Leaf.NotAfter) {
		t.Errorf("the first to end does so at %v", got)
	}
	if pairs.stale() || !pairs.reload() {
		t.Error("what is right is stale")
	}
	files[2].overwrite(files[2].cert, []byte("garbage"))
	files[0].replace(files[0].cert, goodPair(t, "other").cert)
	next := goodPair(t, "next")
	files[1].replace(files[1].cert, next.cert)
	files[1].replace(files[1].key, next.key)
	if pairs.reload() || !pairs.stale() {
		t.Error("what can't be served is not stale")
	}
	if got := pairs[1].served.Load().Leaf.Subject.CommonName; got != "next" {
		t.Errorf("beside what can't be served %s is served", got)
	}
}

// TestServeSeveralCertificates: by the host that is asked for, and each is renewed.
func TestServeSeveralCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, wiki := newPairFiles(t, goodPair(t, "id.example.com")), newPairFiles(t, goodPair(t, "wiki.example.com"))
	rules := writeFile(t, dir, "husk.yaml", gateHead+"  rules:\n"+
		"    - {host: wiki.example.com, require: any, upstream: 'http://127.0.0.1:1'}\n"+
		"    - {host: grafana.example.com, require: any, upstream: 'http://127.0.0.1:1'}\n"+
		"    - {host: grafana.example.com, path: /api, require: any, upstream: 'http://127.0.0.1:1'}\n"+
		"    - {host: elsewhere.example.com, require: any}\n")
	args := []string{"--config", rules, "--tls-cert", first.cert, "--tls-key", first.key, "--tls-cert", wiki.cert, "--tls-key", wiki.key}
	d := program{data: filepath.Join(dir, "data")}.start(t, args...)
	d.ready()
	for host, want := range map[string]string{"wiki.example.com": "wiki.example.com", "id.example.com": "id.example.com", "other.example.com": "id.example.com", "": "id.example.com"} {
		if got := servedTo(t, d.addr, host); got != want {
			t.Errorf("%q gets %s, want %s", host, got, want)
		}
	}
	before := goodPair(t, "wiki.example.com")
	wiki.replace(wiki.cert, before.cert)
	wiki.replace(wiki.key, before.key)
	d.signal(syscall.SIGHUP)
	d.says(`"msg":"reloaded","applied":""`)
	c, err := tls.Dial("tcp", d.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "wiki.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	block, _ := pem.Decode(before.cert)
	if !slices.Equal(c.ConnectionState().PeerCertificates[0].Raw, block.Bytes) {
		t.Error("the second certificate was not renewed")
	}
	d.end()
	const warning = "no certificate of tls-cert names grafana.example.com"
	show := runHere(t, nil, "", append([]string{"config", "show"}, args...)...)
	for which, said := range map[string]string{"serve": d.log.String(), "config show": show.errors} {
		if strings.Count(said, "no certificate of tls-cert names") != 1 || !strings.Contains(said, warning) {
			t.Errorf("%s does not warn of grafana.example.com once:\n%s", which, said)
		}
	}
	if r := runHere(t, []string{"HUSK_TLS_CERT=" + first.cert + "," + wiki.cert, "HUSK_TLS_KEY=" + first.key + "," + wiki.key}, "", "config", "check", rules); r.code != exitDone || !strings.Contains(r.errors, warning) {
		t.Errorf("config check: %d, %s", r.code, r.errors)
	}
}

// TestPairsThatDoNotFit is what 'config check' and serve say of several.
func TestPairsThatDoNotFit(t *testing.T) {
	t.Parallel()
	one, two := newPairFiles(t, goodPair(t, "one")), newPairFiles(t, goodPair(t, "two"))
	list := func(paths ...string) string { return "[" + strings.Join(paths, ", ") + "]\n" }
	for name, c := range map[string]struct{ text, want string }{
		"too few keys":        {"tls-cert: " + list(one.cert, two.cert) + "tls-key: " + one.key + "\n", ":2: tls-cert names 2 files and tls-key 1 file"},
		"too many":            {"tls-cert: " + one.cert + "\ntls-key: " + list(one.key, two.key), ":2: tls-cert names 1 file and tls-key 2 files"},
		"none":                {"tls-cert: " + list(one.cert, two.cert), ":1: tls-cert needs tls-key"},
		"in another order":    {"tls-cert: " + list(one.cert, two.cert) + "tls-key: " + list(two.key, one.key), ":1: tls-cert: the TLS certificate " + one.cert + " can't be served with the key " + two.key},
		"the second is wrong": {"tls-cert: " + list(one.cert, two.key) + "tls-key: " + list(one.key, two.key), ":1: tls-cert: the TLS certificate " + two.key + " can't be served"},
		"an empty one":        {"tls-cert: " + list(one.cert, "''") + "tls-key: " + list(one.key, two.key), ":1: tls-cert: it is empty"},
		"a home":              {"tls-cert: " + list(one.cert, "~/two") + "tls-key: " + list(one.key, two.key), ":1: tls-cert: only shells make a home folder of ~"},
	} {
		path := writeFile(t, t.TempDir(), "husk.yaml", c.text)
		if r := runHere(t, nil, "", "config", "check", path); r.code != exitInvalid || !strings.HasPrefix(r.out, path) || !strings.Contains(r.out, c.want) {
			t.Errorf("%s: %d, %s%s\nwant %s", name, r.code, r.out, r.errors, c.want)
		}
	}
	if r := runRefused(t, nil, "serve", "--addr", "127.0.0.1:0", "--tls-cert", one.cert, "--tls-cert", two.cert, "--tls-key", one.key); r.code != exitUsage || !strings.Contains(r.errors, "give each certificate its key, in the same order") {
		t.Errorf("serve: %d, %s", r.code, r.errors)
	}
	fine := writeFile(t, t.TempDir(), "husk.yaml", "tls-cert: "+list(one.cert, two.cert)+"tls-key: "+list(one.key, two.key))
	if r := runHere(t, nil, "", "config", "check", fine); r.code != exitDone {
		t.Errorf("what is right: %d, %s", r.code, r.out)
	}
}
