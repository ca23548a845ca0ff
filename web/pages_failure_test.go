package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"husk/web/api"
)

// What the API refuses a page is refused a program that asked for that, with all
// that belongs to it.
func TestRefusalOfAPageForPrograms(t *testing.T) {
	for _, c := range []struct {
		status          int
		challenge, wait string
		after           time.Duration
	}{
		{http.StatusUnauthorized, `Bearer realm="husk", error="invalid_token"`, "", 0},
		{http.StatusForbidden, "", "", 0},
		{http.StatusServiceUnavailable, "", "2", 1500 * time.Millisecond},
	} {
		w := httptest.NewRecorder()
		writeFailure(w, failureOf(&api.Error{Status: c.status, Detail: api.ErrorDetail{Code: "c", Reason: "r"}, RetryAfter: c.after}))
		if h := w.Header(); w.Code != c.status || h.Get("WWW-Authenticate") != c.challenge || h.Get("Retry-After") != c.wait {
			t.Errorf("%d: %d %v", c.status, w.Code, h)
		}
	}
}
