package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/websocket"

	"husk/web/control"
	"husk/web/listen"
)

// echoes is an application that answers every message with the same.
var echoes = websocket.Server{Handler: func(c *websocket.Conn) { io.Copy(c, c) }}

// openSocket opens a WebSocket by way of the stage.
func (s *stage) openSocket() (*websocket.Conn, net.Conn) {
	s.Helper()
	config, err := websocket.NewConfig("ws://app.example.com/a", "https://app.example.com")
	must(s, err)
	conn := s.dial()
	socket, err := websocket.NewClient(config, conn)
	must(s, err)
	return socket, conn
}

func says(t *testing.T, socket *websocket.Conn, message string) {
	t.Helper()
	must(t, websocket.Message.Send(socket, message))
	back := make([]byte, len(message))
	_, err := io.ReadFull(socket, back) // in as many frames as they are
	must(t, err)
	want(t, "the echo is the same", string(back) == message, true)
}

func TestWebSockets(t *testing.T) {
	requests := make(chan *http.Request, 1)
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		w.Header().Set("Set-Cookie", "husk_gate=evil")
		echoes.ServeHTTP(w, r)
	}, Config{})
	socket, conn := s.openSocket()
	r := <-requests
	want(t, "who", r.Header.Get("Remote-User")+r.Host+r.RequestURI, "user@example.comapp.example.com/a")
	says(t, socket, "one")
	says(t, socket, strings.Repeat("two", 100_000))
	conn.Close() // the application sees that, else something is left running
}

const handshake = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nOrigin: https://a\r\n"

// What comes with the handshake is not lost.
func TestFramesThatComeEarly(t *testing.T) {
	s := onLoopback(t, echoes.ServeHTTP, Config{})
	res, _, in := s.say("GET / HTTP/1.1\r\n" + handshake + "\r\n\x81\x85\x00\x00\x00\x00early")
	want(t, "the answer", fmt.Sprint(res.StatusCode), "101")
	echo := make([]byte, 7)
	_, err := io.ReadFull(in, echo)
	must(t, err)
	want(t, "the echo", string(echo), "\x81\x05early")
}

// What would be another protocol, or a request in disguise, is an ordinary request.
func TestOnlyWebSocketsAreUpgraded(t *testing.T) {
	requests := make(seen, 1)
	s := onLoopback(t, requests.answers, Config{})
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
		"POST / HTTP/1.1\r\n" + handshake, "GET / HTTP/1.1\r\n" + handshake + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n",
	} {
		res, _, _ := s.say(request + "\r\n")
		r := <-requests
		want(t, request, fmt.Sprint(res.StatusCode, r.Header["Upgrade"], r.Header["Connection"]), "200 [] []")
	}
}

// In these tests time is fake.
func TestWebSocketsEndWithTheirCredential(t *testing.T) {
	for _, path := range []string{"busy", "silent", "untaken"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var over atomic.Bool
				ended := make(chan bool, 1)
				s := inBubble(t, websocket.Server{Handler: func(c *websocket.Conn) {
					if path == "untaken" {
						io.CopyN(c, zeros{}, 1<<20)
					}
					io.Copy(c, c)
					ended <- true
				}}.ServeHTTP, Config{})
				s.pass.Alive = func() bool { return !over.Load() }
				socket, conn := s.openSocket()
				defer conn.Close()
				began := time.Now()
				const signedOut = 55 * time.Second
				time.AfterFunc(signedOut, func() { over.Store(true) })
				for path == "busy" && websocket.Message.Send(socket, "x") == nil {
					var echo string
					if websocket.Message.Receive(socket, &echo) != nil {
						break
					}
					time.Sleep(time.Second)
				}
				<-ended
				s.settles()
				if took := time.Since(began); took < signedOut || took > signedOut+5*time.Second {
					t.Errorf("it ended after %v", took)
				}
			})
		})
	}
}

// A WebSocket may be silent for as long as it likes; who has left it, or takes
// nothing any more, is given up.
func TestWebSocketsThatStandStill(t *testing.T) {
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := inBubble(t, echoes.ServeHTTP, Config{})
			socket, conn := s.openSocket()
			defer conn.Close()
			time.Sleep(24 * time.Hour)
			says(t, socket, "still there")
		})
	})
	t.Run("not taking", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan bool)
			s := inBubble(t, websocket.Server{Handler: func(c *websocket.Conn) {
				io.CopyN(c, zeros{}, 1<<20)
				close(ended)
			}}.ServeHTTP, Config{})
			began := time.Now()
			_, conn := s.openSocket()
			defer conn.Close()
			<-ended
			want(t, "given up", aboutAMinute(began), true)
		})
	})
}

// Nor does an application keep one open that its client has left.
func TestWebSocketsThatAreLeft(t *testing.T) {
	deaf := make(chan bool)
	s := onLoopback(t, websocket.Server{Handler: func(c *websocket.Conn) { <-deaf }}.ServeHTTP, Config{StallTimeout: 20 * time.Millisecond, Look: 5 * time.Millisecond})
	_, conn := s.openSocket()
	conn.Close()
	for s.count(0) > 0 { // else the test does not end
		runtime.Gosched()
	}
	close(deaf)
}

// A server that stops does not wait for WebSockets, nor leave one open.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				echoes.ServeHTTP(w, r)
				return
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, Config{})
		l := control.NewMemory()
		ctx, stop := context.WithCancel(t.Context())
		context.AfterFunc(ctx, s.relay.Close)
		done := make(chan error, 1)
		go func() { done <- s.server.Serve(ctx, l) }()
		s.dial = func() net.Conn {
			conn, err := l.DialContext(t.Context(), "", "")
			must(t, err)
			return conn
		}
		socket, conn := s.openSocket()
		defer conn.Close()
		says(t, socket, "one")
		_, stream, in := s.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		defer stream.Close()
		began := time.Now()
		stop()
		_, err := io.Copy(io.Discard, conn)
		want(t, "the WebSocket ends", fmt.Sprint(err, time.Since(began)), "<nil> 0s")
		io.Copy(io.Discard, bufio.NewReader(in))
		must(t, <-done)
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("the server took %v", took)
		}
	})
}

// One that is opened while the server stops ends at once.
func TestWebSocketsAfterClose(t *testing.T) {
	s := onLoopback(t, echoes.ServeHTTP, Config{})
	s.relay.Close()
	conn := s.dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\n"+handshake+"\r\n")
	if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	want(t, "the log", s.log.String(), "")
}

// Where there are too many connections, that of somebody with a credential is not
// the one that goes.
func TestWhoIsKnownIsHeld(t *testing.T) {
	s := limited(t, echoes.ServeHTTP, Config{}, listen.Limits{Total: 2})
	s.passes(func(p *Pass) { p.Alive = func() bool { return true } })
	socket, conn := s.openSocket()
	defer conn.Close()
	says(t, socket, "one")
	s.passes(func(p *Pass) { p.Alive = nil })
	_, nobody := s.openSocket()
	s.passes(func(p *Pass) { p.Alive = func() bool { return true } })
	_, third := s.openSocket()
	defer third.Close()
	if n, err := io.Copy(io.Discard, nobody); n != 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	says(t, socket, "two")
}

// What passes is not counted as held in memory.
func TestUploadsAreNotHeld(t *testing.T) {
	s := limited(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}, Config{}, listen.Limits{Memory: 100 << 10})
	_, body := s.do("POST", "/", io.LimitReader(zeros{}, 1<<20), nil)
	want(t, "what came", body, "1048576 <nil>")
}
