package web

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
)

const importPage = "/console/users/import"

// upload sends a form with a file, as a browser does: fields first.
func (v *visitor) upload(path, file string, header []string, pairs ...string) answer {
	v.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		if err := form.WriteField(pairs[i], pairs[i+1]); err != nil {
			v.Fatal(err)
		}
	}
	if file != "" {
		part, err := form.CreateFormFile("file", "users.jsonl")
		if err != nil {
			v.Fatal(err)
		}
		if _, err := io.WriteString(part, file); err != nil {
			v.Fatal(err)
		}
	}
	form.Close()
	return v.do("POST", path, form.FormDataContentType(), b.String(), header...)
}

func (v *visitor) users(t *testing.T) int64 {
	t.Helper()
	n, err := v.Store.CountUsers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const twoUsers = `{"email":"ann@example.com","name":"Ann"}` + "\n" + `{"email":"bob@example.com","roles":["admin"]}` + "\n"

func TestImportInTheConsole(t *testing.T) {
	v := newSignedIn(t)
	v.get(importPage).isPage(t, http.StatusOK, `enctype="multipart/form-data"`, `formaction="`+importPage+`/check"`, `data-max="67108864"`,
		`href="/console/manual/tasks-from-htpasswd"`, `href="/console/manual/tasks-from-coco"`)
	v.get("/console/manual/tasks-from-htpasswd").isPage(t, http.StatusOK)
	v.get("/console/manual/tasks-from-coco").isPage(t, http.StatusOK)
	v.upload(importPage+"/check", twoUsers, nil, "if_missing", "yes").isPage(t, http.StatusOK, "2 users would be made.", "Nothing has been done yet")
	if n := v.users(t); n != 1 {
		t.Fatalf("a check made %d users", n-1)
	}
	v.upload(importPage, twoUsers, nil).isPage(t, http.StatusOK, "2 users are made.", `href="/console/users"`)
	v.upload(importPage, twoUsers, nil).isPage(t, http.StatusConflict, "not taken as it is", "Line 1")
	v.upload(importPage, twoUsers+`{"email":"eve@example.com"}`, nil, "if_missing", "yes").isPage(t, http.StatusOK, "1 user is made.", "2 users are there already")
	v.upload(importPage, "{\"email\":\"x@example.com\"}\nnonsense\n", nil).isPage(t, http.StatusBadRequest, "Line 2")
	v.upload(importPage, "", nil).isPage(t, http.StatusBadRequest, "Choose a file.")
	v.upload(importPage, "", nil, "file", "").isPage(t, http.StatusBadRequest, "Choose a file.")
	v.post(importPage, "if_missing", "yes").isPage(t, http.StatusUnsupportedMediaType)
	v.upload(importPage, twoUsers, nil, "if_missing", "yes", "if_missing", "yes").isPage(t, http.StatusBadRequest)
	v.upload(importPage, twoUsers, nil, "once", strings.Repeat("x", 70_000)).isPage(t, http.StatusRequestEntityTooLarge, "over 64 KiB before its file")
	v.do("POST", importPage, "multipart/form-data; boundary=x", "--x\r\nnonsense").isPage(t, http.StatusBadRequest)
	v.do("POST", importPage, "multipart/form-data", "").isPage(t, http.StatusUnsupportedMediaType)
	if n := v.users(t); n != 4 {
		t.Errorf("there are %d users", n)
	}
}

// An htpasswd file, as it is, with what the page asks beside it.
const htpasswdFile = "# the team\r\nann:" + annBcrypt + "\r\n\r\nbob@example.org:" + annBcrypt + ":more\r\ncarol:$apr1$Qq1o2hF4$zU1n3eXy0jU0nH1p6e2hM.\r\ndave:{CRYPT}x\r\n"

// annBcrypt is bcrypt of annBefore.
const (
	annBcrypt = "$2y$10$tsq4rj0Dc1E3Audye6AKs.4K0GwIsU42jzW5ahsTB0xB9.Kp3qJG."
	annBefore = "a phrase from before"
)

// Who has an htpasswd file goes all the way in the console: checks it, imports it with a
// domain and roles, reads who is left out, and those who were taken over sign in.
func TestImportHtpasswdInTheConsole(t *testing.T) {
	v := newSignedIn(t)
	v.get(importPage).isPage(t, http.StatusOK, `name="format" value="ndjson" checked`, `name="format" value="htpasswd"`, `name="domain"`, `name="roles" value="admin"`)
	asked := []string{"format", "htpasswd", "domain", " example.com ", "roles", "user", "roles", "admin", "if_missing", "yes"}
	v.upload(importPage+"/check", htpasswdFile, nil, asked...).isPage(t, http.StatusOK, "2 users would be made.", "Nothing has been done yet",
		"2 lines are left out", "Line 5: MD5 (apr1)", "Line 6: a hash that begins with {CRYPT}", `value="htpasswd" checked`, `value=" example.com "`, `value="admin" checked`)
	if n := v.users(t); n != 1 {
		t.Fatalf("a check made %d users", n-1)
	}
	v.upload(importPage, htpasswdFile, nil, asked...).isPage(t, http.StatusOK, "2 users are made.", "Line 5: MD5 (apr1)", `href="/console/users"`)
	v.upload(importPage, htpasswdFile, nil, asked...).isPage(t, http.StatusOK, "0 users are made.", "2 users are there already", "2 lines are left out")
	v.upload(importPage, htpasswdFile, nil, asked[:4]...).isPage(t, http.StatusConflict, "not taken as it is", "Line 2: Another user has that email.")
	for email, roles := range map[string]int{"ann@example.com": 2, "bob@example.org": 2} {
		u, err := v.Store.UserByEmail(t.Context(), email)
		if err != nil || len(u.Roles) != roles {
			t.Errorf("%+v, %v", u, err)
		}
	}
	ann := v.visitor()
	ann.signIn("ann@example.com", annBefore)
	ann.get("/").isPage(t, http.StatusOK, "ann")
}

// The page that tells how to move from htpasswd can be gone through in the console: its
// file is imported there, and what it calls things is what they are called.
func TestFromHtpasswdInTheConsole(t *testing.T) {
	text, err := os.ReadFile("../docs/tasks/from-htpasswd.md")
	if err != nil {
		t.Fatal(err)
	}
	_, file, _ := strings.Cut(string(text), "$ cat >htpasswd <<'END'\n> ")
	file, _, found := strings.Cut(file, "\n> END\n")
	file = strings.ReplaceAll(file, "\n> ", "\n")
	_, steps, there := strings.Cut(string(text), "## In the browser\n")
	steps, _, ends := strings.Cut(steps, "\n## ")
	if !found || !there || !ends {
		t.Fatal("the page has another form")
	}
	v := newSignedIn(t)
	v.get("/console/users").isPage(t, http.StatusOK, ">Import users<", ">New user<")
	asked := []string{"format", "htpasswd", "domain", "example.com"}
	v.upload(importPage+"/check", file, nil, asked...).isPage(t, http.StatusOK, "2 users would be made.", "Line 3: MD5 (apr1)")
	v.upload(importPage, file, nil, asked...).isPage(t, http.StatusOK, "2 users are made.", "Line 3: MD5 (apr1)")
	v.post("/console/users", "email", "carol@example.com", "roles", "user", "way", "invite").isPage(t, http.StatusOK, "A password for you to hand over")
	ann, err := v.Store.UserByEmail(t.Context(), "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	v.get("/console/users/"+ann.ID).isPage(t, http.StatusOK, "/console/users/"+ann.ID+"/roles")
	v.post("/console/users/"+ann.ID+"/roles", "roles", "admin")
	if ann, err = v.Store.UserByEmail(t.Context(), "ann@example.com"); err != nil || !slices.Equal(ann.Roles, []string{"admin"}) {
		t.Errorf("Ann is %+v, %v", ann, err)
	}
	first := v.visitor()
	first.signIn("ann@example.com", annBefore)

	shown := ""
	for _, path := range []string{"/console/users", importPage, "/console/users/new", "/console/users/" + ann.ID, "/console/users/" + ann.ID + "/roles"} {
		shown += v.get(path).body
	}
	labels := regexp.MustCompile(`\*\*([^*]+)\*\*`).FindAllStringSubmatch(steps, -1)
	for _, label := range labels {
		if name := strings.Join(strings.Fields(label[1]), " "); !strings.Contains(shown, ">"+name) {
			t.Errorf("no page shows %q", name)
		}
	}
	if len(labels) < 10 {
		t.Errorf("the page names %d things", len(labels))
	}
}

// What is wrong with the form or the file stands at the field that mends it, in the
// language of who looks, with its line; and nothing is done.
func TestImportHtpasswdWrongInTheConsole(t *testing.T) {
	v := newSignedIn(t)
	for _, c := range []struct {
		name, file     string
		asked          []string
		english, hanzi string
		at             string // what stands before the problem
		status         int
	}{
		{"another file", twoUsers, []string{"format", "htpasswd"}, "Line 1: That is a line of JSON", "第 1 行：这一行属于另一种文件", "<legend>", 400},
		{"another file, the other way", htpasswdFile, []string{"format", "ndjson"}, "Line 1: That is how a line of an htpasswd file looks", "第 1 行：这一行属于另一种文件", "<legend>", 400},
		{"mixed", "ann@example.org:" + annBcrypt + "\n" + twoUsers, []string{"format", "htpasswd"}, "Line 2: That is a line of JSON", "第 2 行：", "<legend>", 400},
		{"no domain", htpasswdFile, []string{"format", "htpasswd"}, "Line 2: The name is no email", "第 2 行：该名称不是邮箱", `name="domain"`, 400},
		{"no such domain", htpasswdFile, []string{"format", "htpasswd", "domain", "@example.com"}, "That is no domain", "这不是有效的域名", `name="domain"`, 400},
		{"no hash", "\nann@example.org\n", []string{"format", "htpasswd"}, "Line 2: It is not NAME:HASH", "第 2 行：这一行不是", `name="file"`, 400},
		{"a faulty hash", "ann@example.org:" + annBcrypt[:40], []string{"format", "htpasswd"}, "Line 1: The password hash can&#39;t be used: bcrypt: not 60 characters", "第 1 行：无法使用该密码哈希", `name="file"`, 400},
		{"a format that is none", twoUsers, []string{"format", "csv"}, "The format is ndjson or htpasswd", "", `name="file"`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{importPage, importPage + "/check"} {
				a := v.upload(path, c.file, nil, c.asked...)
				a.isPage(t, c.status, "not taken as it is", c.english)
				before, _, _ := strings.Cut(a.body, "not taken as it is")
				for _, field := range []string{"<legend>", `name="domain"`, `name="file"`} {
					if last := strings.LastIndex(before, `<div class="field wrong">`); last < 0 || strings.Contains(before[last:], field) != (field == c.at) {
						t.Errorf("the problem does not stand at %s: %s", c.at, before[max(last, 0):])
					}
				}
				if c.hanzi != "" {
					v.upload(path, c.file, []string{"Accept-Language", "zh-CN"}, c.asked...).isPage(t, c.status, "此文件未被接受", c.hanzi)
				}
			}
		})
	}
	// What is asked of an htpasswd file alone is not shown with the other format.
	v.upload(importPage+"/check", twoUsers, nil, "format", "ndjson", "domain", "example.com", "roles", "admin").isPage(t, http.StatusOK, "2 users would be made.")
	v.upload(importPage+"/check", htpasswdFile, []string{"Accept-Language", "zh-CN"}, "format", "htpasswd", "domain", "example.com").isPage(t, http.StatusOK, "已略过 2 行", "第 5 行：MD5 (apr1)", "以 {CRYPT} 开头的哈希")
	v.upload(importPage+"/check", strings.Repeat("x:$1$x\n", 102), nil, "format", "htpasswd").isPage(t, http.StatusOK, "102 lines are left out", "Line 100: MD5 crypt", "and 2 lines more")
	if n := v.users(t); n != 1 {
		t.Errorf("%d users are made", n-1)
	}
}

// An import that was cut short is about no line of a file that changed nothing: pages
// tell how far it came in its place.
func TestCutImportNamesNoLine(t *testing.T) {
	f := explain(cutImport(db.Imported{Created: 3}, &db.Error{Kind: db.ErrInvalid, Code: "unknown_role", Reason: "line 4: there is no role named clerk", Line: 4}))
	if f.line != 0 || f.code != "unknown_role" || !strings.Contains(f.reason, "cut short after 3 users were made: line 4: ") {
		t.Errorf("%+v", f)
	}
}

// A file may make administrators: who imports one shows the password.
func TestImportIsSensitive(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	v := h.visitor()
	v.signIn("", testPassword)
	h.wait(11 * time.Minute)
	v.get(importPage).isPage(t, http.StatusOK, `name="proof"`)
	v.upload(importPage, twoUsers, nil).isPage(t, http.StatusOK, `name="proof"`, "Nothing has been done yet")
	v.upload(importPage, twoUsers, nil, "proof", "wrong and wrong").isPage(t, http.StatusOK, `name="proof"`, "password is wrong")
	if n := v.users(t); n != 1 {
		t.Errorf("%d users are made without it", n-1)
	}
	v.upload(importPage+"/check", twoUsers, nil).isPage(t, http.StatusOK, "2 users would be made.")
	v.upload(importPage, twoUsers, nil, "proof", testPassword).isPage(t, http.StatusOK, "2 users are made.")
}

// A form with a file is what any site can have a browser send: it is refused from
// another, and from who may not make users.
func TestImportFromElsewhere(t *testing.T) {
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	h.user("ann@example.com", testPassword, false)
	v, ann := h.visitor(), h.visitor()
	v.signIn("", testPassword)
	ann.signIn("ann@example.com", testPassword)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, path := range []string{importPage, importPage + "/check"} {
			v.upload(path, `{"email":"eve@example.com"}`, header).isPage(t, http.StatusForbidden, "another origin")
		}
		// As a form of another site may send plain text, too.
		v.do("POST", "/security/user/_import?format=htpasswd", "text/plain", "eve@example.com:"+annBcrypt, append([]string{"Accept", "*/*"}, header...)...).fails(t, http.StatusForbidden, "cross_origin")
	}
	ann.upload(importPage, `{"email":"eve@example.com"}`, nil).isPage(t, http.StatusForbidden)
	h.visitor().upload(importPage, `{"email":"eve@example.com"}`, nil).leadsTo(t, "/login?return="+sealedPath(h.visitor().get(importPage)))
	v.upload("/account/login", "x", nil).fails(t, http.StatusUnsupportedMediaType, "content_type")
	if n := v.users(t); n != 2 {
		t.Errorf("%d users are made", n-2)
	}
}

func sealedPath(a answer) string {
	return strings.TrimPrefix(a.Header.Get("Location"), "/login?return=")
}

// endless is a line of a file, as often as asked for.
type endless struct {
	line string
	left int64
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (n int, err error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	for n+len(e.line) <= len(p) && e.left > 0 {
		n += copy(p[n:], e.line)
		e.left -= int64(len(e.line))
	}
	return n, nil
}

// A file that is too large is told, when it was sent.
func TestImportTooLarge(t *testing.T) {
	dbtest.NoRace(t, "70 MiB that one request sends")
	dbtest.TakesLong(t, "70 MiB that are sent")
	v := newSignedIn(t)
	head := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"users.jsonl\"\r\n\r\n"
	body := io.MultiReader(strings.NewReader(head), &endless{strings.Repeat(" ", 1023) + "\n", 70 << 20}, strings.NewReader("\r\n--x--\r\n"))
	req, err := http.NewRequestWithContext(t.Context(), "POST", v.base+importPage, io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	req.Header.Set("Accept", browserAccept)
	res, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	answer{res, string(text)}.isPage(t, http.StatusRequestEntityTooLarge, "over 64 MiB")
}
