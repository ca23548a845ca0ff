package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// overTLS serves a stage to clients of HTTP/2 on TLS.
func (s *stage) overTLS() {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	s.Cleanup(certified.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}})
	must(s, err)
	go s.http.Serve(l)
	transport := s.client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
	transport.ForceAttemptHTTP2 = true
	s.url = "https://" + l.Addr().String()
}

// bothProtocols runs a test for clients of HTTP/1 and of HTTP/2.
func bothProtocols(t *testing.T, application http.HandlerFunc, f func(s *stage)) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			before := runtime.NumGoroutine()
			t.Run("", func(t *testing.T) {
				s := onLoopback(t, application, Config{})
				if protocol == "HTTP/2.0" {
					s.overTLS()
				}
				s.T = t
				f(s)
			})
			nothingRuns(t, before)
		})
	}
}

// Each event reaches the client before the next is made.
func TestEventsPassAtOnce(t *testing.T) {
	next := make(chan bool, 1)
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Length", "24") // so that no other rule has it flushed
		for i := range 3 {
			<-next
			fmt.Fprintf(w, "data: %d\n", i)
			w.(http.Flusher).Flush()
		}
	}, func(s *stage) {
		next <- true
		res := s.open("GET", "/", nil, nil)
		defer res.Body.Close()
		in := bufio.NewReader(res.Body)
		for i := range 3 {
			if i > 0 {
				next <- true
			}
			line, err := in.ReadString('\n')
			must(s, err)
			want(s.T, "event", line, fmt.Sprintf("data: %d\n", i))
		}
	})
}

// Both sides talk at once, piece by piece, as gRPC does.
func TestBothSidesTalk(t *testing.T) {
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		must(t, http.NewResponseController(w).EnableFullDuplex())
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		in := bufio.NewReader(r.Body)
		for {
			w.(http.Flusher).Flush()
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			io.WriteString(w, strings.ToUpper(line))
		}
		w.Header().Set("Grpc-Status", "0")
	}, func(s *stage) {
		reads, writes := io.Pipe()
		res := s.open("POST", "/", reads, http.Header{"Te": {"trailers"}})
		defer res.Body.Close()
		in := bufio.NewReader(res.Body)
		for i := range 3 {
			fmt.Fprintf(writes, "message %d\n", i)
			line, err := in.ReadString('\n')
			must(s, err)
			want(s.T, "message", line, fmt.Sprintf("MESSAGE %d\n", i))
		}
		writes.Close()
		_, err := io.Copy(io.Discard, in)
		must(s, err)
		want(s.T, "the end", res.Trailer.Get("Grpc-Status")+res.Proto, "0"+map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[strings.HasPrefix(s.url, "https")])
	})
}

// What passes is not kept.
func TestLongBodiesTakeNoMemory(t *testing.T) {
	const size = 100 << 20
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if n != size || err != nil {
			t.Errorf("%d bytes came: %v", n, err)
		}
		io.CopyN(w, zeros{}, size)
	}, func(s *stage) {
		var most uint64
		watched := watch(func(n int) {
			if n%(4<<20) < 32<<10 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		})
		res := s.open("POST", "/", io.LimitReader(io.TeeReader(zeros{}, watched), size), nil)
		defer res.Body.Close()
		n, err := io.Copy(watched, res.Body)
		if n != size || err != nil || most > 32<<20 {
			s.Errorf("%d bytes came back, and %d MiB were in use: %v", n, most>>20, err)
		}
	})
}

// watch is called with how much has come so far.
func watch(f func(n int)) io.Writer { return &watcher{f: f} }

type watcher struct {
	n int
	f func(int)
}

func (w *watcher) Write(p []byte) (int, error) {
	w.n += len(p)
	w.f(w.n)
	return len(p), nil
}

// A client that leaves takes its request along.
func TestClientsThatLeave(t *testing.T) {
	ended := make(chan bool, 1)
	bothProtocols(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			w.(http.Flusher).Flush()
		} else {
			ended <- true
		}
		<-r.Context().Done()
		ended <- true
	}, func(s *stage) {
		res := s.open("GET", "/begun", nil, nil)
		res.Body.Close()
		<-ended
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-ended
			leave()
		}()
		r, err := http.NewRequestWithContext(ctx, "GET", s.url, nil)
		must(s, err)
		if _, err := s.client.Do(r); !errors.Is(err, context.Canceled) {
			s.Errorf("the answer is %v", err)
		}
		<-ended
		want(s.T, "the log", s.log.String(), "")
	})
}

// The limits of the server are those of short requests. In these tests time is
// fake.
func TestSlowClientsAreServed(t *testing.T) {
	for name, path := range map[string]string{"up": "/up", "down": "/down", "silent": "/silent"} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprint(name, http2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := inBubble(t, func(w http.ResponseWriter, r *http.Request) {
						n, err := io.Copy(io.Discard, r.Body)
						must(t, err)
						if r.URL.Path != "/up" {
							begin(w)
							if r.URL.Path == "/silent" {
								time.Sleep(time.Hour)
							}
							n, err = io.CopyN(w, zeros{}, 1<<20)
							must(t, err)
						}
						fmt.Fprintf(w, "%d", n)
					}, Config{})
					if http2 {
						s.overHTTP2()
					}
					var up io.Reader
					if path == "/up" {
						up = slow{io.LimitReader(zeros{}, 1<<20)}
					}
					res := s.open("POST", path, up, nil)
					defer res.Body.Close()
					body, err := io.ReadAll(slow{res.Body})
					if err != nil || !strings.HasSuffix(string(body), "1048576") {
						t.Errorf("%d bytes: %v", len(body), err)
					}
				})
			})
		}
	}
}

// begin begins an answer, and waits until that has passed: httputil flushes it in a
// goroutine that waits for a mutex, as it would for ever beside a write that is held
// up. To fake time no such wait is one.
func begin(w http.ResponseWriter) {
	w.(http.Flusher).Flush()
	time.Sleep(time.Second)
}

// slow takes 50 s for each 100,000 bytes.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	n, err := io.ReadFull(s.Reader, p[:min(len(p), 100_000)])
	time.Sleep(time.Duration(n) * 500 * time.Microsecond)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

// A client that stands still in the middle is given up, a minute later.
func TestClientsThatStandStill(t *testing.T) {
	t.Run("sending", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := inBubble(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, Config{})
			began := time.Now()
			res, _, _ := s.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
			want(t, "the answer", fmt.Sprint(res.StatusCode, aboutAMinute(began)), "408 true")
			want(t, "the log", s.log.String(), "")
		})
	})
	t.Run("taking", func(t *testing.T) {
		for _, http2 := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan time.Time, 1)
				s := inBubble(t, func(w http.ResponseWriter, r *http.Request) {
					begin(w)
					io.CopyN(w, zeros{}, 100<<20)
					ended <- time.Now()
				}, Config{})
				if http2 {
					s.overHTTP2()
				}
				began := time.Now()
				res := s.open("GET", "/", nil, nil)
				defer res.Body.Close()
				<-ended
				s.settles()
				want(t, "given up", aboutAMinute(began), true)
			})
		}
	})
}

func aboutAMinute(began time.Time) bool {
	took := time.Since(began)
	return time.Minute <= took && took <= time.Minute+5*time.Second
}

// A stream ends with the credential that it was asked with; one that was not
// answered yet is told so.
func TestStreamsEndWithTheirCredential(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for _, path := range []string{"/silent", "/busy", "/unanswered", "/untaken"} {
			t.Run(fmt.Sprint(path, http2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { endsWithCredential(t, path, http2) })
			})
		}
	}
}

func endsWithCredential(t *testing.T, path string, http2 bool) {
	var over atomic.Bool
	ended := make(chan time.Time, 1)
	s := inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		if path != "/unanswered" {
			begin(w)
		}
		if path == "/untaken" {
			io.CopyN(w, zeros{}, 100<<20)
		}
		for path == "/busy" && r.Context().Err() == nil {
			io.WriteString(w, "event\n")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
		<-r.Context().Done()
		ended <- time.Now()
	}, Config{})
	s.pass.Alive = func() bool { return !over.Load() }
	if http2 {
		s.overHTTP2()
	}
	const signedOut = 50 * time.Second
	began := time.Now()
	time.AfterFunc(signedOut, func() { over.Store(true) })
	res := s.open("GET", path, nil, nil)
	defer res.Body.Close()
	if path == "/untaken" {
		<-ended
	} else {
		_, err := io.Copy(io.Discard, res.Body)
		want(t, "the stream looks whole", err == nil, path == "/unanswered")
		want(t, "the status", fmt.Sprint(res.StatusCode), map[bool]string{true: "403", false: "200"}[path == "/unanswered"])
		<-ended
	}
	s.settles()
	if took := time.Since(began); took < signedOut || took > signedOut+5*time.Second {
		t.Errorf("it ended after %v", took)
	}
}

// What can't be asked for is not open for ever; nor does it end anything else.
func TestPanicInAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Config{})
		s.pass.Alive = func() bool { panic("quince") }
		res, body := s.do("GET", "/", nil, nil)
		want(t, "the answer", fmt.Sprint(res.StatusCode, strings.Contains(body, "quince")), "503 false")
		if log := s.log.String(); !strings.Contains(log, "quince") {
			t.Errorf("the log has %s", log)
		}
	})
}

// An application may answer before it has read all, and the client needs not send
// the rest to see the end of that.
func TestAnswersBeforeTheEndOfTheRequest(t *testing.T) {
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		must(t, http.NewResponseController(w).EnableFullDuplex())
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		w.(http.Flusher).Flush()
		io.WriteString(w, "no")
	}, Config{})
	res, conn, _ := s.say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != 413 || string(body) != "no" || err != nil {
		t.Errorf("%d %q, %v", res.StatusCode, body, err)
	}
}

// A body that a client breaks off is no failure of the application.
func TestUploadsThatBreakOff(t *testing.T) {
	ended := make(chan error, 1)
	s := onLoopback(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}, Config{})
	conn := s.dial()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
	must(t, conn.(*net.TCPConn).CloseWrite())
	if err := <-ended; err == nil {
		t.Error("half a body looks whole")
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	want(t, "the answer", fmt.Sprint(res.StatusCode), "400")
	want(t, "the log", s.log.String(), "")
}

// HTTP/2 lets spaces through, which would end the target in the first line of
// HTTP/1.
func TestSpacesInTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := make(seen, 1)
		s := inBubble(t, requests.answers, Config{}).overHTTP2()
		r, err := http.NewRequest("GET", s.url, nil)
		must(t, err)
		r.URL.Opaque, r.URL.RawQuery = "/a b HTTP/1.1", "c d"
		res, err := s.client.Do(r)
		must(t, err)
		res.Body.Close()
		want(t, "the target", (<-requests).RequestURI, "/a%20b%20HTTP/1.1?c%20d")
	})
}
