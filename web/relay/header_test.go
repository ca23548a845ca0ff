package relay

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// What tells who asks and from where is Husk's own making, whatever a client sends.
func TestIdentityIsNoClients(t *testing.T) {
	requests := make(seen, 1)
	s := onLoopback(t, requests.answers, Config{})
	for _, forged := range []string{
		"Remote-User: admin", "remote_user: admin", "REMOTE.USER: admin", "Remote-User: admin\r\nRemote-User: root", "Remote~Groups: admin", "Remote-Anything: x",
		"X-Forwarded-For: 10.0.0.1", "X_Forwarded_For: 10.0.0.1", "X-Forwarded.Proto: http", "X-Forwarded-Host: other.example", "X-Forwarded-User: admin", "X-Forwarded: for=10.0.0.1", "X-Forwarded-Prefix: /admin",
		"Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1", "X_Real_Ip: 10.0.0.1", "X-Original-URL: /admin", "X-Original-Method: GET", "X-Original_Anything-That-Is-Longer: x", "X-Rewrite-URL: /admin",
		"True-Client-Ip: 10.0.0.1", "Proxy: http://other.example", "X-Api-Token: secret", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
		"HTTP2-Settings: AAMAAABk", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip",
		"Connection: Remote-User, X-Forwarded-For, X-Forwarded-Host, Via\r\nRemote-User: admin", "Connection: close, remote-user, remote-groups",
	} {
		s.say("GET / HTTP/1.1\r\nHost: app.example.com\r\nX-Own: kept\r\n" + forged + "\r\n\r\n")
		r := <-requests
		want(t, forged+": Host", r.Host, "app.example.com")
		for name, values := range map[string]string{
			"Remote-User": "user@example.com", "Remote-Name": "User", "Remote-Email": "user@example.com", "Remote-Groups": "",
			"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com", "X-Forwarded-For": "192.0.2.7", "X-Own": "kept",
		} {
			if got := r.Header[name]; len(got) != 1 || got[0] != values {
				t.Errorf("%s: %s is %q", forged, name, got)
			}
			delete(r.Header, name)
		}
		if via := r.Header["Via"]; len(via) != 1 || via[0] != "1.1 "+s.relay.via.name {
			t.Errorf("%s: Via is %q", forged, via)
		}
		delete(r.Header, "Via")
		if len(r.Header) > 0 {
			t.Errorf("%s: the application has %q too", forged, r.Header)
		}
	}
}

func TestHostAndClientThatAreNotKnown(t *testing.T) {
	requests := make(seen, 1)
	s := onLoopback(t, requests.answers, Config{})
	s.pass.Host, s.pass.Client = "", ""
	s.say("GET / HTTP/1.1\r\nHost: Other.Example:8080\r\nX-Forwarded-For: 10.0.0.1\r\nVia: 1.0 fred, 1.1 nowhere\r\n\r\n")
	r := <-requests
	want(t, "Host", r.Host, "Other.Example:8080")
	want(t, "X-Forwarded-Host", r.Header.Get("X-Forwarded-Host"), "Other.Example:8080")
	if got := r.Header["X-Forwarded-For"]; got != nil {
		t.Errorf("X-Forwarded-For is %q", got)
	}
	want(t, "Via", strings.Join(r.Header["Via"], ", "), "1.0 fred, 1.1 nowhere, 1.1 "+s.relay.via.name)
}

func TestCookiesOfRequests(t *testing.T) {
	requests := make(seen, 1)
	s := onLoopback(t, requests.answers, Config{})
	for sent, passed := range map[string]string{
		"a=1; husk_session=x; b=2":            "a=1; b=2",
		"husk_gate=x":                         "",
		"husk_gate=x; __Host-husk_session=y":  "",
		"a=1;husk_gate=x;b=\"2 3\"":           "a=1;b=\"2 3\"",
		"my_husk_gate=1; husk_gate2=2":        "my_husk_gate=1; husk_gate2=2",
		"a=husk_gate; HUSK_GATE=x; husk_gate": "a=husk_gate",
		"odd;;  =x; é=1":                      "odd;;  =x; é=1",
	} {
		s.do("GET", "/", nil, http.Header{"Cookie": {sent}})
		want(t, sent, strings.Join((<-requests).Header["Cookie"], "|"), passed)
	}
	s.do("GET", "/", nil, http.Header{"Cookie": {"husk_gate=1", "a=1", "husk_gate=2"}})
	want(t, "several lines", strings.Join((<-requests).Header["Cookie"], "|"), "a=1")
}

func TestCookiesOfAnswers(t *testing.T) {
	s := onLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{
			"a=1; Path=/", "husk_gate=evil; Domain=example.com", " husk_session =evil", "=husk_gate=evil", "= = husk_session=evil", "husk_gate",
			"HUSK_GATE=evil", "b=husk_gate", "husk_gate2=1",
		}
		w.Header()["Other"] = []string{"husk_gate=1"}
	}, Config{})
	res, _ := s.do("GET", "/", nil, nil)
	want(t, "Set-Cookie", strings.Join(res.Header["Set-Cookie"], "|"), "a=1; Path=/|b=husk_gate|husk_gate2=1")
	want(t, "Other", res.Header.Get("Other"), "husk_gate=1")
}

// What was decided about is what the application gets, byte for byte.
func TestTargets(t *testing.T) {
	requests := make(seen, 1)
	s := onLoopback(t, requests.answers, Config{})
	targets := []string{
		"/", "/a/b", "/a%2Fb", "/a%2fb", "/a|b", "/a%7cb", "/a\"<>{}^`\\b", "/\xc3\xa4", "/%C3%A4", "/%c3%a4", "/a;b=c", "/a:b@c", "/a,b$&'()*!~",
		"//a//b", "/a/../b/./c", "/?", "/a?", "/?a;b=c;d", "/?a=%zz&b=%", "/?a=b&a=b&&", "/?a b"[:3] + "+b", "/?a#b", "/?q=\xff\"<>|", "/a%00b", "/?" + strings.Repeat("a&", 5000),
	}
	upstream := *s.pass.Upstream
	for _, base := range []string{"", "/", "/base", "/base/", "/b%2Fc"} {
		s.pass.Upstream = mustURL(t, upstream.String()+base)
		for _, target := range targets {
			s.say("GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
			want(t, base+" + "+target, (<-requests).RequestURI, strings.TrimSuffix(base, "/")+target)
		}
	}
	s.say("GET http://other.example/a%2Fb?c;d HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
	r := <-requests
	want(t, "an absolute target", r.Host+r.RequestURI, "app.example.com/b%2Fc/a%2Fb?c;d")
	s.say("GET http://other.example?c HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
	want(t, "an absolute target without a path", (<-requests).RequestURI, "/b%2Fc/?c")
}

func TestWhatNoApplicationSees(t *testing.T) {
	s := onLoopback(t, func(http.ResponseWriter, *http.Request) { t.Error("an application was asked") }, Config{})
	for request, status := range map[string]int{
		"GET * HTTP/1.1\r\n":                                         400,
		"CONNECT other.example:443 HTTP/1.1\r\n":                     501,
		"TRACE / HTTP/1.1\r\n":                                       501,
		"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: \xff\r\n": 400,
	} {
		res, _, _ := s.say(request + "Host: app.example.com\r\n\r\n")
		want(t, request, fmt.Sprint(res.StatusCode), fmt.Sprint(status))
	}
}

// An answer passes as it is, but for what is about the connection.
func TestAnswers(t *testing.T) {
	sent := http.Header{"X-One": {"1", "2"}, "Cache-Control": {"max-age=5"}, "Via": {"1.1 fred"}, "Server": {"app"}, "Etag": {`"x"`}, "Date": {"Sun, 06 Nov 1994 08:49:37 GMT"},
		"Content-Security-Policy": {"default-src *"}, "Www-Authenticate": {"Basic"}, "X-Forwarded-For": {"x"}}
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), sent)
		w.Header()["Content-Type"] = nil
		w.Header().Set("Connection", "close")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.WriteHeader(418)
		io.WriteString(w, "<html>")
	}, Config{})
	res, body := s.do("GET", "/", nil, nil)
	want(t, "the answer", fmt.Sprint(res.StatusCode, body), "418<html>")
	delete(res.Header, "Content-Length")
	if !maps.EqualFunc(res.Header, sent, slices.Equal) {
		t.Errorf("the header is %q", res.Header)
	}
}

func TestTrailers(t *testing.T) {
	requests := make(seen, 1)
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		requests.answers(w, r)
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	}, Config{})
	r, err := http.NewRequest("POST", s.url, io.NopCloser(strings.NewReader("body")))
	must(t, err)
	r.Trailer = http.Header{"X-Sum": {"3"}, "Remote-User": {"admin"}, "X_forwarded_for": {"10.0.0.1"}, "Cookie": {"husk_gate=x"}}
	res, err := s.client.Do(r)
	must(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	must(t, err)
	must(t, res.Body.Close())
	want(t, "the client's", fmt.Sprint((<-requests).Trailer), "map[X-Sum:[3]]")
	want(t, "the application's", fmt.Sprint(res.Trailer), "map[X-Late:[2] X-Sum:[1]]")
}

// HTTP/2 has a place for them where the length is known, HTTP/1 has not.
func TestTrailersOfKnownLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := make(seen, 1)
		s := inBubble(t, requests.answers, Config{}).overHTTP2()
		r, err := http.NewRequest("POST", s.url, strings.NewReader("body"))
		must(t, err)
		r.Trailer = http.Header{"X-Sum": {"3"}}
		res, err := s.client.Do(r)
		must(t, err)
		must(t, res.Body.Close())
		want(t, "the client's", fmt.Sprint((<-requests).Trailer), "map[X-Sum:[3]]")
	})
}

func TestEarlyHints(t *testing.T) {
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.Header().Set("Set-Cookie", "husk_gate=evil")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "ok")
	}, Config{})
	early := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		early += fmt.Sprint(code, " ", h)
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, "GET", s.url, nil)
	must(t, err)
	res, err := s.client.Do(r)
	must(t, err)
	must(t, res.Body.Close())
	want(t, "the hint", early, "103 map[Link:[</a.css>; rel=preload]]")
	want(t, "the answer", fmt.Sprint(res.StatusCode, res.Header["Link"], res.Header["Set-Cookie"]), "200 [] []")
	res, _, _ = s.say("GET / HTTP/1.0\r\n\r\n")
	want(t, "to HTTP/1.0", fmt.Sprint(res.StatusCode), "200")
}

// Whether an application wants a body is for it to say.
func TestExpectContinue(t *testing.T) {
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		io.Copy(w, r.Body)
	}, Config{})
	const head = " HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	res, _, _ := s.say("PUT /no" + head)
	want(t, "refused", fmt.Sprint(res.StatusCode), "417")
	res, conn, in := s.say("PUT /yes" + head)
	want(t, "asked for", fmt.Sprint(res.StatusCode), "100")
	io.WriteString(conn, "body")
	res, err := http.ReadResponse(in, nil)
	must(t, err)
	body, _ := io.ReadAll(res.Body)
	want(t, "answered", fmt.Sprint(res.StatusCode, string(body)), "200body")
}
