package web

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"husk/db"
	"husk/db/bolt"
	"husk/web/api"
	"husk/web/upkeep"
)

// described is a running server whose every answer is held against
// openapi.json: its status, its media type and its body, in which no member
// may be that is not described.
type described struct {
	*testing.T
	base     string
	jwt      string
	document object
	schemas  *jsonschema.Compiler
	made     int

	setup *api.Client // of an administrator; its answers are not looked at
	c     *api.Client // the same, but each request belongs to key
	key   string      // the operation that is called
	calls int         // of it

	backups  string // the folder of those that the server keeps
	refusing bool   // what is sent is meant to be wrong
}

const describedPassword = "four unrelated words here"

func newDescribed(t *testing.T) *described {
	t.Helper()
	s, _, jwt := benchServer(t)
	s.Dir = t.TempDir()
	s.OpenCopy = func(path string) (db.Engine, error) { return bolt.Open(path, bolt.Options{Timeout: time.Second}) }
	s.Configuration = func() *api.Configuration { return ConfigurationOfTests() }
	s.Upkeep = upkeep.New(upkeep.Config{Store: s.Store, Log: s.Log, Source: s.source(), Backups: upkeep.Backups{Dir: t.TempDir(), Every: 24 * time.Hour, Keep: 2}})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.loopback.Store(onLoopback([]net.Listener{server.Listener}))
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // where browsers use passkeys
	d := &described{T: t, base: base, jwt: jwt, document: readOpenAPI(t), schemas: jsonschema.NewCompiler()}
	strict(d.document["paths"])
	strict(d.document["components"])
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("husk.json", d.document); err != nil {
		t.Fatal(err)
	}
	d.setup = &api.Client{Base: d.base, JWT: jwt}
	d.c, d.backups = d.as(jwt), s.Upkeep.Backups.Dir
	// Nobody signs in before an administrator can.
	if _, err := d.setup.CreateUser(t.Context(), api.NewUser{Email: "admin@example.com", Password: describedPassword, Roles: []string{db.RoleAdmin}}); err != nil {
		t.Fatal(err)
	}
	return d
}

// strict closes every object: what clients have to bear, the server must not
// do unnoticed.
func strict(v any) {
	switch v := v.(type) {
	case object:
		if _, closed := v["additionalProperties"]; v["properties"] != nil && !closed {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			strict(inner)
		}
	case []any:
		for _, inner := range v {
			strict(inner)
		}
	}
}

// as is a client whose requests are held against the operation that is called.
func (d *described) as(jwt string) *api.Client {
	return &api.Client{Base: d.base, JWT: jwt, HTTP: &http.Client{Transport: d}}
}

// RoundTrip checks a request and its answer.
func (d *described) RoundTrip(r *http.Request) (*http.Response, error) {
	d.calls++
	method, path, _ := strings.Cut(d.key, " ")
	form := regexp.MustCompile("^" + regexp.MustCompile(`:\w+`).ReplaceAllString(path, "[^/]+") + "$")
	if r.Method != method || !form.MatchString(r.URL.Path) {
		d.Errorf("%s: the client's method of that name calls %s %s", d.key, r.Method, r.URL.Path)
	}
	if r.Body != nil && r.Body != http.NoBody && !d.refusing {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		d.checkContent(d.operation()["requestBody"].(object), r.Header.Get("Content-Type"), body, "requestBody")
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return answer, d.checkAnswer(answer)
}

func (d *described) pointer() string {
	method, path, _ := strings.Cut(d.key, " ")
	return "#/paths/" + escapePointer(openAPIPath(path)) + "/" + strings.ToLower(method)
}

func (d *described) operation() object {
	method, path, _ := strings.Cut(d.key, " ")
	return d.document["paths"].(object)[openAPIPath(path)].(object)[strings.ToLower(method)].(object)
}

func (d *described) checkAnswer(answer *http.Response) error {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	status := strconv.Itoa(answer.StatusCode)
	response, ok := d.operation()["responses"].(object)[status].(object)
	if !ok {
		d.Errorf("%s answers with %s (%.200s), which is not described: add it to also in openapi_table_test.go", d.key, status, body)
		return nil
	}
	at := "responses/" + status
	if ref, ok := response["$ref"].(string); ok {
		response, at = lookUpPointer(d.document, ref).(object), ref
	}
	if answer.StatusCode == http.StatusUnauthorized && answer.Header.Get("WWW-Authenticate") == "" {
		d.Errorf("%s: 401 without a challenge", d.key)
	}
	d.checkContent(response, answer.Header.Get("Content-Type"), body, at)
	return nil
}

// checkContent holds a body against the schema of its media type in v, which
// stands at a pointer, or at one below the operation.
func (d *described) checkContent(v object, contentType string, body []byte, at string) {
	kind, _, _ := mime.ParseMediaType(contentType)
	media, ok := v["content"].(object)[kind].(object)
	if !ok {
		d.Errorf("%s: %s is of type %q, which is not described", d.key, at, kind)
		return
	}
	if !strings.HasPrefix(at, "#") {
		at = d.pointer() + "/" + at
	}
	at += "/content/" + escapePointer(kind)
	if line, ok := media["x-line"].(object); ok {
		lines := bufio.NewScanner(bytes.NewReader(body))
		for lines.Scan() {
			d.checkJSON(line["$ref"].(string), lines.Bytes())
		}
	} else if media["schema"] != nil {
		if kind == formMedia {
			body = d.formAsJSON(body)
		}
		d.checkJSON(at+"/schema", body)
	}
}

// formAsJSON is a form as the object that its schema describes.
func (d *described) formAsJSON(body []byte) []byte {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		d.Fatal(err)
	}
	members := object{}
	for name := range values {
		members[name] = values.Get(name)
	}
	return []byte(mustJSON(d.T, members))
}

// exampleOf is the example of a body as it is sent, and one that can't be read.
func exampleOf(t *testing.T, o operation, media string) (example, broken string) {
	t.Helper()
	if o.example == nil {
		return "", ""
	}
	text := mustJSON(t, o.example)
	if media != formMedia {
		return text, "{"
	}
	var members map[string]string
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatal(err)
	}
	values := url.Values{}
	for name, value := range members {
		values.Set(name, value)
	}
	return values.Encode(), "token=%zz"
}

func (d *described) checkJSON(pointer string, body []byte) {
	schema, err := d.schemas.Compile("husk.json" + pointer)
	if err != nil {
		d.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		d.Errorf("%s: %.300s is not what openapi.json says: %v", d.key, body, err)
	}
}

// user makes a user with a password.
func (d *described) user() (id, email string) {
	d.made++
	email = fmt.Sprintf("user%d@example.com", d.made)
	u, err := d.setup.CreateUser(d.Context(), api.NewUser{Email: email, Password: describedPassword})
	if err != nil {
		d.Fatal(err)
	}
	return u.Result.ID, email
}

// session makes a user who has signed in.
func (d *described) session() (id, jwt string) {
	user, email := d.user()
	in, err := d.setup.Login(d.Context(), api.Login{Email: email, Password: describedPassword})
	if err != nil {
		d.Fatal(err)
	}
	list, err := d.setup.SearchSessions(d.Context(), api.ListOptions{Filter: map[string]string{"user": user}})
	if err != nil || len(list.Hits.Hits) != 1 {
		d.Fatal(list, err)
	}
	return list.Hits.Hits[0].ID, in.AccessToken
}

// beginTOTP returns the code that a session's new secret is confirmed by.
func (d *described) beginTOTP(ctx context.Context, jwt string) string {
	begun, err := (&api.Client{Base: d.base, JWT: jwt}).BeginTOTP(ctx)
	if err != nil {
		d.Fatal(err)
	}
	code, err := totp.GenerateCode(begun.Secret, time.Now())
	if err != nil {
		d.Fatal(err)
	}
	return code
}

// withTOTP makes a user who has signed in and set up a second factor.
func (d *described) withTOTP(ctx context.Context) (jwt, user string) {
	_, jwt = d.session()
	session := &api.Client{Base: d.base, JWT: jwt}
	_, err := session.ConfirmTOTP(ctx, api.ConfirmTOTP{Code: d.beginTOTP(ctx, jwt)})
	p, failed := session.Profile(ctx)
	if err := errors.Join(err, failed); err != nil {
		d.Fatal(err)
	}
	return jwt, p.ID
}

// Authenticator makes and uses a passkey. The tests outside of the package have it.
type Authenticator struct {
	Create func(api.NewPasskey) api.CreatedPasskey
	Use    func(api.PasskeyQuestion) api.PasskeyAnswer
}

// NewAuthenticator is one of a browser that is at an origin.
var NewAuthenticator func(t testing.TB, origin string) Authenticator

// createPasskey is what is sent to set up a passkey of a session.
func (d *described) createPasskey(ctx context.Context, jwt string) (a Authenticator, in api.PasskeySetUp) {
	asked, err := (&api.Client{Base: d.base, JWT: jwt}).BeginPasskey(ctx)
	if err != nil {
		d.Fatal(err)
	}
	a = NewAuthenticator(d.T, d.base)
	return a, api.PasskeySetUp{State: asked.State, Name: "the key at home", Credential: a.Create(asked)}
}

// withPasskey makes a user who has signed in and set up a passkey.
func (d *described) withPasskey(ctx context.Context) (a Authenticator, jwt, id string) {
	_, jwt = d.session()
	a, in := d.createPasskey(ctx, jwt)
	added, err := (&api.Client{Base: d.base, JWT: jwt}).FinishPasskey(ctx, in)
	if err != nil {
		d.Fatal(err)
	}
	return a, jwt, added.Passkey.ID
}

func (d *described) token(permissions ...string) api.TokenCreated {
	t, err := d.setup.CreateToken(d.Context(), api.NewToken{Permissions: permissions, AllowedIPs: []string{"127.0.0.1"}})
	if err != nil {
		d.Fatal(err)
	}
	return t
}

func (d *described) role() string {
	d.made++
	name := fmt.Sprintf("role%d", d.made)
	if _, err := d.setup.CreateRole(d.Context(), api.RoleChange{Name: name, Grants: &api.Grants{Permissions: []string{db.PermBackup}}}); err != nil {
		d.Fatal(err)
	}
	return name
}

// keep puts a file among the backups.
func (d *described) keep(name string) {
	if err := os.WriteFile(filepath.Join(d.backups, name), []byte("no backup"), 0o600); err != nil {
		d.Fatal(err)
	}
}

// plain sends what the client has no method for, with the example as its body.
func (d *described) plain(id string) error {
	method, path, _ := strings.Cut(d.key, " ")
	body := ""
	if o := operations[d.key]; o.example != nil {
		body = mustJSON(d.T, o.example)
	}
	answer := d.send(method, strings.Replace(path, ":id", id, 1), body, http.Header{"Authorization": {"Bearer " + d.jwt}, "Content-Type": {"application/json"}})
	if answer != http.StatusOK {
		return fmt.Errorf("status %d", answer)
	}
	return nil
}

// sendToken sends a new token as a form.
func (d *described) sendToken(ctx context.Context) error {
	made, err := d.setup.CreateToken(ctx, api.NewToken{})
	if err != nil {
		return err
	}
	method, path, _ := strings.Cut(d.key, " ")
	body := "token_type_hint=access_token&token=" + made.AccessToken
	if status := d.send(method, path, body, http.Header{"Authorization": {"Bearer " + d.jwt}, "Content-Type": {formMedia}}); status != http.StatusOK {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

// send returns the status of the answer, which was checked.
func (d *described) send(method, path, body string, header http.Header) int {
	r, err := http.NewRequestWithContext(d.Context(), method, d.base+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	r.Header = header
	r.Host = header.Get("Host")
	answer, err := (&http.Client{Transport: d}).Do(r)
	if err != nil {
		d.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// only takes the error of what answers with more.
func only[T any](_ T, err error) error { return err }

// successes call each operation so that it succeeds, by its id.
var successes = map[string]func(ctx context.Context, d *described) error{
	"Health":  func(ctx context.Context, d *described) error { return only(d.c.Health(ctx)) },
	"live":    func(ctx context.Context, d *described) error { return d.plain("") },
	"ready":   func(ctx context.Context, d *described) error { return d.plain("") },
	"openAPI": func(ctx context.Context, d *described) error { return d.plain("") },

	"Application": func(ctx context.Context, d *described) error { return only(d.c.Application(ctx)) },
	"provider":    func(ctx context.Context, d *described) error { return d.plain("") },
	"info":        func(ctx context.Context, d *described) error { return d.plain("") },
	"settings":    func(ctx context.Context, d *described) error { return d.plain("") },
	"license":     func(ctx context.Context, d *described) error { return d.plain("") },

	"querySearch":      func(ctx context.Context, d *described) error { return d.plain("") },
	"datasourceSearch": func(ctx context.Context, d *described) error { return d.plain("") },
	"mcp_serverSearch": func(ctx context.Context, d *described) error { return d.plain("") },
	"assistantSearch":  func(ctx context.Context, d *described) error { return d.plain("") },
	"connectorSearch":  func(ctx context.Context, d *described) error { return d.plain("") },
	"Initialize": func(ctx context.Context, d *described) error {
		s, _, _ := benchServer(d.T)
		fresh := httptest.NewServer(s)
		defer fresh.Close()
		own := d.base
		d.base = fresh.URL
		defer func() { d.base = own }()
		body := mustJSON(d.T, api.Setup{Password: describedPassword, Code: s.SetupCode()})
		if status := d.send("POST", "/setup/_initialize", body, http.Header{"Content-Type": {"application/json"}}); status != 200 {
			return fmt.Errorf("status %d", status)
		}
		return nil
	},

	"Check":         func(ctx context.Context, d *described) error { return only(d.c.Check(ctx)) },
	"Statistics":    func(ctx context.Context, d *described) error { return only(d.c.Statistics(ctx, "30d")) },
	"HealthDetails": func(ctx context.Context, d *described) error { return only(d.c.HealthDetails(ctx)) },
	"Backup":        func(ctx context.Context, d *described) error { return d.c.Backup(ctx, io.Discard, "") },
	"Configuration": func(ctx context.Context, d *described) error { return only(d.c.Configuration(ctx)) },
	"Backups":       func(ctx context.Context, d *described) error { return only(d.c.Backups(ctx)) },
	"MakeBackup":    func(ctx context.Context, d *described) error { return only(d.c.MakeBackup(ctx)) },
	"KeptBackup": func(ctx context.Context, d *described) error {
		d.keep("husk-20260101T000000Z.tar")
		return d.c.KeptBackup(ctx, "husk-20260101T000000Z.tar", io.Discard)
	},

	"Login": func(ctx context.Context, d *described) error {
		_, email := d.user()
		return only(d.c.Login(ctx, api.Login{Email: email, Password: describedPassword}))
	},
	"logoutByLink": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		if status := d.send("GET", "/account/logout", "", http.Header{"Cookie": {cookieName + "=" + jwt}, "Referer": {d.base + "/"}}); status != 200 {
			return fmt.Errorf("status %d", status)
		}
		return nil
	},
	"Logout": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		return d.as(jwt).Logout(ctx)
	},
	"Profile": func(ctx context.Context, d *described) error { return only(d.c.Profile(ctx)) },
	"ChangePassword": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		return only(d.as(jwt).ChangePassword(ctx, api.PasswordChange{OldPassword: describedPassword, NewPassword: "and four quite different ones"}))
	},
	"Prove": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		return only(d.as(jwt).Prove(ctx, api.Proof{Password: describedPassword}))
	},
	"SecondFactor": func(ctx context.Context, d *described) error {
		jwt, _ := d.withTOTP(ctx)
		return only(d.as(jwt).SecondFactor(ctx))
	},
	"SeenNotices": func(ctx context.Context, d *described) error {
		return only(d.c.SeenNotices(ctx, api.SeenNotices{Until: time.Now()}))
	},
	"BeginTOTP": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		return only(d.as(jwt).BeginTOTP(ctx))
	},
	"ConfirmTOTP": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		return only(d.as(jwt).ConfirmTOTP(ctx, api.ConfirmTOTP{Code: d.beginTOTP(ctx, jwt)}))
	},
	"RemoveTOTP": func(ctx context.Context, d *described) error {
		jwt, _ := d.withTOTP(ctx)
		return only(d.as(jwt).RemoveTOTP(ctx))
	},
	"NewRecoveryCodes": func(ctx context.Context, d *described) error {
		jwt, _ := d.withTOTP(ctx)
		return only(d.as(jwt).NewRecoveryCodes(ctx))
	},
	"Passkeys": func(ctx context.Context, d *described) error {
		_, jwt, _ := d.withPasskey(ctx)
		return only(d.as(jwt).Passkeys(ctx))
	},
	"Passkey": func(ctx context.Context, d *described) error {
		_, jwt, id := d.withPasskey(ctx)
		return only(d.as(jwt).Passkey(ctx, id))
	},
	"RenamePasskey": func(ctx context.Context, d *described) error {
		_, jwt, id := d.withPasskey(ctx)
		return only(d.as(jwt).RenamePasskey(ctx, id, api.PasskeyName{Name: "blue"}))
	},
	"RemovePasskey": func(ctx context.Context, d *described) error {
		_, jwt, id := d.withPasskey(ctx)
		return only(d.as(jwt).RemovePasskey(ctx, id))
	},
	"BeginPasskey": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		return only(d.as(jwt).BeginPasskey(ctx))
	},
	"FinishPasskey": func(ctx context.Context, d *described) error {
		_, jwt := d.session()
		_, in := d.createPasskey(ctx, jwt)
		return only(d.as(jwt).FinishPasskey(ctx, in))
	},
	"BeginPasskeyLogin": func(ctx context.Context, d *described) error {
		return only(d.c.BeginPasskeyLogin(ctx, api.PasskeyBegin{}))
	},
	"FinishPasskeyLogin": func(ctx context.Context, d *described) error {
		a, _, _ := d.withPasskey(ctx)
		asked, err := d.setup.BeginPasskeyLogin(ctx, api.PasskeyBegin{})
		if err != nil {
			return err
		}
		return only(d.c.FinishPasskeyLogin(ctx, a.Use(asked)))
	},
	"BeginPasskeyProof": func(ctx context.Context, d *described) error {
		_, jwt, _ := d.withPasskey(ctx)
		return only(d.as(jwt).BeginPasskeyProof(ctx))
	},
	"FinishPasskeyProof": func(ctx context.Context, d *described) error {
		a, jwt, _ := d.withPasskey(ctx)
		asked, err := (&api.Client{Base: d.base, JWT: jwt}).BeginPasskeyProof(ctx)
		if err != nil {
			return err
		}
		return only(d.as(jwt).FinishPasskeyProof(ctx, a.Use(asked)))
	},
	"ResetSecondFactor": func(ctx context.Context, d *described) error {
		_, id := d.withTOTP(ctx)
		return only(d.c.ResetSecondFactor(ctx, id))
	},
	"Applications":     func(ctx context.Context, d *described) error { return only(d.c.Applications(ctx)) },
	"OwnSessions":      func(ctx context.Context, d *described) error { return only(d.c.OwnSessions(ctx, api.ListOptions{})) },
	"EndOtherSessions": func(ctx context.Context, d *described) error { return only(d.c.EndOtherSessions(ctx)) },
	"EndOwnSession": func(ctx context.Context, d *described) error {
		id, jwt := d.session()
		return only(d.as(jwt).EndOwnSession(ctx, id))
	},

	"CreateToken":  func(ctx context.Context, d *described) error { return only(d.c.CreateToken(ctx, api.NewToken{})) },
	"requestToken": func(ctx context.Context, d *described) error { return d.plain("") },
	"SearchTokens": func(ctx context.Context, d *described) error {
		d.token()
		return only(d.c.SearchTokens(ctx, api.ListOptions{Filter: map[string]string{"owner": "*"}}))
	},
	"EndedTokens": func(ctx context.Context, d *described) error {
		if _, err := d.setup.DeleteToken(ctx, d.token().ID); err != nil {
			return err
		}
		return only(d.c.EndedTokens(ctx, api.ListOptions{Filter: map[string]string{"owner": "*"}}))
	},
	"catTokens": func(ctx context.Context, d *described) error { d.token(); return d.plain("") },
	"TokenUsage": func(ctx context.Context, d *described) error {
		return only(d.c.TokenUsage(ctx, d.token().ID))
	},
	"GetToken": func(ctx context.Context, d *described) error {
		id := d.token().ID
		if _, err := d.setup.RotateToken(ctx, id, api.Rotate{Grace: "1h"}); err != nil {
			return err
		}
		return only(d.c.GetToken(ctx, id))
	},
	"UpdateToken": func(ctx context.Context, d *described) error {
		return only(d.c.UpdateToken(ctx, d.token().ID, api.TokenUpdate{Name: "other", AllowedIPs: &[]string{}}))
	},
	"renameToken": func(ctx context.Context, d *described) error { return d.plain(d.token().ID) },
	"RotateToken": func(ctx context.Context, d *described) error {
		return only(d.c.RotateToken(ctx, d.token().ID, api.Rotate{}))
	},
	"SettleToken": func(ctx context.Context, d *described) error {
		id := d.token().ID
		begun, err := d.setup.RotateToken(ctx, id, api.Rotate{Hold: true})
		if err != nil {
			return err
		}
		return only(d.c.SettleToken(ctx, id, api.Settle{AccessToken: begun.AccessToken}))
	},
	"CheckToken": func(ctx context.Context, d *described) error {
		return only(d.c.CheckToken(ctx, api.TokenCheck{AccessToken: d.token().AccessToken}))
	},
	"DeleteToken": func(ctx context.Context, d *described) error { return only(d.c.DeleteToken(ctx, d.token().ID)) },

	"SearchUsers": func(ctx context.Context, d *described) error { return only(d.c.SearchUsers(ctx, api.ListOptions{})) },
	"CreateUser": func(ctx context.Context, d *described) error {
		return only(d.c.CreateUser(ctx, api.NewUser{Email: "generated@example.com"}))
	},
	"GetUser": func(ctx context.Context, d *described) error { return only(d.c.GetUser(ctx, db.SingleUser)) },
	"UpdateUser": func(ctx context.Context, d *described) error {
		id, _ := d.user()
		return only(d.c.UpdateUser(ctx, id, api.UserUpdate{Name: pointer("other")}))
	},
	"DeleteUser": func(ctx context.Context, d *described) error { id, _ := d.user(); return only(d.c.DeleteUser(ctx, id)) },
	"UnlockUser": func(ctx context.Context, d *described) error { id, _ := d.user(); return only(d.c.UnlockUser(ctx, id)) },
	"ImportUsers": func(ctx context.Context, d *described) error {
		lines := strings.NewReader("{\"email\":\"one@example.com\"}\n{\"email\":\"two@example.com\",\"disabled\":true}\n")
		return only(d.c.ImportUsers(ctx, lines, api.ImportOptions{DryRun: true}))
	},
	"SearchPrincipals": func(ctx context.Context, d *described) error {
		return only(d.c.SearchPrincipals(ctx, api.ListOptions{Size: 1}))
	},

	"SearchRoles": func(ctx context.Context, d *described) error { return only(d.c.SearchRoles(ctx, api.ListOptions{})) },
	"CreateRole": func(ctx context.Context, d *described) error {
		return only(d.c.CreateRole(ctx, api.RoleChange{Name: "keeper", Grants: &api.Grants{Permissions: []string{db.PermBackup}}}))
	},
	"GetRole": func(ctx context.Context, d *described) error { return only(d.c.GetRole(ctx, "admin")) },
	"UpdateRole": func(ctx context.Context, d *described) error {
		return only(d.c.UpdateRole(ctx, d.role(), api.RoleChange{Description: pointer("other")}))
	},
	"DeleteRole":  func(ctx context.Context, d *described) error { return only(d.c.DeleteRole(ctx, d.role())) },
	"Permissions": func(ctx context.Context, d *described) error { return only(d.c.Permissions(ctx)) },

	"Rules": func(ctx context.Context, d *described) error { return only(d.c.Rules(ctx)) },
	"TestRule": func(ctx context.Context, d *described) error {
		return only(d.c.TestRule(ctx, api.RuleTest{URL: "https://wiki.example.com/"}))
	},

	"SearchSessions": func(ctx context.Context, d *described) error {
		d.session()
		return only(d.c.SearchSessions(ctx, api.ListOptions{}))
	},
	"GetSession": func(ctx context.Context, d *described) error {
		id, _ := d.session()
		return only(d.c.GetSession(ctx, id))
	},
	"EndSession": func(ctx context.Context, d *described) error {
		id, _ := d.session()
		return only(d.c.EndSession(ctx, id))
	},
	"EndSessions": func(ctx context.Context, d *described) error {
		id, _ := d.user()
		return only(d.c.EndSessions(ctx, id))
	},
	"SearchKeys": func(ctx context.Context, d *described) error { return only(d.c.SearchKeys(ctx, api.ListOptions{})) },
	"RotateKey":  func(ctx context.Context, d *described) error { return only(d.c.RotateKey(ctx, api.RotateKey{})) },

	"introspect": func(ctx context.Context, d *described) error { return d.sendToken(ctx) },
	"revoke":     func(ctx context.Context, d *described) error { return d.sendToken(ctx) },

	"authorizationServer": func(ctx context.Context, d *described) error { return d.plain("") },

	"SearchAudit": func(ctx context.Context, d *described) error { return only(d.c.SearchAudit(ctx, api.ListOptions{})) },
	"ExportAudit": func(ctx context.Context, d *described) error { return d.c.ExportAudit(ctx, io.Discard) },
	"VerifyAudit": func(ctx context.Context, d *described) error { return only(d.c.VerifyAudit(ctx, "")) },
	"AuditHead":   func(ctx context.Context, d *described) error { return only(d.c.AuditHead(ctx)) },
}

// misdirect asks for another host, which every operation refuses.
func (d *described) misdirect(r route) {
	path := strings.Replace(r.path, ":id", "00000000-0000-4000-8000-000000000000", 1)
	if status := d.send(r.method, path, "", http.Header{"Host": {"evil.example"}}); status != 421 {
		d.Errorf("%s for another host: %d", d.key, status)
	}
}

// neverFail are the operations that nothing sent can make fail, but for another
// host.
var neverFail = map[string]bool{"Health": true, "live": true, "ready": true, "openAPI": true, "Application": true, "provider": true, "license": true, "authorizationServer": true}

// TestOpenAPIAnswers calls every operation so that it succeeds, and in every
// way in which its description says that it refuses, as far as that follows
// from the description.
func TestOpenAPIAnswers(t *testing.T) {
	d := newDescribed(t)
	for _, key := range slices.Sorted(maps.Keys(operations)) {
		id := operations[key].id
		success := successes[id]
		if success == nil {
			t.Errorf("%s is never called: add a call that succeeds to successes in openapi_answers_test.go, under %q", key, id)
			continue
		}
		d.key, d.calls = key, 0
		if err := success(t.Context(), d); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if d.calls != 1 {
			t.Errorf("%s: success made %d requests, not 1", key, d.calls)
		}
	}
	d.refusing = true
	for _, r := range (&Server{}).routes() {
		d.key = r.method + " " + r.path
		o, ok := operations[d.key]
		if !ok {
			continue
		}
		d.misdirect(r)
		if d.refuse(r, o) == 0 && !neverFail[o.id] {
			t.Errorf("%s was never refused: add to refuse in openapi_answers_test.go how it fails, or to neverFail", d.key)
		}
	}
}

// refuse makes a route refuse, and returns how many times it did.
func (d *described) refuse(r route, o operation) (refused int) {
	path := strings.Replace(r.path, ":id", "00000000-0000-4000-8000-000000000000", 1)
	media := "application/json"
	if o.media != nil {
		media = o.media[0]
	}
	example, broken := exampleOf(d.T, o, media)
	try := func(want int, path, body string, header http.Header) {
		refused++
		header.Set("Content-Type", cmp.Or(header.Get("Content-Type"), media))
		if status := d.send(r.method, path, body, header); status != want {
			d.Errorf("%s with %v: status %d, not %d", d.key, header, status, want)
		}
	}
	admin := func() http.Header { return http.Header{"Authorization": {"Bearer " + d.jwt}} }
	d.refuseCaller(r, o, func(want int, header http.Header) { try(want, path, example, header) })
	if _, list := own(r.do.in); list {
		try(400, path+"?from=-1", "", admin())
	}
	if path != r.path {
		try(404, path, example, admin())
	}
	if o.example != nil {
		try(400, path, broken, admin())
		try(415, path, example, http.Header{"Authorization": admin()["Authorization"], "Content-Type": {"text/plain"}})
		if !o.line { // a line has a bound of its own
			try(413, path, `{"x":"`+strings.Repeat("x", maxBody)+`"}`, admin())
		}
	}
	return refused
}

// refuseCaller is refused because of who asks, or from where.
func (d *described) refuseCaller(r route, o operation, try func(want int, header http.Header)) {
	if r.need.kind != public {
		try(401, http.Header{})
		try(401, http.Header{"X-Api-Token": {"no token"}})
		try(400, http.Header{"Authorization": {"Bearer " + d.jwt}, "X-Api-Token": {d.token().AccessToken}})
	}
	switch r.need.kind {
	case permitted:
		other := db.PermPermissionRead
		if r.need.permission == other {
			other = db.PermTokenSearch
		}
		try(403, http.Header{"X-Api-Token": {d.token(other).AccessToken}})
	case ownSession:
		try(403, http.Header{"X-Api-Token": {d.token().AccessToken}})
	}
	if r.method != http.MethodGet || o.ends {
		try(403, http.Header{"Cookie": {cookieName + "=" + d.jwt}, "Sec-Fetch-Site": {"cross-site"}})
	}
}

// TestOpenAPIRefusals has the refusals that need a history.
func TestOpenAPIRefusals(t *testing.T) {
	d := newDescribed(t)
	_, email := d.user()
	var err *api.Error
	call := func(key string, want int, f func() error) {
		t.Helper()
		d.key = key
		if !asError(f(), &err) || err.Status != want {
			t.Errorf("%s: %v, not %d", key, err, want)
		}
	}
	ctx := t.Context()
	call("POST /security/user", 409, func() error { return only(d.c.CreateUser(ctx, api.NewUser{Email: email})) })
	call("POST /security/role", 409, func() error {
		return only(d.c.CreateRole(ctx, api.RoleChange{Name: d.role(), Grants: &api.Grants{Permissions: []string{}}}))
	})
	call("POST /account/login", 403, func() error { return only(d.c.Login(ctx, api.Login{Email: email, Password: "a wrong one"})) })
	for range 20 {
		_, _ = d.setup.Login(ctx, api.Login{Email: email, Password: "a wrong one"}) // counted
	}
	call("POST /account/login", 429, func() error { return only(d.c.Login(ctx, api.Login{Email: email, Password: "a wrong one"})) })
	call("POST /setup/_initialize", 409, func() error {
		status := d.send("POST", "/setup/_initialize", mustJSON(t, operations[d.key].example), http.Header{"Content-Type": {"application/json"}})
		return &api.Error{Status: status, RetryAfter: 1}
	})
	if err.RetryAfter <= 0 {
		t.Error("429 without Retry-After")
	}
}

func asError(err error, target **api.Error) bool {
	e, ok := err.(*api.Error)
	*target = cmp.Or(e, &api.Error{})
	return ok
}

// FitsOpenAPI holds an answer against the operation that a request of that
// method and path calls. It tells whether there is one.
func FitsOpenAPI(t *testing.T, method, path, contentType string, status int, body []byte) bool {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	key, literal := "", -1
	for candidate := range operations {
		m, form, _ := strings.Cut(candidate, " ")
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`:\w+`).ReplaceAllString(form, "[^/]+") + "$")
		// As the router does, a name goes before a parameter.
		if n := len(form) - 1000*strings.Count(form, ":"); m == method && pattern.MatchString(path) && (key == "" || n > literal) {
			key, literal = candidate, n
		}
	}
	if key == "" {
		return false
	}
	d := &described{T: t, key: key, document: readOpenAPI(t), schemas: jsonschema.NewCompiler()}
	strict(d.document["paths"])
	strict(d.document["components"])
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("husk.json", d.document); err != nil {
		t.Fatal(err)
	}
	err := d.checkAnswer(&http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "Www-Authenticate": {"checked elsewhere"}},
		Body: io.NopCloser(bytes.NewReader(body))})
	if err != nil {
		t.Fatal(err)
	}
	return true
}
