package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/password"
	"husk/web/session"
	"husk/web/token"
)

// BenchmarkCheck measures a check of a credential over real loopback
// connections, in CPU time of the whole process (client included) per request,
// against the floor: an echo handler that writes 150 bytes of JSON, in the
// same run and in turn with it, so that the ratio holds on a noisy machine.
//
// Each case runs without metrics and with them.
//
//	go test ./web -run '^$' -bench Check -benchtime 20000x
func BenchmarkCheck(b *testing.B) {
	s, apiToken, jwt := benchServer(b)
	config := s.Config
	var err error
	if config.Metrics, err = NewMetrics(prometheus.NewRegistry()); err != nil {
		b.Fatal(err)
	}
	measured, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	floor := echoFloor()
	cases := []struct {
		name, header string
		server       *Server
	}{
		{"X-API-TOKEN", "X-API-TOKEN: " + apiToken, s},
		{"Bearer", "Authorization: Bearer " + jwt, s},
		{"X-API-TOKEN/metrics", "X-API-TOKEN: " + apiToken, measured},
		{"Bearer/metrics", "Authorization: Bearer " + jwt, measured},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			base, own := dialBench(b, &http.Server{Handler: floor}, ""), dialBench(b, c.server.HTTPServer(), c.header)
			compare(b, base, own)
		})
	}
}

// echoFloor is an echo handler that writes 150 bytes of JSON.
func echoFloor() *echo.Echo {
	floor := echo.New()
	body := []byte(fmt.Sprintf(`{"floor":%q}`, fmt.Sprintf("%0139d", 0)))
	floor.GET("/account/profile", func(c echo.Context) error { return c.JSONBlob(http.StatusOK, body) })
	return floor
}

// compare runs both in turn and reports what own costs, and how many times base.
func compare(b *testing.B, base, own *benchClient) {
	b.Helper()
	base.run(b, 500)
	own.run(b, 500)
	var floorCPU, ownCPU time.Duration
	const turn = 250
	b.ReportAllocs()
	for n := 0; n < b.N; n += turn {
		b.StopTimer()
		floorCPU += base.run(b, turn)
		b.StartTimer()
		ownCPU += own.run(b, min(turn, b.N-n))
	}
	floorEach := float64(floorCPU.Nanoseconds()) / float64((b.N+turn-1)/turn*turn)
	ownEach := float64(ownCPU.Nanoseconds()) / float64(b.N)
	b.ReportMetric(ownEach, "cpu-ns/op")
	b.ReportMetric(floorEach, "floor-cpu-ns/op")
	b.ReportMetric(ownEach/floorEach, "x-floor")
}

// benchServer is a server with the single user, an API token and a session.
func benchServer(b testing.TB) (s *Server, apiToken, jwt string) {
	b.Helper()
	ctx := context.Background()
	store := bolttest.Store(b, bolttest.Options{})
	hasher := password.New(password.Config{Params: password.InsecureTestParams()})
	s, err := New(Config{Store: store, Passwords: hasher, Log: slog.New(slog.DiscardHandler), Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	apiToken, id := token.New()
	sum := token.Hash(apiToken)
	if _, err := store.CreateToken(ctx, actor, db.NewToken{ID: id, Hash: sum[:], Name: "bench"}); err != nil {
		b.Fatal(err)
	}
	r, secret, err := store.CreateSession(ctx, actor, db.SignIn{User: db.SingleUser, TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := store.Keys(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if jwt, err = session.Sign(keys.Signing, r, secret); err != nil {
		b.Fatal(err)
	}
	return s, apiToken, jwt
}

// benchClient sends one request again and again over one connection, with
// next to no work of its own.
type benchClient struct {
	conn      net.Conn
	in        *bufio.Reader
	request   []byte
	body      []byte
	anyStatus bool // not only 200 is an answer
}

func dialBench(b *testing.B, hs *http.Server, header string) *benchClient {
	b.Helper()
	return connectBench(b, listenBench(b, hs), header)
}

// at has the client ask at another path.
func (c *benchClient) at(path string) {
	c.request = bytes.Replace(c.request, []byte("/account/profile"), []byte(path), 1)
}

// listenBench serves until the benchmark ends.
func listenBench(b *testing.B, hs *http.Server) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go hs.Serve(l)
	b.Cleanup(func() { hs.Close() })
	return l.Addr().String()
}

func connectBench(b *testing.B, addr, header string) *benchClient {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	if header != "" {
		header += "\r\n"
	}
	return &benchClient{
		conn: conn, in: bufio.NewReader(conn), body: make([]byte, 64<<10),
		request: []byte("GET /account/profile HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n"),
	}
}

// run sends n requests and returns the CPU time that the process took.
func (c *benchClient) run(b *testing.B, n int) time.Duration {
	before := cpuTime(b)
	for range n {
		if err := c.once(); err != nil {
			b.Fatal(err)
		}
	}
	return cpuTime(b) - before
}

func (c *benchClient) once() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	return c.read()
}

// read takes one answer off the connection.
func (c *benchClient) read() error {
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && string(line[9:12]) != "200" && !c.anyStatus:
			return fmt.Errorf("answer %q", line)
		case len(line) == 2 && length < 0:
			return c.readChunks()
		case len(line) == 2:
			_, err := io.ReadFull(c.in, c.body[:length])
			return err
		case len(line) > 16 && string(line[:16]) == "Content-Length: ":
			length = 0
			for _, digit := range line[16 : len(line)-2] {
				length = length*10 + int(digit-'0')
			}
		}
	}
}

// readChunks takes a body of unknown length off the connection (RFC 9112, 7.1).
func (c *benchClient) readChunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(line[:len(line)-2]), 16, 64)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(c.in, c.body[:n+2]); err != nil || n == 0 {
			return err
		}
	}
}
