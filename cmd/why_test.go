package cmd

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"husk/web/api"
	"husk/web/story"
)

// An audit log that can't be read takes nothing away of what else is known.
func TestWhyWithoutTheLog(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		w.Write([]byte(`{"status":500,"error":{"reason":"the store is damaged","code":"store_damaged"}}`))
	}))
	defer server.Close()
	worth := api.Introspection{Code: "owner_disabled", Reason: "its owner is disabled"}
	for name, ask := range map[string]func(h *historian) why{
		"known":        func(h *historian) why { return h.whyRefused(t.Context(), worth, "id", "owner", time.Time{}) },
		"gone":         func(h *historian) why { return h.goneToken(t.Context(), "id") },
		"gone session": func(h *historian) why { return h.goneSession(t.Context(), "id") },
	} {
		w := ask(&historian{Client: &api.Client{Base: server.URL}, now: time.Now()})
		if w.Code == "" || w.Reason == "" || w.Event != nil || !strings.Contains(w.Hidden, "can't be read: the store is damaged") {
			t.Errorf("%s: %+v", name, w)
		}
		if name == "known" && w.Reason != worth.Reason {
			t.Errorf("%s: %q", name, w.Reason)
		}
	}
}

func TestExplanationOfFoldedRequests(t *testing.T) {
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr}
	e := api.AuditEvent{Seq: 7, Time: time.Now(), Action: "session.login", Result: "refused", Transport: "http", Address: "203.0.113.7\x1b[2J", Count: 10000}
	if err := a.printStory(story.Tell("a-1", []api.AuditEvent{e}, false)); err != nil {
		t.Fatal(err)
	}
	const why = "a sign-in was refused: the password or the code was wrong, nobody who may sign in is called so, or too many tries had failed before: which of them a sign-in does not tell\n"
	const ask = "if it was they themselves, they can try again, after a wait where one was told; an administrator can give them a new password\n"
	if want := "Entry 7 stands for 10000 requests like it within a minute.\n" + why + ask; stderr.String() != want {
		t.Errorf("%q, want %q", stderr.String(), want)
	}
	if out := stdout.String(); strings.Contains(out, "\x1b") || !strings.Contains(out, `203.0.113.7\x1b[2J`) || !strings.Contains(out, "10000") {
		t.Errorf("%q", out)
	}
}

func TestEntriesLeftOutOfAnExport(t *testing.T) {
	for text, want := range map[string]bool{
		"{\"seq\":1,x}\n{\"seq\":2,x}\n":                                       false,
		"{\"seq\":700,x}\n{\"seq\":701,x}\n":                                   false,
		"{\"seq\":1,x}\n{\"seq\":3,x}\n{\"seq\":9,x}\n":                        true,
		"{\"seq\":18446744073709551614,x}\n{\"seq\":18446744073709551615,x}\n": false,
		"": false,
	} {
		for step := 1; step < 40; step += 6 { // however it is cut
			var out strings.Builder
			l := &entryLines{out: &out}
			for rest := text; rest != ""; {
				n := min(step, len(rest))
				if _, err := l.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if out.String() != text || l.gaps != want {
				t.Errorf("%q: %t, want %t", text, l.gaps, want)
			}
		}
	}
	// What retention removed is no fault; the verdict names the rest.
	if err := complete(api.AuditVerdict{OK: true, Pruned: 7}); err != nil {
		t.Error(err)
	}
	v := api.AuditVerdict{Unread: []api.AuditSpan{{From: 2, To: 2}, {From: 4, To: 8}}}
	if err := complete(v); err == nil || !strings.HasSuffix(err.Error(), ": 2, 4 to 8") {
		t.Error(err)
	}
}
