package listen

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
)

// net/http refuses by itself what is no request, or one with too long a
// header, before any handler sees it: in its own words, as plain text. This
// file has such a refusal say the same in the form of every other error, and
// refuses headers with too many fields. On TLS that is not possible: net/http
// has to see the connection as it is. There fields are counted afterwards, and
// what half-read headers hold is bounded by the Pool.

// ownWords is a listener whose connections refuse in Husk's words.
type ownWords struct{ net.Listener }

// Accept implements net.Listener.
func (l ownWords) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	switch c := c.(type) {
	case *net.TCPConn:
		return &ownConn{wholeConn: c}, nil
	case *Conn:
		return &ownConn{wholeConn: c}, nil
	}
	return c, err
}

// wholeConn is all that net/http looks for in a connection without TLS.
type wholeConn interface {
	net.Conn
	io.ReaderFrom
	CloseWrite() error
}

type ownConn struct {
	wholeConn
	header headerLines
}

// Read implements net.Conn. A header with too many fields is refused before
// net/http makes a map of it.
func (c *ownConn) Read(p []byte) (int, error) {
	n, err := c.wholeConn.Read(p)
	if !c.header.over(p[:n]) {
		return n, err
	}
	c.header = headerLines{whole: true}
	_, _ = c.wholeConn.Write(refuse(http.StatusRequestHeaderFieldsTooLarge, tooManyFields))
	// What comes on is read for a moment: unread, it would have the connection
	// reset, and the refusal with it.
	_ = c.CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(freshGrace / 4))
	_, _ = io.CopyN(io.Discard, c.wholeConn, 4*maxHeader)
	return 0, io.EOF
}

// nextHeader has the next bytes counted as a header.
func nextHeader(c net.Conn) {
	if own, ok := c.(*ownConn); ok {
		own.header = headerLines{}
	}
}

// headerLines counts the lines of a header as they come.
type headerLines struct {
	lines int
	begun bool // the last one
	whole bool // what comes now is no header
}

// over takes what was read, and tells whether the header has too many lines.
func (h *headerLines) over(p []byte) bool {
	for len(p) > 0 && !h.whole {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		h.begun = h.begun || len(bytes.TrimRight(line, "\r")) > 0
		if p = rest; !ended {
			break
		}
		h.whole = !h.begun
		h.begun = false
		h.lines++
	}
	return h.lines > maxFields+2 // the request line, and an empty one
}

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

// tooManyFields is for more than maxFields, which is counted here.
var tooManyFields = api.ErrorDetail{Code: "header_too_large",
	Reason: fmt.Sprintf("the header of the request has over %d fields; a client needs less than fifty", maxFields)}

func refusal(status int) []byte {
	detail, ok := earlyRefusals[status]
	if !ok {
		detail = api.ErrorDetail{Code: "refused", Reason: "the server can't take that request"}
	}
	return refuse(status, detail)
}

func refuse(status int, detail api.ErrorDetail) []byte {
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
func (s *Server) refuseFields(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	w.Header()["Connection"] = valueClose
	s.Handler.Refuse(w, &api.Error{Status: http.StatusRequestHeaderFieldsTooLarge, Detail: tooManyFields})
}
