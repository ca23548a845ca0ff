package cmd

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"husk/db/dbtest"
	webgate "husk/web/gate"
	"husk/web/probe"
	"husk/web/token"
)

// careless is a proxy that was set up in a hurry, with what the probe has to find.
type careless struct {
	config string // in testdata/careless
	start  func(conf, dir string) *exec.Cmd
	silent bool              // it does not say that it has answered, and has to be named
	advice map[string]string // by what has to fail: a line of the advice
}

var carelessProxies = map[string]careless{
	"nginx": {
		config: "nginx.conf",
		start: func(conf, dir string) *exec.Cmd {
			return exec.Command("nginx", "-e", filepath.Join(dir, "log"), "-c", conf)
		},
		advice: map[string]string{
			"identity-told":          "proxy_set_header Remote-User $husk_user;",
			"identity-user":          "proxy_set_header Remote-User $husk_user;",
			"identity-name":          "proxy_set_header Remote-Name $husk_name;",
			"identity-email":         "proxy_set_header Remote-Email $husk_email;",
			"identity-groups":        "proxy_set_header Remote-Groups $husk_groups;",
			"identity-case":          "proxy_set_header Remote-User $husk_user;",
			"forwarded-for":          "proxy_set_header X-Forwarded-For $remote_addr;",
			"forwarded-host":         "proxy_set_header X-Forwarded-Host $host;",
			"forwarded-proto":        "proxy_set_header X-Forwarded-Proto $scheme;",
			"original-url":           `proxy_set_header X-Original-URL "";`,
			"rewrite-url":            `proxy_set_header X-Rewrite-URL "";`,
			"forwarded":              `proxy_set_header Forwarded "";`,
			"real-ip":                "proxy_set_header X-Real-IP $remote_addr;",
			"path-dot-dot-semicolon": "auth_request /_husk;",
			"path-twice-encoded":     "auth_request /_husk;",
		},
	},
	"caddy": {
		config: "Caddyfile",
		start: func(conf, dir string) *exec.Cmd {
			c := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", conf)
			c.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "PATH=" + os.Getenv("PATH")}
			return c
		},
		advice: map[string]string{
			"identity-groups":         "request_header -Remote-*",
			"identity-case":           "request_header -Remote-*",
			"connection-remote-user":  "@named header_regexp Connection",
			"connection-remote-name":  "respond @named 400",
			"connection-remote-email": "respond @named 400",
			"forwarded-for":           "trusted_proxies names no network that clients are in",
			"forwarded-host":          "trusted_proxies names no network that clients are in",
			"forwarded-proto":         "trusted_proxies names no network that clients are in",
			"original-url":            "header_up -X-Original-URL",
			"rewrite-url":             "header_up -X-Rewrite-URL",
			"forwarded":               "header_up -Forwarded",
			"real-ip":                 "header_up X-Real-IP {remote_host}",
		},
	},
	"haproxy": {
		config: "haproxy.cfg",
		silent: true,
		start:  func(conf, _ string) *exec.Cmd { return exec.Command("haproxy", "-db", "-f", conf) },
		advice: map[string]string{
			"identity-name":       "http-request set-header Remote-Name %[var(txn.husk_name)]",
			"identity-email":      "http-request set-header Remote-Email %[var(txn.husk_email)]",
			"identity-groups":     "http-request set-header Remote-Groups %[var(txn.husk_groups)]",
			"identity-case":       "http-request del-header remote- -m beg",
			"identity-doubled":    "http-request del-header remote- -m beg",
			"identity-underscore": "http-request del-header ^remote[_.] -m reg",
			"identity-dot":        "http-request del-header ^remote[_.] -m reg",
			"forwarded-for":       "http-request set-header X-Forwarded-For %[src]",
			"forwarded-host":      "http-request set-header X-Forwarded-Host %[req.hdr(host)]",
			"forwarded-proto":     "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
			"original-url":        "http-request del-header X-Original-URL",
			"rewrite-url":         "http-request del-header X-Rewrite-URL",
			"forwarded":           "http-request del-header Forwarded",
			"real-ip":             "http-request set-header X-Real-IP %[src]",
		},
	},
}

// The probe finds what is careless in a real proxy, and what it advises mends that:
// with its lines in place all that it can tell holds.
func TestCarelessProxies(t *testing.T) {
	t.Parallel()
	for name, c := range carelessProxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.NoRace(t, "attacks on a real proxy")
			dbtest.TakesLong(t, "attacks on a real proxy")
			if _, err := exec.LookPath(name); err != nil {
				prerequisite(t, err.Error())
			}
			d := newDeployed(t)
			if c.silent {
				d.flags = []string{"--proxy", name}
			}
			found := d.probe(d.run(c, nil), exitFailure)
			advice := map[string]string{}
			for _, r := range found {
				if r.Failed() {
					advice[r.Name] = r.Advice
					t.Logf("%s: %s", r.Name, r.Detail)
				}
			}
			for trick, line := range c.advice {
				if !strings.Contains(advice[trick], line) {
					t.Errorf("%s is advised %q, and not %q", trick, advice[trick], line)
				}
			}
			for trick := range advice {
				if _, expected := c.advice[trick]; !expected {
					t.Errorf("%s has failed, too", trick)
				}
			}
			for _, r := range d.probe(d.run(c, advice), exitDone) {
				if r.Failed() || r.Held == nil && r.Name != "direct-access" {
					t.Errorf("mended as advised: %+v", r)
				}
			}
		})
	}
}

// deployed is what stands around a proxy: the gate, as the contract has it, and
// the application that shows what reached it.
type deployed struct {
	t         *testing.T
	gate, app string   // host and port
	token     string   // a file
	flags     []string // more, for the probe
}

func newDeployed(t *testing.T) *deployed {
	t.Helper()
	secret, _ := token.New()
	husk, app := httptest.NewServer(standIn(secret)), httptest.NewServer(probe.Echo())
	t.Cleanup(husk.Close)
	t.Cleanup(app.Close)
	return &deployed{t: t, gate: husk.Listener.Addr().String(), app: app.Listener.Addr().String(), token: writeFile(t, t.TempDir(), "token", secret+"\n")}
}

// run starts a proxy with its careless configuration, or with one that was mended, and
// returns where it listens.
func (d *deployed) run(c careless, advice map[string]string) (addr string) {
	d.t.Helper()
	dir := d.t.TempDir()
	addr = freeAddr(d.t)
	places := strings.NewReplacer("127.0.0.1:8080", addr, "127.0.0.1:9000", d.gate, "127.0.0.1:3000", d.app, "DIR", dir)
	conf := ""
	for _, name := range []string{"haproxy.lua", c.config} {
		text, err := os.ReadFile(filepath.Join("testdata/careless", name))
		if err != nil {
			d.t.Fatal(err)
		}
		conf = writeFile(d.t, dir, name, places.Replace(mended(string(text), advice)))
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	p := c.start(conf, dir)
	p.Stdout, p.Stderr = out, out
	if err := p.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = p.Wait()
		close(ended)
	}()
	d.t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	eventually(d.t, "the proxy", func() bool {
		select {
		case <-ended:
			said, _ := os.ReadFile(out.Name())
			d.t.Fatalf("the proxy ended:\n%s", said)
		default:
		}
		conn, err := net.Dial("tcp", addr)
		return err == nil && conn.Close() == nil
	})
	return addr
}

// mended is a configuration with advice in its places, and without what it replaces.
func mended(text string, advice map[string]string) string {
	if advice == nil {
		return strings.ReplaceAll(text, "# careless", "")
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		_, name, found := strings.Cut(line, "# mend: ")
		switch {
		case found:
			b.WriteString(advice[strings.TrimSpace(name)] + "\n")
		case !strings.HasSuffix(line, "# careless\n"):
			b.WriteString(line)
		}
	}
	return b.String()
}

func (d *deployed) probe(addr string, code int) (all []probe.Result) {
	d.t.Helper()
	r := runHere(d.t, nil, "", append([]string{"proxy", "probe", "http://" + addr + "/app/", "--token-file", d.token, "--json"}, d.flags...)...)
	if err := json.Unmarshal([]byte(r.out), &all); err != nil || r.code != code {
		d.t.Fatalf("exit code %d, want %d: %v\n%s%s", r.code, code, err, r.out, r.errors)
	}
	return all
}

// standIn answers for the gate, by the contract, with one token and one page to sign in on.
func standIn(secret string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refused, uri := http.StatusBadRequest, r.Header.Get("X-Forwarded-Uri")
		byStatus := strings.HasSuffix(r.URL.Path, "/auth-request")
		if byStatus {
			refused = http.StatusForbidden
			_, uri, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("X-Original-URL"), "http://"), "/")
			uri = "/" + uri
		}
		tokens := r.Header.Values("X-API-TOKEN")
		_, err := webgate.CleanPath(uri)
		switch {
		case err != nil || len(tokens)+len(r.Header.Values("Authorization")) > 1 || spelled(r.Header):
			w.WriteHeader(refused)
		case len(tokens) == 1 && tokens[0] == secret:
			for name, value := range map[string]string{"User": "ann@example.com", "Name": "Ann", "Email": "ann@example.com", "Groups": "user"} {
				w.Header().Set("Remote-"+name, value)
			}
		default:
			status := http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Bearer realm="husk"`)
			if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
				w.Header().Set("Location", "https://auth.example.com/login?return=signed")
				if !byStatus {
					status = http.StatusFound
				}
			}
			w.WriteHeader(status)
		}
	})
}

// spelled tells whether a header is there twice, or like one that the application believes.
func spelled(h http.Header) bool {
	believed := []string{"remote-user", "remote-name", "remote-email", "remote-groups"}
	for name, values := range h {
		f := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
		if slices.Contains(believed, f) && (len(values) > 1 || f != strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// An application that answers past its proxy is told, with what keeps others off.
func TestProbeOfAnOpenUpstream(t *testing.T) {
	t.Parallel()
	d := newDeployed(t)
	r := runHere(t, nil, "", "proxy", "probe", "http://"+d.app, "--upstream", "http://"+d.app, "--proxy", "husk")
	if want := "let the application listen for the proxy alone"; r.code != exitFailure || !strings.Contains(r.out, want) || !strings.Contains(r.out, fmt.Sprintf("answered 200 at %s, past the proxy", d.app)) {
		t.Errorf("%d: %s%s", r.code, r.out, r.errors)
	}
}
