//go:build unix

package cmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Traefik and Envoy are no packages of Debian. What they send to Husk is recorded in
// testdata/exchange after their documentation, a file for each request: lines that
// begin with # name the source, those with < are what Husk has to answer.

// gatedRules is the configuration of a Husk that browsers find at a port, and which is
// the proxy of an application at an address.
const gatedRules = `
public-url: https://id.example.com:%[1]s
trusted-proxy: [127.0.0.1]
gate:
  rules:
    - {host: app.example.com, path: /admin, require: "role:admin"}
    - {host: app.example.com, path: /open, methods: [GET], require: public}
    - {host: app.example.com, path: /safe, require: any, second_factor: true}
    - {host: app.example.com, require: any}
    - {host: open.example.com, require: public}
    - {host: "*.apps.example.com", require: any}
    - {host: own.example.com, require: any, upstream: "http://%[2]s"}
`

// huskAlone is a server with the rules of the gate, which is asked as a proxy does.
type huskAlone struct {
	t     *testing.T
	addr  string
	token string // of ann@example.com
}

func TestExchange(t *testing.T) {
	t.Parallel()
	h := newHuskAlone(t)
	for _, proxy := range []string{"traefik", "envoy"} {
		files, err := filepath.Glob("testdata/exchange/" + proxy + "/*.http")
		if err != nil || len(files) < 9 {
			t.Fatalf("%d exchanges of %s, %v", len(files), proxy, err)
		}
		for _, file := range files {
			t.Run(proxy+"/"+filepath.Base(file), func(t *testing.T) { h.exchange(t, file) })
		}
	}
}

func newHuskAlone(t *testing.T) *huskAlone {
	t.Helper()
	p := program{data: filepath.Join(t.TempDir(), "data"), stdin: "tin cup on the shelf\n"}
	p.ok(t, "user", "create", "operator@example.com", "--role", "admin", "--password-stdin") // or Husk is to be set up first
	p.ok(t, "user", "create", "ann@example.com", "--name", "Ann Example", "--password-stdin")
	h := &huskAlone{t: t, token: p.ok(t, "token", "create", "--user", "ann@example.com", "--quiet")}
	rules := strings.ReplaceAll(fmt.Sprintf(gatedRules, "443", "127.0.0.1:1"), ":443", "")
	h.addr = p.serve(t, "--config", writeFile(t, t.TempDir(), "husk.yaml", rules)).addr
	return h
}

// exchange sends what is recorded, and compares the answer.
func (h *huskAlone) exchange(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recorded := strings.NewReplacer("{{husk}}", h.addr, "{{token}}", h.token).Replace(string(text))
	if strings.Contains(recorded, "{{code}}") {
		recorded = strings.ReplaceAll(recorded, "{{code}}", h.code(t))
	}
	var request strings.Builder
	var want []string
	source := false
	for line := range strings.Lines(recorded) {
		line = strings.TrimSuffix(line, "\n")
		if answer, is := strings.CutPrefix(line, "< "); is {
			want = append(want, answer)
		} else if comment, is := strings.CutPrefix(line, "#"); is {
			source = source || strings.Contains(comment, "Source: https://")
		} else {
			request.WriteString(line + "\r\n")
		}
	}
	if !source || len(want) < 2 {
		t.Fatalf("the record names no source, or only %q as its answer", want)
	}
	wantAnswer(t, h.send(t, request.String()), want)
}

// send sends a request as it stands.
func (h *huskAlone) send(t *testing.T, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, request)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// wantAnswer compares an answer: the first of want is its status, the others are
// headers. A * stands for the rest, a - for a header that is not there.
func wantAnswer(t *testing.T, answer *http.Response, want []string) {
	t.Helper()
	if fmt.Sprint(answer.StatusCode) != want[0] {
		t.Errorf("it is answered with %s, not %s: %v", answer.Status, want[0], answer.Header)
	}
	for _, line := range want[1:] {
		if name, absent := strings.CutSuffix(line, " -"); absent {
			if values := answer.Header[name]; len(values) > 0 {
				t.Errorf("%s is %q", name, values)
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		values := answer.Header[name]
		begins, open := strings.CutSuffix(strings.TrimSpace(value), "*")
		if len(values) != 1 || !strings.HasPrefix(values[0], begins) || !open && values[0] != begins {
			t.Errorf("%s is %q, not %q", name, values, value)
		}
	}
}

// code is a code of somebody who has just signed in on the way to the application.
func (h *huskAlone) code(t *testing.T) string {
	t.Helper()
	const own = "Host: id.example.com\r\nOrigin: https://id.example.com\r\nSec-Fetch-Mode: navigate\r\n"
	to := h.send(t, "GET /api/authz/ext-authz//page?x=1 HTTP/1.1\r\nHost: app.example.com\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Mode: navigate\r\n\r\n").Header.Get("Location")
	login, err := url.Parse(to)
	if err != nil || login.Query().Get("return") == "" {
		t.Fatalf("the sign-in is at %q, %v", to, err)
	}
	body := `{"email":"ann@example.com","password":"tin cup on the shelf"}`
	in := h.send(t, fmt.Sprintf("POST /account/login HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", own, len(body), body))
	var got struct{ Status string }
	if err := json.NewDecoder(in.Body).Decode(&got); err != nil || got.Status != "ok" {
		t.Fatalf("the sign-in: %s, %v", in.Status, err)
	}
	session := in.Cookies()[0]
	back := h.send(t, "GET /continue?to="+url.QueryEscape(login.Query().Get("return"))+" HTTP/1.1\r\n"+own+"Cookie: "+session.Name+"="+session.Value+"\r\n\r\n").Header.Get("Location")
	m := regexp.MustCompile(`husk_code=([^&]+)`).FindStringSubmatch(back)
	if m == nil {
		t.Fatalf("it leads back to %q", back)
	}
	return m[1]
}
