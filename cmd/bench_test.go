//go:build unix

package cmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/db/bolt"
	"husk/db/dbtest"
	"husk/db/dbtest/large"
	"husk/web/logtest"
)

// The benchmarks here start the program as it is shipped: static, stripped and
// in a process of its own. What they print holds for the best of their runs.

// shipped builds the program.
func shipped(b *testing.B) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "husk")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "husk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// BenchmarkStart measures the size of the program, the time from its start to
// its first answer, and what it then holds in anonymous memory.
//
//	go test ./cmd -run '^$' -bench Start -benchtime 5x
func BenchmarkStart(b *testing.B) {
	program := shipped(b)
	info, err := os.Stat(program)
	if err != nil {
		b.Fatal(err)
	}
	small := filepath.Join(b.TempDir(), "data")
	if err := os.Mkdir(small, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := bolt.Create(filepath.Join(small, "husk.db"), db.Init); err != nil {
		b.Fatal(err)
	}
	b.Run("small", func(b *testing.B) {
		b.ReportMetric(float64(info.Size())/(1<<20), "binary-MB")
		benchStart(b, program, small, syscall.SIGTERM)
	})
	b.Run("million", func(b *testing.B) {
		dir := large.Copy(b, 1_000_000)
		b.Run("stopped", func(b *testing.B) { benchStart(b, program, dir, syscall.SIGTERM) })
		b.Run("killed", func(b *testing.B) { benchStart(b, program, dir, syscall.SIGKILL) })
	})
}

// benchStart starts the program again and again; end is how it is stopped,
// while tokens are made.
func benchStart(b *testing.B, program, data string, end syscall.Signal) {
	began, memory := time.Hour, 1e9
	longest := time.Duration(0) // until it was ready, for reads and writes
	for range b.N + 1 {
		s := serveShipped(b, program, data)
		began = min(began, s.began)
		for !answers(s.addr, "/readyz") {
			if time.Since(s.started) > patience {
				b.Fatal("it does not become ready")
			}
		}
		longest = max(longest, time.Since(s.started))
		idle := time.NewTimer(time.Second) // what was used to start is given back
		<-idle.C
		memory = min(memory, anonymous(b, s.Process.Pid))
		if end == syscall.SIGKILL {
			go func() { // it may be cut short
				_ = exec.Command(program, "token", "create", "--data", data, "--quiet").Run()
				_ = s.Process.Signal(end)
			}()
		} else {
			_ = s.Process.Signal(end)
		}
		_ = s.Wait()
	}
	b.ReportMetric(float64(began.Microseconds())/1000, "start-ms")
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ready-ms")
	b.ReportMetric(memory, "anon-MB")
	if end == syscall.SIGKILL {
		b.Log(dbtest.Figures("open-after-kill", "tokens", 1_000_000, "kills", b.N, "longest", longest.Round(time.Millisecond)))
	}
	b.ReportMetric(0, "ns/op")
}

// shippedServer is a server in a process of its own.
type shippedServer struct {
	*exec.Cmd
	addr    string
	started time.Time
	began   time.Duration // from its start to its first answer
}

func serveShipped(b *testing.B, program, data string) *shippedServer {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	l.Close()
	s := &shippedServer{addr: l.Addr().String(), Cmd: exec.Command(program, "serve", "--addr", l.Addr().String(), "--data", data)}
	var log logtest.Buffer
	s.Stderr = &log
	s.started = time.Now()
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = s.Process.Kill()
		_ = s.Wait()
	})
	for !answers(s.addr, "/livez") {
		if s.began = time.Since(s.started); s.began > patience {
			b.Fatalf("it does not answer:\n%s", &log)
		}
	}
	s.began = time.Since(s.started)
	return s
}

// answers asks whether a server says yes at a path.
func answers(addr, path string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	return err == nil && r.StatusCode == http.StatusOK
}

// anonymous returns the anonymous memory of a process, in MB: what is not of a
// file, and so can't be dropped.
func anonymous(b testing.TB, pid int) float64 {
	b.Helper()
	return float64(memoryOf(b, pid, "RssAnon")) / (1 << 20)
}

// memoryOf reads a line of /proc/PID/status (proc_pid_status(5)), in bytes.
func memoryOf(t testing.TB, pid int, line string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n"+line+":")
	var kB int64
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatalf("the kernel does not tell %s: %v", line, err)
	}
	return kB << 10
}

// BenchmarkMillionTokens uses a million different tokens, each once, and
// measures the anonymous memory of the server on the way and after; b.N is
// not looked at.
//
//	go test ./cmd -run '^$' -bench MillionTokens -benchtime 1x
func BenchmarkMillionTokens(b *testing.B) {
	const tokens = 1_000_000
	data := large.Copy(b, tokens)
	s := serveShipped(b, shipped(b), data)
	var highest float64
	began := time.Now()
	order := rand.New(rand.NewPCG(3, 4)).Perm(tokens)
	const part = 50_000
	for from := 0; from < tokens; from += part {
		useTokens(b, s.addr, order[from:from+part])
		highest = max(highest, anonymous(b, s.Process.Pid))
	}
	took := time.Since(began)
	b.ReportMetric(tokens/took.Seconds(), "checks/s")
	b.ReportMetric(highest, "highest-anon-MB")
	_ = s.Process.Signal(syscall.SIGTERM)
	_ = s.Wait()
	b.ReportMetric(float64(time.Since(began).Milliseconds()-took.Milliseconds()), "stop-ms")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(unused(b, filepath.Join(data, "husk.db"), began, tokens)), "uses-lost")
}

// unused counts the tokens whose use is not written down.
func unused(b *testing.B, path string, since time.Time, tokens int) (lost int) {
	store := large.Open(b, path)
	for i := range tokens {
		use, err := store.TokenLastUsed(b.Context(), large.TokenID(i))
		if err != nil {
			b.Fatal(err)
		}
		if use.Time.Before(since) {
			lost++
		}
	}
	return lost
}

// useTokens uses each token once, over a few connections.
func useTokens(b *testing.B, addr string, numbers []int) {
	const clients = 4
	var working sync.WaitGroup
	for c := range clients {
		working.Go(func() {
			if err := useInTurn(addr, numbers[c*len(numbers)/clients:(c+1)*len(numbers)/clients]); err != nil {
				b.Error(err)
			}
		})
	}
	working.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// useInTurn sends requests in batches, so that the client costs little.
func useInTurn(addr string, numbers []int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	const batch = 50
	for ; len(numbers) > 0; numbers = numbers[min(batch, len(numbers)):] {
		var requests bytes.Buffer
		now := numbers[:min(batch, len(numbers))]
		for _, i := range now {
			fmt.Fprintf(&requests, "GET /account/profile HTTP/1.1\r\nHost: localhost\r\nX-API-TOKEN: %s\r\n\r\n", large.Secret(i))
		}
		if _, err := conn.Write(requests.Bytes()); err != nil {
			return err
		}
		for range now {
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
				return fmt.Errorf("answer %s, %v", r.Status, err)
			}
		}
	}
	return nil
}

// serveFloor is the least that can answer a proxy's question: a bare handler of echo
// that lets everybody in. It listens on the address of its first argument.
func serveFloor() {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Any("/*", func(c echo.Context) error {
		for _, name := range identityHeaders {
			c.Response().Header().Set(name, "ann@example.com")
		}
		return c.NoContent(http.StatusOK)
	})
	fmt.Fprintln(os.Stderr, e.Start(os.Args[1]))
	os.Exit(1)
}
