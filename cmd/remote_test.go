//go:build unix

package cmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/web/token"
)

// TestServerAuthority goes to a server of an authority that the machine does
// not know: only --server-ca leads in, and its own mistakes have their words.
func TestServerAuthority(t *testing.T) {
	t.Parallel()
	good, other := goodPair(t, "localhost"), goodPair(t, "localhost")
	ended := newPair(t, "localhost", time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	early := newPair(t, "localhost", time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour))
	elsewhere := goodPair(t, "id.example.com")
	health := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"status":"green","version":"1","uptime":1}`))
	})
	dir := t.TempDir()
	file := func(name string, p pair) string { return writeFile(t, dir, name, string(p.cert)) }
	goodFile := file("good.pem", good)
	for _, c := range []struct {
		name   string
		serves pair
		ca     string
		code   int
		says   string
	}{
		{"named", good, goodFile, exitDone, "green"},
		{"not named", good, "", exitBusy, "--server-ca FILE"},
		{"another authority", good, file("other.pem", other), exitBusy, "none of the authorities in"},
		{"ended", ended, file("ended.pem", ended), exitBusy, "its certificate ended at "},
		{"not yet valid", early, file("early.pem", early), exitBusy, "its certificate is valid from "},
		{"of another name", elsewhere, file("elsewhere.pem", elsewhere), exitBusy, "its certificate is for id.example.com, 127.0.0.1, not for localhost"},
		{"no file", good, dir + "/absent.pem", exitNotFound, "absent.pem: no such file or directory"},
		{"no certificate", good, writeFile(t, dir, "key.pem", string(good.key)), exitUsage, "-----BEGIN CERTIFICATE-----"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(health)
			certificate, err := tls.X509KeyPair(c.serves.cert, c.serves.key)
			if err != nil {
				t.Fatal(err)
			}
			s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
			args := []string{"health", "--server", "https://localhost:" + port}
			if c.ca != "" {
				args = append(args, "--server-ca", c.ca)
			}
			r := runHere(t, nil, "", args...)
			if r.code != c.code || !strings.Contains(r.out+r.errors, c.says) {
				t.Errorf("%+v", r)
			}
		})
	}
	r := runHere(t, nil, "", "health", "--server", "http://localhost:1", "--server-ca", goodFile)
	if r.code != exitUsage || !strings.Contains(r.errors, "--server-ca is for a server of https") {
		t.Errorf("%+v", r)
	}
}

// TestWrongScheme goes to a port with the other scheme, of a husk and of
// something else.
func TestWrongScheme(t *testing.T) {
	t.Parallel()
	f := newPairFiles(t, goodPair(t, "localhost"))
	secure := program{data: newData(t)}.serve(t, "--tls-cert", f.cert, "--tls-key", f.key)
	plain := program{data: newData(t)}.serve(t)
	something := httptest.NewTLSServer(http.NotFoundHandler())
	defer something.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	for _, c := range []struct{ name, url, says string }{
		{"http to a husk of https", "http://" + secure.addr, "that port speaks TLS, and --server says http\n  give --server https://" + secure.addr},
		{"http to another of https", "http://" + something.Listener.Addr().String(), "that port speaks TLS"},
		{"https to a husk of http", "https://" + plain.addr, "that port does not speak TLS, and --server says https\n  give --server http://" + plain.addr},
		{"http to no husk", page.URL, "the server answered with status 404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runHere(t, nil, "", "user", "list", "--server", c.url)
			if !strings.Contains(r.errors, c.says) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestProxyIsBlamed says that it is the proxy of the environment that does not
// answer, where it is.
func TestProxyIsBlamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := url.URL{Scheme: "http", Host: l.Addr().String()}
	l.Close()
	c := program{data: newData(t), env: []string{"HTTPS_PROXY=" + proxy.String(), "NO_PROXY="}}
	r := c.want(t, exitBusy, "health", "--server", "https://id.example.com")
	if !strings.Contains(r.stderr, "the proxy "+proxy.Host+" does not answer") {
		t.Errorf("%+v", r)
	}
}

// A command that is interrupted between a change and its answer learns of the
// answer all the same, and takes back what it made.
func TestRemoteInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancelCause(t.Context())
	revoked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			revoked <- r.URL.Path
			_, _ = io.WriteString(w, `{"_id":"made","result":"deleted"}`)
			return
		}
		interrupt(&interruption{syscall.SIGINT})
		_, _ = io.WriteString(w, `{"_id":"made","name":"x","access_token":"secret","expire_in":-1,"status":"ok"}`)
	}))
	defer server.Close()
	secret, _ := token.New()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	code := a.run(ctx, []string{"token", "create", "--server", server.URL, "--token-file", writeFile(t, t.TempDir(), "token", secret+"\n")})
	if want := "the command was interrupted; it is revoked again"; code != 130 || stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
		t.Errorf("it ends with %d, prints %q, and says %s", code, &stdout, &stderr)
	}
	select {
	case path := <-revoked:
		if path != "/auth/access_token/made" {
			t.Errorf("revoked: %s", path)
		}
	default:
		t.Error("nothing was revoked")
	}
}
