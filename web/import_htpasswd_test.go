package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"husk/web/api"
)

// The hashes of these tests, of "a phrase from before".
const (
	annHash  = "$2y$10$tsq4rj0Dc1E3Audye6AKs.4K0GwIsU42jzW5ahsTB0xB9.Kp3qJG."
	annWord  = "a phrase from before"
	weakHash = "$apr1$Qq1o2hF4$zU1n3eXy0jU0nH1p6e2hM."
)

// htpasswd sends an htpasswd file.
func (s *server) htpasswd(body string, edits ...edit) answer {
	s.t.Helper()
	return s.importing(body, append([]edit{contentType("text/plain; charset=utf-8")}, edits...)...)
}

// An htpasswd file is taken as Apache and nginx take it: comments, blank lines, line ends
// of Windows, fields behind the hash. Hashes of other kinds are left out, and told.
func TestImportHtpasswd(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("editor", ownKey)
	file := "\ufeff# the team\r\n" + "ann:" + annHash + "\r\n\r\n  # more\n" + "bob@example.org:" + annHash + ":Bob:of:wing 3\n" +
		"carol:" + weakHash + "\n\t dave:" + annHash + " \n" + "erin:rqXexS6ZhobKA"
	const asked = "format=htpasswd&domain=example.com&role=editor&role=user&role="
	want := `"skipped":2,"dry_run":%v,"unsupported":2,"unsupported_lines":[{"line":6,"kind":"MD5 (apr1)"},{"line":8,"kind":"DES crypt"}]}`
	s.htpasswd(file, query(asked+"&dry_run=true")).want(200).like(`{"created":3,` + fmt.Sprintf(want, true))
	if n := s.users(); n != 1 {
		t.Fatalf("a dry run made %d users", n-1)
	}
	s.htpasswd(file, query(asked)).want(200).like(`{"created":3,` + fmt.Sprintf(want, false))
	for email, name := range map[string]string{"ann@example.com": "ann", "bob@example.org": "bob", "dave@example.com": "dave"} {
		found, err := s.local.GetUser(t.Context(), email)
		must(t, err)
		if u := found.Source; u.Name != name || jsonOf(u.Roles) != `["editor","user"]` || u.Disabled {
			t.Errorf("%+v", u)
		}
		s.secret(annWord)
		s.login(&person{email: email}, annWord).want(200)
	}
	s.htpasswd(file, query(asked)).want(409, "email_taken").like(`{"status":409,"error":{"reason":"line 2: another user has that email","code":"email_taken","line":2}}`)
	s.htpasswd(file+"\nfrank:"+annHash, query(asked+"&if_missing=true")).want(200).like(`{"created":1,` + strings.Replace(fmt.Sprintf(want, false), `"skipped":2`, `"skipped":5`, 1))
	// Without a role it is the one that everybody has.
	s.htpasswd("gail:"+annHash, query("format=htpasswd&domain=example.com")).want(200)
	if found, err := s.local.GetUser(t.Context(), "gail@example.com"); err != nil || jsonOf(found.Source.Roles) != `["user"]` {
		t.Errorf("%+v, %v", found.Source, err)
	}
	out, err := s.local.ImportUsers(t.Context(), strings.NewReader("hal:"+annHash+"\nida:"+weakHash), api.ImportOptions{Format: api.FormatHtpasswd, Domain: "example.com", Roles: []string{"editor"}, DryRun: true})
	if err != nil || out.Created != 1 || out.Skipped != 1 || out.Unsupported != 1 || out.UnsupportedLines[0] != (api.UnsupportedHash{Line: 2, Kind: "MD5 (apr1)"}) {
		t.Errorf("%+v, %v", out, err)
	}
	for _, empty := range []string{"\n", "# nobody\n\n#\n"} {
		s.htpasswd(empty, query("format=htpasswd")).want(200).like(`{"created":0,"skipped":0,"dry_run":false}`)
	}
}

// One faulty line changes nothing, and is named: also where the file is of the other
// format, wholly or from somewhere on.
func TestImportHtpasswdRefusesFaultyLines(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.newUser(annEmail)
	before, events := s.users(), len(s.events())
	const good = "user1:" + annHash
	for _, c := range []struct{ name, line, code string }{
		{"no hash", "user2", "bad_htpasswd"},
		{"an empty hash", "user2:", "bad_htpasswd"},
		{"an empty hash, and fields", "user2::x", "bad_htpasswd"},
		{"no name", ":" + annHash, "bad_htpasswd"},
		{"not UTF-8", "us\xffer:" + annHash, "bad_htpasswd"},
		{"not UTF-8, in a comment", "# J\xfcrgen", "bad_htpasswd"},
		{"JSON", `{"email":"x@example.com","password_hash":"` + annHash + `"}`, "other_format"},
		{"JSON with a space", `{ "email":"x@example.com"}`, "other_format"},
		{"JSON that is cut", `{`, "other_format"},
		{"a plain password", "user2:" + marker, "bad_password_hash"},
		{"cut bcrypt", "user2:" + annHash[:50], "bad_password_hash"},
		{"costly bcrypt", "user2:" + strings.Replace(annHash, "$10$", "$17$", 1), "bad_password_hash"},
		{"no email", "user 2:" + annHash, "bad_email"},
		{"hidden character", "a\u202eb:" + annHash, "bad_email"},
		{"two @", "user2@a@b:" + annHash, "bad_email"},
		{"twice", "USER1:" + annHash, "email_twice"},
		{"there already", "ann:" + annHash, "email_taken"},
		{"over 64 KiB", "user2:" + strings.Repeat("x", 64<<10), "line_too_long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status := 400
			if c.code == "email_taken" {
				status = http.StatusConflict
			}
			for _, q := range []string{"", "&dry_run=true"} {
				a := s.htpasswd("# x\r\n\n"+good+"\n"+c.line+"\nuser4:"+annHash, query("format=htpasswd&domain=example.com"+q)).want(status, c.code)
				if !strings.Contains(a.body, `"line 4: `) || !strings.Contains(a.body, `"line":4`) || strings.Contains(a.body, marker) {
					t.Error(a.body)
				}
			}
		})
	}
	for _, wrong := range []string{good, "# the team\n" + good, "\n\nuser1@example.com:" + weakHash} {
		s.importing(wrong).want(400, "other_format")
	}
	s.importing("user1@example.com: x").want(400, "bad_json")
	s.htpasswd(good, query("format=htpasswd")).want(400, "domain_missing")
	s.htpasswd(good, query("format=htpasswd&domain=example.com&role=wizzard")).want(400, "unknown_role")
	if s.users() != before || len(s.events()) != events {
		t.Errorf("%d users became %d, with %d audit entries", before, s.users(), len(s.events())-events)
	}
}

// What an import is asked for is taken as it is said, or refused.
func TestImportFormats(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const line, json = "ann@example.com:" + annHash, `{"email":"ann@example.com"}`
	for q, code := range map[string]string{
		"format=HTPASSWD": "bad_parameter", "format=csv": "bad_parameter", "format=htpasswd&format=ndjson": "duplicate_member",
		"formt=htpasswd": "unknown_member", "format=htpasswd&roles=user": "unknown_member", "format=htpasswd&domains=x": "unknown_member",
		"format=htpasswd&domain=@example.com": "bad_domain", "format=htpasswd&domain=a+b": "bad_domain", "format=htpasswd&domain=" + strings.Repeat("a.", 200): "bad_domain",
	} {
		s.htpasswd(line, query(q)).want(400, code)
	}
	for _, q := range []string{"domain=example.com", "role=user", "format=ndjson&role=user"} {
		s.importing(json, query(q)).want(400, "bad_parameter")
	}
	for _, q := range []string{"", "format=", "format=ndjson&domain=&role="} {
		s.importing(json, query(q+"&dry_run=true")).want(200)
	}
	for _, media := range []string{"application/x-ndjson", formType, "text/csv", "multipart/form-data; boundary=x"} {
		s.importing(line, contentType(media), query("format=htpasswd")).want(415, "content_type")
	}
	s.importing(json, contentType("text/plain")).want(415, "content_type")
	s.htpasswd(line, query("format=htpasswd&dry_run=true")).want(200)
}

// However many lines are left out, an answer names a thousand.
func TestImportHtpasswdNamesAThousand(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var out api.Imported
	s.htpasswd(strings.Repeat("ann:"+weakHash+"\n", 1500), query("format=htpasswd")).want(200).json(&out)
	if out.Skipped != 1500 || out.Unsupported != 1500 || len(out.UnsupportedLines) != 1000 || out.UnsupportedLines[999].Line != 1000 {
		t.Errorf("%d, %d, %d lines", out.Skipped, out.Unsupported, len(out.UnsupportedLines))
	}
}

// Rights above the actor's are not given by an htpasswd file either.
func TestImportHtpasswdDoesNotEscalate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.makeRole("clerk", "generic#security:user/create", ownKey)
	s.makeRole("editor", ownKey)
	clerk := s.newUser("clerk@example.com", "clerk")
	by := func(r *http.Request) { r.URL.Host = stranger; clerk.session()(r) }
	for _, q := range []string{"&role=admin", "&role=editor&role=admin", ""} {
		s.htpasswd("x@example.com:"+annHash, by, query("format=htpasswd"+q)).want(403, "grants_more")
	}
	s.htpasswd("x@example.com:"+annHash, by, query("format=htpasswd&role=editor")).want(200)
}
