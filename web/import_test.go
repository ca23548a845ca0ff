package web_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"husk/db"
	"husk/db/dbtest"
	"husk/web"
	"husk/web/api"
	"husk/web/password"
)

const importPath = "/security/user/_import"

// ndjson writes a line for each user.
func ndjson(users ...api.ImportUser) string {
	var b strings.Builder
	for _, u := range users {
		b.WriteString(jsonOf(u) + "\n")
	}
	return b.String()
}

func (s *server) importing(body string, edits ...edit) answer {
	s.t.Helper()
	return s.do("POST", importPath, body, append([]edit{contentType("application/x-ndjson"), local}, edits...)...)
}

func query(q string) edit { return func(r *http.Request) { r.URL.RawQuery = q } }

func (s *server) users() int64 {
	s.t.Helper()
	n, err := s.store.CountUsers(s.t.Context())
	must(s.t, err)
	return n
}

// One faulty line changes nothing and is named by its number.
func TestImportRefusesFaultyLines(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newUser(annEmail)
	s.makeRole("editor", ownKey)
	good := func(i int) string { return fmt.Sprintf(`{"email":"user%d@example.com"}`, i) }
	hash, err := bcrypt.GenerateFromPassword([]byte("ten crates of figs"), bcrypt.MinCost)
	must(t, err)
	for _, c := range []struct{ name, line, code string }{
		{"no JSON", `user@example.com`, "bad_json"},
		{"cut", `{"email":"x@example.com"`, "bad_json"},
		{"two objects", `{"email":"x@example.com"} {"email":"y@example.com"}`, "bad_json"},
		{"a list", `["x@example.com"]`, "bad_json"},
		{"not UTF-8", "{\"email\":\"x@example.com\",\"name\":\"\xff\"}", "bad_json"},
		{"wrong type", `{"email":"x@example.com","roles":"user"}`, "bad_type"},
		{"no email", `{"name":"X"}`, "bad_email"},
		{"bad email", `{"email":"x"}`, "bad_email"},
		{"hidden character", `{"email":"x@example.com","name":"a\u202eb"}`, "text_not_plain"},
		{"long name", `{"email":"x@example.com","name":"` + strings.Repeat("n", 10_000) + `"}`, "text_too_long"},
		{"unknown role", `{"email":"x@example.com","roles":["wizzard"]}`, "unknown_role"},
		{"bad role", `{"email":"x@example.com","roles":["` + marker + ` x"]}`, "bad_role_name"},
		{"plain password as hash", `{"email":"x@example.com","password_hash":"` + marker + `"}`, "bad_password_hash"},
		{"another kind of hash", `{"email":"x@example.com","password_hash":"$1$` + marker + `$abc"}`, "bad_password_hash"},
		{"costly bcrypt", `{"email":"x@example.com","password_hash":"` + strings.Replace(string(hash), "$04$", "$17$", 1) + `"}`, "bad_password_hash"},
		{"costly argon2id", `{"email":"x@example.com","password_hash":"$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$` + strings.Repeat("A", 43) + `"}`, "bad_password_hash"},
		{"there already", `{"email":" ANN@example.com"}`, "email_taken"},
		{"twice", `{"email":"USER1@example.com "}`, "email_twice"},
		{"over 64 KiB", `{"email":"x@example.com","more":"` + strings.Repeat("x", 64<<10) + `"}`, "line_too_long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, events := s.users(), len(s.events())
			body := good(1) + "\n\n" + good(2) + "\r\n" + c.line + "\n" + good(4)
			status := 400
			if c.code == "email_taken" {
				status = 409
			}
			for _, q := range []string{"", "dry_run=true"} {
				a := s.importing(body, query(q)).want(status, c.code)
				if !strings.Contains(a.body, `"line 4: `) || strings.Contains(a.body, marker) {
					t.Errorf("%s", a.body)
				}
			}
			if s.users() != before || len(s.events()) != events {
				t.Errorf("%d users became %d, with %d audit entries", before, s.users(), len(s.events())-events)
			}
		})
	}
	if a := s.importing(good(1)+"\n"+good(2)+"\n"+good(1)).want(400, "email_twice"); !strings.Contains(a.body, "line 3: the email of line 1 again") {
		t.Error(a.body)
	}
	for name, a := range map[string]answer{
		"form":    s.importing(good(1), contentType(formType)),
		"text":    s.importing(good(1), contentType("text/plain")),
		"no type": s.importing(good(1), func(r *http.Request) { r.Header.Del("Content-Type") }),
	} {
		if a.status != 415 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.do("POST", importPath, good(1), contentType("application/x-ndjson")).want(401)
}

func TestImport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newUser(annEmail)
	s.makeRole("editor", ownKey)
	body := ndjson(
		api.ImportUser{Email: " Bob@Example.com ", Name: " Bob "},
		api.ImportUser{Email: "carol@example.com", Roles: []string{"editor", "user", "editor"}, Disabled: true},
		api.ImportUser{Email: "dora@example.com", Roles: []string{"admin"}},
	) + `{"email":"eve@example.com","id":"x","must_change":true,"roles":null}`
	s.importing(body, query("dry_run=true")).want(200).like(`{"created":4,"skipped":0,"dry_run":true}`)
	for _, q := range []string{"dry_run=1", "dry_run=TRUE", "dry_run=yes&if_missing=true", "if_missing=1"} {
		s.importing(body, query(q)).want(400, "bad_parameter")
	}
	if n := s.users(); n != 2 {
		t.Errorf("a dry run made users: %d", n)
	}
	events := len(s.events())
	s.importing(body).want(200).like(`{"created":4,"skipped":0,"dry_run":false}`)
	for _, e := range s.events()[events:] {
		if e.Action != "user.create" || e.Actor != db.LocalActor || e.RequestID == "" {
			t.Errorf("the audit says %+v", e)
		}
	}
	if n := len(s.events()) - events; n != 4 {
		t.Errorf("%d audit entries for 4 users", n)
	}
	for email, want := range map[string]api.User{
		"bob@example.com":   {Name: "Bob", Email: "Bob@Example.com", Roles: []string{"user"}},
		"carol@example.com": {Name: "carol", Email: "carol@example.com", Roles: []string{"editor", "user"}, Disabled: true},
		"dora@example.com":  {Name: "dora", Email: "dora@example.com", Roles: []string{"admin"}},
		"eve@example.com":   {Name: "eve", Email: "eve@example.com", Roles: []string{"user"}},
	} {
		found, err := s.local.GetUser(t.Context(), email)
		must(t, err)
		u := found.Source
		if u.Name != want.Name || u.Email != want.Email || jsonOf(u.Roles) != jsonOf(want.Roles) || u.Disabled != want.Disabled {
			t.Errorf("%+v, want %+v", u, want)
		}
		s.login(&person{email: email}, wrong).want(403)
	}
	// Again it is a fault, or it is nothing.
	s.importing(body).want(409, "email_taken")
	s.importing(body, query("if_missing=true")).want(200).like(`{"created":0,"skipped":4,"dry_run":false}`)
	s.importing(body+"\n"+`{"email":"frank@example.com"}`, query("if_missing=true&dry_run=true")).want(200).like(`{"created":1,"skipped":4,"dry_run":true}`)
	s.importing(`{"email":"bob@example.com","name":"Another","roles":["admin"],"disabled":true}`, query("if_missing=true")).want(200)
	if u, err := s.local.GetUser(t.Context(), "bob@example.com"); err != nil || u.Source.Name != "Bob" || u.Source.Disabled || jsonOf(u.Source.Roles) != `["user"]` {
		t.Errorf("one who was there became %+v, %v", u.Source, err)
	}
	for _, empty := range []string{"\n", "\r\n\n  \n"} {
		s.importing(empty).want(200).like(`{"created":0,"skipped":0,"dry_run":false}`)
	}
	if out, err := s.local.ImportUsers(t.Context(), strings.NewReader(`{"email":"gina@example.com"}`), api.ImportOptions{}); err != nil || out.Created != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

// Rights above the actor's are not imported, by session or by token.
func TestImportDoesNotEscalate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("clerk", db.PermUserCreate, db.PermTokenCreate, ownKey)
	s.makeRole("editor", ownKey)
	clerk := s.newUser("clerk@example.com", "clerk")
	token := s.mint(clerk.session(), api.NewToken{Permissions: []string{db.PermUserCreate}})
	by := func(e edit) edit { return func(r *http.Request) { r.URL.Host = stranger; e(r) } }
	for _, roles := range [][]string{{"admin"}, {"editor", "admin"}, {"user"}, nil} {
		body := ndjson(api.ImportUser{Email: "x@example.com", Roles: []string{"editor"}}, api.ImportUser{Email: "y@example.com", Roles: roles})
		for _, q := range []string{"", "dry_run=true", "if_missing=true"} {
			if a := s.importing(body, by(clerk.session()), query(q)).want(403, "grants_more"); !strings.Contains(a.body, "line 2: ") {
				t.Error(a.body)
			}
		}
	}
	one := ndjson(api.ImportUser{Email: "x@example.com", Roles: []string{"editor"}})
	s.importing(one, by(apiToken(token.AccessToken))).want(403, "grants_more")
	s.importing(one, by(clerk.session())).want(200)
	s.importing(one, by(s.newUser(annEmail).session())).want(403, "not_permitted")
	if n := s.users(); n != 4 {
		t.Errorf("%d users", n)
	}
}

// Imported hashes sign in; bcrypt is gone after the first time.
func TestImportedPasswords(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	stored := func(email string) string {
		u, err := s.store.UserByEmail(t.Context(), email)
		must(t, err)
		return u.Password
	}
	blowfish := func(pass string) string {
		hash, err := bcrypt.GenerateFromPassword([]byte(pass), bcrypt.MinCost)
		must(t, err)
		return string(hash)
	}
	const pass = "ten crates of figs"
	long := strings.Repeat("x", 72)
	argon, err := password.New(password.Config{Params: password.InsecureTestParams()}).Hash(t.Context(), password.Caller{}, pass)
	must(t, err)
	two := blowfish(pass)
	hashes := map[string]string{
		"argon": argon, "blow": two, "blowa": "$2a$" + two[4:], "blowy": "$2y$" + two[4:], "long": blowfish(long), "off": blowfish(pass),
	}
	var users []api.ImportUser
	for name, hash := range hashes {
		users = append(users, api.ImportUser{Email: name + "@example.com", PasswordHash: hash, Disabled: name == "off"})
	}
	s.importing(ndjson(users...)).want(200)
	for _, name := range []string{"argon", "blow", "blowa", "blowy"} {
		email := name + "@example.com"
		p := &person{email: email, password: pass}
		s.secret(pass)
		s.login(p, wrong).want(403)
		s.login(p, pass+"\x00").want(403)
		if got := stored(email); got != hashes[name] {
			t.Errorf("%s: a wrong password changed the hash", name)
		}
		first := s.signIn(p)
		got := stored(email)
		if !strings.HasPrefix(got, "$argon2id$") || (name == "argon") != (got == argon) {
			t.Errorf("%s: after a sign-in the hash is %s", name, got)
		}
		s.signIn(p)
		if stored(email) != got {
			t.Errorf("%s: the hash was replaced again", name)
		}
		s.do("GET", "/account/profile", "", first.session()).want(200)
	}
	// bcrypt looks at 72 bytes: more is refused, not cut.
	for _, tail := range []string{"y", "x", strings.Repeat("z", 100)} {
		s.login(&person{email: "long@example.com"}, long+tail).want(403, "login_failed")
	}
	if got := stored("long@example.com"); got != hashes["long"] {
		t.Error("a refused password changed the hash")
	}
	s.login(&person{email: "long@example.com"}, long).want(200)
	s.login(&person{email: "long@example.com"}, long+"y").want(403)
	s.login(&person{email: "off@example.com"}, pass).want(403, "login_failed")
	if got := stored("off@example.com"); got != hashes["off"] {
		t.Error("a disabled user's sign-in changed the hash")
	}
}

// lines is a body that is made while it is read.
type lines struct {
	n, i int
	rest []byte
}

func (l *lines) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if l.i == l.n {
			return 0, io.EOF
		}
		l.i++
		l.rest = fmt.Appendf(nil, "{\"email\":\"user%d@example.com\",\"name\":\"User Number %d\"}\n", l.i, l.i)
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// An import of many is written in steps. The quick one goes through several of them, the
// last one not full, and proves that everybody is made once and in the order of the file,
// that the indexes have them, and that the same file again makes nobody. The long one
// proves the same of a store that has grown by it, and that it stays within two minutes,
// beside no browser of another test. What memory it takes, BenchmarkImportMany tells.
func TestImportMany(t *testing.T) {
	n := 2_300
	if os.Getenv("HUSK_LONG") != "" && !dbtest.Race && !testing.Short() {
		n = 100_000
	}
	s := newServer(t)
	began := time.Now()
	out, err := s.local.ImportUsers(t.Context(), &lines{n: n}, api.ImportOptions{})
	must(t, err)
	took := time.Since(began)
	if out.Created != n || out.Skipped != 0 || s.users() != int64(n)+1 {
		t.Fatalf("%+v, %d users", out, s.users())
	}
	t.Logf("%d users in %v", n, took.Round(time.Millisecond))
	if took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
	i := n
	for hit, err := range api.All(t.Context(), api.ListOptions{}, s.local.SearchUsers) { // the newest first
		must(t, err)
		if want := fmt.Sprintf("user%d@example.com", i); i > 0 && hit.Source.Email != want {
			t.Fatalf("%s is made where %s is due", hit.Source.Email, want)
		}
		i--
	}
	if i != -1 { // behind them is the single user
		t.Errorf("%d of %d users are listed", n-i, n+1)
	}
	var page api.Search[api.User]
	s.do("GET", "/security/user/_search?query=user77@", "", local).want(200).json(&page)
	if page.Hits.Total.Value < 1 {
		t.Errorf("%+v", page.Hits.Total)
	}
	again, err := s.local.ImportUsers(t.Context(), &lines{n: n}, api.ImportOptions{IfMissing: true})
	if err != nil || again.Created != 0 || again.Skipped != n || s.users() != int64(n)+1 {
		t.Errorf("again: %+v, %v, %d users", again, err, s.users())
	}
}

// endless is a body that never ends.
type endless struct{ read atomic.Int64 } // which may go on while the answer is read

func (e *endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	for i := range p {
		p[i] = ' '
	}
	p[0] = '\n'
	return len(p), nil
}

// Over 64 MiB it is 413, and the rest is not read.
func TestImportTooLarge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := &endless{}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://local"+importPath, body)
	must(t, err)
	r.Header.Set("Content-Type", "application/x-ndjson")
	response, err := s.transport.RoundTrip(r)
	must(t, err)
	s.read("endless", response).want(413, "body_too_large")
	if read := body.read.Load(); read > 66<<20 {
		t.Errorf("%d MiB were read", read>>20)
	}
	// The last byte that is allowed is.
	line := `{"email":"x@example.com"}`
	space := strings.Repeat(strings.Repeat(" ", 1023)+"\n", 64<<10)
	s.importing(space[len(line):]+line, query("dry_run=true")).want(200).like(`{"created":1,"skipped":0,"dry_run":true}`)
	s.importing(space[len(line)-1:]+line, query("dry_run=true")).want(413, "body_too_large")
	if n := s.users(); n != 1 {
		t.Errorf("%d users", n)
	}
}

// A body that ends before it should makes nobody.
func TestImportCutBody(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	body := ndjson(api.ImportUser{Email: "a@example.com"}, api.ImportUser{Email: "b@example.com"})
	c, err := s.far.dial(t.Context(), stranger+":80")
	must(t, err)
	admin := s.single()
	go func() {
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n5\r\nab", importPath, host, admin.jwt, len(body), body)
		c.Close()
	}()
	io.Copy(io.Discard, c)
	if n := s.users(); n != 1 {
		t.Errorf("%d users", n)
	}
}

// Cut short in the middle, an import tells how far it came, and if_missing
// completes it.
func TestImportCutShort(t *testing.T) {
	t.Parallel()
	s, engine := newFaulty(t)
	const n = 1700
	import1 := func(o api.ImportOptions) (api.Imported, error) {
		return s.local.ImportUsers(t.Context(), &lines{n: n}, o)
	}
	engine.set(func(i int) error {
		if i >= 2 {
			return db.ErrFull
		}
		return nil
	}, nil)
	_, err := import1(api.ImportOptions{})
	if status(err) != 507 || !strings.Contains(err.Error(), "1000 users were made") || strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("cut short: %d %v", status(err), err)
	}
	if got := s.users(); got != 1001 {
		t.Errorf("%d users", got)
	}
	if _, err := import1(api.ImportOptions{IfMissing: true}); status(err) != 507 {
		t.Errorf("still full: %v", err)
	}
	engine.set(nil, nil)
	if _, err := import1(api.ImportOptions{}); status(err) != 409 {
		t.Errorf("again: %v", err)
	}
	out, err := import1(api.ImportOptions{IfMissing: true})
	if err != nil || out.Skipped != 1000+500 && out.Skipped != 1000 || out.Created+out.Skipped != n {
		t.Errorf("completed: %+v, %v", out, err)
	}
	if got := s.users(); got != n+1 {
		t.Errorf("%d users", got)
	}
	// Full from the start, nothing was changed, and the answer may say so.
	engine.set(full, nil)
	_, err = s.local.ImportUsers(t.Context(), bytes.NewBufferString(`{"email":"x@example.com"}`), api.ImportOptions{})
	if status(err) != 507 || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("full: %v", err)
	}
	engine.set(nil, nil)
	if got := s.users(); got != n+1 {
		t.Errorf("%d users", got)
	}
}

// A role that is taken away between the check and the writing is missed.
func TestImportWhileARoleGoes(t *testing.T) {
	t.Parallel()
	s, engine := newFaulty(t)
	s.makeRole("editor", ownKey)
	engine.set(nil, func() { s.do("DELETE", roles+"/editor", "", local).want(200) })
	s.importing(ndjson(api.ImportUser{Email: "x@example.com", Roles: []string{"editor"}})).want(400, "unknown_role")
	if n := s.users(); n != 1 {
		t.Errorf("%d users", n)
	}
}

var _ = web.Config{}
