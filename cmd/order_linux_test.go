package cmd

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// traced runs a command and returns its calls that make files durable or give
// them names, one a line, with what differs from run to run taken out.
func (p program) traced(t *testing.T, args ...string) (calls []string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		prerequisite(t, err.Error())
	}
	trace := filepath.Join(t.TempDir(), "trace")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := p.command(ctx, args...)
	c.Args = append([]string{strace, "-f", "-qq", "-y", "-o", trace, "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat", c.Path}, c.Args[1:]...)
	c.Path = strace
	if out, err := c.CombinedOutput(); err != nil {
		prerequisite(t, "strace: "+err.Error()+": "+string(out))
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, ") = 0") && !strings.Contains(line, "unfinished") {
			continue
		}
		line = strings.NewReplacer(p.data+"/", "", p.data, "DIR", "AT_FDCWD", "").Replace(line)
		line = regexp.MustCompile(`^\d+ +|\.husk-\w+-\w+|\(\d+<|> *\).*|, 0\).*|"|<[^>]*>`).ReplaceAllStringFunc(line, func(s string) string {
			switch {
			case strings.HasPrefix(s, ".husk-"):
				return "COPY"
			case strings.HasPrefix(s, "("):
				return " "
			}
			return ""
		})
		calls = append(calls, strings.TrimSpace(line))
	}
	return calls
}

// wantOrder wants calls that match, one after the other; others may come in
// between.
func wantOrder(t *testing.T, calls []string, want ...string) {
	t.Helper()
	rest := calls
	for _, w := range want {
		re := regexp.MustCompile(w)
		for len(rest) > 0 && !re.MatchString(rest[0]) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			t.Fatalf("%q does not come where it has to:\n%s", w, strings.Join(calls, "\n"))
		}
		rest = rest[1:]
	}
}

// What takes the place of something is durable before, and the name of what
// was there too: so that a cut of the power leaves the old or the new.
func TestOrderOfSyncs(t *testing.T) {
	p := program{data: newData(t)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "token", "create")
	// It has no name before, where the file system has such files.
	wantOrder(t, p.traced(t, "backup", "--output", backup), `^fsync .*(#\d+|COPY)`, `^(linkat|renameat).*husk\.tar`, `^fsync `)
	wantOrder(t, p.traced(t, "backup", "--output", backup, "--force"), `^fsync .*(#\d+|COPY)`, `^renameat.*COPY.*husk\.tar`, `^fsync `)
	wantOrder(t, p.traced(t, "restore", backup),
		`^fsync COPY$`, `^linkat.*husk\.db.*COPY-kept`, `^renameat.*COPY-kept.*husk\.db\.before-restore`, `^fsync DIR`, `^renameat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
	wantOrder(t, p.traced(t, "compact"), `^fsync COPY`, `^renameat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
	p.data = filepath.Join(p.data, "new")
	wantOrder(t, p.traced(t, "restore", backup), `^fsync `, `^fsync COPY$`, `^linkat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
}
