package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/password"
	"husk/web/upkeep"
)

// failure is an answer that is no success: made by a handler, or what explain makes
// of any other error. It is made once, and handed on to the log, the audit and the
// answer.
type failure struct {
	status     int
	code       string
	reason     string
	permission string // that is missing
	line       int    // of what was sent, that it is about; 0: none
	retryAfter time.Duration
	challenge  string // WWW-Authenticate

	// Of second_factor_required; see api.Error.
	methods []string
	ticket  string

	// cause is why a credential is refused: nothing for the one who shows it, but
	// for those who may ask.
	cause *cause

	// field is which member of the body it is about, where the code does not tell.
	field string

	// all are all that is wrong with the request, where that is more than one thing;
	// the first is what this one tells.
	all []*failure

	err  error // that it was made of, which only the log tells; nil: there is none
	told bool  // the log has a line of it
}

// cause is what is the matter with a credential: a stable word, and for people.
type cause struct{ code, reason string }

func (f *failure) Error() string { return f.reason }

// Unwrap returns the error that f was made of.
func (f *failure) Unwrap() error { return f.err }

func malformed(code, reason string) error {
	return &failure{status: http.StatusBadRequest, code: code, reason: reason}
}

func forbidden(code, reason string) error {
	return &failure{status: http.StatusForbidden, code: code, reason: reason}
}

func tooLarge(code, reason string) error {
	return &failure{status: http.StatusRequestEntityTooLarge, code: code, reason: reason}
}

func tooMany(code, reason string, wait time.Duration) error {
	return &failure{status: http.StatusTooManyRequests, code: code, reason: reason, retryAfter: wait}
}

func busy(reason string, wait time.Duration) error {
	return &failure{status: http.StatusServiceUnavailable, code: "busy", reason: reason, retryAfter: wait}
}

// The challenges of RFC 6750, 3: an error is named only where a credential was
// sent.
var (
	errNoCredential = &failure{status: http.StatusUnauthorized, code: "not_signed_in",
		reason: "sign in first, or send an API token as X-API-TOKEN", challenge: `Bearer realm="husk"`}
	errBadCredential = &failure{status: http.StatusUnauthorized, code: "invalid_token",
		reason:    "the credential is not valid: it is mistyped, expired, revoked or not for here, or its owner may not sign in",
		challenge: `Bearer realm="husk", error="invalid_token"`}
)

// refusedFor is errBadCredential, byte for byte, to the one who shows the
// credential, and tells what is the matter to those who may ask.
func refusedFor(code, reason string) error {
	f := *errBadCredential
	f.cause = &cause{code, reason}
	return &f
}

var (
	errTokenExpired   = refusedFor("expired", "it has expired")
	errTokenReplaced  = refusedFor("replaced", "its secret was replaced, or was never this token's")
	errFromElsewhere  = refusedFor("address", "it may not be used from here")
	errGateOnly       = refusedFor("gate_only", "it is good behind the gate alone")
	errSessionExpired = refusedFor("expired", "it has expired")
	errSessionIdle    = refusedFor("idle", "it was not used for too long")
	errOwnerGone      = refusedFor("owner_deleted", "its owner was deleted")
	errOwnerDisabled  = refusedFor("owner_disabled", "its owner is disabled")
)

// Codes of refusals for want of rights.
const (
	codeNotPermitted  = "not_permitted"
	codeAdministrator = "administrator_required"
)

func errNotPermitted(key string) error {
	return &failure{status: http.StatusForbidden, code: codeNotPermitted, reason: "that needs the permission " + key, permission: key,
		challenge: `Bearer realm="husk", error="insufficient_scope"`}
}

// kinds is the one table of the store's kinds of failure and HTTP statuses.
var kinds = []struct {
	kind   error
	status int
	code   string
	reason string
}{
	{db.ErrInvalid, http.StatusBadRequest, "invalid", "the request is not valid"},
	{db.ErrDenied, http.StatusForbidden, codeNotPermitted, "that is not permitted"},
	{db.ErrNotFound, http.StatusNotFound, "not_found", "there is no such thing, or it is not yours"},
	{db.ErrConflict, http.StatusConflict, "conflict", "that conflicts with what is there"},
	{db.ErrQuota, http.StatusTooManyRequests, "quota", "that is more than one user may have"},
	{db.ErrFull, http.StatusInsufficientStorage, "disk_full", "the disk is full: nothing was changed; free some space and try again"},
	{db.ErrDisk, http.StatusInternalServerError, "disk_failed", "the disk failed: nothing was changed; look at the log of the machine and at the disk, then try again"},
	{db.ErrMoved, http.StatusServiceUnavailable, "store_moved", "the data file was moved, replaced or deleted under the running server; the server's log says what to do"},
	{db.ErrLocked, http.StatusServiceUnavailable, "store_locked", "the store is locked by another process"},
	{db.ErrUnavailable, http.StatusServiceUnavailable, "store_unavailable", "the store can't be reached: nothing was changed; try again in a moment"},
	{db.ErrUnknown, http.StatusServiceUnavailable, "unknown_outcome", "the store did not say whether this was done: look for it before you try again"},
	{db.ErrNewer, http.StatusServiceUnavailable, "store_newer", "a newer husk has upgraded the store, and this one changes nothing any more: install that version"},
	{db.ErrDamaged, http.StatusInternalServerError, "store_damaged", "the store is damaged; run 'husk check' and restore a backup"},
	{password.ErrBusy, http.StatusServiceUnavailable, "busy", "too many passwords are being checked at once; try again in a moment"},
}

// explain turns any error into an answer; what is one already stays as it is. What
// has no answer of its own is a 500 that says nothing but where to look.
func explain(err error) *failure {
	if f, ok := err.(*failure); ok {
		return f
	}
	f := *kindOf(err)
	f.err = err
	return &f
}

// wrong is what a handler has against a request, to be told with what the store has
// against it; nil for nil.
func wrong(errs ...error) error {
	var all []error
	for _, err := range errs {
		if err != nil {
			f := explain(err)
			all = append(all, &db.Error{Kind: db.ErrInvalid, Code: f.code, Reason: f.reason})
		}
	}
	return db.Together(all...)
}

func kindOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var several db.Problems
	if errors.As(err, &several) {
		first := *kindOf(several[0])
		for _, one := range several {
			first.all = append(first.all, kindOf(one))
		}
		return &first
	}
	if errors.Is(err, db.ErrEnded) {
		return errBadCredential
	}
	var policy *password.PolicyError
	if errors.As(err, &policy) {
		return &failure{status: http.StatusBadRequest, code: policy.Code, reason: policy.Reason}
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return explainStatus(he.Code)
	}
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			f := &failure{status: k.status, code: k.code, reason: k.reason}
			var e *db.Error
			if errors.As(err, &e) {
				f.code, f.reason, f.field, f.line, f.retryAfter = e.Code, e.Reason, e.Field, e.Line, e.Wait
			}
			if f.status == http.StatusServiceUnavailable && !errors.Is(err, db.ErrMoved) && !errors.Is(err, db.ErrNewer) { // which no wait mends
				f.retryAfter = time.Second
			}
			return f
		}
	}
	return explainStatus(http.StatusInternalServerError)
}

// explainStatus is the answer to what the router decided by itself.
func explainStatus(status int) *failure {
	switch status {
	case http.StatusNotFound:
		return &failure{status: status, code: "not_found", reason: "there is no such thing, or it is not yours"}
	case http.StatusMethodNotAllowed:
		return &failure{status: status, code: "method_not_allowed", reason: "that method is not for this path; see the Allow header"}
	}
	return &failure{status: http.StatusInternalServerError, code: "internal",
		reason: "something went wrong inside; the server's log has the request id"}
}

// fail answers f and tells the log of it. It tells false where an answer has begun
// already: a stream that broke, whose connection has to be cut for the client to
// see it.
func (s *Server) fail(c echo.Context, actor *db.Actor, f *failure) (whole bool) {
	s.logFailure(c, actor, f)
	if c.Response().Committed {
		return false
	}
	writeFailure(c.Response(), f)
	return true
}

// withCause is the text of an error for the log.
func withCause(err error) string { return upkeep.WithCause(err) }

// wire is the failure as the API answers it.
func (f *failure) wire() *api.Error {
	e := &api.Error{Status: f.status, Detail: f.detail(), Permission: f.permission, Methods: f.methods, Ticket: f.ticket, RetryAfter: f.retryAfter}
	for _, one := range f.all {
		e.Detail.Errors = append(e.Detail.Errors, one.detail())
	}
	return e
}

func (f *failure) detail() api.ErrorDetail {
	return api.ErrorDetail{Reason: f.reason, Code: f.code, Field: f.field, Line: f.line}
}

func setRetryAfter(h http.Header, f *failure) {
	if wait := waitSeconds(f); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(wait))
	}
}

// waitSeconds is how long there is to wait before the next try, rounded up.
func waitSeconds(f *failure) int { return f.wire().WaitSeconds() }

func writeFailure(w http.ResponseWriter, f *failure) {
	h := w.Header()
	if f.challenge != "" {
		h.Set("WWW-Authenticate", f.challenge)
	}
	setRetryAfter(h, f)
	h.Set("Content-Type", "application/json")
	h.Del("Content-Length")
	body, _ := json.Marshal(f.wire())
	w.WriteHeader(f.status)
	w.Write(append(body, '\n'))
}
