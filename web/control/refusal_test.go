//go:build unix

package control

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// counted serves HTTP on the control socket of a folder and counts what comes.
func counted(t *testing.T, headerTimeout time.Duration) (dir string, requests *atomic.Int64) {
	t.Helper()
	dir, requests = wideFolder(t), &atomic.Int64{}
	srv := &http.Server{ReadHeaderTimeout: headerTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(w, r.Body)
	})}
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v", err)
		}
	})
	return dir, requests
}

func rawDial(t *testing.T, dir string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil { // else a failing test hangs
		t.Fatal(err)
	}
	return c
}

// What does not begin with the preface gets one line and no HTTP, and is no
// request.
func TestWithoutThePreface(t *testing.T) {
	dir, requests := counted(t, time.Minute)
	get := "GET /account/profile HTTP/1.1\r\nHost: husk\r\n\r\n"
	for name, text := range map[string]string{
		"HTTP":             get,
		"HTTP/2":           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"an empty line":    "\n" + preface + get,
		"a space":          " " + preface + get,
		"CRLF":             "HUSK-CONTROL 1\r\n" + get,
		"another version":  "HUSK-CONTROL 2\n" + get,
		"lower case":       "husk-control 1\n" + get,
		"a proxy protocol": "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + preface + get,
		"a huge line":      strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			c := rawDial(t, dir)
			go func() { _, _ = io.WriteString(c, text) }() // a huge one is not taken
			wantRefusal(t, c, len(text) > refusedBytes)
		})
	}
	t.Run("TLS", func(t *testing.T) {
		c := rawDial(t, dir)
		err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
		var no tls.RecordHeaderError
		if !errors.As(err, &no) || string(no.RecordHeader[:]) != refusal[:5] {
			t.Errorf("Handshake = %v", err)
		}
	})
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were handled", n)
	}
}

func wantRefusal(t *testing.T, c net.Conn, huge bool) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil && !(huge && errors.Is(err, syscall.ECONNRESET)) || string(got) != refusal { // reset: not all was read
		t.Errorf("it is told %q, %v", got, err)
	}
}

// Who says nothing, or says it a byte at a time, holds nothing for longer than
// a header may take.
func TestPrefaceTakesNoLongerThanAHeader(t *testing.T) {
	dir, requests := counted(t, 20*time.Millisecond)
	for _, said := range []string{"", "H", preface[:len(preface)-1]} {
		c := rawDial(t, dir)
		if _, err := io.WriteString(c, said); err != nil {
			t.Error(err)
		}
		wantRefusal(t, c, false)
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were handled", n)
	}
}

// The line and what follows may come in one piece or in many.
func TestPrefaceInPieces(t *testing.T) {
	dir, _ := counted(t, time.Minute)
	text := preface + "POST / HTTP/1.1\r\nHost: husk\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
	for _, size := range []int{len(text), len(preface) + 1, 1} {
		c := rawDial(t, dir)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(got), preface+"HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(string(got), "\r\n\r\nbody") {
			t.Errorf("in pieces of %d: %q, %v", size, got, err)
		}
	}
}

// A proxy that root pointed at the socket, and that tells nothing of whom it
// speaks for, reaches nothing.
func TestProxyAtTheSocket(t *testing.T) {
	dir, requests := counted(t, time.Minute)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "husk"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, Name))
		}},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if !strings.Contains(err.Error(), "this-control-socket-is-for-the-husk-command-of-the-same-version") && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) &&
				!errors.Is(err, net.ErrClosed) { // its own end, on reading the line while it wrote
				t.Errorf("the proxy sees %v", err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequest(method, "http://public/security/user", strings.NewReader("{}")))
		if w.Code != http.StatusBadGateway {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were handled", n)
	}
}

// A server of before the preface, and one that ends just then.
func TestDialWithoutAnAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		serve func(net.Listener)
		want  error
	}{
		"older":  {func(l net.Listener) { _ = http.Serve(l, http.NotFoundHandler()) }, ErrOlder},
		"ending": {func(l net.Listener) { c, _ := l.Accept(); _ = c.Close() }, ErrNoServer},
		"reset":  {func(l net.Listener) { _ = l.Close() }, ErrNoServer},
	} {
		t.Run(name, func(t *testing.T) {
			dir := wideFolder(t)
			l, err := net.Listen("unix", filepath.Join(dir, Name))
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() { defer close(done); test.serve(l) }()
			if _, err := Dial(t.Context(), dir); !errors.Is(err, test.want) {
				t.Errorf("Dial = %v", err)
			}
			_ = l.Close()
			<-done
		})
	}
}
