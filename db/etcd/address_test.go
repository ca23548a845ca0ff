package etcd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/etcd/etcdtest"
)

func TestParseAddress(t *testing.T) {
	for address, want := range map[string]string{
		"etcd://10.0.0.1:2379":                      "10.0.0.1:2379 husk",
		"etcd://10.0.0.1":                           "10.0.0.1:2379 husk",
		"etcd://a:1,b:2,c:3/company/husk":           "a:1,b:2,c:3 company/husk",
		"etcd://a:1,a:1/husk/":                      "a:1 husk",
		"etcd://a:1/":                               "a:1 husk",
		"etcd://[::1]:2379,[fe80::1]/x":             "[::1]:2379,[fe80::1]:2379 x",
		"etcd://etcd-0.etcd.default.svc:2379/_husk": "begins with _",
		"etcd://a:1/x/_note":                        "begins with _",
		"etcd://a:1/x//y":                           "is empty",
		"etcd://a:1/x y":                            `' ' in it`,
		"etcd://a:1/x\ty":                           `"\t" in it`,
		"etcd://a:1/ä":                              `"\xc3" in it`,
		"etcd://a:1/" + strings.Repeat("x", 201):    "more than 200 bytes",
		"etcd://a:1/" + strings.Repeat("x", 200):    "a:1 " + strings.Repeat("x", 200),
		"etcd://":                                   "names no member",
		"etcd:///husk":                              "names no member",
		"etcd://a:1,,b:2":                           "names no member",
		"etcd://:2379":                              "names no host",
		"etcd://a:0":                                `"0" is no port`,
		"etcd://a:http":                             `"http" is no port`,
		"etcd://a:70000":                            `"70000" is no port`,
		"etcd://::1":                                "stands in [ ]",
		"etcd://[a:b]:1":                            "names no host",
		"etcd://root:secret@a:1":                    "a name or a password",
		"etcd://a:1/husk?timeout=1s":                `'?' in it`,
		"http://a:1":                                "does not begin with etcd://",
		"/var/lib/husk":                             "does not begin with etcd://",
		"":                                          "does not begin with etcd://",
	} {
		endpoints, prefix, err := ParseAddress(address)
		got := strings.Join(endpoints, ",") + " " + prefix
		if err != nil {
			if got = err.Error(); !errors.Is(err, db.ErrInvalid) || strings.Contains(got, "secret") {
				t.Errorf("%s: %#v", address, err)
			}
			if strings.Contains(got, want) {
				continue
			}
		} else if again, prefix2, err := ParseAddress(Address(endpoints, prefix)); err != nil || !slices.Equal(again, endpoints) || prefix2 != prefix {
			t.Errorf("%s comes back as %q below %q, %v", address, again, prefix2, err)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"etcd://a:1,b:2/husk", "etcd://[::1]:2379", "etcd://a/x/y", "etcd://a:1@b", "etcd://[a]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		endpoints, prefix, err := ParseAddress(address)
		if err != nil {
			return
		}
		again, prefix2, err := ParseAddress(Address(endpoints, prefix))
		if err != nil || !slices.Equal(again, endpoints) || prefix2 != prefix || len(endpoints) == 0 || prefix == "" {
			t.Errorf("%q is %q below %q, and comes back as %q below %q, %v", address, endpoints, prefix, again, prefix2, err)
		}
	})
}

// TestTLSFiles: what files say is what is used; a certificate that was renewed is shown
// without a restart, and what is wrong with one is told.
func TestTLSFiles(t *testing.T) {
	ca := etcdtest.NewCA(t)
	c := etcdtest.Start(t, etcdtest.Options{CA: ca})
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	issue := func(name string, end time.Time) {
		t.Helper()
		made := ca.Issue(t, name, end)
		for to, from := range map[string]string{cert: made.CertFile, key: made.KeyFile} {
			text, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	issue("husk", time.Now().Add(time.Hour))
	files := TLSFiles{CA: ca.File, Cert: cert, Key: key}
	config, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Endpoints: c.Endpoints(), Prefix: "husk", TLS: config}
	if err := Create(t.Context(), o, func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}
	issue("late", time.Now().Add(-time.Minute))
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), `"late"`) {
		t.Errorf("a certificate that ended since: %v", err)
	}
	issue("renewed", time.Now().Add(time.Hour))
	if got := values(t, opened(t, o)); len(got) != 1 {
		t.Errorf("with the renewed one there is %q", got)
	}
	broken := filepath.Join(dir, "broken.pem")
	if err := os.WriteFile(broken, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, files := range map[string]TLSFiles{
		"--etcd-ca":                           {CA: filepath.Join(dir, "none")},
		"no certificate in PEM":               {CA: broken},
		"needs its key":                       {Cert: cert},
		"the other way round":                 {CA: ca.File, Key: key},
		"can't be used":                       {Cert: broken, Key: key},
		fmt.Sprintf("open %s/none.pem", dir):  {Cert: cert, Key: filepath.Join(dir, "none.pem")},
		"private key does not match public k": {Cert: cert, Key: ca.Issue(t, "another", time.Now().Add(time.Hour)).KeyFile},
	} {
		if c, err := files.Config(); c != nil || !errors.Is(err, db.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", files, err, says)
		}
	}
	if c, err := (TLSFiles{}).Config(); c != nil || err != nil {
		t.Errorf("without files there is %v, %v", c, err)
	}
}

// TestMembers: each member tells of itself, and of one that says nothing that is told.
func TestMembers(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{Members: 3})
	e := opened(t, created(t, c.Endpoints()...))
	leads := 0
	for i, m := range e.Members(t.Context()) {
		if m.Err != nil || m.Endpoint != c.Members[i].Endpoint || !strings.HasPrefix(m.Version, "3.") || m.Size < m.InUse || m.InUse == 0 || m.Learner || len(m.Alarms) > 0 || m.Behind > 1000 {
			t.Errorf("member %d: %+v", i, m)
		}
		if m.Leads {
			leads++
		}
	}
	if leads != 1 {
		t.Errorf("%d members lead", leads)
	}
	c.Members[1].Stop()
	defer c.Members[1].Continue()
	c.Members[2].Kill()
	began := time.Now()
	all := e.Members(t.Context())
	if time.Since(began) > 3*time.Second || all[0].Err != nil || all[1].Err == nil || all[2].Err == nil {
		t.Errorf("after %v: %+v", time.Since(began), all)
	}
	if len(all[0].Alarms) > 0 && all[0].Alarms[0] != "no leader" {
		t.Errorf("who has no leader says %q", all[0].Alarms)
	}
}
