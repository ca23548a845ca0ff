package cmd

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A person sees it; who asked for silence or for JSON does not.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	_, tty := terminal(t)
	for _, c := range []struct {
		name     string
		settings settings
		want     bool
	}{
		{"a person", settings{}, true},
		{"quiet", settings{Quiet: true}, false},
		{"for a program", settings{JSON: true}, false},
	} {
		p := (&app{stderr: tty, settings: c.settings}).progress("copying", 0, byteText)
		if (p != nil) != c.want {
			t.Errorf("%s: shown is %t", c.name, p != nil)
		}
		p.end()
	}
}

// What takes long is seen to go on: a revocation of many, an import. The server
// answers when the line was seen.
func TestProgressOfManyRequests(t *testing.T) {
	t.Parallel()
	users := writeFile(t, t.TempDir(), "users.ndjson", `{"email":"ann@example.com"}`+"\n")
	for want, args := range map[string][]string{
		"revoking: 1 of 2, 50 %": {"token", "revoke", "--user", "ann@example.com", "--all", "--yes"},
		"importing: 28 bytes of": {"user", "import", "--ndjson", users},
	} {
		keys, tty := terminal(t)
		seen := make(chan struct{})
		asked := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			switch asked++; {
			case r.Method == http.MethodGet:
				fmt.Fprint(w, `{"hits":{"total":{"value":2},"hits":[{"_id":"a","_source":{}},{"_id":"b","_source":{}}]}}`)
				return
			case r.Method == http.MethodPost || asked > 2:
				<-seen
			}
			fmt.Fprint(w, `{}`)
		}))
		defer s.Close()
		c := program{data: t.TempDir()}.command(t.Context(), append(args, "--server", s.URL)...)
		c.Stderr = tty
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		showsUntil(t, keys, want)
		close(seen)
		if err := c.Wait(); err != nil {
			t.Errorf("husk %q: %v", args, err)
		}
	}
}
