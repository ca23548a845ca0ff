//go:build unix

package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// metricsOf returns where a server serves its metrics, as its log says.
func metricsOf(t *testing.T, s *server) string {
	t.Helper()
	m := regexp.MustCompile(`"metrics_addr":"([^"]+)"`).FindStringSubmatch(s.log.String())
	if m == nil {
		t.Fatalf("no metrics are served:\n%s", &s.log)
	}
	return m[1]
}

func fetch(t *testing.T, url string) (code int, body string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestMetricsHaveTheirOwnAddress(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	files := newPairFiles(t, goodPair(t, "good"))
	s := p.serve(t, "--metrics-addr", "127.0.0.1:0", "--tls-cert", files.cert, "--tls-key", files.key)
	p.ok(t, "token", "create", "--name", "one")
	addr := metricsOf(t, s)
	code, text := fetch(t, "http://"+addr+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics is %d", code)
	}
	for _, sample := range []string{`husk_tokens 1`, `husk_store_up 1`, `husk_http_requests_total{code="2xx",method="POST",route="/auth/access_token"} 1`,
		`husk_build_info{goversion="[^"]+",version="` + regexp.QuoteMeta(version()) + `"} 1`, `husk_certificate_expiry_timestamp_seconds [\d.e+]+`, `go_goroutines \d+`, `process_open_fds \d+`} {
		if !regexp.MustCompile(`(?m)^` + strings.ReplaceAll(sample, "{", `\{`) + `$`).MatchString(text) {
			t.Errorf("/metrics does not have %s", sample)
		}
	}
	if code, _ := fetch(t, "http://"+addr+"/livez"); code != http.StatusNotFound {
		t.Errorf("the metrics' address answers /livez with %d", code)
	}
	r, err := http.NewRequest("GET", "http://"+addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a page whose name leads here reads the metrics: %s", answer.Status)
	}
	if strings.Contains(s.log.String(), "may read the metrics") {
		t.Errorf("it warns of loopback:\n%s", &s.log)
	}
	s.end()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the metrics are served after the end")
	}
}

func TestNoMetricsByDefault(t *testing.T) {
	t.Parallel()
	s := program{data: newData(t)}.serve(t)
	if code, _ := fetch(t, s.url()+"/metrics"); code != http.StatusNotFound || strings.Contains(s.log.String(), "metrics") {
		t.Errorf("/metrics is %d; the log:\n%s", code, &s.log)
	}
}

func TestMonitoringMistakesEndServe(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flag, value, want string
		code              int
	}{
		{"--metrics-addr", l.Addr().String(), "address already in use", exitFailure},
		{"--metrics-addr", "nowhere", "HOST:PORT", exitUsage},
		{"--notify-command", plain + ".absent", "no such file", exitUsage},
		{"--notify-command", plain, "permission denied", exitUsage},
		{"--notify-command", filepath.Dir(plain), "can't be run", exitUsage},
	} {
		s := program{data: newData(t)}.start(t, c.flag, c.value)
		if code := s.exit(); code != c.code || !strings.Contains(s.log.String(), c.want) || !strings.Contains(s.log.String(), strings.TrimPrefix(c.flag, "--")) {
			t.Errorf("%s %s ended with %d:\n%s", c.flag, c.value, code, &s.log)
		}
		if strings.Contains(s.log.String(), "husk serves") {
			t.Errorf("%s %s: it served before", c.flag, c.value)
		}
	}
}

func TestMetricsBeyondLoopbackAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := program{data: newData(t)}.serve(t, "--metrics-addr", ":0")
	if !strings.Contains(s.log.String(), "may read the metrics") {
		t.Errorf("no warning:\n%s", &s.log)
	}
}

// What expires is told to the program when the server starts, by its relative
// path too.
func TestTheNotifyCommandIsRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "tell")
	body := fmt.Sprintf("#!/bin/sh\ncd %s && cat > part && cat part >> events\n", dir)
	if err := os.WriteFile(script, []byte(body), 0o700); err != nil {
		t.Fatal(err)
	}
	p := program{data: newData(t)}
	p.ok(t, "token", "create", "--name", "soon", "--expires", "10d")
	files := newPairFiles(t, newPair(t, "short", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)))
	relative, err := filepath.Rel(workingDir(t), script)
	if err != nil {
		t.Fatal(err)
	}
	p.serve(t, "--notify-command", relative, "--tls-cert", files.cert, "--tls-key", files.key)
	var events []string
	eventually(t, "two events", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "events"))
		events = strings.SplitAfter(string(text), "\n")
		return len(events) == 3
	})
	for i, want := range []string{"token_expiring", "certificate_expiring"} {
		var e struct {
			Event, Message string
			Count          int
			Expires        time.Time
		}
		if err := json.Unmarshal([]byte(events[i]), &e); err != nil || e.Event != want || e.Message == "" || (e.Count == 1) == e.Expires.After(time.Now()) {
			t.Errorf("event %d is %s, %v", i, events[i], err)
		}
	}
}

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
