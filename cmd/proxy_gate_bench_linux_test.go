package cmd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkBehindNginx counts requests through nginx that Husk is asked about, with an
// API token, beside the same nginx that asks a bare handler. Both have their turn in
// each round; ratio is how much of the floor's requests are left.
//
//	go test ./cmd -run '^$' -bench BehindNginx -benchtime 10x
func BenchmarkBehindNginx(b *testing.B) {
	if _, err := exec.LookPath("nginx"); err != nil {
		b.Skip(err)
	}
	g := startBehind(b, "nginx", "nginx")
	gated := nginxBefore(g, g.server.addr)
	bare := freeAddr(b)
	c := exec.Command("floor", bare)
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	floor := nginxBefore(g, bare)
	for _, addr := range []string{gated, floor} {
		eventually(b, addr, func() bool { return throughNginx(addr, g.token, 1) == nil })
		if err := throughNginx(addr, g.token, 1000); err != nil {
			b.Fatal(err)
		}
	}
	var took [2]time.Duration
	const each = 4000
	for b.Loop() {
		for i, addr := range []string{gated, floor} {
			began := time.Now()
			if err := throughNginx(addr, g.token, each); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(began)
		}
	}
	perSecond := func(t time.Duration) float64 { return float64(b.N) * each / t.Seconds() }
	b.ReportMetric(perSecond(took[0]), "req/s")
	b.ReportMetric(perSecond(took[1]), "floor-req/s")
	b.ReportMetric(perSecond(took[0])/perSecond(took[1]), "ratio")
	b.ReportMetric(0, "ns/op")
}

// nginxBefore starts nginx with what husk prints, for a Husk at an address, and
// returns where it listens.
func nginxBefore(g *gated, husk string) string {
	g.t.Helper()
	dir, at := g.t.TempDir(), freeAddr(g.t)
	conf := g.husk.ok(g.t, "proxy", "config", "nginx", "--quiet", "--addr", husk, "--public-url", "http://id.example.com:"+g.port, "--listen", at, "--app", "app.example.com="+g.app.addr)
	path := writeFile(g.t, dir, "nginx.conf", strings.Replace(conf, "http {\n", "http {\naccess_log off;\n", 1))
	c := exec.Command("nginx", "-e", filepath.Join(dir, "log"), "-c", path, "-g", "daemon off; pid "+dir+"/pid;")
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait()
		if g.t.Failed() {
			g.t.Logf("nginx says %s", &said)
		}
	})
	return at
}

// throughNginx sends so many requests on a few connections, and wants each to reach
// the application.
func throughNginx(addr, token string, requests int) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 16, DialContext: (&net.Dialer{Timeout: patience}).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	errs := make(chan error, 16)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range (requests + 15) / 16 {
				if err := oneThroughNginx(client, addr, token); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

func oneThroughNginx(client *http.Client, addr, token string) error {
	r, err := http.NewRequest("GET", "http://"+addr+"/page", nil)
	if err != nil {
		return err
	}
	r.Host = "app.example.com"
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("it is answered with %s", answer.Status)
	}
	return err
}
