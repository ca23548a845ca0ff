//go:build unix

package cmd

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestErrorsAsJSON looks at what --json makes of errors: one object a line,
// also where the command line itself is what was wrong.
func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	data := newData(t)
	for _, c := range []struct {
		name string
		env  string
		args string
		want printedError
	}{
		{"of the API", "", "token create --json --user nobody@example.com", printedError{404, printedDetail{Reason: "there is no user nobody@example.com", Code: "not_found", Next: "see 'husk user list'"}, exitNotFound}},
		{"of the command", "", "token create --json --expires soon", printedError{0, printedDetail{Reason: "--expires is not understood", Code: "usage",
			Next: "give a duration such as 90s, 12h, 365d, 2w or 1y, a date such as 2030-12-31, or never"}, exitUsage}},
		{"unknown flag", "", "token create --json --nam x", printedError{0, printedDetail{Reason: "unknown flag: --nam", Code: "usage", Next: "did you mean --name?"}, exitUsage}},
		{"before the flag", "", "token create --nam x --json=true", printedError{0, printedDetail{Reason: "unknown flag: --nam", Code: "usage", Next: "did you mean --name?"}, exitUsage}},
		{"unknown command", "", "tokn --json", printedError{0, printedDetail{Reason: "there is no command husk tokn", Code: "usage", Next: "did you mean 'husk token'?"}, exitUsage}},
		{"by the variable", "HUSK_JSON=1", "tokn", printedError{0, printedDetail{Reason: "there is no command husk tokn", Code: "usage", Next: "did you mean 'husk token'?"}, exitUsage}},
		{"not asked for", "", "tokn", printedError{}},
		{"asked not to", "HUSK_JSON=1", "tokn --json=false", printedError{}},
		{"behind the end of flags", "", "tokn -- --json", printedError{}},
		{"no store", "", "user list --json --data /nonexistent/husk", printedError{0, printedDetail{Reason: "there is no store in /nonexistent/husk", Code: "not_found",
			Next: "'husk passwd' or 'husk serve' makes one; another folder is named with --data or HUSK_DATA"}, exitNotFound}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runHere(t, []string{"HUSK_DATA=" + data, c.env}, "", strings.Fields(c.args)...)
			var got printedError
			err := json.Unmarshal([]byte(r.errors), &got)
			switch {
			case c.want.Exit == 0 && (err == nil || !strings.HasPrefix(r.errors, "husk: ")):
				t.Errorf("%+v", r)
			case c.want.Exit != 0 && (err != nil || !reflect.DeepEqual(got, c.want) || r.code != c.want.Exit || strings.Count(r.errors, "\n") != 1):
				t.Errorf("%v\ngot  %+v\nwant %+v, exit code %d\n%s", err, got, c.want, r.code, r.errors)
			}
		})
	}
}

// TestSaidAsJSON looks at what is said and warned of under --json.
func TestSaidAsJSON(t *testing.T) {
	t.Parallel()
	data := newData(t)
	token := writeFile(t, t.TempDir(), "token", runHere(t, nil, "", "token", "create", "--data", data).out)
	r := runHere(t, nil, "", "user", "create", "ann@example.com", "--no-password", "--json", "--data", data)
	for line := range strings.Lines(r.errors) {
		var told map[string]string
		if err := json.Unmarshal([]byte(line), &told); err != nil || told["note"] == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
	r = runHere(t, nil, "", "user", "list", "--json", "--server", "http://0.0.0.0:1", "--token-file", token, "--config", writeFile(t, t.TempDir(), "c", "quiet: false\n"))
	if !strings.HasPrefix(r.errors, `{"warning":"the token travels unencrypted`) {
		t.Errorf("%+v", r)
	}
}
