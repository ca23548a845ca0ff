package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Error is the body of every answer that is no success, and the error that
// Client answers with.
type Error struct {
	Status int         `json:"status"` // the HTTP status
	Detail ErrorDetail `json:"error"`

	Permission string `json:"permission,omitempty"` // that is missing, of not_permitted

	// Of second_factor_required: what is set up, and what stands for the password that
	// was right, for a few minutes, where that was shown.
	Methods []string `json:"methods,omitempty"`
	Ticket  string   `json:"ticket,omitempty"`

	RetryAfter time.Duration `json:"-"` // of 429 and 503, from the header
}

// ErrorDetail tells people and programs what went wrong.
type ErrorDetail struct {
	Reason string `json:"reason"`          // what went wrong and what to do
	Code   string `json:"code"`            // a stable word
	Field  string `json:"field,omitempty"` // the member of the body that it is about, where the code does not tell

	// Line is that of what was sent which it is about, from 1: of an import. The
	// reason names it too.
	Line int `json:"line,omitempty"`

	// All that is wrong, where that is more than one thing; the first of them is
	// what the members above tell. None of them has errors of its own.
	Errors []ErrorDetail `json:"errors,omitempty"`
}

// All are the errors of e, each as if it had been alone: itself, or those that it has.
func (e *Error) All() []*Error {
	if len(e.Detail.Errors) == 0 {
		return []*Error{e}
	}
	all := make([]*Error, len(e.Detail.Errors))
	for i, detail := range e.Detail.Errors {
		all[i] = &Error{Status: e.Status, Detail: detail, RetryAfter: e.RetryAfter}
	}
	return all
}

func (e *Error) Error() string {
	if e.Detail.Reason == "" {
		return fmt.Sprintf("the server answered with status %d", e.Status)
	}
	return e.Detail.Reason
}

// Sentence is the reason as one, for pages: an upper-case letter, a full stop.
func (e *Error) Sentence() string {
	first, n := utf8.DecodeRuneInString(e.Detail.Reason)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(e.Detail.Reason[n:], ".") + "."
}

// WaitSeconds is RetryAfter in whole seconds, as the header has it (RFC 9110, 10.2.3).
func (e *Error) WaitSeconds() int { return int((e.RetryAfter + time.Second - 1) / time.Second) }

func readError(answer *http.Response) error {
	e := &Error{}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	// A proxy's page in between is no JSON: then the status has to do.
	if json.Unmarshal(body, e) != nil {
		e = &Error{}
	}
	e.Status = answer.StatusCode
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
