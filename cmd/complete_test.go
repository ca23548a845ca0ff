package cmd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestCompletionKeepsTheToken: a token does not go out in the open because of a
// key that was pressed. A proxy would see it.
func TestCompletionKeepsTheToken(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 9)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Host }))
	t.Cleanup(server.Close)
	p := program{data: t.TempDir(), env: []string{"HTTP_PROXY=" + server.URL, "HUSK_TOKEN_FILE=" + writeFile(t, t.TempDir(), "token", "secret")}}
	for to, want := range map[string]bool{server.URL: true, "http://id.example.com": false} {
		p.want(t, exitDone, cobra.ShellCompRequestCmd, "user", "show", "--server", to, "")
		if got := len(asked) > 0; got != want {
			t.Errorf("%s was asked: %t, want %t", to, got, want)
		}
		for len(asked) > 0 {
			<-asked
		}
	}
}

// TestUntilThen: who has a moment waits for a lock no longer than that, and
// never for ever, which 0 would be.
func TestUntilThen(t *testing.T) {
	t.Parallel()
	if got := untilThen(t.Context(), lockRound); got != lockRound {
		t.Errorf("without a deadline it waits %s", got)
	}
	for _, left := range []time.Duration{-time.Hour, 0, lockRound / 2, time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		if got := untilThen(ctx, lockRound); got <= 0 || got > max(min(left, lockRound), time.Millisecond) {
			t.Errorf("%s before the end it waits %s", left, got)
		}
		cancel()
	}
}
