package cmd

import "testing"

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
