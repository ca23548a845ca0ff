package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// What net/http refuses before any handler sees it is an error like all
// others: in JSON and in Husk's words.
func TestEarlyRefusals(t *testing.T) {
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
		"no HTTP":          {"hello\r\n\r\n", 400, "bad_request"},
		"no host":          {"GET /health HTTP/1.1\r\n\r\n", 400, "bad_request"},
		"control in value": {"GET /health HTTP/1.1\r\nHost: a\r\nX-A: \x1b[31m\r\n\r\n", 400, "bad_request"},
		"bad escape":       {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad_request"},
		"odd coding":       {"POST /account/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{}", 501, "not_implemented"},
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
