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
	"husk/web/api"
)

// slowly sends a request whose body stays away until the one who asks was let
// in and meanwhile has run.
func (s *server) slowly(method, path, kind, body, credential string, meanwhile func()) answer {
	s.t.Helper()
	c, err := s.far.dial(s.t.Context(), stranger+":80")
	must(s.t, err)
	defer c.Close()
	must(s.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		method, path, host, credential, kind, len(body))
	must(s.t, err)
	in := bufio.NewReader(c)
	for line := ""; line != "\r\n"; { // the handler reads: it was let in
		line, err = in.ReadString('\n')
		must(s.t, err)
		if strings.HasPrefix(line, "HTTP/1.1 ") && !strings.Contains(line, " 100 ") {
			s.t.Fatalf("not let in: %s", line)
		}
	}
	meanwhile()
	go io.WriteString(c, body)
	response, err := http.ReadResponse(in, nil)
	must(s.t, err)
	return s.read(method+" "+path, response)
}

// What ends a credential, or cuts it, also ends the requests that were let in
// with it and whose body is on its way yet.
func TestCutMeanwhile(t *testing.T) {
	s := newServer(t)
	ctx := t.Context()
	const off = true
	for name, cut := range map[string]func(*person, api.TokenCreated) error{
		"user disabled": func(p *person, _ api.TokenCreated) error {
			_, err := s.local.UpdateUser(ctx, p.id, api.UserUpdate{Disabled: ptr(off)})
			return err
		},
		"user demoted": func(p *person, _ api.TokenCreated) error {
			_, err := s.local.UpdateUser(ctx, p.id, api.UserUpdate{Roles: &[]string{}})
			return err
		},
		"user deleted": func(p *person, _ api.TokenCreated) error {
			_, err := s.local.DeleteUser(ctx, p.id)
			return err
		},
		"token revoked": func(_ *person, k api.TokenCreated) error {
			_, err := s.local.DeleteToken(ctx, k.ID)
			return err
		},
		"token rotated": func(_ *person, k api.TokenCreated) error {
			made, err := s.local.RotateToken(ctx, k.ID, api.Rotate{})
			s.secret(made.AccessToken)
			return err
		},
		"token cut": func(_ *person, k api.TokenCreated) error {
			_, err := s.local.UpdateToken(ctx, k.ID, api.TokenUpdate{Name: "cut", Permissions: []string{db.PermTokenSearch}})
			return err
		},
		"addresses cut": func(_ *person, k api.TokenCreated) error {
			_, err := s.local.UpdateToken(ctx, k.ID, api.TokenUpdate{Name: "cut", AllowedIPs: &[]string{"203.0.113.0/24"}})
			return err
		},
		"reach cut": func(_ *person, k api.TokenCreated) error {
			_, err := s.local.UpdateToken(ctx, k.ID, api.TokenUpdate{Name: "cut", AllowedPaths: &[]string{"/"}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.newUser(strings.ReplaceAll(name, " ", ".")+"@example.com", db.RoleAdmin)
			k := s.mintFor(p, api.NewToken{ExpireIn: db.Never})
			line := `{"email":"late.` + p.email + `","roles":["admin"]}` + "\n"
			s.slowly("POST", "/security/user/_import", "application/x-ndjson", line, "X-API-TOKEN: "+k.AccessToken, func() {
				must(t, cut(p, k))
			}).want(401, "invalid_token")
			if n := len(s.everyUser()); n > 0 && strings.Contains(jsonOf(s.everyUser()), "late.") {
				t.Error("an import made a user after its credential was cut")
			}
		})
	}
	t.Run("session ended", func(t *testing.T) {
		p := s.newUser("session@example.com")
		s.slowly("POST", "/auth/access_token", "application/json", "{}", "Authorization: Bearer "+p.jwt, func() {
			s.setPassword(p.id, "nine barrels of herring")
		}).want(401, "invalid_token")
	})
	t.Run("what does not concern it", func(t *testing.T) {
		p := s.newUser("calm@example.com")
		k := s.mintFor(p, api.NewToken{})
		s.slowly("POST", "/auth/access_token", "application/json", "{}", "X-API-TOKEN: "+k.AccessToken, func() {
			s.signIn(p)
			made, err := s.local.RotateToken(ctx, k.ID, api.Rotate{Grace: "1h"})
			must(t, err)
			s.secret(made.AccessToken)
		}).want(200)
	})
}
