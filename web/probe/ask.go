package probe

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of one request.
const (
	askTime   = 10 * time.Second
	mostBytes = 64 << 10 // of an answer: its head, and again its body
)

// errAway tells that nobody took the request.
var errAway = errors.New("it can't be reached")

// ask is one request, as it is written.
type ask struct {
	label  string   // what is told of it, where a trick has several
	method string   // default GET
	target string   // default the path of the URL
	host   string   // default that of the URL
	lines  []string // further lines of the head
	body   string
}

// answer is what came back.
type answer struct {
	status int // 0: the connection was closed without one
	header http.Header
	echo   *Echoed // nil: the answer is not of Echo
	closed string  // why there is no answer
	later  []int   // statuses of more answers, where one request was taken for several
}

// send sends a request to u on a connection of its own. An error is errAway, or the end
// of ctx; that a server closes without an answer is none.
func (c *Config) send(ctx context.Context, u *url.URL, trust *tls.Config, a ask) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	dial := dial
	if c.dial != nil {
		dial = c.dial
	}
	conn, err := dial(ctx, u, trust)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAway, err)
	}
	defer conn.Close()
	l := line{conn}
	stop := context.AfterFunc(ctx, l.hangUp)
	defer stop()
	if _, err := io.WriteString(conn, a.text(u)); err != nil {
		return &answer{closed: "the connection was closed while it was asked"}, nil
	}
	got := readAnswer(conn, a)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && got.status == 0 {
		got.closed = "there was no answer within " + askTime.String()
	}
	return got, nil
}

// line is a connection that can be given up.
type line struct{ net.Conn }

func (l line) hangUp() { _ = l.Close() } // there is nobody to tell

func dial(ctx context.Context, u *url.URL, config *tls.Config) (net.Conn, error) {
	if u.Scheme != "https" {
		return new(net.Dialer).DialContext(ctx, "tcp", place(u, "80"))
	}
	if config == nil {
		config = &tls.Config{}
	}
	config = config.Clone()
	config.ServerName, config.NextProtos = u.Hostname(), []string{"http/1.1"}
	d := tls.Dialer{Config: config}
	return d.DialContext(ctx, "tcp", place(u, "443"))
}

// place is where a URL is looked for. A name under localhost is this machine's
// (RFC 6761, 6.3): curl and browsers know that, and not each resolver does.
func place(u *url.URL, port string) string {
	host := u.Hostname()
	if strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), ".localhost") {
		host = "localhost"
	}
	return net.JoinHostPort(host, cmp.Or(u.Port(), port))
}

// defaults are the lines of a request that has none of the same name.
var defaults = []string{"User-Agent: husk-proxy-probe", "Accept: */*", "Connection: close"}

// text is the request as it goes out.
func (a *ask) text(u *url.URL) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", cmp.Or(a.method, http.MethodGet), cmp.Or(a.target, u.RequestURI()), cmp.Or(a.host, u.Host))
	for _, line := range defaults {
		if !slices.ContainsFunc(a.lines, func(own string) bool { return strings.EqualFold(nameOf(own), nameOf(line)) }) {
			b.WriteString(line + "\r\n")
		}
	}
	for _, line := range a.lines {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n" + a.body)
	return b.String()
}

// ends tells whether the connection is closed behind the answer: on another one more
// answers would be waited for in vain.
func (a *ask) ends() bool {
	return !slices.ContainsFunc(a.lines, func(own string) bool {
		return strings.EqualFold(nameOf(own), "Connection") && !strings.Contains(own, "close")
	})
}

// nameOf is the name of a header that a line has.
func nameOf(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return name
}

// readAnswer reads the answers on a connection, as far as the bounds go.
func readAnswer(c io.Reader, a ask) *answer {
	in := bufio.NewReader(io.LimitReader(c, 2*mostBytes))
	first, err := readOne(in, a.method)
	if err != nil {
		return &answer{closed: "the connection was closed without an answer"}
	}
	got := &answer{status: first.StatusCode, header: first.Header}
	if first.StatusCode == http.StatusSwitchingProtocols {
		return got
	}
	body, err := io.ReadAll(io.LimitReader(first.Body, mostBytes))
	got.echo = readEcho(first.Header, body)
	for err == nil && a.ends() && len(got.later) < 2 {
		var next *http.Response
		if next, err = readOne(in, a.method); err == nil {
			got.later = append(got.later, next.StatusCode)
			_, err = io.Copy(io.Discard, io.LimitReader(next.Body, mostBytes))
		}
	}
	return got
}

// readOne reads an answer and passes over what only announces it (RFC 9110, 15.2).
func readOne(in *bufio.Reader, method string) (*http.Response, error) {
	for {
		r, err := http.ReadResponse(in, &http.Request{Method: cmp.Or(method, http.MethodGet)})
		if err != nil || r.StatusCode >= 200 || r.StatusCode == http.StatusSwitchingProtocols {
			return r, err
		}
	}
}
