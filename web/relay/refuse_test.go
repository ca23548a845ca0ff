package relay

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"husk/web/api"
)

// raw is an application that answers each connection with the same bytes.
func raw(t *testing.T, answer string) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 64<<10))
			io.WriteString(c, answer)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	return "http://" + l.Addr().String()
}

// inner are words that are for the log alone.
var inner = regexp.MustCompile(`127\.0\.0\.1|dial|tcp|EOF|malformed|http:|tls|x509|certificate|\.go|connection refused`)

func TestUpstreamsThatFail(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for name, c := range map[string]struct{ url, cause string }{
		"refused":                 {closedPort(t), "connection refused"},
		"no HTTP":                 {raw(t, "SSH-2.0-"+strings.Repeat("x", 2000)+"\r\n"), "malformed"},
		"no answer":               {raw(t, ""), "EOF"},
		"half a header":           {raw(t, "HTTP/1.1 200 OK\r\nContent-Le"), "malformed"},
		"a header that is large":  {raw(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 2*maxAnswerHeader)+"\r\n\r\n"), "exceed"},
		"status 0":                {raw(t, "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), "its status is none"},
		"switching unasked":       {raw(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "nobody asked for"},
		"switching to nothing":    {raw(t, "HTTP/1.1 101 Switching Protocols\r\n\r\n"), "nobody asked for"},
		"nobody vouches for it":   {secure.URL, "certificate"},
		"TLS where there is none": {strings.Replace(raw(t, "HTTP/1.1 200 OK\r\n\r\n"), "http:", "https:", 1), "tls"},
		"a name that is none":     {"http://nowhere.invalid", "nowhere.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := onLoopback(t, nil, Config{})
			s.pass.Upstream = mustURL(t, c.url)
			res, body := s.do("GET", "/?secret", nil, http.Header{"Accept": {"application/json"}})
			var e api.Error
			must(t, json.Unmarshal([]byte(body), &e))
			want(t, "the answer", fmt.Sprint(res.StatusCode, e.Status, e.Detail.Code, res.Header["Content-Type"], res.Header["Cache-Control"]), "502 502upstream_failed[application/json] [no-store]")
			want(t, "its id", res.Header.Get("X-Request-Id"), "id-1")
			if inner.MatchString(body) {
				t.Errorf("the answer tells %s", body)
			}
			if log := s.log.String(); strings.Count(log, "\n") != 1 || len(log) > 1000 || !strings.Contains(log, c.cause) || !strings.Contains(log, `"upstream":"`+c.url+`"`) || !strings.Contains(log, `"request_id":"id-1"`) || strings.Contains(log, "secret") {
				t.Errorf("the log has %s", log)
			}
		})
	}
}

func TestUpstreamsOverTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.Host) }))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	s := onLoopback(t, nil, Config{Roots: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	s.pass.Upstream = mustURL(t, secure.URL)
	_, body := s.do("GET", "/", nil, nil)
	want(t, "the answer", body, "HTTP/2.0 app.example.com")
}

// The log is not filled by many who meet one failure.
func TestFailuresAreFolded(t *testing.T) {
	s := onLoopback(t, nil, Config{})
	s.pass.Upstream = mustURL(t, closedPort(t))
	for i := range 20 {
		s.pass.Client = fmt.Sprintf("192.0.%d.1", i)
		s.do("GET", "/", nil, nil)
	}
	if n := s.log.Count("an application can't be reached"); n != 5 {
		t.Errorf("%d lines", n)
	}
}

func TestRefusePages(t *testing.T) {
	for _, status := range []int{400, 403, 408, 501, 502, 503, 504, 508, 500} {
		w := httptest.NewRecorder()
		Refuse(w, &api.Error{Status: status, Detail: api.ErrorDetail{Reason: `no <b>"such"</b> thing`}, RetryAfter: 1500 * time.Millisecond}, true, Link{})
		h, body := w.Header(), w.Body.String()
		want(t, "the head", fmt.Sprint(w.Code, h["Content-Type"], h["X-Content-Type-Options"], h["Cache-Control"], h["Retry-After"]),
			fmt.Sprint(status, []string{"text/html; charset=utf-8"}, []string{"nosniff"}, []string{"no-store"}, []string{"2"}))
		if !strings.Contains(body, `No &lt;b&gt;&#34;such&#34;&lt;/b&gt; thing.`) || strings.Contains(body, "<h1></h1>") {
			t.Errorf("%d has the page %s", status, body)
		}
		found := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
		sum := sha256.Sum256([]byte(found[1]))
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || strings.Contains(csp, "unsafe") {
			t.Errorf("the policy is %s", csp)
		}
		if regexp.MustCompile(`src=|href=|url\(|@import|<script`).MatchString(body) {
			t.Errorf("%d has a page that names files", status)
		}
	}
	w := httptest.NewRecorder()
	Refuse(w, refusedUpstream, false, Link{})
	want(t, "to a program", w.Header().Get("Content-Type")+w.Header().Get("X-Content-Type-Options"), "application/jsonnosniff")
}

// Where the upstream is Husk itself, also by way of another proxy, the second pass
// is the last.
func TestLoop(t *testing.T) {
	var other string
	s := onLoopback(t, func(w http.ResponseWriter, r *http.Request) { // another proxy
		again, err := http.NewRequest("GET", other, nil)
		must(t, err)
		again.Header["Via"] = append(r.Header["Via"], "1.1 other")
		res, err := http.DefaultClient.Do(again)
		must(t, err)
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	}, Config{})
	other = s.url
	behind := s.pass.Upstream
	s.pass.Upstream = mustURL(t, s.url)
	res, body := s.do("GET", "/", nil, nil)
	want(t, "itself", fmt.Sprint(res.StatusCode, strings.Contains(body, `"loop"`)), "508 true")
	s.pass.Upstream = behind
	res, _ = s.do("GET", "/", nil, http.Header{"Connection": {"Via"}})
	want(t, "by another", fmt.Sprint(res.StatusCode), "508")
	if n := s.log.Count("leads to husk itself"); n != 2 {
		t.Errorf("the log has %d lines", n)
	}
	http.DefaultClient.CloseIdleConnections()
	if New(Config{}).via.name == s.relay.via.name {
		t.Error("two processes have one name")
	}
}

// An answer that breaks off does not look whole, whatever the protocol.
func TestAnswersThatBreakOff(t *testing.T) {
	for name, answer := range map[string]string{
		"a length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := onLoopback(t, nil, Config{})
			s.pass.Upstream = mustURL(t, raw(t, answer))
			res, err := s.client.Get(s.url)
			if err == nil {
				defer res.Body.Close()
				_, err = io.Copy(io.Discard, res.Body)
			}
			if err == nil {
				t.Error("half an answer looks whole")
			}
			if log := s.log.String(); !strings.Contains(log, "broke off") || !strings.Contains(log, `"upstream":"`+s.pass.Upstream.String()+`"`) {
				t.Errorf("the log has %s", log)
			}
		})
	}
}

// Time is fake: the bounds are exact.
func TestUpstreamsThatDoNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		body   io.Reader
		reads  bool
		length int64
	}{
		"without a body": {nil, true, 0},
		"having read it": {strings.NewReader("body"), true, 4},
		"not reading it": {io.LimitReader(zeros{}, 1<<20), false, 1 << 20},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprint(name, http2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := inBubble(t, func(_ http.ResponseWriter, r *http.Request) {
						if c.reads {
							io.Copy(io.Discard, r.Body)
						}
						select {
						case <-r.Context().Done():
						case <-t.Context().Done():
						}
					}, Config{})
					if http2 {
						s.overHTTP2()
					}
					began := time.Now()
					res, body := s.do("POST", "/", c.body, nil)
					want(t, "the answer", fmt.Sprint(res.StatusCode, strings.Contains(body, `"upstream_timeout"`)), "504 true")
					if took := time.Since(began); took < 5*time.Minute || took > 5*time.Minute+5*time.Second {
						t.Errorf("it took %v", took)
					}
					want(t, "the log", fmt.Sprint(s.log.Count("does not answer")), "1")
				})
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A connection that does not come about is no answer in time, too.
func TestDialTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	s := onLoopback(t, nil, Config{DialTimeout: 50 * time.Millisecond})
	s.pass.Upstream = mustURL(t, "https://"+l.Addr().String()) // nobody shakes hands there
	res, body := s.do("GET", "/", nil, nil)
	want(t, "the answer", fmt.Sprint(res.StatusCode, inner.MatchString(body)), "504 false")
}
