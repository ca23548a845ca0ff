package relay

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"husk/web/fold"
)

// BenchmarkRelay measures Serve against a bare httputil.ReverseProxy, over real
// loopback connections and before the same application, in CPU time of the whole
// process, in turn and in the same run.
//
//	go test ./web/relay -run '^$' -bench Relay -benchtime 20000x
func BenchmarkRelay(b *testing.B) {
	application := listenBench(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		n, _ := strconv.Atoi(r.URL.Path[1:])
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = []string{"text/plain"}, []string{strconv.Itoa(n)}
		for n > 0 {
			some := min(n, len(filler))
			w.Write(filler[:some])
			n -= some
		}
	}))
	upstream := &url.URL{Scheme: "http", Host: application}
	relay := New(Config{Cookies: []string{"husk_session", "__Host-husk_session", "husk_device", "husk_gate"}, Log: fold.New(slog.New(slog.DiscardHandler), time.Now)})
	b.Cleanup(relay.transport.CloseIdleConnections)
	who := http.Header{"Remote-User": {"user@example.com"}, "Remote-Name": {"User"}, "Remote-Email": {"user@example.com"}, "Remote-Groups": {"user"}}
	own := listenBench(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		relay.Serve(w, r, Pass{Upstream: upstream, Identity: who, Scheme: "http", Host: r.Host, Client: "127.0.0.1", Alive: func() bool { return true }})
	}))
	bareTransport := relay.transport.Clone()
	b.Cleanup(bareTransport.CloseIdleConnections)
	bare := listenBench(b, &httputil.ReverseProxy{Transport: bareTransport, Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(upstream)
		pr.SetXForwarded()
	}})
	for _, c := range []struct {
		name string
		up   int
		down int
	}{{"small", 0, 150}, {"answer of 100 KB", 0, 100_000}, {"request of 100 KB", 100_000, 150}} {
		b.Run(c.name, func(b *testing.B) {
			one := connectBench(b, own, c.up, c.down)
			floor := connectBench(b, bare, c.up, c.down)
			one.run(b, 200)
			floor.run(b, 200)
			var ownCPU, floorCPU time.Duration
			const turn = 100
			b.ReportAllocs()
			for n := 0; n < b.N; n += turn {
				b.StopTimer()
				floorCPU += floor.run(b, turn)
				b.StartTimer()
				ownCPU += one.run(b, turn)
			}
			turns := float64((b.N + turn - 1) / turn * turn)
			b.ReportMetric(float64(ownCPU.Nanoseconds())/turns, "cpu-ns/op")
			b.ReportMetric(float64(ownCPU)/float64(floorCPU), "x-floor")
		})
	}
}

var filler = make([]byte, 32<<10)

func listenBench(b *testing.B, h http.Handler) (address string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	hs := &http.Server{Handler: h}
	go hs.Serve(l)
	b.Cleanup(func() { hs.Close() })
	return l.Addr().String()
}

// benchClient sends one request again and again, with next to no work of its own.
type benchClient struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
	down    int
}

func connectBench(b *testing.B, address string, up, down int) *benchClient {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	must(b, err)
	b.Cleanup(func() { conn.Close() })
	// The header is such as a browser sends.
	head := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: theme=dark; husk_gate=%s\r\nReferer: https://app.example.com/\r\nContent-Length: %d\r\n\r\n", down, strings.Repeat("x", 64), up)
	return &benchClient{conn, bufio.NewReader(conn), append([]byte(head), make([]byte, up)...), down}
}

// run sends n requests and returns the CPU time that the process took.
func (c *benchClient) run(b *testing.B, n int) time.Duration {
	before := cpuTime(b)
	for range n {
		_, err := c.conn.Write(c.request)
		must(b, err)
		for {
			line, err := c.in.ReadSlice('\n')
			must(b, err)
			if len(line) == 2 {
				break
			}
		}
		_, err = c.in.Discard(c.down)
		must(b, err)
	}
	return cpuTime(b) - before
}
