package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

const importer = "generic#security:user/create"

// importing is an ordinary user who may make users.
func importing(s *server) *person {
	s.t.Helper()
	s.role("importer", importer)
	return s.newUser("importer@example.com", "importer", db.RoleUser)
}

func usersFrom(from, n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, `{"email":"made%d@example.com"}`+"\n", from+i)
	}
	return all.String()
}

// Each user that an import makes is a change of the one who imports: one
// request does no more than as many would.
func TestImportsAreCounted(t *testing.T) {
	s := newServer(t, quotas(web.Quotas{Changes: 20}))
	p, admin := importing(s), s.single()
	send := func(from, n int, query string, with edit) answer {
		return s.do("POST", "/security/user/_import"+query, usersFrom(from, n), contentType("application/x-ndjson"), with)
	}
	send(0, 21, "", p.session()).want(413, "too_many_users")
	s.clock.advance(time.Minute)
	send(0, 20, "", p.session()).want(200)
	refused := send(20, 2, "", p.session()).want(429, "too_many_changes")
	if refused.header.Get("Retry-After") == "" || strings.Contains(refused.body, "were made") {
		t.Errorf("it is refused by %v %s", refused.header, refused.body)
	}
	s.clock.advance(9 * time.Second)
	send(20, 3, "", p.session()).want(200)
	send(23, 1, "", p.session()).want(429, "too_many_changes")
	s.clock.advance(3 * time.Second)
	send(23, 900, "?dry_run=true", p.session()).want(200) // makes nothing, and is one
	send(1000, 300, "", admin.session()).want(200)
	n, err := s.store.CountUsers(t.Context())
	must(t, err)
	if want := int64(2 + 23 + 300); n != want {
		t.Errorf("there are %d users, want %d", n, want)
	}
}

// An import whose body stands still ends, and meanwhile few others are held in
// memory beside it; those of the owner of the file are not kept waiting.
func TestStalledImports(t *testing.T) {
	s := newServer(t)
	s.SetStallTimeout(time.Minute)
	p := importing(s)
	const most = 2
	stalled := make([]*io.PipeWriter, most)
	ends := make(chan answer, most)
	for i := range stalled {
		body, half := io.Pipe()
		stalled[i] = half
		go func() {
			ends <- s.do("POST", "/security/user/_import", "x", contentType("application/x-ndjson"), p.session(), chunked,
				func(r *http.Request) { r.Body = body })
		}()
		_, err := io.WriteString(half, usersFrom(100*i, 1))
		must(t, err)
	}
	s.waitForImports(most)
	busy := s.do("POST", "/security/user/_import", usersFrom(500, 1), contentType("application/x-ndjson"), p.session()).want(503, "busy")
	if busy.header.Get("Retry-After") == "" {
		t.Error("it does not say how long to wait")
	}
	s.do("POST", "/security/user/_import", usersFrom(600, 1), contentType("application/x-ndjson"), local).want(200)
	for _, half := range stalled {
		must(t, half.Close())
		(<-ends).want(200)
	}
	s.do("POST", "/security/user/_import", usersFrom(700, 1), contentType("application/x-ndjson"), p.session()).want(200)
}

func (s *server) waitForImports(n int32) {
	s.t.Helper()
	for s.Imports() != n {
		if s.t.Context().Err() != nil {
			s.t.Fatal("the imports did not begin")
		}
		time.Sleep(time.Millisecond)
	}
}

// What holds the half of a body for longer than a piece may take is ended.
func TestStalledImportEnds(t *testing.T) {
	s := newServer(t)
	s.SetStallTimeout(20 * time.Millisecond)
	p := importing(s)
	c, err := s.far.dial(t.Context(), stranger+":80")
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second))) // the limit of a whole request is longer
	go fmt.Fprintf(c, "POST /security/user/_import HTTP/1.1\r\nHost: husk\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n%s", p.jwt, usersFrom(0, 10))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	s.read("a stalled import", response).want(400, "body_cut")
}

// A token that is shown from where it may not be used is told in the log: that
// is how one learns that it was stolen.
func TestTokenFromElsewhereIsAudited(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	made := s.mint(ann.session(), api.NewToken{AllowedIPs: []string{"10.0.0.0/8"}})
	for range 3 {
		s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(401, "invalid_token")
	}
	told := s.told("token.use")
	if len(told) != 1 || told[0].Actor != ann.id || told[0].Target != made.ID || told[0].Address != stranger || told[0].Result != db.ResultRefused || told[0].Count != 3 {
		t.Errorf("the audit log has %+v", told)
	}
}

// Who takes nothing of an export any more is given up, and has one of few turns
// until then.
func TestStalledExportEnds(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	for i := range 40 { // more than is on its way
		s.mint(admin.session(), api.NewToken{Name: fmt.Sprint("token ", i)})
	}
	s.SetStallTimeout(20 * time.Millisecond)
	c, err := s.far.dial(t.Context(), stranger+":80")
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(c, "GET /security/audit/_export HTTP/1.1\r\nHost: husk\r\nAuthorization: Bearer %s\r\n\r\n", admin.jwt)
	must(t, err)
	_, err = http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
	must(t, err)
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if holders, _ := s.Turns(admin.id); holders == 0 {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("it goes on")
		}
	}
}
