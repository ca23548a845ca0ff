package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"husk/web/api"
	"husk/web/listen"
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
	switch c := c.(type) {
	case *net.TCPConn:
		return &ownConn{c}, nil
	case *listen.Conn:
		return &ownConn{c}, nil
	}
	return c, err
}

// wholeConn is all that net/http looks for in a connection without TLS.
type wholeConn interface {
	net.Conn
	io.ReaderFrom
	CloseWrite() error
}

type ownConn struct{ wholeConn }

// NetConn returns the connection below, of which others know more.
func (c *ownConn) NetConn() net.Conn { return c.wholeConn }

// Write implements net.Conn.
func (c *ownConn) Write(p []byte) (int, error) {
	if status := refusalOf(p); status != 0 {
		_, err := c.wholeConn.Write(refusal(status))
		return len(p), err
	}
	return c.wholeConn.Write(p)
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
	http.StatusRequestHeaderFieldsTooLarge: {Code: "header_too_large", Reason: "the header of the request is over 16 KiB; a credential takes less than one"},
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

// fieldsOf counts the fields of a header, and those that are announced for
// after the body.
func fieldsOf(r *http.Request) int {
	n := len(r.Trailer)
	for _, values := range r.Header {
		n += len(values)
	}
	return n
}

// refuseFields refuses a request with too many fields. The header is in memory
// as long as the body is waited for, so nothing of that is.
func refuseFields(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	w.Header()["Connection"] = valueClose
	writeFailure(w, &failure{status: http.StatusRequestHeaderFieldsTooLarge, code: "header_too_large",
		reason: fmt.Sprintf("the header of the request has over %d fields; a client needs less than fifty", maxFields)})
}
