package archive_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"husk/db/archive"
)

func newFile(t *testing.T, path, text string) *os.File {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// What comes has the name, what was there is kept or given up, nothing else is
// left; a file that another one has taken the place of comes nowhere.
func TestSwap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		there, earlier string // at the name, and kept before
		keep, replaced bool   // replaced: another file stands where the fresh one was
		swap           func(fresh *os.File, path, kept string) error
		err            string
		want, wantKept string
	}{
		"kept":               {there: "old", keep: true, swap: swapIn, want: "new", wantKept: "old"},
		"kept once more":     {there: "old", earlier: "older", keep: true, swap: swapIn, want: "new", wantKept: "old"},
		"given up":           {there: "old", earlier: "older", swap: swapIn, want: "new", wantKept: "older"},
		"where nothing was":  {swap: swapIn, want: "new"},
		"nothing to keep":    {keep: true, swap: swapIn, err: "keep the old store"},
		"put in":             {swap: putIn, want: "new"},
		"put in meanwhile":   {there: "old", swap: putIn, err: "exists", want: "old"},
		"another one":        {there: "old", keep: true, replaced: true, swap: swapIn, err: "another file is in the place of", want: "old"},
		"another one put in": {replaced: true, swap: putIn, err: "another file is in the place of"},
	} {
		dir := t.TempDir()
		path, kept := filepath.Join(dir, "store"), filepath.Join(dir, "kept")
		for p, text := range map[string]string{path: c.there, kept: c.earlier} {
			if text != "" {
				newFile(t, p, text)
			}
		}
		fresh := newFile(t, filepath.Join(dir, "fresh"), "new")
		if c.replaced {
			must(t, os.Remove(fresh.Name()))
			newFile(t, fresh.Name(), "another")
		}
		to := ""
		if c.keep {
			to = kept
		}
		err := c.swap(fresh, path, to)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
		for p, want := range map[string]string{path: c.want, kept: c.wantKept} {
			if got, err := os.ReadFile(p); string(got) != want || (err != nil) != (want == "") {
				t.Errorf("%s: %s holds %q, %v, want %q", name, filepath.Base(p), got, err, want)
			}
		}
		if _, err := os.Stat(fresh.Name() + "-kept"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a name is left over", name)
		}
	}
}

func swapIn(fresh *os.File, path, kept string) error { return archive.SwapIn(fresh, path, kept, nil) }

func putIn(fresh *os.File, path, _ string) error { return archive.PutIn(fresh, path) }
