package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The two known clients of this API are played from testdata/clients: their
// requests byte for byte as they send them, and of each answer what they read.
//
// An exchange begins with "# " and its title; in it
//
//	> is a line of the request,
//	< is the status, and for a redirect a pattern of its target,
//	{ or [ begins what the client reads of a JSON answer, see reads,
//	~ is a pattern that the body has,
//	! is a pattern that it has not,
//	= NAME PATTERN keeps the pattern's group for $NAME in later requests.

// exchange is a request and what has to come back.
type exchange struct {
	title         string
	request       []string
	status        string
	reads         string
	has, hasNot   []string
	names, groups []string
}

func readExchanges(t *testing.T, name string) (all []*exchange) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "clients", name))
	must(t, err)
	var x *exchange
	for n, line := range strings.Split(string(text), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || kind == "//":
		case kind == "#":
			x = &exchange{title: rest}
			all = append(all, x)
		case kind == ">":
			x.request = append(x.request, rest)
		case kind == "<":
			x.status = rest
		case kind == "~":
			x.has = append(x.has, rest)
		case kind == "!":
			x.hasNot = append(x.hasNot, rest)
		case kind == "=":
			name, pattern, _ := strings.Cut(rest, " ")
			x.names, x.groups = append(x.names, name), append(x.groups, pattern)
		case strings.ContainsAny(line[:1], "{["):
			x.reads = line
		default:
			t.Fatalf("%s:%d: %q", name, n+1, line)
		}
	}
	return all
}

// player is the one who sends: a program with a memory for cookies and names.
type player struct {
	*server
	client *http.Client
	names  map[string]string
}

func (s *server) player() *player {
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	return &player{s, &http.Client{Transport: s.transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, map[string]string{}}
}

func (p *player) fill(text string) string {
	return os.Expand(text, func(name string) string {
		if value, ok := p.names[name]; ok {
			return value
		}
		return "$" + name
	})
}

// send sends a request as it is written.
func (p *player) send(t *testing.T, x *exchange) answer {
	t.Helper()
	lines := slices.Clone(x.request)
	empty := slices.Index(lines, "")
	body := ""
	if empty >= 0 {
		body = p.fill(strings.Join(lines[empty+1:], "\n"))
		lines = append(lines[:empty], fmt.Sprintf("Content-Length: %d", len(body)))
	}
	text := p.fill(strings.Join(lines, "\r\n")) + "\r\n\r\n" + body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatalf("%s: %v in %q", x.title, err, text)
	}
	r.URL.Scheme, r.URL.Host, r.RequestURI = "http", stranger, ""
	response, err := p.client.Do(r.WithContext(t.Context()))
	must(t, err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	must(t, err)
	if int64(len(got)) != response.ContentLength {
		t.Errorf("%s: %d bytes, and the length says %d: a client that reads it first sees nothing", x.title, len(got), response.ContentLength)
	}
	a := answer{t, x.title, response.StatusCode, response.Header, string(got)}
	p.noteSecrets(a)
	return a
}

// play sends everything of a file and checks what comes back.
func (p *player) play(t *testing.T, name string) {
	t.Helper()
	for _, x := range readExchanges(t, name) {
		a := p.send(t, x)
		status, target, _ := strings.Cut(x.status, " ")
		if fmt.Sprint(a.status) != status || (target != "" && !regexp.MustCompile(target).MatchString(a.header.Get("Location"))) {
			t.Fatalf("%s = %d %q %s; want %s", x.title, a.status, a.header.Get("Location"), a.body, x.status)
		}
		if x.reads != "" {
			var want, got any
			must(t, json.Unmarshal([]byte(p.fill(x.reads)), &want))
			a.json(&got)
			if place := reads(want, got, "top"); place != "" {
				t.Errorf("%s = %s\nwhich at %s is not what the client reads: %s", x.title, a.body, place, x.reads)
			}
		}
		for _, pattern := range x.has {
			if !regexp.MustCompile(p.fill(pattern)).MatchString(a.body) {
				t.Errorf("%s has no %s:\n%s", x.title, pattern, a.body)
			}
		}
		for _, pattern := range x.hasNot {
			if regexp.MustCompile(p.fill(pattern)).MatchString(a.body) {
				t.Errorf("%s has %s:\n%s", x.title, pattern, a.body)
			}
		}
		for i, name := range x.names {
			m := regexp.MustCompile(x.groups[i]).FindStringSubmatch(a.body)
			if len(m) != 2 {
				t.Fatalf("%s has no %s:\n%s", x.title, x.groups[i], a.body)
			}
			p.names[name] = m[1]
		}
	}
}

// reads returns the place of the first thing that a client reads and that is
// not there, or is of another type; what else is there does not matter. A list
// has at least one element, and all are like the one that is wanted.
func reads(want, got any, at string) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return at
		}
		for name := range want {
			value, present := object[name]
			if !present {
				return at + "." + name
			}
			if place := reads(want[name], value, at+"."+name); place != "" {
				return place
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || (len(list) == 0) != (len(want) == 0) {
			return at
		}
		for i := range list {
			if place := reads(want[0], list[i], fmt.Sprintf("%s[%d]", at, i)); place != "" {
				return place
			}
		}
		return ""
	case string:
		types := map[string]bool{}
		switch got.(type) {
		case string:
			types["<string>"] = true
		case bool:
			types["<bool>"] = true
		case map[string]any:
			types["<object>"] = true
		case []any:
			types["<list>"] = true
		}
		if types[want] {
			return ""
		}
	}
	return matches(want, got, at)
}

func TestWebConsoleOfCoco(t *testing.T) {
	t.Parallel()
	s := newBareServer(t)
	for _, typed := range []string{"tin cup on the shelf", "tin cup on the floor", "a phrase that is new", "three tin cups in a row"} {
		s.secret(typed)
	}
	p := s.player()
	p.names["CODE"], p.names["HOST"] = s.SetupCode(), host
	p.play(t, "console-setup.txt")
	p.play(t, "console.txt")
	p.play(t, "old-tokens.txt")
	p.play(t, "console-single.txt")
}

// Who has a second factor is told by the web console of Coco, in words for a person,
// where to sign in; after that it goes on as before.
func TestWebConsoleOfCocoWithSecondFactor(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	phone, _ := s.withTOTP(s.single())
	p := s.player()
	p.names["PASSWORD"], p.names["TYPED"], p.names["HOST"] = singlePassword, strings.ReplaceAll(singlePassword, " ", "+"), host
	p.names["CODE"] = phone.next()
	p.play(t, "console-second-factor.txt")
}

func TestDesktopProgramOfCoco(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := s.player()
	p.names["PASSWORD"], p.names["HOST"] = strings.ReplaceAll(singlePassword, " ", "+"), host
	p.play(t, "desktop.txt")
}
