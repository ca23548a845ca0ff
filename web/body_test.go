package web_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"husk/web"
	"husk/web/api"
)

// goWords are words of Go's errors: they tell what is inside and can hold what
// was sent.
var goWords = []string{"json:", "unmarshal", "strconv", "invalid character", "looking for beginning", "offset", "parse ", "unexpected end", "EOF", "http:", "goroutine", "panic", ".go:", "bbolt", "golang", "base64", "cannot ", "Go value", "Go struct"}

// quiet fails where an answer tells what was sent, or Go's own words.
func (a answer) quiet(sent ...string) answer {
	a.t.Helper()
	for _, word := range append(goWords, sent...) {
		if strings.Contains(a.body, word) {
			a.t.Errorf("%.80s: %d with %q in %.300s", a.what, a.status, word, a.body)
		}
	}
	return a
}

const marker = "zq7marker"

func TestBadBodies(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(s.single().session(), api.NewToken{Name: "kept"})
	routes := []struct{ method, path, valid, wrong string }{
		{"POST", "/account/login", `{"password":"` + marker + `"}`, `{"password":{"` + marker + `":1}}`},
		{"PUT", "/account/password", `{"old_password":"` + marker + `"}`, `{"old_password":["` + marker + `"]}`},
		{"POST", "/auth/access_token", `{"name":"` + marker + `"}`, `{"expire_in":"` + marker + `"}`},
		{"PUT", "/auth/access_token/" + made.ID, `{"name":"` + marker + `"}`, `{"name":"x","allowed_ips":{"` + marker + `":1}}`},
		{"POST", "/security/user", `{"email":"` + marker + `"}`, `{"email":"x@example.com","roles":"` + marker + `"}`},
		{"PUT", "/security/user/" + ann.id, `{"name":"` + marker + `"}`, `{"disabled":"` + marker + `"}`},
	}
	admin := s.single()
	for _, r := range routes {
		json := func(body string, edits ...edit) answer {
			return s.do(r.method, r.path, body, append([]edit{admin.session()}, edits...)...)
		}
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			before, events := jsonOf(s.everyUser())+jsonOf(s.shown(made.ID)), len(s.events())
			open := strings.TrimSuffix(r.valid, "}")
			for name, body := range map[string]string{
				"cut":                      open,
				"cut in a string":          open[:len(open)-3],
				"no JSON":                  marker,
				"array":                    "[" + r.valid + "]",
				"string":                   `"` + marker + `"`,
				"number":                   "7777777",
				"null":                     "null",
				"true":                     "true",
				"two objects":              r.valid + r.valid,
				"trailing byte":            r.valid + "x",
				"trailing comma":           open + ",}",
				"comment":                  "/* " + marker + " */" + r.valid,
				"single quotes":            strings.ReplaceAll(r.valid, `"`, "'"),
				"NUL behind":               r.valid + "\x00",
				"byte order mark":          "\ufeff" + r.valid,
				"UTF-16":                   "{\x00\"\x00}\x00",
				"invalid UTF-8":            open + `,"a":"` + "\xff\xfe" + `"}`,
				"overlong UTF-8":           open + `,"a":"` + "\xc0\xaf" + `"}`,
				"surrogate in UTF-8":       open + `,"a":"` + "\xed\xa0\x80" + `"}`,
				"control in a string":      open + `,"a":"` + "\n" + `"}`,
				"bad escape":               open + `,"a":"\x41"}`,
				"bare word":                open + `,"a":` + marker + `}`,
				"leading zero":             open + `,"a":01}`,
				"infinity":                 open + `,"a":Infinity}`,
				"deep nesting":             open + `,"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
				"deep objects":             open + `,"a":` + strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001) + `}`,
				"deep and open":            open + `,"a":` + strings.Repeat("[", 60_000),
				"space":                    " \t\r\n",
				"form feed around":         "\f" + r.valid,
				"form, said to be JSON":    "name=" + marker,
				"wrong type":               r.wrong,
				"wrong type of all":        `{"password":1,"old_password":1,"name":1,"email":1}`,
				"object for text":          `{"password":{},"old_password":{},"name":{},"email":{}}`,
				"list for text":            `{"password":[],"old_password":[],"name":[],"email":[]}`,
				"case changes, wrong type": `{"PASSWORD":1,"Old_Password":1,"NAME":1,"eMail":1}`,
			} {
				a := json(body)
				if a.status != 400 {
					t.Errorf("%s = %d %.200s", name, a.status, a.body)
					continue
				}
				a.want(400).quiet(marker, "7777777")
			}
			json("").want(map[bool]int{true: 200, false: 400}[r.path == "/auth/access_token"])
			if r.path == "/auth/access_token" {
				events++ // nothing is a good body there
			}
			for _, ct := range []string{"text/plain", "application/xml", "text/json", "application/json-patch+json", "multipart/form-data; boundary=x", "application/octet-stream", "", ";", "application/json; =", "application/json,text/plain", marker} {
				json(r.valid, contentType(ct)).want(415, "content_type").quiet(marker)
			}
			if r.path != "/account/login" {
				json("name="+marker, contentType(formType)).want(415, "content_type").quiet(marker)
			}
			fill := func(n int) string { return r.wrong[:len(r.wrong)-1] + strings.Repeat(" ", n-len(r.wrong)) + "}" }
			json(fill(64 << 10)).want(400)
			json(fill(64<<10), chunked).want(400)
			json(fill(64<<10+1)).want(413, "body_too_large").quiet(marker)
			json(fill(64<<10+1), chunked).want(413, "body_too_large")
			json(strings.Repeat(" ", 64<<10+1)).want(413)
			json(fill(10<<20)).want(413, "body_too_large")
			json(fill(10<<20), chunked).want(413, "body_too_large")
			if r.path == "/account/login" {
				json("password="+strings.Repeat("a", 64<<10), contentType(formType)).want(413, "body_too_large")
				json("password="+strings.Repeat("a", 64<<10), contentType(formType), chunked).want(413, "body_too_large")
			}
			// Who may not is not read at all.
			if r.path != "/account/login" {
				s.do(r.method, r.path, marker).want(401)
			}
			if after := jsonOf(s.everyUser()) + jsonOf(s.shown(made.ID)); after != before || len(s.events()) != events {
				t.Errorf("refused, and yet it is %s, with %d audit entries more", after, len(s.events())-events)
			}
		})
	}
	if strings.Contains(s.log.String(), marker) {
		t.Error("the log holds what was sent")
	}
}

// Values that are refused for what they say are not told again either.
func TestRefusedValuesAreNotTold(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/auth/access_token", `{"name":"` + marker + `\u0007"}`},
		{"POST", "/auth/access_token", `{"permissions":["` + marker + `"]}`},
		{"POST", "/auth/access_token", `{"allowed_ips":["` + marker + `"]}`},
		{"POST", "/auth/access_token", `{"owner":"` + marker + `@example.com"}`},
		{"POST", "/security/user", `{"email":"` + marker + `"}`},
		{"POST", "/security/user", `{"email":"a@example.com","roles":["` + marker + ` <b>"]}`},
		{"POST", "/security/user", `{"email":"` + marker + `@example.com","password":"` + marker + `1"}`},
		{"POST", "/account/login", `{"email":"` + marker + `","password":"` + marker + `1"}`},
		{"PUT", "/security/user/" + marker, `{"name":"a"}`},
		{"GET", "/security/user/" + marker, ""},
		{"GET", "/security/user/_search?sort=" + marker, ""},
		{"GET", "/security/user/_search?from=" + marker, ""},
		{"GET", "/security/user/_search?after=" + marker, ""},
		{"GET", "/auth/access_token/_search?owner=" + marker, ""},
		{"GET", "/" + marker, ""},
		{strings.ToUpper(marker), "/health", ""},
	} {
		a := s.do(c.method, c.path, c.body, admin.session())
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s %s = %d", c.method, c.path, a.status)
		}
		a.quiet(marker, strings.ToUpper(marker))
		for name, values := range a.header {
			if strings.Contains(strings.Join(values, ""), marker) {
				t.Errorf("%s %s: %s = %q", c.method, c.path, name, values)
			}
		}
	}
}

// A body that ends before it was all there is no body.
func TestBodyCutShort(t *testing.T) {
	s := newServer(t)
	for name, request := range map[string]string{
		"bad chunk":     "POST /account/login HTTP/1.1\r\nHost: husk.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"missing chunk": "POST /account/login HTTP/1.1\r\nHost: husk.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { s.raw(request).want(400, "body_cut").quiet() })
	}
	for name, request := range map[string]string{
		"two lengths":        "POST /account/login HTTP/1.1\r\nHost: husk.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"negative length":    "POST /account/login HTTP/1.1\r\nHost: husk.test\r\nContent-Length: -1\r\n\r\n{}",
		"no host":            "GET /health HTTP/1.1\r\n\r\n",
		"two hosts":          "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"odd coding":         "POST /account/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{}",
		"space before colon": "GET /health HTTP/1.1\r\nHost: a\r\nX-API-TOKEN : x\r\n\r\n",
		"bad escape":         "GET /security/user/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := s.far.dial(t.Context(), stranger+":80")
			must(t, err)
			defer c.Close()
			go io.WriteString(c, request)
			first := make([]byte, 12)
			if _, err := io.ReadFull(c, first); err != nil || (string(first) != "HTTP/1.1 400" && string(first) != "HTTP/1.1 501") {
				t.Errorf("%q, %v", first, err)
			}
		})
	}
}

// Nothing that was refused is read to its end.
func TestHugeBodyIsNotRead(t *testing.T) {
	s := newServer(t)
	endless := &counter{}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+stranger+"/account/login", endless)
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	response, err := s.transport.RoundTrip(r)
	must(t, err)
	s.read("endless", response).want(413, "body_too_large")
	if n := endless.read.Load(); n > 1<<20 {
		t.Errorf("%d bytes of an endless body were taken", n)
	}
}

type counter struct{ read atomic.Int64 }

func (c *counter) Read(p []byte) (int, error) {
	c.read.Add(int64(len(p)))
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}

// aboutMember is what is told of a name: nothing of it but letters, and only
// where it is like one that is known.
var aboutMember = regexp.MustCompile(`^([A-Za-z_-]{1,40}|a name like it) is not known here, and (email|login|password) is: write it so, or leave it out$|^(email|login|password) is there twice: say it once$`)

// FuzzLoginBody: a body either decodes to what a strict reader sees, or is
// refused by a fixed sentence.
func FuzzLoginBody(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		in, status, text := web.DecodeLogin(body)
		if status != 200 {
			if status != 400 || (text != "the body is not one well-formed JSON object in UTF-8" && text != "a member of the JSON object has the wrong type" && !aboutMember.MatchString(text)) {
				t.Fatalf("%d %q", status, text)
			}
			return
		}
		var object map[string]json.RawMessage
		if !utf8.Valid(body) || json.Unmarshal(body, &object) != nil {
			t.Fatalf("taken: %q", body)
		}
		again, status, _ := web.DecodeLogin([]byte(jsonOf(in)))
		if status != 200 || again != in {
			t.Fatalf("%+v became %+v", in, again)
		}
	})
}

// FuzzPath: no path reaches a handler without its check, and none is a 500.
func FuzzPath(f *testing.F) {
	s := newServer(f)
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		w := &recorder{header: http.Header{}}
		s.ServeHTTP(w, (&http.Request{Method: method, URL: u, Header: http.Header{}, RemoteAddr: stranger + ":1", Body: http.NoBody}).WithContext(t.Context()))
		if w.status >= 500 || w.status == 0 {
			t.Fatalf("%s %q = %d", method, target, w.status)
		}
		if protected := strings.HasPrefix(u.Path, "/auth/") || strings.HasPrefix(u.Path, "/security/") || strings.HasPrefix(u.Path, "/system/"); protected && w.status < 300 && method != "OPTIONS" {
			t.Fatalf("%s %q = %d for nobody", method, target, w.status)
		}
	})
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }
