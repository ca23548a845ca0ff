package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"husk/db"
	"husk/web/control"
	"husk/web/logtest"
)

// panicEngine panics where it is read.
type panicEngine struct {
	db.Engine
	panics bool
}

func (e *panicEngine) View(ctx context.Context, f func(db.Tx) error) error {
	if e.panics {
		panic("in View")
	}
	return e.Engine.View(ctx, f)
}

// A scrape is answered with what could be read, and the process goes on: the
// registry collects in goroutines that nobody guards.
func TestPanicInAScrape(t *testing.T) {
	engine := &panicEngine{}
	s, log := testServer(t, func(c *Config) {
		engine.Engine = c.Store.Engine()
		var err error
		if c.Store, err = db.Open(t.Context(), engine, db.Options{}); err != nil {
			t.Fatal(err)
		}
		if c.Metrics, err = NewMetrics(prometheus.NewRegistry()); err != nil {
			t.Fatal(err)
		}
	})
	engine.panics = true
	families, err := s.Metrics.registry.Gather()
	if err != nil || len(families) < 10 {
		t.Errorf("%d families, %v", len(families), err)
	}
	logtest.WantPanic(t, log, "panic in the background", "in View", "")
}

// noDeadlines is an answer that panics where it gets a deadline.
type noDeadlines struct{ *httptest.ResponseRecorder }

func (noDeadlines) SetReadDeadline(time.Time) error { panic("at a deadline") }

// What goes wrong about a request's body at the stop is told with its id.
func TestPanicAtTheStopNamesTheRequest(t *testing.T) {
	s, log := testServer(t, func(*Config) {})
	begun, hold, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	err := s.AddPublic("POST", "/held", func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-hold
	})
	if err != nil {
		t.Fatal(err)
	}
	front, w := s.front(), noDeadlines{httptest.NewRecorder()}
	go func() {
		defer close(answered)
		r := httptest.NewRequest("POST", "/held", strings.NewReader("12345"))
		r.ProtoMajor = 2
		front.ServeHTTP(w, r)
	}()
	<-begun
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := front.Serve(ctx, control.NewMemory()); err != nil {
		t.Error(err)
	}
	until(t, func() bool { return strings.Contains(log.String(), "at a deadline") })
	close(hold)
	<-answered
	logtest.WantPanic(t, log, "panic in the background", "at a deadline", `"request_id":"`+w.Header().Get(headerRequestID)+`"`)
}

// Requests share a commit, and their functions run in the goroutine of one of
// them: each panic is that of its own request all the same.
func TestPanicInASharedCommit(t *testing.T) {
	s, log := testServer(t, func(*Config) {})
	l := control.NewMemory()
	for _, name := range []string{"first", "second", "third"} {
		err := s.add(route{method: "POST", path: "/panics/" + name, need: isPublic, effect: changes, do: raw(func(c echo.Context, _ *db.Actor) error {
			return s.Store.Engine().Update(c.Request().Context(), func(tx db.Tx) error {
				if err := tx.Put("b", []byte(name), []byte("v")); err != nil || name == "second" {
					return err
				}
				panic("in the function of " + requestID(c))
			})
		})})
		if err != nil {
			t.Fatal(err)
		}
	}
	hs := s.HTTPServer()
	go hs.Serve(l)
	defer hs.Close()
	var all sync.WaitGroup
	for _, name := range []string{"first", "second", "third"} {
		all.Go(func() {
			c, err := l.DialContext(t.Context(), "", "")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /panics/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", name)
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			id := r.Header.Get(headerRequestID)
			if want := map[bool]int{true: 200, false: 500}[name == "second"]; r.StatusCode != want {
				t.Errorf("%s is %d", name, r.StatusCode)
			} else if want == 500 {
				logtest.WantPanic(t, log, "panic in a request", "in the function of "+id, `"request_id":"`+id+`"`)
			}
		})
	}
	all.Wait()
}
