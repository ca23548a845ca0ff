package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	nethttptest "net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"husk/web"
	"husk/web/api"
	"husk/web/listen"
)

// trailers are so many names, with commas between and before.
func trailers(n int) (list string) {
	for i := range n {
		list += ",t" + strconv.Itoa(i)
	}
	return list
}

// What is just short enough is taken, with HTTP/1 and with HTTP/2, which has
// limits of its own.
func TestLongHeadersAreTaken(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *web.Config) { c.TLS = true })
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			server := nethttptest.NewUnstartedServer(nil)
			server.Config, server.EnableHTTP2 = s.HTTPServer(), version == 2
			server.StartTLS()
			defer server.Close()
			for size, want := range map[int]int{8 << 10: 200, 11 << 10: 200, 17 << 10: 431} {
				if version == 2 && want != 200 {
					continue // the client does not even send it
				}
				r, err := http.NewRequest("GET", server.URL+"/livez", nil)
				must(t, err)
				r.Header.Set("X-A", strings.Repeat("a", size))
				answer, err := server.Client().Do(r)
				if err != nil || answer.StatusCode != want || answer.ProtoMajor != version {
					t.Errorf("a header of %d bytes: %v, %v", size, answer, err)
				}
				if err == nil {
					answer.Body.Close()
				}
			}
			for fields, want := range map[int]int{90: 200, 101: 431} {
				r, err := http.NewRequest("GET", server.URL+"/livez", nil)
				must(t, err)
				for i := range fields {
					r.Header["A"+strconv.Itoa(i)] = []string{""}
				}
				answer, err := server.Client().Do(r)
				must(t, err)
				if answer.StatusCode != want {
					t.Errorf("%d fields: %v", fields, answer)
				}
				// A refusal has the headers of every answer.
				for _, name := range []string{"X-Request-Id", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control", "Content-Security-Policy", "Strict-Transport-Security", "Content-Type"} {
					if answer.Header.Get(name) == "" {
						t.Errorf("%d fields: no %s in %v", fields, name, answer.Header)
					}
				}
				if answer.Body.Close(); version == 1 && answer.Close != (want == 431) {
					t.Errorf("%d fields: the connection ends: %t", fields, answer.Close)
				}
			}
		})
	}
}

// What net/http refuses before any handler sees it is an error like all
// others: in JSON and in Husk's words.
func TestEarlyRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, tcp) }()
	defer func() {
		stop()
		must(t, <-done)
	}()
	for name, c := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"token of 100 KB":  {"GET /account/profile HTTP/1.1\r\nHost: a\r\nX-API-TOKEN: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", 431, "header_too_large"},
		"JWT of 100 KB":    {"GET /account/profile HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + strings.Repeat("a", 100<<10) + "\r\n\r\n", 431, "header_too_large"},
		"header of 17 KiB": {"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", 431, "header_too_large"},
		"empty fields":     {"GET /livez HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a:\r\n", 5<<10) + "\r\n", 431, "header_too_large"},
		"101 fields":       {"POST /account/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n" + strings.Repeat("a:\r\n", 100) + "\r\n", 431, "header_too_large"}, // the body never comes
		"body of lines":    {"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("\n", 200), 404, "not_found"},
		"101 trailers":     {"POST /account/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: a" + trailers(100) + "\r\n\r\n", 431, "header_too_large"},
		"no HTTP":          {"hello\r\n\r\n", 400, "bad_request"},
		"no host":          {"GET /health HTTP/1.1\r\n\r\n", 400, "bad_request"},
		"control in value": {"GET /health HTTP/1.1\r\nHost: a\r\nX-A: \x1b[31m\r\n\r\n", 400, "bad_request"},
		"bad escape":       {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"},
		"odd coding":       {"POST /account/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n{}", 501, "not_implemented"},
		"future version":   {"GET /health HTTP/9.9\r\nHost: a\r\n\r\n", 505, "http_version"},
		"of a handler":     {"GET /account/profile HTTP/1.1\r\nHost: localhost\r\n\r\n", 401, "not_signed_in"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", tcp.Addr().String())
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			go io.WriteString(conn, c.request) // the answer may come before its end
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			defer answer.Body.Close()
			var got api.Error
			body, err := io.ReadAll(answer.Body)
			must(t, err)
			if err := json.Unmarshal(body, &got); err != nil || answer.StatusCode != c.status || got.Status != c.status || got.Detail.Code != c.code || got.Detail.Reason == "" {
				t.Errorf("%d %s", answer.StatusCode, body)
			}
			if h := answer.Header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%v", h)
			}
			if c.status != 401 && !answer.Close {
				t.Error("the connection is said to go on")
			}
		})
	}
}

// Each request of a connection has its own header, and what is in a body is
// none.
func TestFieldsAreCountedAnew(t *testing.T) {
	s := newServer(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listen.NewPool(listen.Limits{Total: 1}).Listener(tcp)) }()
	defer func() {
		stop()
		must(t, <-done)
	}()
	conn, err := net.Dial("tcp", tcp.Addr().String())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	answers := bufio.NewReader(conn)
	for range 3 {
		_, err := io.WriteString(conn, "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300\r\n"+strings.Repeat("a:\r\n", 90)+"\r\n"+strings.Repeat("\n", 300))
		must(t, err)
		answer, err := http.ReadResponse(answers, nil)
		must(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		must(t, err)
		if answer.StatusCode != 404 || answer.Close {
			t.Fatalf("%+v", answer)
		}
	}
	// The next one is refused before it has ended.
	_, err = io.WriteString(conn, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("a:\r\n", 150))
	must(t, err)
	if answer, err := http.ReadResponse(answers, nil); err != nil || answer.StatusCode != 431 || !answer.Close {
		t.Errorf("%+v, %v", answer, err)
	}
}
