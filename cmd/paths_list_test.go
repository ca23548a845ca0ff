package cmd

import (
	"slices"
	"testing"
)

// A path with a comma in it is one, as it was before there could be several.
func TestPathsOfAVariable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                         nil,
		"/a.pem":                   {"/a.pem"},
		"a.pem":                    {"a.pem"},
		"/a.pem,/b.pem":            {"/a.pem", "/b.pem"},
		"/a, b.pem":                {"/a, b.pem"},
		"/a,b.pem,/c,d.pem,/e":     {"/a,b.pem", "/c,d.pem", "/e"},
		"a,b.pem":                  {"a,b.pem"},
		"/etc/husk/wiki,tls/a.pem": {"/etc/husk/wiki,tls/a.pem"},
	} {
		p := newPaths()
		if err := p.Set(text); err != nil || !slices.Equal(p.items, want) {
			t.Errorf("%q: %q, %v", text, p.items, err)
		}
	}
}
