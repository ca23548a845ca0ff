package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"husk/web/api"
)

// net/http refuses by itself what is no request, or one with too long a
// header, before any handler sees it: in its own words, as plain text. This
// file has such a refusal say the same in the form of every other error. On
// TLS that is not possible: net/http has to see the connection as it is.

// ownWords is a listener whose connections refuse in Husk's words.
type ownWords struct{ net.Listener }

// Accept implements net.Listener.
func (l ownWords) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &ownConn{tcp}, nil
	}
	return c, err
}

type ownConn struct{ *net.TCPConn }

// Write implements net.Conn.
func (c *ownConn) Write(p []byte) (int, error) {
	if status := refusalOf(p); status != 0 {
		_, err := c.TCPConn.Write(refusal(status))
		return len(p), err
	}
	return c.TCPConn.Write(p)
}

// maxRefusal bounds net/http's refusals, each of which is one write, in bytes.
const maxRefusal = 512

// refusalOf returns the status of what net/http writes to refuse, or 0. What a
// handler answers has other headers in the place of these two.
func refusalOf(p []byte) (status int) {
	const line = "HTTP/1.1 400"
	if len(p) < len(line) || len(p) > maxRefusal || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) || p[9] < '4' {
		return 0
	}
	_, header, _ := bytes.Cut(p, []byte("\r\n"))
	if !bytes.HasPrefix(header, []byte("Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")) {
		return 0
	}
	status, _ = strconv.Atoi(string(p[9:len(line)]))
	return status
}

// earlyRefusals are the words for what net/http refuses.
var earlyRefusals = map[int]api.ErrorDetail{
	http.StatusBadRequest:                  {Code: "bad_request", Reason: "that is no well-formed HTTP request"},
	http.StatusRequestHeaderFieldsTooLarge: {Code: "header_too_large", Reason: "the header of the request is over 64 KiB; a credential takes less than one"},
	http.StatusNotImplemented:              {Code: "not_implemented", Reason: "that transfer coding is not known here; send the body chunked, or with its length"},
	http.StatusHTTPVersionNotSupported:     {Code: "http_version", Reason: "that version of HTTP is not known here; use 1.1"},
}

func refusal(status int) []byte {
	detail, ok := earlyRefusals[status]
	if !ok {
		detail = api.ErrorDetail{Code: "refused", Reason: "the server can't take that request"}
	}
	body, _ := json.Marshal(&api.Error{Status: status, Detail: detail})
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n\r\n%s\n",
		status, http.StatusText(status), len(body)+1, body)
}
