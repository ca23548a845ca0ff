//go:build attack && linux

package cmd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What holds under attackers that keep as many connections as they get.
const (
	manyConnections  = 3000
	attackedMemory   = 200 << 20
	attackedSocket   = time.Second
	attackedClient   = 2 * time.Second
	attackedAttempts = 10
	attackedAgain    = 5 * time.Second // until an attacker comes again whose connection was closed
)

// attack is what each attacker sends when it has connected, and then a byte a
// second where it is slow.
type attack struct {
	tls       bool
	addresses int
	protocol  string // of TLS
	sends     string
	then      string // "": nothing; else a byte of it a second, over and over
}

const slowHeader = "GET /livez HTTP/1.1\r\nHost: husk\r\nX-Slow: "

// emptyFields is the beginning of a request with nothing but empty fields, each
// of another name, of so many bytes.
func emptyFields(n int) string {
	var b strings.Builder
	b.WriteString("GET /livez HTTP/1.1\r\nHost: husk\r\n")
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%s:\r\n", strconv.FormatInt(int64(46656+i), 36)[1:])
	}
	return b.String()
}

func slowBody(fields int) string {
	return emptyFields(fields) + "Content-Type: application/json\r\nContent-Length: 65000\r\n\r\n" + strings.Repeat(" ", 60<<10)
}

// run keeps one attacker's connection, and makes it anew when it was closed,
// until ctx ends.
func (a attack) run(ctx context.Context, i int, addr string, connected, came *atomic.Int64) {
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(i%a.addresses>>8), byte(i%a.addresses))}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		if c, err := (&net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr); err == nil {
			connected.Add(1)
			a.hold(ctx, c, tick.C, func() { came.Add(1) })
			connected.Add(-1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(attackedAgain):
		}
	}
}

// hold does the worst with a connection until it is closed.
func (a attack) hold(ctx context.Context, raw net.Conn, tick <-chan time.Time, sent func()) {
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	defer raw.Close()
	c := raw
	if a.tls {
		c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{a.protocol}})
	}
	_, err := io.WriteString(c, a.sends)
	if sent(); err != nil {
		return
	}
	if a.then != "" {
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
			case <-tick:
			}
			if _, err := io.WriteString(c, a.then[i%len(a.then):][:1]); err != nil || ctx.Err() != nil {
				return
			}
		}
	}
	_, _ = io.Copy(io.Discard, c)
}

// wellBehaved asks once from an address of its own, and returns how long that
// took.
func wellBehaved(t testing.TB, base string) time.Duration {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, 0, 1)}}).DialContext}}
	began := time.Now()
	answer, err := client.Get(base + "/livez")
	if err != nil {
		t.Errorf("a well-behaved client: %v", err)
		return time.Since(began)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a well-behaved client gets %s", answer.Status)
	}
	return time.Since(began)
}

// under attacks s and asks it meanwhile, as a client and by the socket.
func (a attack) under(t *testing.T, p program, s *server) {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	var connected, came atomic.Int64
	for i := range manyConnections {
		all.Go(func() { a.run(ctx, i, s.addr, &connected, &came) })
	}
	base := s.url()
	if a.tls {
		base = "https://" + s.addr
	}
	eventually(t, "all attackers have been there", func() bool { return came.Load() >= manyConnections })
	eventually(t, "connections are closed for others", func() bool { return strings.Contains(s.log.String(), "connections were closed") })
	var socket, client time.Duration
	for range attackedAttempts {
		client = max(client, wellBehaved(t, base))
		socket = max(socket, p.took(t, "user", "unlock", "guest@example.com"))
	}
	peak := memoryOf(t, s.cmd.Process.Pid, "VmHWM")
	t.Logf("%d attackers connected, %d MB at most, the socket %v, a client %v", connected.Load(), peak>>20, socket.Round(time.Millisecond), client.Round(time.Millisecond))
	if peak > attackedMemory {
		t.Errorf("the server took %d MB", peak>>20)
	}
	if socket > attackedSocket {
		t.Errorf("a command took %v", socket)
	}
	if client > attackedClient {
		t.Errorf("a well-behaved client waited %v", client)
	}
	if n := strings.Count(s.log.String(), "connections were closed"); n > 2 {
		t.Errorf("%d warnings:\n%s", n, &s.log)
	}
}

// TestAttackConnections: 3,000 connections of every slow kind.
//
//	go test -tags attack ./cmd -run AttackConnections -v
func TestAttackConnections(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for name, a := range map[string]attack{
		"silent":                       {addresses: manyConnections},
		"a byte a second":              {addresses: manyConnections, sends: slowHeader, then: "a"},
		"a byte a second, 12 networks": {addresses: 12, sends: slowHeader, then: "a"},
		"empty fields":                 {addresses: manyConnections, sends: emptyFields(15 << 10), then: "b:\r\n"},
		"empty fields, 30 KB":          {addresses: manyConnections, sends: emptyFields(30 << 10), then: "b:\r\n"},
		"few empty fields":             {addresses: manyConnections, sends: emptyFields(3 << 10), then: "b:\r\n"},
		"slow bodies":                  {addresses: manyConnections, sends: strings.Replace(slowBody(500), "GET /livez", "POST /account/login", 1), then: " "},
		"fields, then a slow body":     {addresses: manyConnections, sends: strings.Replace(slowBody(15<<10), "GET /livez", "POST /account/login", 1), then: " "},
		"TLS, silent":                  {tls: true, protocol: "http/1.1", addresses: manyConnections},
		"TLS, a byte a second":         {tls: true, protocol: "http/1.1", addresses: manyConnections, sends: slowHeader, then: "a"},
		"TLS, empty fields":            {tls: true, protocol: "http/1.1", addresses: manyConnections, sends: emptyFields(15 << 10), then: "b:\r\n"},
		"TLS, HTTP/2":                  {tls: true, protocol: "h2", addresses: manyConnections, sends: preface},
	} {
		t.Run(name, func(t *testing.T) {
			p := program{data: newData(t)}
			p.ok(t, "user", "create", "guest@example.com", "--no-password")
			var args []string
			if a.tls {
				files := newPairFiles(t, goodPair(t, "good"))
				args = []string{"--tls-cert", files.cert, "--tls-key", files.key}
			}
			a.under(t, p, p.serve(t, args...))
		})
	}
}

// TestAttackDescriptors: the same with few descriptors.
func TestAttackDescriptors(t *testing.T) {
	p := program{data: newData(t)}
	p.ok(t, "user", "create", "guest@example.com", "--no-password")
	backups := filepath.Join(t.TempDir(), "backups")
	if err := os.Mkdir(backups, 0o700); err != nil {
		t.Fatal(err)
	}
	c := p.command(context.Background(), "serve", "--addr", "127.0.0.1:0", "--backup-dir", backups)
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `ulimit -n 256; exec "$@"`, "sh", pathOf(t)}, c.Args[1:]...)
	s := run(t, c)
	s.ready()
	if !strings.Contains(s.log.String(), "the limit of open files is low") {
		t.Errorf("no warning:\n%s", &s.log)
	}
	attack{addresses: manyConnections, sends: slowHeader, then: "a"}.under(t, p, s)
	if files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)); err != nil || len(files) > 240 {
		t.Errorf("%d descriptors are open, %v", len(files), err)
	}
	for _, trouble := range []string{"too many open files", "Accept error"} {
		if strings.Contains(s.log.String(), trouble) {
			t.Errorf("the log tells of %q:\n%s", trouble, &s.log)
		}
	}
}

// pathOf returns where husk is.
func pathOf(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("husk")
	if err != nil {
		t.Fatal(err)
	}
	return path
}
