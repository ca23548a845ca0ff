//go:build unix

package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func get(t testing.TB, url string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 200 {
		t.Errorf("%s: %s", url, r.Status)
	}
}

// load is a number of clients that never stop asking.
type load struct {
	t        *testing.T
	base     string
	token    string
	deadline context.Context
	stop     atomic.Bool
	clients  sync.WaitGroup

	asked  atomic.Int64
	mu     sync.Mutex
	failed []error
	made   []string // ids of tokens whose making was acknowledged
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

// client asks until the load is stopped, with a pause in between.
func (l *load) client(keep bool, pause time.Duration, ask func(*http.Client) error) {
	transport := &http.Transport{DisableKeepAlives: !keep}
	client := &http.Client{Transport: transport}
	l.clients.Go(func() {
		defer transport.CloseIdleConnections()
		tick := time.NewTicker(max(pause, time.Microsecond))
		defer tick.Stop()
		for !l.stop.Load() {
			if err := ask(client); err != nil {
				l.fail(err)
			}
			l.asked.Add(1)
			if pause > 0 {
				<-tick.C
			}
		}
	})
}

func (l *load) do(client *http.Client, method, path, body string, out any) error {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(l.deadline, method, l.base+path, in)
	if err != nil {
		return err
	}
	r.Header.Set("X-API-TOKEN", l.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.GetBody = nil // so that Go's client can't quietly send it twice
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != 200 {
		err = fmt.Errorf("%s %s: %s %s", method, path, answer.Status, text)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	return err
}

func (l *load) read(client *http.Client) error {
	return l.do(client, "GET", "/account/profile", "", nil)
}

func (l *load) post(client *http.Client) error {
	return l.do(client, "POST", "/account/logout", `{"some":"body"}`, nil)
}

func (l *load) makeToken(client *http.Client) error {
	var made struct {
		ID string `json:"_id"`
	}
	if err := l.do(client, "POST", "/auth/access_token", `{"name":"made under load"}`, &made); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = append(l.made, made.ID)
	return nil
}

// TestHandover replaces a server several times, under load, in both orders: as
// systemd restarts, and with the next one waiting for the store. No request
// fails, and what was acknowledged is there in the end.
func TestHandover(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	token := runHere(t, []string{"HUSK_DATA=" + data}, "", "token", "create", "--name", "load")
	if token.code != exitDone {
		t.Fatal(token.errors)
	}
	addr, socket := listenLocal(t)
	start := func() *server { return program{data: data, sockets: []*os.File{socket}}.spawn(t, "serve") }

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	l := &load{t: t, base: "http://" + addr, token: strings.TrimSpace(token.out), deadline: ctx}
	for _, keep := range []bool{true, false} {
		for _, pause := range []time.Duration{0, 20 * time.Millisecond} {
			l.client(keep, pause, l.read)
			l.client(keep, pause, l.post)
		}
		l.client(keep, 10*time.Millisecond, l.makeToken)
	}
	running := start()
	running.ready()
	progress := func() {
		t.Helper()
		before := l.asked.Load()
		eventually(t, "the load goes on", func() bool { return l.asked.Load() > before+100 })
	}
	const times = 4
	for i := range times {
		progress()
		if i%2 == 0 { // as systemd does
			running.end()
			running = start()
		} else { // both at once
			next := start()
			next.says("waiting for it")
			running.end()
			running = next
		}
		running.ready()
	}
	progress()
	l.stop.Store(true)
	l.clients.Wait()
	running.end()

	t.Logf("%d requests over %d handovers, %d tokens made", l.asked.Load(), times, len(l.made))
	if len(l.failed) > 0 {
		t.Errorf("%d requests failed; the first: %v", len(l.failed), errors.Join(l.failed[:min(5, len(l.failed))]...))
	}
	var tokens []struct{ ID string }
	if r := runHere(t, []string{"HUSK_DATA=" + data}, "", "token", "list", "--json"); json.Unmarshal([]byte(r.out), &tokens) != nil {
		t.Fatalf("token list: %s%s", r.out, r.errors)
	}
	known := map[string]bool{}
	for _, token := range tokens {
		known[token.ID] = true
	}
	for _, id := range l.made {
		if !known[id] {
			t.Errorf("the token %s was acknowledged and is gone", id)
		}
	}
}

// TestStop looks at the order of the end: nothing is accepted any more and the
// control socket is gone, while what is in flight is answered.
func TestStop(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	addr, socket := listenLocal(t)
	d := program{data: data, sockets: []*os.File{socket}}.spawn(t, "serve")
	d.ready()

	// In the kernel's queue a connection would be the next server's: this one
	// was accepted.
	conn := d.dialAnswered()
	fmt.Fprint(conn, "POST /account/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"passw")
	d.signal(syscall.SIGTERM)
	eventually(t, "the control socket is gone", func() bool {
		_, err := os.Lstat(filepath.Join(data, "husk.sock"))
		return os.IsNotExist(err)
	})
	// What comes now is the next server's: it is queued, and not answered.
	later, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the inherited socket was shut: %v", err)
	}
	defer later.Close()
	later.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(later, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

	if _, err := io.WriteString(conn, `ord":""}`); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != 400 {
		t.Errorf("the request in flight got %v, %v", answer, err)
	}
	if code := d.exit(); code != exitDone || !strings.Contains(d.log.String(), "husk has stopped") {
		t.Errorf("it ended with %d:\n%s", code, &d.log)
	}
	next := program{data: data, sockets: []*os.File{socket}}.spawn(t, "serve")
	if text, err := io.ReadAll(later); err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.1 200 ")) {
		t.Errorf("the queued request got %q, %v", text, err)
	}
	next.end()
}

// TestStopWhileWaiting: a server that waits for the store can be told to stop.
func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	first := program{data: data}.start(t)
	first.ready()
	second := program{data: data}.start(t)
	second.says("waiting for it")
	if !strings.Contains(second.log.String(), fmt.Sprintf("by process %d", first.cmd.Process.Pid)) {
		t.Errorf("it does not say for whom:\n%s", &second.log)
	}
	second.end()
	first.end()
}

func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := writeFile(t, dir, "husk.yaml", "log-level: info\n")
	p := program{data: filepath.Join(dir, "data"), env: []string{"HUSK_CONFIG=" + config}}
	token := strings.TrimSpace(p.ok(t, "token", "create", "--name", "settings"))
	d := p.start(t)
	d.ready()
	told := func(want string) {
		t.Helper()
		c, err := d.client(token).Configuration(t.Context())
		if err != nil || c.File != config {
			t.Fatalf("%+v, %v", c, err)
		}
		var got []string
		for _, s := range c.Settings {
			if s.Source == "file" || s.Waiting {
				got = append(got, fmt.Sprintf("%s=%s %s:%d %t", s.Name, s.Value, s.Source, s.Line, s.Waiting))
			}
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("the settings are %s, want %s", text, want)
		}
	}
	told("log-level=info file:1 false")
	reload := func(text string) {
		t.Helper()
		writeFile(t, dir, "husk.yaml", text)
		d.signal(syscall.SIGHUP)
	}
	reload("log-level: info\nlog-format: text\nsession-ttl: 1h\naccess-log: true\n")
	d.says(`level=INFO msg=reloaded applied=log-format`)
	d.says(`settings="access-log session-ttl"`)
	told("access-log=false default:0 true, log-format=text file:2 false, log-level=info file:1 false, session-ttl=24h default:0 true")
	reload("log-level: warn\nadr: x\n")
	d.says("the configuration was not reloaded")
	d.says("there is no setting adr; did you mean addr?")
	told("access-log=false default:0 true, log-format=text file:2 false, log-level=info file:1 false, session-ttl=24h default:0 true")
	// It still logs at info, and still knows what it runs with.
	reload("session-ttl: 24h\nlog-format: json\n")
	d.says(`"msg":"reloaded","applied":"log-format"`)
	told("log-format=json file:2 false, session-ttl=24h file:1 false")
	if n := strings.Count(d.log.String(), "need a restart"); n != 1 {
		t.Errorf("%d times settings need a restart:\n%s", n, &d.log)
	}
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGHUP)
	d.says("the configuration file can't be read")
	d.end()
}

// TestRootBesideTheService: root's commands work with the store of the
// service's user, beside the server and without it, and leave it to that user.
func TestRootBesideTheService(t *testing.T) {
	needRoot(t)
	t.Parallel()
	const user = 63535
	folder, err := os.MkdirTemp("", "husk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	data := filepath.Join(folder, "data")
	t.Cleanup(func() { wantWhole(t, data) })
	if err := errors.Join(os.Chmod(folder, 0o755), os.Mkdir(data, 0o700), os.Chown(data, user, user)); err != nil {
		t.Fatal(err)
	}
	root := func(want string, args ...string) { // in a process of its own, since its user changes
		t.Helper()
		if out := (program{data: data}).ok(t, args...); !strings.Contains(out, want) {
			t.Fatalf("%v: %s", args, out)
		}
	}
	root("", "token", "create", "--name", "before") // it makes the store
	for _, name := range []string{"before", "after"} {
		d := program{data: data, uid: user}.start(t)
		d.ready()
		root("running server", "health")
		root(name, "token", "list")
		d.end()
		root("", "token", "create", "--name", "after")
		root("", "check")
		(program{data: data}).want(t, exitBusy, "health")
	}
}

// TestTrustedProxy: the setting arrives where addresses are looked at.
func TestTrustedProxy(t *testing.T) {
	t.Parallel()
	for address, env := range map[string][]string{"127.0.0.1": nil, "192.0.2.7": {"HUSK_TRUSTED_PROXY=10.0.0.0/8,127.0.0.1"}} {
		d := program{data: newData(t), env: env}.start(t, "--access-log")
		d.ready()
		r, err := http.NewRequest("GET", d.url()+"/account/profile", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", "198.51.100.66, 192.0.2.7, 10.0.0.2")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		d.says(`"address":"` + address + `"`)
		d.end()
	}
}

func TestLiveLog(t *testing.T) {
	var out bytes.Buffer
	l := newLiveLog(&out)
	derived := l.With("a", 1).WithGroup("g").With("b", 2)
	for _, c := range []struct{ level, format, want string }{
		{"info", "json", `"level":"INFO","msg":"m","a":1,"g":{"b":2,"c":3}}`},
		{"info", "text", `level=INFO msg=m a=1 g.b=2 g.c=3`},
		{"warn", "text", ``},
		{"debug", "auto", `"a":1,"g":{"b":2,"c":3}}`},
	} {
		out.Reset()
		l.set(c.level, c.format)
		derived.Info("m", "c", 3)
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s, %s: got %s", c.level, c.format, got)
		}
	}
	l.set("error", "json")
	if l.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the level does not hold")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := writeFile(t, dir, "husk.yaml", "")
	if err := os.Chmod(config, 0o646); err != nil {
		t.Fatal(err)
	}
	f := newPairFiles(t, goodPair(t, "first"))
	if err := os.Chmod(f.key, 0o644); err != nil {
		t.Fatal(err)
	}
	d := program{data: filepath.Join(dir, "data")}.spawn(t, "serve", "--addr", "0.0.0.0:0", "--config", config)
	d.ready()
	d.says("passwords and tokens travel unencrypted")
	d.says("public-url is not set")
	d.says("others may write the configuration file")
	d.end()
	d = program{data: filepath.Join(dir, "data")}.spawn(t, "serve", "--addr", "0.0.0.0:0", "--tls-cert", f.cert, "--tls-key", f.key, "--public-url", "https://id.example.com")
	d.ready()
	if said := d.log.String(); strings.Contains(said, "unencrypted") || strings.Contains(said, "public-url is not set") {
		t.Errorf("it complains of https, or of a URL that it has: %s", said)
	}
	d.says("others may use the TLS key")
	d.end()
}

// Where it listens on loopback alone, a page whose host was led there is refused.
func TestServeKnowsThatItListensOnLoopback(t *testing.T) {
	d := program{data: filepath.Join(t.TempDir(), "data")}.serve(t)
	defer d.end()
	for host, want := range map[string]int{"evil.example": http.StatusMisdirectedRequest, "localhost": http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", d.url()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", host, answer.Status, want)
		}
	}
}
