package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks Husk's HTTP API. The zero value speaks to nobody; set Base.
// Its methods answer an *Error where the server answered with one, and an
// *UnreachableError where no answer came.
type Client struct {
	Base  string       // scheme and host, such as https://id.example.com
	HTTP  *http.Client // nil: http.DefaultClient
	Token string       // an API token; sent as X-API-TOKEN where not empty
	JWT   string       // a session's JWT; sent as a Bearer where not empty

	// Patience is how long a request that was refused for too many changes by
	// the same user is tried again, in all; 0: it is not. Waiting, where it is
	// set, is told before each wait.
	Patience time.Duration
	Waiting  func(wait time.Duration, why *Error)

	// AnswerWait is how long a request is waited for after its context has ended
	// where it was sent and its answer alone holds a secret: the methods that make
	// or rotate a token, make a user, and generate a password. 0: not at all.
	AnswerWait time.Duration
}

// maxAnswer bounds an answer that is held in memory, in bytes.
const maxAnswer = 64 << 20

// do sends in as JSON, where it is not nil, and reads the answer into out.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	answer, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	return read(answer, out)
}

// read takes the answer's JSON into out, where that is not nil.
func read(answer *http.Response, out any) error {
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return &UnreachableError{err}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer is not what husk answers; is that a husk server? (%w)", err)
	}
	return nil
}

// send returns the answer to a request that succeeded; the caller closes its
// body.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if in == nil {
		return c.sendBody(ctx, method, path, "", nil)
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return c.sendBody(ctx, method, path, "application/json", bytes.NewReader(text))
}

// sendBody is send with a body of any kind. One that can't be sent twice is
// sent once, however patient the client is.
func (c *Client) sendBody(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	r, err := c.request(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	return c.try(r, c.once)
}

// request makes one that shows the client's credential.
func (c *Client) request(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if c.Token != "" {
		r.Header.Set("X-API-TOKEN", c.Token)
	}
	if c.JWT != "" {
		r.Header.Set("Authorization", "Bearer "+c.JWT)
	}
	return r, nil
}

// once sends a request and returns the answer where it succeeded.
func (c *Client) once(r *http.Request) (*http.Response, error) {
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	answer, err := h.Do(r)
	if err != nil {
		return nil, &UnreachableError{withoutURL(err)}
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, readError(answer)
	}
	return answer, nil
}

// Health asks how the server is; it needs no credential.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	err = c.do(ctx, "GET", "/health", nil, &h)
	return h, err
}

// HealthDetails asks how the server is, in detail.
func (c *Client) HealthDetails(ctx context.Context) (h HealthDetails, err error) {
	err = c.do(ctx, "GET", "/system/health", nil, &h)
	return h, err
}

// Application tells what is known before anybody has signed in.
func (c *Client) Application(ctx context.Context) (out Settings, err error) {
	err = c.do(ctx, "GET", "/setting/application", nil, &out)
	return out, err
}

// Initialize makes the first administrator, with the set-up code.
func (c *Client) Initialize(ctx context.Context, in Setup) (out Acknowledged, err error) {
	err = c.do(ctx, "POST", "/setup/_initialize", in, &out)
	return out, err
}

// Login signs in with a password. The answer's AccessToken is for JWT.
func (c *Client) Login(ctx context.Context, in Login) (out LoggedIn, err error) {
	err = c.do(ctx, "POST", "/account/login", in, &out)
	return out, err
}

// Logout ends the session of JWT.
func (c *Client) Logout(ctx context.Context) error {
	return c.do(ctx, "POST", "/account/logout", nil, nil)
}

// Profile tells who the credential belongs to and what it may do.
func (c *Client) Profile(ctx context.Context) (p Profile, err error) {
	err = c.do(ctx, "GET", "/account/profile", nil, &p)
	return p, err
}

// ChangePassword changes one's own password; it needs a session.
func (c *Client) ChangePassword(ctx context.Context, in PasswordChange) (out Result, err error) {
	err = c.do(ctx, "PUT", "/account/password", in, &out)
	return out, err
}

// CreateToken makes an API token.
func (c *Client) CreateToken(ctx context.Context, in NewToken) (out TokenCreated, err error) {
	err = c.doOutlasting(ctx, "POST", "/auth/access_token", in, &out)
	return out, err
}

// SearchTokens returns a page of API tokens. The filter "owner" takes an id,
// an email, or * for everybody's; "filter" expiring, unused, never or no_expiry;
// "address" an address or a CIDR prefix.
func (c *Client) SearchTokens(ctx context.Context, o ListOptions) (out Search[Token], err error) {
	err = c.do(ctx, "GET", "/auth/access_token/_search"+o.query(), nil, &out)
	return out, err
}

// GetToken returns an API token by id.
func (c *Client) GetToken(ctx context.Context, id string) (out Found[Token], err error) {
	err = c.do(ctx, "GET", "/auth/access_token/"+url.PathEscape(id), nil, &out)
	return out, err
}

// UpdateToken changes an API token.
func (c *Client) UpdateToken(ctx context.Context, id string, in TokenUpdate) (out Result, err error) {
	err = c.do(ctx, "PUT", "/auth/access_token/"+url.PathEscape(id), in, &out)
	return out, err
}

// DeleteToken revokes an API token.
func (c *Client) DeleteToken(ctx context.Context, id string) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/auth/access_token/"+url.PathEscape(id), nil, &out)
	return out, err
}

// RotateToken replaces the secret of an API token.
func (c *Client) RotateToken(ctx context.Context, id string, in Rotate) (out TokenCreated, err error) {
	err = c.doOutlasting(ctx, "POST", "/auth/access_token/"+url.PathEscape(id)+"/_rotate", in, &out)
	return out, err
}

// SettleToken ends a rotation that was begun with Hold: the old secret ends, or
// with Undo the new one.
func (c *Client) SettleToken(ctx context.Context, id string, in Settle) (out Result, err error) {
	err = c.do(ctx, "POST", "/auth/access_token/"+url.PathEscape(id)+"/_settle", in, &out)
	return out, err
}

// CheckToken tells what an API token that one may see is worth, from where one
// asks, and where it is refused, why.
func (c *Client) CheckToken(ctx context.Context, in TokenCheck) (out TokenWorth, err error) {
	err = c.do(ctx, "POST", "/auth/access_token/_check", in, &out)
	return out, err
}

// OwnSessions returns a page of one's own sessions.
func (c *Client) OwnSessions(ctx context.Context, o ListOptions) (out Search[Session], err error) {
	err = c.do(ctx, "GET", "/account/sessions"+o.query(), nil, &out)
	return out, err
}

// EndOwnSession ends one of one's own sessions.
func (c *Client) EndOwnSession(ctx context.Context, id string) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/account/sessions/"+url.PathEscape(id), nil, &out)
	return out, err
}

// EndOtherSessions ends all of one's own sessions but the one that asks.
func (c *Client) EndOtherSessions(ctx context.Context) (out Ended, err error) {
	err = c.do(ctx, "DELETE", "/account/sessions", nil, &out)
	return out, err
}

// SearchSessions returns a page of everybody's sessions. The filter "user"
// takes an id or an email, "address" an address or a CIDR prefix.
func (c *Client) SearchSessions(ctx context.Context, o ListOptions) (out Search[Session], err error) {
	err = c.do(ctx, "GET", "/security/session/_search"+o.query(), nil, &out)
	return out, err
}

// GetSession returns anybody's session by id, with what it may do.
func (c *Client) GetSession(ctx context.Context, id string) (out Found[SessionDetails], err error) {
	err = c.do(ctx, "GET", "/security/session/"+url.PathEscape(id), nil, &out)
	return out, err
}

// EndSession ends anybody's session.
func (c *Client) EndSession(ctx context.Context, id string) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/security/session/"+url.PathEscape(id), nil, &out)
	return out, err
}

// EndSessions ends all sessions of a user, by id or email, and the device
// cookies by which the throttle knows their browsers.
func (c *Client) EndSessions(ctx context.Context, user string) (out Ended, err error) {
	err = c.do(ctx, "DELETE", "/security/session?user="+url.QueryEscape(user), nil, &out)
	return out, err
}

// SearchKeys returns a page of the signing keys, without their secrets.
func (c *Client) SearchKeys(ctx context.Context, o ListOptions) (out Search[Key], err error) {
	err = c.do(ctx, "GET", "/security/key/_search"+o.query(), nil, &out)
	return out, err
}

// RotateKey makes a new signing key.
func (c *Client) RotateKey(ctx context.Context, in RotateKey) (out Result, err error) {
	err = c.do(ctx, "POST", "/security/key/_rotate", in, &out)
	return out, err
}

// SearchUsers returns a page of users. The filter "role" takes a role's name: those
// who have it.
func (c *Client) SearchUsers(ctx context.Context, o ListOptions) (out Search[User], err error) {
	err = c.do(ctx, "GET", "/security/user/_search"+o.query(), nil, &out)
	return out, err
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, in NewUser) (out UserCreated, err error) {
	err = c.doOutlasting(ctx, "POST", "/security/user", in, &out)
	return out, err
}

// GetUser returns a user by id or email.
func (c *Client) GetUser(ctx context.Context, id string) (out Found[User], err error) {
	err = c.do(ctx, "GET", "/security/user/"+url.PathEscape(id), nil, &out)
	return out, err
}

// UpdateUser changes a user by id or email.
func (c *Client) UpdateUser(ctx context.Context, id string, in UserUpdate) (out UserUpdated, err error) {
	send := c.do
	if in.GeneratePassword {
		send = c.doOutlasting
	}
	err = send(ctx, "PUT", "/security/user/"+url.PathEscape(id), in, &out)
	return out, err
}

// DeleteUser removes a user by id or email.
func (c *Client) DeleteUser(ctx context.Context, id string) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/security/user/"+url.PathEscape(id), nil, &out)
	return out, err
}

// UnlockUser clears the throttle of a user's sign-ins, by id or email.
func (c *Client) UnlockUser(ctx context.Context, id string) (out Result, err error) {
	err = c.do(ctx, "POST", "/security/user/"+url.PathEscape(id)+"/_unlock", nil, &out)
	return out, err
}

// SearchRoles returns a page of roles.
func (c *Client) SearchRoles(ctx context.Context, o ListOptions) (out Search[Role], err error) {
	err = c.do(ctx, "GET", "/security/role/_search"+o.query(), nil, &out)
	return out, err
}

// CreateRole makes a role.
func (c *Client) CreateRole(ctx context.Context, in RoleChange) (out Result, err error) {
	err = c.do(ctx, "POST", "/security/role", in, &out)
	return out, err
}

// GetRole returns a role by name.
func (c *Client) GetRole(ctx context.Context, name string) (out Found[Role], err error) {
	err = c.do(ctx, "GET", "/security/role/"+url.PathEscape(name), nil, &out)
	return out, err
}

// UpdateRole changes a role by name.
func (c *Client) UpdateRole(ctx context.Context, name string, in RoleChange) (out Result, err error) {
	err = c.do(ctx, "PUT", "/security/role/"+url.PathEscape(name), in, &out)
	return out, err
}

// DeleteRole removes a role by name.
func (c *Client) DeleteRole(ctx context.Context, name string) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/security/role/"+url.PathEscape(name), nil, &out)
	return out, err
}

// Permissions returns every permission that exists.
func (c *Client) Permissions(ctx context.Context) (out []Permission, err error) {
	err = c.do(ctx, "GET", "/security/permission", nil, &out)
	return out, err
}

// Rules returns the access rules of the gate, in the order in which they are asked.
func (c *Client) Rules(ctx context.Context) (out []Rule, err error) {
	err = c.do(ctx, "GET", "/security/rule", nil, &out)
	return out, err
}

// TestRule tells what the gate makes of a request.
func (c *Client) TestRule(ctx context.Context, in RuleTest) (out RuleTested, err error) {
	err = c.do(ctx, "POST", "/security/rule/_test", in, &out)
	return out, err
}

// SearchPrincipals returns a page of those whom rights can be given to.
func (c *Client) SearchPrincipals(ctx context.Context, o ListOptions) (out Search[Principal], err error) {
	err = c.do(ctx, "GET", "/security/principal/_search"+o.query(), nil, &out)
	return out, err
}

// SearchAudit returns a page of the audit log, the newest entry first. The
// filters are actor, action, target, request_id, result ("ok" or "refused"),
// address (or a CIDR prefix), since and until (RFC 3339).
func (c *Client) SearchAudit(ctx context.Context, o ListOptions) (out Search[AuditEvent], err error) {
	err = c.do(ctx, "GET", "/security/audit/_search"+o.query(), nil, &out)
	return out, err
}

// ExportAudit writes the whole audit log to w as NDJSON, the oldest first.
func (c *Client) ExportAudit(ctx context.Context, w io.Writer) error {
	return c.stream(ctx, "/security/audit/_export", w)
}

// VerifyAudit tells whether the chain of the audit log holds, and with known,
// what became of the entry of that hash. Its number may stand before it, with a
// colon.
func (c *Client) VerifyAudit(ctx context.Context, known string) (out AuditVerdict, err error) {
	query := ""
	if known != "" {
		query = "?head=" + url.QueryEscape(known)
	}
	err = c.do(ctx, "GET", "/security/audit/_verify"+query, nil, &out)
	return out, err
}

// AuditHead returns the newest entry's number and hash.
func (c *Client) AuditHead(ctx context.Context) (out AuditHead, err error) {
	err = c.do(ctx, "GET", "/security/audit/_head", nil, &out)
	return out, err
}

// Check walks the whole store and tells what does not fit.
func (c *Client) Check(ctx context.Context) (out CheckReport, err error) {
	err = c.do(ctx, "GET", "/system/check", nil, &out)
	return out, err
}

// Sizer is what the w of Backup can be besides: one that is told how many
// bytes will come.
type Sizer interface{ Size(bytes int64) }

// Backup writes a backup, a tar, to w. It is whole only where the error is nil
// and the tar holds what its manifest says. An error that is no *Error and no
// *UnreachableError is w's. to says where it goes, for the audit log, which
// believes the command line on the machine itself; "" says nothing.
func (c *Client) Backup(ctx context.Context, w io.Writer, to string) error {
	query := ""
	if to != "" {
		query = "?to=" + url.QueryEscape(to)
	}
	return c.stream(ctx, "/system/backup"+query, w)
}

// stream copies an answer of any length to w.
func (c *Client) stream(ctx context.Context, path string, w io.Writer) error {
	answer, err := c.send(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if sizer, ok := w.(Sizer); ok && answer.ContentLength > 0 {
		sizer.Size(answer.ContentLength)
	}
	_, err = io.Copy(w, answerBody{answer.Body})
	return err
}

// answerBody is an answer whose errors are told from those of where it goes.
type answerBody struct{ io.Reader }

func (b answerBody) Read(p []byte) (n int, err error) {
	if n, err = b.Reader.Read(p); err != nil && !errors.Is(err, io.EOF) {
		err = &UnreachableError{err}
	}
	return n, err
}

// query returns the options as a query string, with its question mark.
func (o ListOptions) query() string {
	v := url.Values{}
	for name, value := range o.Filter {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, value := range map[string]string{"query": o.Query, "sort": o.Sort, "after": o.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, value := range map[string]int{"from": o.From, "size": o.Size} {
		if value != 0 {
			v.Set(name, strconv.Itoa(value))
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// All pages through a list by its cursor and yields every hit, o.Size of them a
// request, or a thousand. The last yield has an error where a page could not be
// had.
func All[T any](ctx context.Context, o ListOptions, search func(context.Context, ListOptions) (Search[T], error)) iter.Seq2[Hit[T], error] {
	return func(yield func(Hit[T], error) bool) {
		o.Size = cmp.Or(o.Size, 1000)
		for {
			page, err := search(ctx, o)
			if err != nil {
				yield(Hit[T]{}, err)
				return
			}
			for _, hit := range page.Hits.Hits {
				if !yield(hit, nil) {
					return
				}
			}
			if page.Hits.After == "" {
				return
			}
			o.After = page.Hits.After
		}
	}
}
