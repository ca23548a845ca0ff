package cmd

import (
	"bytes"
	"strings"
	"testing"
)

// Each help leads with examples that call the command, and lists the exit codes.
func TestHelpLeadsWithExamples(t *testing.T) {
	for _, cmd := range newDocumented() {
		path := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "husk"), " ")
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		at, usage := strings.Index(text, "Examples:\n  "), strings.Index(text, "\nUsage:\n")
		if at < 0 || usage < at || !strings.Contains(cmd.Example, strings.TrimSuffix("husk "+path, " ")) {
			t.Errorf("husk %s: the help does not lead with examples:\n%s", path, text)
		}
		if before, _, _ := strings.Cut(text, "Examples:"); strings.Count(before, "\n") > 12 {
			t.Errorf("husk %s: the examples come late:\n%s", path, text)
		}
		if !strings.Contains(text, "Exit codes:") {
			t.Errorf("husk %s: the help does not list the exit codes", path)
		}
		if !strings.HasPrefix(cmd.Example, "  ") || strings.HasSuffix(text, "\n\n") {
			t.Errorf("husk %s: the help has another form: %q", path, cmd.Example)
		}
	}
}
