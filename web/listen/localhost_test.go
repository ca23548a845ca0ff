package listen

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
)

func TestLocalhost(t *testing.T) {
	for addr, want := range map[string][]string{
		"localhost:80":        {"127.0.0.1:80", "[::1]:80"},
		"LocalHost.:80":       {"127.0.0.1:80", "[::1]:80"},
		"wiki.localhost:9000": {"127.0.0.1:9000", "[::1]:9000"},
		"localhost":           nil,
		"notlocalhost:80":     nil,
		"localhost.test:80":   nil,
		"127.0.0.1:80":        nil,
		":80":                 nil,
		"[::1]:80":            nil,
	} {
		if got := Localhost(addr); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
}

// Nobody is asked where localhost is, and whoever listens there is reached, by IPv6 too.
func TestDialLocalhost(t *testing.T) {
	asked := errors.New("somebody was asked for a name")
	dial := Dial(&net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, asked }}})
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, host := range []string{"localhost", "app.localhost."} {
			c, err := dial(t.Context(), "tcp", net.JoinHostPort(host, port))
			if err != nil {
				t.Errorf("%s at %s: %v", host, at, err)
				continue
			}
			c.Close()
		}
		l.Close()
		if _, err := dial(t.Context(), "tcp", net.JoinHostPort("localhost", port)); err == nil || errors.Is(err, asked) {
			t.Errorf("where nobody listens: %v", err)
		}
	}
	if _, err := dial(t.Context(), "tcp", "app.example.com:80"); err == nil {
		t.Error("another name is found without asking")
	}
}

func TestListenOnLocalhost(t *testing.T) {
	l, err := On(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
		t.Errorf("it listens on %v", at)
	}
	if again, err := On(t.Context(), l.Addr().String()); err == nil {
		again.Close()
		t.Error("an address is taken twice")
	}
}
