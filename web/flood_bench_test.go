package web

import (
	"errors"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/password"
)

const (
	flooders     = 50
	floodTurn    = time.Second
	checkClients = 4
)

// BenchmarkFlood checks tokens while 50 clients try wrong passwords as fast as
// they are answered, against the floor: a bare echo server that is flooded by
// as many, where as many goroutines hash. The two take turns of a second.
//
//	go test ./web -run '^$' -bench Flood -benchtime 10x
func BenchmarkFlood(b *testing.B) {
	s, apiToken, _ := benchServer(b)
	s.Passwords = password.New(password.Config{})
	s.logins = newLoginLimiter(LoginLimits{Account: 1 << 30, Address: 1 << 30})
	hash, err := s.Passwords.Hash(b.Context(), password.Caller{}, "seven crates of apricots")
	if err != nil {
		b.Fatal(err)
	}
	actor := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	if _, err := s.Store.UpdateUser(b.Context(), actor, db.SingleUser, db.UserChange{Password: &hash}); err != nil {
		b.Fatal(err)
	}
	floorHasher := password.New(password.Config{})
	floor := floodFloor(floorHasher)
	var checks, floorChecks []float64
	var late, floorLate []float64
	memory := 0.0
	hashed, floorHashed := 0.0, 0.0
	for range b.N + 1 {
		n, p99, hashes := floodOnce(b, s.HTTPServer(), "X-API-TOKEN: "+apiToken, s.Passwords)
		checks, late = append(checks, n), append(late, p99)
		memory = max(memory, anonymousMemory(b))
		hashed += hashes
		n, p99, hashes = floodOnce(b, &http.Server{Handler: floor}, "", floorHasher)
		floorChecks, floorLate = append(floorChecks, n), append(floorLate, p99)
		floorHashed += hashes
	}
	b.ReportMetric(median(checks), "checks/s")
	b.ReportMetric(median(checks)/median(floorChecks), "x-floor-checks")
	b.ReportMetric(median(late), "p99-ms")
	b.ReportMetric(median(late)/median(floorLate), "x-floor-p99")
	b.ReportMetric(memory, "anon-MB")
	b.ReportMetric(hashed/float64(b.N+1), "hashes/turn")
	b.ReportMetric(floorHashed/float64(b.N+1), "floor-hashes/turn")
	b.ReportMetric(0, "ns/op")
}

// floodFloor answers checks with constant bytes, and sign-ins with a hash.
func floodFloor(hasher *password.Hasher) *echo.Echo {
	floor := echo.New()
	body := []byte(`{"floor":"` + strings.Repeat("0", 139) + `"}`)
	floor.GET("/account/profile", func(c echo.Context) error { return c.JSONBlob(http.StatusOK, body) })
	floor.POST("/account/login", func(c echo.Context) error {
		if err := hasher.VerifyNobody(c.Request().Context(), password.Caller{}, "", "wrong"); errors.Is(err, password.ErrBusy) {
			return c.JSONBlob(http.StatusServiceUnavailable, body)
		}
		return c.JSONBlob(http.StatusForbidden, body)
	})
	return floor
}

// floodOnce returns the checks per second and the 99th percentile of their
// time, in milliseconds, during one turn.
func floodOnce(b *testing.B, hs *http.Server, header string, hasher *password.Hasher) (perSecond, p99, hashes float64) {
	hashed := hasher.Stats().Total
	var working sync.WaitGroup
	var stop atomic.Bool
	addr := listenBench(b, hs)
	for range flooders {
		c := connectBench(b, addr, "")
		c.request = []byte("POST /account/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\r\n" + `{"password":"a wrong password."}`)
		c.anyStatus = true
		working.Go(func() {
			for !stop.Load() {
				if c.once() != nil {
					return
				}
			}
		})
	}
	all := make([][]time.Duration, checkClients)
	end := time.Now().Add(floodTurn)
	var checking sync.WaitGroup
	for i := range all {
		c := connectBench(b, addr, header)
		checking.Go(func() {
			for now := time.Now(); now.Before(end); {
				if err := c.once(); err != nil {
					b.Error(err)
					return
				}
				next := time.Now()
				all[i] = append(all[i], next.Sub(now))
				now = next
			}
		})
	}
	checking.Wait()
	hashed = hasher.Stats().Total - hashed
	stop.Store(true)
	hs.Close()
	working.Wait()
	// What is left of the flood is no load of the next turn.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for left := hasher.Stats(); left.Queued+left.Running > 0; left = hasher.Stats() {
		<-tick.C
	}
	took := slices.Concat(all...)
	slices.Sort(took)
	return float64(len(took)) / floodTurn.Seconds(), float64(took[len(took)*99/100].Microseconds()) / 1000, float64(hashed)
}

// anonymousMemory returns that of this process, clients included, in MB.
func anonymousMemory(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("the system does not tell: " + runtime.GOOS)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "RssAnon:"); found {
			kB, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kB) / 1024
		}
	}
	return 0
}
