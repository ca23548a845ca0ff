package web

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

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
	v.upload(importPage, twoUsers+`{"email":"eve@example.com"}`, nil, "if_missing", "yes").isPage(t, http.StatusOK, "1 user is made.", "2 are there already")
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
