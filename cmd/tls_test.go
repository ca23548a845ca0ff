//go:build unix

package cmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a certificate and its key, as PEM.
type pair struct {
	name      string
	cert, key []byte
}

// newPair makes a self-signed certificate for 127.0.0.1 and a name.
func newPair(t testing.TB, name string, from, to time.Time, others ...string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(from.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: append([]string{name}, others...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})}
}

func goodPair(t testing.TB, name string) pair {
	return newPair(t, name, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
}

// pairFiles are the two files of a server.
type pairFiles struct {
	t         testing.TB
	cert, key string
}

func newPairFiles(t testing.TB, p pair) pairFiles {
	dir := t.TempDir()
	f := pairFiles{t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	f.replace(f.cert, p.cert)
	f.replace(f.key, p.key)
	return f
}

// replace puts a new file in the place of an old one in one step.
func (f pairFiles) replace(path string, text []byte) {
	f.t.Helper()
	aside := path + ".new"
	err := os.WriteFile(aside, text, 0o600)
	if err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// overwrite changes a file in its place.
func (f pairFiles) overwrite(path string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func TestKeyPairAtStart(t *testing.T) {
	good, other := goodPair(t, "good"), goodPair(t, "other")
	expired := newPair(t, "expired", time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	future := newPair(t, "future", time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour))
	for _, c := range []struct {
		name      string
		cert, key []byte // nil: no file
		code      int
		want      string
	}{
		{"good", good.cert, good.key, exitDone, ""},
		{"the key of another one", good.cert, other.key, exitInvalid, "private key does not match"},
		{"expired", expired.cert, expired.key, exitInvalid, "it expired at 2"},
		{"of the future", future.cert, future.key, exitInvalid, "it is valid from 2"},
		{"garbage for a certificate", []byte("garbage"), good.key, exitInvalid, "can't be served"},
		{"garbage for a key", good.cert, []byte("garbage"), exitInvalid, "can't be served"},
		{"swapped", good.key, good.cert, exitInvalid, "can't be served"},
		{"empty", []byte{}, []byte{}, exitInvalid, "can't be served"},
		{"no certificate", nil, good.key, exitNotFound, "tls.crt: no such file"},
		{"no key", good.cert, nil, exitNotFound, "tls.key: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newPairFiles(t, pair{cert: c.cert, key: c.key})
			for path, text := range map[string][]byte{f.cert: c.cert, f.key: c.key} {
				if text == nil {
					os.Remove(path)
				}
			}
			_, err := openKeyPair(f.cert, f.key, slog.New(slog.DiscardHandler))
			if exitCode(err) != c.code || c.code != exitDone && !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %d and %q, got %d and %v", c.code, c.want, exitCode(err), err)
			}
			if err != nil && strings.Contains(err.Error(), "PRIVATE KEY") {
				t.Errorf("the key is in the error")
			}
		})
	}
}

// TestServeRefusesHalfAPair, and makes no store before it does.
func TestServeRefusesHalfAPair(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	f := newPairFiles(t, pair{cert: []byte("garbage")})
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"--tls-cert", f.cert}},
		{exitUsage, []string{"--tls-key", f.key}},
		{exitInvalid, []string{"--tls-cert", f.cert, "--tls-key", f.key}},
	} {
		r := runHere(t, []string{"HUSK_DATA=" + data}, "", append([]string{"serve", "--addr", "127.0.0.1:0"}, c.args...)...)
		if r.code != c.code {
			t.Errorf("%v: want %d, got %d: %s", c.args, c.code, r.code, r.errors)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("a store was made")
	}
}

// TestKeyPairIsReplaced replaces the files in the ways that happen, in fake
// time, and looks at what is served and what is said.
func TestKeyPairIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name    string
		steps   func(f pairFiles, next pair) // between them time passes
		serves  string
		refused int // lines in the log
	}{
		{"nothing", func(pairFiles, pair) {}, "first", 0},
		{"by rename", func(f pairFiles, next pair) {
			f.replace(f.cert, next.cert)
			f.replace(f.key, next.key)
		}, "next", 0},
		{"in place", func(f pairFiles, next pair) {
			f.overwrite(f.cert, next.cert)
			f.overwrite(f.key, next.key)
		}, "next", 0},
		{"with a look in between", func(f pairFiles, next pair) {
			f.replace(f.cert, next.cert)
			time.Sleep(certificateCheck)
			f.replace(f.key, next.key)
		}, "next", 0},
		{"with many looks in between", func(f pairFiles, next pair) {
			f.replace(f.key, next.key)
			time.Sleep(10 * certificateCheck)
			f.replace(f.cert, next.cert)
		}, "next", 1},
		{"by half", func(f pairFiles, next pair) { f.replace(f.cert, next.cert) }, "first", 1},
		{"by garbage", func(f pairFiles, next pair) { f.overwrite(f.cert, next.cert[:100]) }, "first", 1},
		{"by nothing", func(f pairFiles, _ pair) { os.Remove(f.cert) }, "first", 1},
		{"by an expired one", func(f pairFiles, _ pair) {
			expired := newPair(f.t, "expired", time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
			f.replace(f.cert, expired.cert)
			f.replace(f.key, expired.key)
		}, "first", 1},
		{"by garbage, twice", func(f pairFiles, _ pair) {
			f.overwrite(f.cert, []byte("garbage"))
			time.Sleep(10 * certificateCheck)
			f.overwrite(f.cert, []byte("other garbage"))
		}, "first", 2},
		{"through a link, as certbot does", func(f pairFiles, next pair) {
			for path, text := range map[string][]byte{f.cert: next.cert, f.key: next.key} {
				f.overwrite(path+".2", text)
				if err := os.Symlink(path+".2", path+".link"); err != nil {
					f.t.Fatal(err)
				}
				if err := os.Rename(path+".link", path); err != nil {
					f.t.Fatal(err)
				}
			}
		}, "next", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newPairFiles(t, goodPair(t, "first"))
				var log bytes.Buffer
				k, err := openKeyPair(f.cert, f.key, slog.New(slog.NewJSONHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				go k.watch(ctx)
				time.Sleep(time.Second) // changes come between two looks
				c.steps(f, goodPair(t, "next"))
				time.Sleep(5 * certificateCheck)
				cancel()
				synctest.Wait()
				if got := k.served.Load().Leaf.Subject.CommonName; got != c.serves {
					t.Errorf("%s is served, want %s", got, c.serves)
				}
				if n := strings.Count(log.String(), "was not replaced"); n != c.refused {
					t.Errorf("want %d complaints:\n%s", c.refused, &log)
				}
			})
		})
	}
}

// httpsTo is a client that trusts the pairs only, and tells which was served.
func httpsTo(t testing.TB, http2 bool, trusted ...pair) *http.Client {
	pool := x509.NewCertPool()
	for _, p := range trusted {
		pool.AppendCertsFromPEM(p.cert)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// servedName is the certificate that a new connection gets.
func servedName(t testing.TB, addr string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// TestServeTLS runs a server on https, and a renewal beside its clients.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if r := runHere(t, []string{"HUSK_DATA=" + data}, "seven crates of apricots\n", "passwd", "--password-stdin"); r.code != exitDone {
		t.Fatalf("passwd: %s", r.errors)
	}
	first, next := goodPair(t, "first"), goodPair(t, "next")
	f := newPairFiles(t, first)
	addr, socket := listenLocal(t)
	d := program{data: data, sockets: []*os.File{socket}}.spawn(t, "serve", "--tls-cert", f.cert, "--tls-key", f.key)
	d.ready()

	kept := httpsTo(t, true, first)
	for name, client := range map[string]*http.Client{"HTTP/2.0": kept, "HTTP/1.1": httpsTo(t, false, first)} {
		r, err := client.Post("https://"+addr+"/account/login", "application/json", strings.NewReader(`{"password":"seven crates of apricots"}`))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, &d.log)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		cookie := r.Header.Get("Set-Cookie")
		if r.Proto != name || r.StatusCode != 200 || r.Header.Get("Strict-Transport-Security") == "" ||
			!strings.HasPrefix(cookie, "__Host-husk_session=") || !strings.Contains(cookie, "; Secure") {
			t.Errorf("%s: got %s %d %v %s", name, r.Proto, r.StatusCode, r.Header, body)
		}
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if c, err := tls.Dial("tcp", addr, old); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}

	// Half of a renewal, then all of it. SIGHUP says at once what is wrong.
	f.replace(f.key, next.key)
	d.signal(syscall.SIGHUP)
	d.says(`"reloaded"`)
	if !strings.Contains(d.log.String(), "the TLS certificate was not replaced") {
		t.Errorf("SIGHUP did not read the TLS files:\n%s", &d.log)
	}
	d.says(`"level":"WARN","msg":"reloaded","applied":"","not_applied":"tls-cert tls-key"`)
	if got := servedName(t, addr); got != "first" {
		t.Errorf("with half a renewal %s is served", got)
	}
	if r := runHere(t, []string{"HUSK_DATA=" + data}, "", "health", "--verbose"); r.code != exitInvalid || !strings.Contains(r.out, "the TLS files can't be served") {
		t.Errorf("with half a renewal health is %d: %s", r.code, r.out)
	}
	f.replace(f.cert, next.cert)
	d.signal(syscall.SIGHUP)
	d.saysTimes(`"reloaded"`, 2)
	if got := servedName(t, addr); got != "next" {
		t.Errorf("after the renewal %s is served", got)
	}
	r, err := kept.Get("https://" + addr + "/livez") // on the connection from before
	if err != nil {
		t.Errorf("a connection did not outlive the renewal: %v", err)
	} else {
		r.Body.Close()
	}
	d.end()
}

// TestStopHTTP2 ends a server on https beside clients who hold it: idle, in the
// middle of a handshake, and in the middle of bodies, one of which is read.
func TestStopHTTP2(t *testing.T) {
	t.Parallel()
	own := goodPair(t, "own")
	f := newPairFiles(t, own)
	d := program{data: newData(t)}.start(t, "--tls-cert", f.cert, "--tls-key", f.key)
	d.ready()
	addr := d.addr
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client := httpsTo(t, true, own)
	ask := func() {
		t.Helper()
		r, err := client.Get("https://" + addr + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.ProtoMajor != 2 {
			t.Errorf("it speaks %s", r.Proto)
		}
	}
	ask()
	var held sync.WaitGroup
	for _, path := range []string{"/account/login", "/nowhere"} {
		body, more := io.Pipe()
		defer more.Close()
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		held.Go(func() {
			if answer, err := client.Do(r); err == nil {
				answer.Body.Close()
			}
		})
		if _, err := io.WriteString(more, `{"passw`); err != nil && path != "/nowhere" {
			t.Fatal(err)
		}
	}
	ask() // on the same connection: what was sent before has arrived
	began := time.Now()
	d.end()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the end took %v", took)
	}
	if strings.Contains(d.log.String(), "panic") {
		t.Errorf("the log has\n%s", &d.log)
	}
	held.Wait()
}
