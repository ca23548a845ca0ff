package api_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// Why no answer came is said in words for an operator, not in those of a
// library.
func TestUnreachableWords(t *testing.T) {
	quiet := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(s.Close)
		return s
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})
	plain, secure := quiet(httptest.NewServer(hello)), quiet(httptest.NewTLSServer(hello))
	cut := quiet(httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
	trusting := func(at time.Time) *http.Client {
		roots := x509.NewCertPool()
		roots.AddCert(secure.Certificate())
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Time: func() time.Time { return at }}}}
	}
	unresolved := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "husk.invalid", IsNotFound: true}}
	}}}
	port := secure.URL[strings.LastIndexByte(secure.URL, ':'):]
	stopped, stop := context.WithCancel(t.Context())
	stop()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		client api.Client
		want   string
	}{
		"refused":     {t.Context(), api.Client{Base: "http://127.0.0.1:1"}, "the connection is refused, nothing listens there"},
		"no name":     {t.Context(), api.Client{Base: "http://husk.invalid", HTTP: unresolved}, "the name of the host can't be resolved"},
		"cut":         {t.Context(), api.Client{Base: cut.URL}, "the connection was cut"},
		"no TLS":      {t.Context(), api.Client{Base: "https" + strings.TrimPrefix(plain.URL, "http")}, "it does not speak TLS; is it http:// there?"},
		"untrusted":   {t.Context(), api.Client{Base: secure.URL}, "its certificate is of an authority that this machine does not trust"},
		"another":     {t.Context(), api.Client{Base: "https://localhost" + port, HTTP: trusting(time.Now())}, "its certificate is for example.com, *.example.com, 127.0.0.1, others, not for localhost"},
		"expired":     {t.Context(), api.Client{Base: secure.URL, HTTP: trusting(time.Now().AddDate(1000, 0, 0))}, "its certificate ended at 2084-01-29T16:00:00Z"},
		"interrupted": {stopped, api.Client{Base: plain.URL}, "interrupted"},
		"too late":    {late, api.Client{Base: plain.URL}, "it took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.client.Health(c.ctx)
			if err == nil || err.Error() != "husk does not answer: "+c.want {
				t.Errorf("%v", err)
			}
		})
	}
}
