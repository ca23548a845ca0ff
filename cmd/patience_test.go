package cmd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A remote command that was only too fast goes on when it may: a loop in a
// script does not fail at its 601st change. Of one that has too much it is told
// at once.
func TestCommandsWaitForChanges(t *testing.T) {
	for code, want := range map[string]int{"too_many_changes": exitDone, "too_many_tokens": exitBusy, "throttled": exitBusy} {
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprintf(w, `{"status":429,"error":{"reason":"slow down","code":%q}}`, code)
				return
			}
			fmt.Fprint(w, `{"_id":"x","name":"backup","access_token":"secret","expire_in":-1,"status":"ok"}`)
		}))
		env := []string{"HUSK_DATA=" + t.TempDir(), "HUSK_SERVER=" + server.URL, "HUSK_TOKEN_FILE=" + writeFile(t, t.TempDir(), "token", "x")}
		r := runHere(t, env, "", "token", "create", "--name", "backup")
		if r.code != want || (want == exitDone) != (r.out == "secret\n") || strings.Contains(r.errors, "waiting") {
			t.Errorf("%s: exit code %d, want %d; %q %q", code, r.code, want, r.out, r.errors)
		}
		server.Close()
	}
}
