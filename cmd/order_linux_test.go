package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
)

// needStrace ends a test of what single calls do where nothing can be traced, and
// under the race detector, whose own calls and time say nothing there.
func needStrace(t testing.TB) {
	t.Helper()
	dbtest.NoRace(t, "a program under strace, call by call")
	syscalls.Need(t)
}

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
		line = strings.NewReplacer(" <unfinished ...>", ")", p.data+"/", "", p.data, "DIR", "AT_FDCWD", "").Replace(line)
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
	dbtest.NoRace(t, "commands under strace")
	p := program{data: newData(t)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "token", "create")
	// It has no name before, where the file system has such files.
	wantOrder(t, p.traced(t, "backup", "--output", backup), `^fsync .*(#\d+|COPY)`, `^(linkat|renameat).*husk\.tar`, `^fsync `)
	wantOrder(t, p.traced(t, "backup", "--output", backup, "--force"), `^fsync .*(#\d+|COPY)`, `^renameat.*COPY.*husk\.tar`, `^fsync `)
	wantOrder(t, p.traced(t, "restore", backup),
		`^fsync COPY$`, `^linkat.*husk\.db.*COPY-kept`, `^renameat.*COPY-kept.*husk\.db\.before-restore`, `^fsync DIR`, `^renameat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
	wantOrder(t, p.traced(t, "compact"), `^fsync COPY`, `^renameat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
	damaged, _ := damagedStore(t, newData(t), 0)
	wantOrder(t, damaged.traced(t, "check", "--repair"),
		`^fsync COPY$`, `^renameat.*COPY,.*husk\.db\.damaged\.ndjson`, `^fsync DIR`,
		`^fsync COPY$`, `^linkat.*husk\.db.*COPY-kept`, `^renameat.*COPY-kept.*husk\.db\.before-repair`, `^fsync DIR`, `^renameat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
	older, _ := unpackSchema(t, 1)
	wantOrder(t, older.traced(t, "token", "list"), `^fsync COPY$`, `^renameat.*COPY,.*husk\.db\.schema-1`, `^fsync DIR`, `^fdatasync husk\.db$`)
	p.data = filepath.Join(p.data, "new")
	wantOrder(t, p.traced(t, "restore", backup), `^fsync `, `^fsync COPY$`, `^linkat.*COPY,.*husk\.db(\)|$)`, `^fsync DIR`)
}

// swapper is a command that puts a store in the place of another one.
type swapper struct {
	args   []string
	begin  func(t *testing.T) program // with the store that is there before
	tokens int64                      // in the store that is there afterwards
	kept   string                     // what the one before is then called, behind its name; "": it is given up
}

// TestKilledBetweenSteps kills each command that swaps a store in before each
// of its calls that make a name or make something durable. The store is then the
// one before or the new one, whole, and the one before is not lost for the new one.
func TestKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	needStrace(t)
	from := program{data: newData(t)}
	backup := filepath.Join(t.TempDir(), "husk.tar")
	for range 3 {
		from.ok(t, "token", "create")
	}
	from.ok(t, "backup", "--output", backup)
	one := func(t *testing.T) program {
		p := program{data: newData(t)}
		p.ok(t, "token", "create")
		return p
	}
	swappers := map[string]swapper{
		"restore":          {[]string{"restore", backup}, one, 3, ".before-restore"},
		"restore of a new": {[]string{"restore", backup}, func(t *testing.T) program { return program{data: newData(t)} }, 3, ""},
		"compact":          {[]string{"compact"}, one, 1, ""},
		"repair":           {[]string{"check", "--repair"}, func(t *testing.T) program { p, _ := damagedStore(t, filepath.Join(t.TempDir(), "data"), 0); return p }, 1, ".before-repair"},
	}
	for schema := 1; schema < db.SchemaVersion; schema++ {
		older := func(t *testing.T) program { p, _ := unpackSchema(t, schema); return p }
		swappers[fmt.Sprintf("upgrade of schema %d", schema)] = swapper{[]string{"token", "list"}, older, tokensOfSchema(schema), fmt.Sprintf(".schema-%d", schema)}
	}
	for name, s := range swappers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for call, n := range s.steps(t) {
				for when := range n {
					s.killedAt(t, call, when+1)
				}
			}
		})
	}
}

// steps counts the calls of a run that nobody kills, by name: those of the
// thread that has most of them.
func (s swapper) steps(t *testing.T) map[string]int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	if err := s.begin(t).pinned(t, file, s.args); err != nil {
		t.Fatal(err)
	}
	calls, err := syscalls.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	most, byThread := map[string]int{}, map[string]map[int]int{}
	for _, c := range calls {
		if c.Name == "???" {
			continue // a thread that ended in a call of which strace saw no more
		}
		if byThread[c.Name] == nil {
			byThread[c.Name] = map[int]int{}
		}
		byThread[c.Name][c.Thread]++
		most[c.Name] = max(most[c.Name], byThread[c.Name][c.Thread])
	}
	if most["fsync"] < 2 || most["renameat"]+most["linkat"] == 0 {
		t.Errorf("%q makes few calls: %v", s.args, most)
	}
	return most
}

func (s swapper) killedAt(t *testing.T, call string, when int) {
	t.Helper()
	p := s.begin(t)
	before, _ := os.ReadFile(p.store())
	var exit *exec.ExitError
	err := p.pinned(t, filepath.Join(t.TempDir(), "trace"), s.args, "-e", fmt.Sprintf("inject=%s:error=EIO:signal=KILL:when=%d", call, when))
	if !errors.As(err, &exit) || exit.Exited() {
		t.Errorf("%s %d: it was not killed: %v", call, when, err)
	}
	now, err := os.ReadFile(p.store())
	if bytes.Equal(now, before) && (err == nil) == (before != nil) {
		return
	}
	if n, err := tokensIn(p.store()); err != nil || n != s.tokens {
		t.Errorf("%s %d: the new store holds %d tokens, %v", call, when, n, err)
	}
	if s.kept == "" {
		return
	}
	kept, err := os.ReadFile(p.store() + s.kept)
	if err == nil && !bytes.Equal(kept, before) { // a copy that was written anew
		_, err = tokensIn(p.store() + s.kept)
	}
	if err != nil {
		t.Errorf("%s %d: the store before: %v", call, when, err)
	}
}

// pinned runs a command in one thread under strace, which delivers no signals
// with the filter that syscalls.Trace asks for.
func (p program) pinned(t *testing.T, file string, args []string, options ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := p.command(ctx, args...)
	strace := append([]string{"strace", "-D", "-f", "-y", "-qq", "-o", file, "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlinkat"}, options...)
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal(err)
	}
	c.Path, c.Args = path, append(append(strace, "pinned"), args...)
	_, err = c.Output()
	return err
}
