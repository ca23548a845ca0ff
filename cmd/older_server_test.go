package cmd

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"husk/web/api"
)

// A server that is older than the command, and does not know what it is asked, makes
// the command neither list too many nor say that something was done.
func TestAskedOfAnOlderServer(t *testing.T) {
	all := func(yield func(api.Hit[api.User], error) bool) {
		for _, roles := range [][]string{{"admin"}, {"user"}, {"user", "admin"}, {}} {
			if !yield(api.Hit[api.User]{Source: api.User{Roles: roles}}, nil) {
				return
			}
		}
	}
	for role, want := range map[string]int{"admin": 2, "user": 2, "keeper": 0, "": 4} {
		n := 0
		for range having(role, all) {
			n++
		}
		if n != want {
			t.Errorf("%d have the role %q, want %d", n, role, want)
		}
	}
	old := &api.Error{Status: http.StatusUnsupportedMediaType, Detail: api.ErrorDetail{Code: "content_type", Reason: "send the body as application/x-ndjson"}}
	if err := faultyInput(old, api.FormatHtpasswd); !strings.Contains(err.Error(), "which reads no htpasswd files") {
		t.Errorf("an htpasswd file: %v", err)
	}
	if err := faultyInput(old, ""); err != error(old) {
		t.Errorf("lines of JSON: %v", err)
	}
	var out strings.Builder
	a := &app{stdout: &out, stderr: io.Discard}
	err := a.deliverPassword(t.Context(), api.UserUpdated{Result: api.Result{Result: "updated"}}, "ann@example.com", "It is set.")
	var f *failure
	if !errors.As(err, &f) || !strings.Contains(f.what, "the server made no password") || !strings.Contains(f.next, "nothing was changed") || out.Len() > 0 {
		t.Errorf("%+v, and %q is printed", err, out.String())
	}
}
