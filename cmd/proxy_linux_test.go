package cmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/web/api"
)

// The files in dist/ for proxies are tried with the proxies themselves. Only
// ports, the files of a certificate and Husk's address are changed in them.

// front is a proxy that runs before a server.
type front struct {
	t             testing.TB
	http, https   string // host and port
	log           string // a file
	roots         *x509.CertPool
	husk          program
	administrator string // an API token
}

// fronts are the proxies: how each is started with its file of dist/.
var fronts = map[string]func(f *front, husk string) *exec.Cmd{"nginx": startNginx, "caddy": startCaddy}

func TestBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, start := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, name, start)
			f.leadsToTLS()
			f.signsIn()
			f.boundsAreHusks()
			f.streams()
			f.complainsOfNothing()
		})
	}
}

// newFront starts a server as docs/proxy.md says, and the proxy before it.
func newFront(t *testing.T, name string, start func(*front, string) *exec.Cmd) *front {
	t.Helper()
	dbtest.NoRace(t, "a server behind the real proxy")
	dbtest.TakesLong(t, "a server behind the real proxy")
	if _, err := exec.LookPath(name); err != nil {
		prerequisite(t, err.Error())
	}
	f := &front{t: t, http: freeAddr(t), https: freeAddr(t), log: filepath.Join(t.TempDir(), "log"), husk: program{data: filepath.Join(t.TempDir(), "data")}}
	settings := writeFile(t, t.TempDir(), "husk.yaml", blocks(t, "proxy.md", "yaml")[0])
	server := f.husk.serve(t, "--config", settings)
	setUp := f.husk
	setUp.stdin = "tin cup on the shelf\n"
	setUp.ok(t, "user", "create", "ann@example.com", "--role", "admin", "--password-stdin")
	f.administrator = f.husk.ok(t, "token", "create", "--user", "ann@example.com", "--expires", "never", "--quiet")
	f.run(start(f, server.addr))
	return f
}

// run starts the proxy and waits until it answers.
func (f *front) run(c *exec.Cmd) {
	f.t.Helper()
	log, err := os.OpenFile(f.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	f.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	eventually(f.t, "the proxy", func() bool {
		select {
		case <-ended:
			f.t.Fatalf("the proxy ended:\n%s", f.logged())
		default:
		}
		if f.roots == nil {
			f.readRoots()
		}
		answer, err := f.client().Get("https://id.example.com/livez")
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	})
}

func (f *front) logged() string {
	text, err := os.ReadFile(f.log)
	if err != nil {
		f.t.Error(err)
	}
	return string(text)
}

// readRoots reads the certificate that Caddy makes when it starts.
func (f *front) readRoots() {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(f.log), "caddy/pki/authorities/local/root.crt"))
	if pool := x509.NewCertPool(); err == nil && pool.AppendCertsFromPEM(text) {
		f.roots = pool
	}
}

// otherMachine is from where the client comes: not the address of the proxy.
const otherMachine = "127.0.0.2"

// client finds id.example.com at the proxy.
func (f *front) client() *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(otherMachine)}}
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: f.roots},
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				if strings.HasSuffix(addr, ":443") {
					return dialer.DialContext(ctx, "tcp", f.https)
				}
				return dialer.DialContext(ctx, "tcp", f.http)
			},
		},
	}
}

// ask sends a request as a page of Husk's own does, and as a client that makes
// up where it comes from.
func (f *front) ask(method, path, body string, cookies []*http.Cookie, into any) *http.Response {
	f.t.Helper()
	answer, err := f.send(method, path, body, cookies)
	for range 20 {
		// A refusal of a large body comes while that is still on its way: a proxy
		// then closes, and the client may meet that before it reads the answer.
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			break
		}
		answer, err = f.send(method, path, body, cookies)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		f.t.Errorf("%s %s: %s: %v: %s", method, path, answer.Status, err, text)
	}
	return answer
}

func (f *front) send(method, path, body string, cookies []*http.Cookie) (*http.Response, error) {
	f.t.Helper()
	r, err := http.NewRequest(method, "https://id.example.com"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Origin": "https://id.example.com", "X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9",
		"Forwarded": "for=203.0.113.9;proto=http;host=evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example",
	} {
		r.Header.Set(name, value)
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return f.client().Do(r)
}

func (f *front) leadsToTLS() {
	f.t.Helper()
	answer, err := f.client().Get("http://id.example.com/login?a=b")
	if err != nil {
		f.t.Fatal(err)
	}
	answer.Body.Close()
	to, err := answer.Location()
	if err != nil || answer.StatusCode != http.StatusPermanentRedirect || to.Scheme != "https" || to.Hostname() != "id.example.com" || to.RequestURI() != "/login?a=b" {
		f.t.Errorf("http is answered with %s and %v, %v", answer.Status, to, err)
	}
}

// signsIn signs in and out, and sees what a browser and an operator see.
func (f *front) signsIn() {
	f.t.Helper()
	var got struct{ Status string }
	answer := f.ask("POST", "/account/login", `{"email":"ann@example.com","password":"tin cup on the shelf"}`, nil, &got)
	if got.Status != "ok" || answer.Header.Get("Strict-Transport-Security") == "" {
		f.t.Fatalf("the sign-in is %s with %v", answer.Status, answer.Header)
	}
	cookies := answer.Cookies()
	if len(cookies) != 2 || cookies[0].Name != "__Host-husk_session" || !cookies[0].Secure || !cookies[1].Secure {
		f.t.Errorf("the cookies are %v", cookies)
	}
	var sessions api.Search[api.Session]
	f.ask("GET", "/account/sessions", "", cookies, &sessions)
	if hits := sessions.Hits.Hits; len(hits) != 1 || hits[0].Source.IP != otherMachine {
		f.t.Errorf("the session is of %+v, not of %s", hits, otherMachine)
	}
	if f.ask("POST", "/account/logout", "", cookies, &got); got.Status != "ok" {
		f.t.Error("a page of Husk's own can't sign out")
	}
}

// boundsAreHusks: what is too large is told by Husk, in JSON.
func (f *front) boundsAreHusks() {
	f.t.Helper()
	var got api.Error
	answer := f.ask("POST", "/account/login", `{"password":"`+strings.Repeat("x", 2<<20)+`"}`, nil, &got)
	if answer.StatusCode != http.StatusRequestEntityTooLarge || got.Detail.Code == "" {
		f.t.Errorf("a large body is answered with %s, %+v", answer.Status, got)
	}
}

// streams sends and fetches some megabytes.
func (f *front) streams() {
	f.t.Helper()
	var lines bytes.Buffer
	for i := range importedUsers {
		fmt.Fprintf(&lines, `{"email":"user-%d@example.com","name":"%s"%s}`+"\n", i, strings.Repeat("n", 190), strings.Repeat(" ", 3000))
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	client := api.Client{Base: "https://id.example.com", HTTP: f.client(), Token: f.administrator}
	sent := lines.Len()
	if done, err := client.ImportUsers(ctx, &lines, api.ImportOptions{}); err != nil || done.Created != importedUsers {
		f.t.Errorf("the import of %d bytes: %+v, %v", sent, done, err)
	}
	path := filepath.Join(f.t.TempDir(), "husk.tar")
	file, err := os.Create(path)
	if err == nil {
		err = errors.Join(client.Backup(ctx, &lateWriter{w: file}, ""), file.Close())
	}
	info, e := os.Stat(path)
	if err = errors.Join(err, e); err != nil || info.Size() < 4<<20 {
		f.t.Errorf("the backup: %v, %v", info, err)
	}
	f.husk.ok(f.t, "restore", path, "--data", filepath.Join(f.t.TempDir(), "restored"))
}

// lateWriter is a receiver that takes its time over the first bytes: a proxy
// that keeps an answer in between takes it all from Husk meanwhile, and keeps it
// on its disk.
type lateWriter struct {
	w     io.Writer
	began bool
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if !l.began {
		l.began = true
		<-time.After(200 * time.Millisecond)
	}
	return l.w.Write(p)
}

// importedUsers are enough for some megabytes in an import and in a backup.
const importedUsers = 1_000

// complainsOfNothing: a proxy logs what it keeps on its disk in between.
func (f *front) complainsOfNothing() {
	f.t.Helper()
	for line := range strings.Lines(f.logged()) {
		if strings.Contains(line, "[warn]") || strings.Contains(line, "[error]") || strings.Contains(line, "buffered") || strings.Contains(line, `"level":"error"`) {
			f.t.Errorf("the proxy says: %s", line)
		}
	}
}

// shipped reads a file of dist/ and puts others in the place of what a test
// can't have. What is not in it is an error.
func (f *front) shipped(path string, pairs ...string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join("../dist", path))
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			f.t.Fatalf("%s has no %q", path, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

// accepts has the proxy's own check look at its configuration.
func (f *front) accepts(name string, args ...string) {
	f.t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "HOME="+filepath.Dir(f.log))
	if out, err := c.CombinedOutput(); err != nil || bytes.Contains(out, []byte("[warn]")) {
		f.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func startNginx(f *front, husk string) *exec.Cmd {
	dir := filepath.Dir(f.log)
	p := newPair(f.t, "id.example.com", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	files := newPairFiles(f.t, p)
	f.roots = x509.NewCertPool()
	f.roots.AppendCertsFromPEM(p.cert)
	writeFile(f.t, dir, "husk.conf", f.shipped("nginx/husk.conf",
		"listen 80;", "listen "+f.http+";", "    listen [::]:80;\n", "", "listen 443 ssl;", "listen "+f.https+" ssl;", "    listen [::]:443 ssl;\n", "",
		"/etc/letsencrypt/live/id.example.com/fullchain.pem", files.cert, "/etc/letsencrypt/live/id.example.com/privkey.pem", files.key,
		"127.0.0.1:9000", husk))
	var all strings.Builder
	fmt.Fprintf(&all, "daemon off;\nerror_log %s;\npid %s/pid;\nevents {}\nhttp {\naccess_log off;\n", f.log, dir)
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&all, "%s_temp_path %s/%s;\n", name, dir, name)
	}
	fmt.Fprintf(&all, "include %s/husk.conf;\n}\n", dir)
	conf := writeFile(f.t, dir, "nginx.conf", all.String())
	f.accepts("nginx", "-t", "-e", f.log, "-c", conf)
	return exec.Command("nginx", "-e", f.log, "-c", conf)
}

func startCaddy(f *front, husk string) *exec.Cmd {
	dir := filepath.Dir(f.log)
	f.accepts("caddy", "validate", "--adapter", "caddyfile", "--config", "../dist/caddy/Caddyfile")
	_, http, _ := strings.Cut(f.http, ":")
	_, https, _ := strings.Cut(f.https, ":")
	conf := writeFile(f.t, dir, "Caddyfile", fmt.Sprintf("{\nadmin off\nhttp_port %s\nhttps_port %s\ndefault_bind 127.0.0.1\nlocal_certs\nskip_install_trust\n}\n", http, https)+
		f.shipped("caddy/Caddyfile", "127.0.0.1:9000", husk))
	c := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", conf)
	c.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	return c
}
