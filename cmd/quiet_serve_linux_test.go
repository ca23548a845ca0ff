package cmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
	"husk/web/api"
)

// quietServer is a server under strace with all that it can be told to do beside.
type quietServer struct {
	*server
	t       *testing.T
	husk    program
	file    string // of the trace
	may     reach
	manager *fakeManager
	told    string // what the notify-command wrote
	backups string
	metrics string
	http    *http.Client
}

// newQuietServer starts one of the program at path. more goes into its environment.
func newQuietServer(t *testing.T, path string, more ...string) *quietServer {
	t.Helper()
	dir := t.TempDir()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello "+r.Header.Get("Remote-User")) }))
	t.Cleanup(app.Close)
	s := &quietServer{t: t, manager: newFakeManager(t), told: filepath.Join(dir, "told"), backups: filepath.Join(dir, "backups"), metrics: freeAddr(t),
		file: filepath.Join(dir, "trace"), http: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	script := filepath.Join(dir, "tell")
	err := os.WriteFile(script, []byte("#!/bin/sh\nread -r line && echo \"$line\" >>"+s.told+"\n"), 0o700)
	if err == nil {
		err = os.Mkdir(s.backups, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	files, addr := newPairFiles(t, goodPair(t, "id.husk.test")), freeAddr(t)
	_, port, _ := net.SplitHostPort(app.Listener.Addr().String())
	config := fmt.Sprintf(`addr: %s
public-url: https://id.husk.test
tls-cert: %s
tls-key: %s
metrics-addr: %s
notify-command: %s
backup-dir: %s
backup-every: 1m
access-log: true
audit-keep: 90d
session-idle: 1h
trusted-proxy: 127.0.0.1
gate:
  rules:
    - {host: app.husk.test, require: any, upstream: "http://localhost:%s"}
    - {host: elsewhere.husk.test, require: any, upstream: "http://app.nowhere.test:3000"}
`, strings.Replace(addr, "127.0.0.1", "localhost", 1), files.cert, files.key, s.metrics, script, s.backups, port)
	s.husk = program{data: newData(t)}
	s.husk.ok(t, "token", "create", "--name", "soon", "--expires", "5m") // what a server tells at its first look
	s.husk.path, s.husk.env = path, append(append(oddEnvironment(t), "NOTIFY_SOCKET="+s.manager.path, "WATCHDOG_USEC=400000"), more...)
	s.may = reach{
		dials: []string{app.Listener.Addr().String()}, listens: []string{addr, s.metrics}, runs: []string{script},
		unix: []string{filepath.Join(s.husk.data, "husk.sock"), "@husk-", s.manager.path},
	}
	c := s.husk.command(context.Background(), "serve", "--config", writeFile(t, dir, "husk.yaml", config))
	if err := syscalls.Trace(c, s.file, "-e", networkCalls); err != nil {
		t.Fatal(err)
	}
	s.server = run(t, c)
	s.ready()
	return s
}

// ask sends a request to the server by its address, for a host, with a token where there
// is one, and returns status and body.
func (s *quietServer) ask(method, host, path, token string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Host = host; token != "" {
		r.Header.Set("X-API-TOKEN", token)
	}
	answer, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func (s *quietServer) want(status int, method, host, path, token string) string {
	s.t.Helper()
	got, body := s.ask(method, host, path, token)
	if got != status {
		s.t.Errorf("%s %s at %s: status %d, want %d: %.300s", method, path, host, got, status, body)
	}
	return body
}

var setupCodeSaid = regexp.MustCompile(`with the set-up code (\S+)`)

// live is the life of a server: set-up, sign-in, checks good and bad, pages, an application
// behind it, figures, a backup, a reload, and then so long of nothing.
func (s *quietServer) live(idle time.Duration) {
	t := s.t
	s.says("set-up code")
	code := setupCodeSaid.FindStringSubmatch(s.log.String())
	if code == nil {
		t.Fatalf("no set-up code:\n%s", &s.log)
	}
	c := &api.Client{Base: "https://" + s.addr, HTTP: s.http}
	if _, err := c.Initialize(t.Context(), api.Setup{Name: "Ann", Email: "ann@example.com", Password: "a kettle on the hob", Code: code[1]}); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Login(t.Context(), api.Login{Email: "ann@example.com", Password: "a wrong one"})
	in, err := c.Login(t.Context(), api.Login{Email: "ann@example.com", Password: "a kettle on the hob"})
	if err != nil {
		t.Fatal(err)
	}
	c.JWT = in.AccessToken
	made, err := c.CreateToken(t.Context(), api.NewToken{Name: "anns"})
	if err != nil {
		t.Fatal(err)
	}
	const id, app = "id.husk.test", "app.husk.test"
	for _, path := range []string{"/account/profile", "/system/health", "/settings", "/_info", "/console", "/console/system"} {
		s.ask("GET", id, path, made.AccessToken)
	}
	s.want(http.StatusUnauthorized, "GET", id, "/account/profile", "nobody's")
	for _, path := range []string{"/health", "/livez", "/readyz", "/login", "/provider/_info", "/openapi.json", "/docs"} {
		s.want(http.StatusOK, "GET", id, path, "")
	}
	if body := s.want(http.StatusOK, "GET", app, "/", made.AccessToken); body != "hello ann@example.com" {
		t.Errorf("the application says %q", body)
	}
	s.want(http.StatusUnauthorized, "GET", app, "/", "")
	s.want(http.StatusOK, "POST", id, "/system/backup", made.AccessToken)
	if answer, err := http.Get("http://" + s.metrics + "/metrics"); err != nil || answer.StatusCode != http.StatusOK {
		t.Error("no figures", err)
	} else {
		answer.Body.Close()
	}
	beside := program{data: s.husk.data}
	beside.ok(t, "user", "list")
	beside.ok(t, "check")
	s.signal(syscall.SIGHUP)
	eventually(t, "that the manager hears of the reload", func() bool { return s.manager.has("RELOADING=1") == 1 && s.manager.has("READY=1") == 2 })
	eventually(t, "that the operator's program is told", func() bool { text, _ := os.ReadFile(s.told); return bytes.Contains(text, []byte(`"token_expiring"`)) })
	eventually(t, "that a backup is there", func() bool { files, _ := filepath.Glob(s.backups + "/husk-*Z.tar"); return len(files) > 0 })
	seen := s.manager.has("WATCHDOG=1")
	eventually(t, "that the manager hears that all is well", func() bool { return s.manager.has("WATCHDOG=1") > seen+1 })
	time.Sleep(idle) // what is waited for is that nothing happens
}

// judge ends the server and tells what went beyond its reach.
func (s *quietServer) judge() []string {
	s.t.Helper()
	s.end()
	return s.may.beyond(readQuiet(s.t, s.file))
}

// TestQuietServe: a server reaches no one but the application that it was told of, the
// service manager that started it and the program that it was told to run.
func TestQuietServe(t *testing.T) {
	needStrace(t)
	t.Parallel()
	s := newQuietServer(t, shippedHusk(t))
	s.live(2 * time.Second)
	for _, what := range s.judge() {
		t.Error(what)
	}
	var seen []string // what the trace has has to be what was done
	for _, c := range readQuiet(t, s.file) {
		if c.Name == "connect" || c.Name == "execve" {
			seen = append(seen, c.String())
		}
	}
	for _, want := range []string{s.manager.path, s.may.runs[0], "sin_port=htons(" + strings.Split(s.may.dials[0], ":")[1]} {
		if !slices.ContainsFunc(seen, func(c string) bool { return strings.Contains(c, want) }) {
			t.Errorf("the trace lacks %s: %q", want, seen)
		}
	}
}

// TestQuietServeForLong is TestQuietServe over what takes a day otherwise: the program is
// built with the pauses of its jobs made short.
func TestQuietServeForLong(t *testing.T) {
	needStrace(t)
	dbtest.TakesVeryLong(t, "a minute of a server whose day is short, traced")
	t.Parallel()
	s := newQuietServer(t, hastyHusk(t))
	s.live(65 * time.Second) // a scheduled backup more
	if files, _ := filepath.Glob(s.backups + "/husk-*Z.tar"); len(files) < 2 {
		t.Errorf("%d scheduled backups: its day was not short", len(files))
	}
	for _, what := range s.judge() {
		t.Error(what)
	}
}

// hastyHusk is shippedHusk with its pauses between background jobs 240 to 3600 times as short.
func hastyHusk(t *testing.T) string {
	t.Helper()
	dir, replaced := t.TempDir(), map[string]string{}
	pauses := 0
	for _, file := range []string{"upkeep.go", "scheduled.go", "scrub.go", "watch.go"} {
		path, err := filepath.Abs(filepath.Join("../web/upkeep", file))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pauses += bytes.Count(text, []byte("time.Minute")) + bytes.Count(text, []byte("time.Hour"))
		hasty := strings.NewReplacer("time.Minute", "(time.Second / 4)", "time.Hour", "time.Second").Replace(string(text))
		replaced[path] = writeFile(t, dir, file, hasty)
	}
	if pauses < 8 {
		t.Fatalf("only %d pauses are in web/upkeep: they stand elsewhere now", pauses)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "husk")
	build := exec.Command("go", "build", "-trimpath", "-overlay", writeFile(t, dir, "overlay.json", string(overlay)), "-o", path, "husk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestQuietServeSeesNoise: the same life finds who adds a time server or an update check to
// a server.
func TestQuietServeSeesNoise(t *testing.T) {
	needStrace(t)
	t.Parallel()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	noisy, err := exec.LookPath("noisy")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nothing", "time server", "update check"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newQuietServer(t, noisy, "TEST_NOISE="+name, "TEST_NOISE_TO="+l.LocalAddr().String(), "TEST_NOISE_LATER=1")
			if name != "nothing" {
				s.says("noise:")
			}
			if beyond := s.judge(); len(beyond) == 0 != (name == "nothing") {
				t.Errorf("%q goes beyond", beyond)
			}
		})
	}
}
