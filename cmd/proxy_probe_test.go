//go:build unix

package cmd

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/web/logtest"
	"husk/web/probe"
)

// A URL of https is asked over TLS, and its certificate has to be one that is trusted.
func TestProbeOverTLS(t *testing.T) {
	t.Parallel()
	app := httptest.NewTLSServer(probe.Echo())
	t.Cleanup(app.Close)
	ca := writeFile(t, t.TempDir(), "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw})))
	plain := "http://" + app.Listener.Addr().String()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"trusted":     {[]string{app.URL, "--server-ca", ca}, exitFailure, "tricks did not hold"},
		"not trusted": {[]string{app.URL}, exitBusy, "--server-ca FILE"},
		"http":        {[]string{plain}, exitBusy, "that port speaks TLS"},
	} {
		r := runHere(t, nil, "", append([]string{"proxy", "probe"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.errors, c.says) || (r.out != "") != (c.code == exitFailure) {
			t.Errorf("%s: %d: %s%s", name, r.code, r.out, r.errors)
		}
	}
}

// A proxy whose gate does not answer has held nothing.
func TestProbeOfABrokenGate(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(broken.Close)
	r := runHere(t, nil, "", "proxy", "probe", broken.URL)
	if r.code != exitBusy || r.out != "" || !strings.Contains(r.errors, "answers 500") || !strings.Contains(r.errors, "trusted-proxy") {
		t.Errorf("%d: %s%s", r.code, r.out, r.errors)
	}
}

// A probe ends when it is told to, while it waits for an answer.
func TestProbeIsInterrupted(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 1), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	c := program{data: t.TempDir()}.command(t.Context(), "proxy", "probe", slow.URL)
	var said logtest.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-time.After(patience):
		t.Error("nothing was asked")
	}
	began := time.Now()
	_ = c.Process.Signal(syscall.SIGINT)
	_ = c.Wait()
	if code, took := c.ProcessState.ExitCode(), time.Since(began); code != exitSignal+int(syscall.SIGINT) || took > 5*time.Second {
		t.Errorf("%d after %v: %s", code, took, &said)
	}
}

func TestProbeCompletes(t *testing.T) {
	t.Parallel()
	if out, _ := completion(t, nil, "proxy", "probe", "--proxy", "c"); !strings.HasPrefix(out, "caddy\n") {
		t.Errorf("--proxy is completed with %q", out)
	}
	if out, _ := completion(t, nil, "proxy", "probe", ""); strings.TrimSpace(out) != ":4" { // no files
		t.Errorf("URL is completed with %q", out)
	}
}
