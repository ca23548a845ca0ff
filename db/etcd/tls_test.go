package etcd

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/etcd/etcdtest"
)

// TestTLS: who is signed by the CA is let in, and who is not is told what is wrong.
func TestTLS(t *testing.T) {
	ca, another := etcdtest.NewCA(t), etcdtest.NewCA(t)
	c := etcdtest.Start(t, etcdtest.Options{CA: ca})
	good := ca.Issue(t, "husk", time.Now().Add(time.Hour))
	expired := ca.Issue(t, "late", time.Now().Add(-time.Minute))
	o := Options{Endpoints: c.Endpoints(), Prefix: "husk", TLS: &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{good.TLS}}}
	if err := Create(t.Context(), o, func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}
	if got := values(t, opened(t, o)); len(got) != 1 {
		t.Errorf("it has %q", got)
	}
	for name, tt := range map[string]struct {
		tls   *tls.Config
		words string
	}{
		"no TLS":             {nil, "127.0.0.1"},
		"another CA":         {&tls.Config{RootCAs: another.Pool, Certificates: []tls.Certificate{good.TLS}}, "certificate signed by unknown authority"},
		"no certificate":     {&tls.Config{RootCAs: ca.Pool}, "127.0.0.1"},
		"one that has ended": {&tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{expired.TLS}}, `the certificate "late", which etcd is shown, ended on `},
		"one of another CA":  {&tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{another.Issue(t, "x", time.Now().Add(time.Hour)).TLS}}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o
			o.TLS = tt.tls
			began := time.Now()
			e, err := Open(t.Context(), o)
			if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), tt.words) || time.Since(began) > 5*time.Second {
				t.Errorf("after %v it is %v, want %q", time.Since(began), err, tt.words)
			}
			if err == nil {
				e.Close()
			}
		})
	}
}

// TestPassword: etcd's own users, and what their roles may.
func TestPassword(t *testing.T) {
	c := etcdtest.Start(t, etcdtest.Options{})
	plain := created(t, c.Endpoints()...)
	client := opened(t, plain).members.all[0].client
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.RoleAdd(ctx, "root"))
	must(client.UserAdd(ctx, "root", "root's"))
	must(client.UserGrantRole(ctx, "root", "root"))
	must(client.RoleAdd(ctx, "husk"))
	must(client.RoleGrantPermission(ctx, "husk", plain.Prefix+"/", plain.Prefix+"0", 2))
	must(client.UserAdd(ctx, "husk", "husk's"))
	must(client.UserGrantRole(ctx, "husk", "husk"))
	must(client.UserAdd(ctx, "guest", "guest's"))
	must(client.AuthEnable(ctx))
	with := func(user, password string) error {
		o := plain
		o.User, o.Password = user, password
		e, err := Open(ctx, o)
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Update(ctx, func(tx db.Tx) error { return tx.Put("b", []byte("k"), []byte("v")) })
	}
	if err := with("husk", "husk's"); err != nil {
		t.Errorf("who may: %v", err)
	}
	for name, err := range map[string]error{"a wrong password": with("husk", "wrong"), "nobody": with("", ""), "who may not": with("guest", "guest's")} {
		var e *db.Error
		if !errors.As(err, &e) || e.Kind != db.ErrUnavailable || e.Code != "store_denied" || !strings.Contains(e.Reason, "--etcd-user") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
