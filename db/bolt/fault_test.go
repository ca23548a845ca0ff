//go:build unix

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
)

// fault is a way in which calls fail. Its rules are those of strace, with the
// number of the call in place of %d.
type fault struct {
	kind  string
	rules []string
	every int  // in a sample: which of the calls
	cuts  int  // which of them are followed by power cuts
	dead  bool // the disk does not come back, or not for long
	many  bool // of several at once, whose changes share commits; strace counts by thread
}

var faults = []fault{
	{kind: "pwrite64/EIO", rules: []string{"pwrite64:error=EIO:when=%d"}, every: 23, cuts: 7},
	{kind: "pwrite64/ENOSPC", rules: []string{"pwrite64:error=ENOSPC:when=%d"}, every: 31, cuts: 7},
	{kind: "fdatasync/EIO", rules: []string{"fdatasync:error=EIO:when=%d"}, every: 11, cuts: 1},
	{kind: "fdatasync/ENOSPC", rules: []string{"fdatasync:error=ENOSPC:when=%d"}, every: 17, cuts: 1},
	{kind: "fsync/EIO", rules: []string{"fsync:error=EIO:when=%d"}, every: 3, cuts: 1},
	{kind: "ftruncate/EIO", rules: []string{"ftruncate:error=EIO:when=%d"}, every: 2, cuts: 1},
	{kind: "ftruncate/ENOSPC", rules: []string{"ftruncate:error=ENOSPC:when=%d"}, every: 3, cuts: 1},
	// The sync fails by which the engine would come back, too, and once more.
	{kind: "all-syncs/EIO", rules: []string{"fdatasync:error=EIO:when=%d", "fsync:error=EIO:when=6..7"}, every: 13, cuts: 1},
	{kind: "all-writes/EIO", rules: []string{"pwrite64:error=EIO:when=%d+"}, every: 21, cuts: 4, dead: true},
	{kind: "all-calls/EIO", rules: []string{"fdatasync:error=EIO:when=%d+", "fsync:error=EIO:when=6+"}, every: 9, cuts: 2, dead: true},
}

// powerCut is the kind of the power cuts after such a call.
func (f fault) powerCut() string { return "power-cut-with-" + f.kind }

// TestComesBack has the file away at the moment of a commit that fails after its
// meta was written: nothing is served until it is there again, and then the
// failed change is not.
func TestComesBack(t *testing.T) {
	path := create(t)
	e := open(t, path)
	if err := set(e, "k", "kept"); err != nil {
		t.Fatal(err)
	}
	e.commitHook = func(commit func() error) error {
		return errors.Join(commit(), syscall.EIO, os.Rename(path, path+".away"))
	}
	if err := set(e, "k", "lost"); !errors.Is(err, db.ErrUnknown) {
		t.Errorf("update = %v: whoever opens the file next may find it done", err)
	}
	e.commitHook = nil
	if err := readAll(e); err == nil {
		t.Error("a change is read that may be taken back")
	}
	if err := set(e, "k", "lost"); err == nil || errors.Is(err, db.ErrUnknown) {
		t.Errorf("an update without a file = %v", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	e.lost.tried = time.Time{} // a reader would wait for lossPause
	wantValue(t, e, "k", "kept")
	if err := set(e, "k", "new"); err != nil {
		t.Error(err)
	}
	wantValue(t, e, "k", "new")
}

// TestFailedCalls makes each call of the workload fail, one in each run.
func TestFailedCalls(t *testing.T) {
	syscalls.Need(t)
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.kind, "/", "-"), func(t *testing.T) {
			t.Parallel()
			r := newReplay(t, 2, 1)
			for n := range dbtest.Sample(f.every) {
				if !r.failCall(f, n) {
					break
				}
			}
			r.report(f.kind)
			if !slow {
				r.report(f.powerCut())
			}
		})
	}
}

// TestFailedCallsAtOnce has a disk that fails again and again, below many who
// write at once.
func TestFailedCallsAtOnce(t *testing.T) {
	syscalls.Need(t)
	for i, f := range []fault{
		{kind: "at-once/fdatasync/EIO", rules: []string{"fdatasync:error=EIO:when=%d+7"}, cuts: 1, dead: true, many: true},
		{kind: "at-once/fdatasync/ENOSPC", rules: []string{"fdatasync:error=ENOSPC:when=%d+7"}, cuts: 1, dead: true, many: true},
		{kind: "at-once/pwrite64/EIO", rules: []string{"pwrite64:error=EIO:when=%d+41"}, cuts: 1, dead: true, many: true},
	} {
		t.Run(strings.ReplaceAll(f.kind, "/", "-"), func(t *testing.T) {
			if i > 0 {
				dbtest.TakesVeryLong(t, "each way in which a disk fails below many")
			}
			r := newReplay(t, 2, 1)
			runs := 1
			switch {
			case dbtest.Whole():
				runs = 4
			case long():
				runs = 2
			}
			for n := range runs {
				if !r.failCall(f, 4+n) {
					t.Errorf("run %d: no call failed", n)
				}
			}
			r.report(f.kind)
			if !slow {
				r.report(f.powerCut())
			}
		})
	}
}

// failCall makes the n-th call fail; it answers false where there is none.
func (r *replay) failCall(f fault, n int) (met bool) {
	options := slices.Clone(powerCalls)
	for _, rule := range f.rules {
		if strings.Contains(rule, "%d") {
			rule = fmt.Sprintf(rule, n)
		}
		options = append(options, "-e", "inject="+rule)
	}
	named, _, _ := strings.Cut(f.rules[0], ":")
	alone := "yes"
	switch {
	case f.many:
		alone = ""
	case named == "ftruncate" || named == "fsync": // those of a growth
		alone = tracedGrows
	}
	calls, dir, said := traceSelf(r.t, tracedAlone+"="+alone, options...)
	met = slices.ContainsFunc(calls, func(c *syscalls.Call) bool { return c.Injected && c.Name == named })
	if !met {
		return false
	}
	if !f.dead && strings.Count(said, "fail ") > 2*len(f.rules) {
		r.t.Errorf("call %d: writes did not work again: %s", n, said)
	}
	what := fmt.Sprintf("%s, call %d", f.kind, n)
	r.tried[f.kind]++
	if !strings.Contains(said, "done create") {
		if got := names(r.t, dir); len(got) != 0 || !f.dead {
			r.t.Errorf("%s: no store was made, and the folder holds %q", what, got)
		}
		return true
	}
	if !strings.Contains(said, "unread 0") {
		r.t.Errorf("%s: reads failed: %s", what, said)
	}
	if !r.wantAnswered(dir, said, what) {
		r.lost[f.kind]++
	}
	if !slow && (r.tried[f.kind]-1)%f.cuts == 0 {
		r.again()
		r.run(calls, filepath.Join(dir, "husk.db"), f.powerCut())
	}
	return true
}

// TestKilledAtFailedSync kills the process at the moment at which a sync fails,
// and has another one go on with the store: it does not know of that, and what
// it reads is not what is on the disk.
func TestKilledAtFailedSync(t *testing.T) {
	syscalls.Need(t)
	r := newReplay(t, 3, 2)
	killed := 0
	for sync := range dbtest.Sample(5) {
		n := 5 + sync // the syncs before are of the creation
		dir, rule := memory(t), fmt.Sprintf("inject=fdatasync:error=EIO:when=%d", n)
		calls, said, err := traceIn(t, dir, tracedDies+"=yes", append(slices.Clone(powerCalls), "-e", rule)...)
		if err == nil {
			break
		}
		killed++
		more, saidAfter, err := traceIn(t, dir, tracedAlone+"=yes", powerCalls...)
		if err != nil || !strings.Contains(saidAfter, "unread 0") {
			t.Errorf("after a kill at sync %d: %v\n%s", n, err, saidAfter)
		}
		r.again()
		const kind = "killed-at-failed-sync"
		r.tried[kind]++
		if !r.wantAnswered(dir, said+saidAfter, fmt.Sprintf("killed at sync %d", n)) {
			r.lost[kind]++
		}
		if !slow {
			r.run(append(calls, syscalls.After(calls, more)...), filepath.Join(dir, "husk.db"), "power-cut-with-"+kind)
		}
	}
	if killed == 0 {
		t.Error("nothing was killed")
	}
	r.report("killed-at-failed-sync")
	if !slow {
		r.report("power-cut-with-killed-at-failed-sync")
	}
}

// TestReadOnlyDisk has the file system become read-only at a failed sync, as
// some do: the file can't be opened anew. Reads go on where the meta was not yet
// written; where it was, nothing is read that may be a lie.
func TestReadOnlyDisk(t *testing.T) {
	syscalls.Need(t)
	for _, tt := range []struct {
		name string
		sync int // of the store: those of data and of metas take turns
		want bool
	}{{"data", 3, true}, {"meta", 4, false}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := memory(t)
			_, said, err := traceIn(t, dir, tracedAlone+"=yes", "-P", filepath.Join(dir, "husk.db"), "-e", "trace=fdatasync,openat",
				"-e", fmt.Sprintf("inject=fdatasync:error=EIO:when=%d+", tt.sync), "-e", "inject=openat:error=EROFS:when=2+")
			if err != nil {
				t.Errorf("the traced process: %v\n%s", err, said)
			}
			if !strings.Contains(said, "fail ") || strings.Contains(said, "unread 0") != tt.want {
				t.Errorf("reads go on, want %t: %s", tt.want, said)
			}
			e := open(t, filepath.Join(dir, "husk.db"))
			wantWhole(t, e)
			if err := errors.Join(readAll(e), e.Close()); err != nil {
				t.Error(err)
			}
			if tt.want {
				newReplay(t, 0, 0).wantAnswered(dir, said, tt.name)
			}
		})
	}
}

// again begins with another trace.
func (r *replay) again() {
	r.disk, r.begun, r.states, r.onDisk = disk{}, map[string]bool{}, nil, nil
}

// wantAnswered opens what a run has left: all that it was told is done is
// there, all that it was told has failed is not, and nothing lies about.
func (r *replay) wantAnswered(dir, said, what string) (held bool) {
	r.t.Helper()
	held = true
	if got := names(r.t, dir); len(got) != 1 {
		r.t.Errorf("%s: the folder holds %q", what, got)
	}
	e := open(r.t, filepath.Join(dir, "husk.db"))
	defer e.Close()
	store, err := db.Open(context.Background(), e, db.Options{})
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	if _, err := store.Check(context.Background(), func(err error) { r.t.Errorf("%s: %v", what, err) }); err != nil {
		r.t.Errorf("%s: %v", what, err)
	}
	for line := range strings.Lines(said) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] == "begin" || words[1] != "mint" {
			continue
		}
		if revoke := "revoke " + words[2]; strings.Contains(said, "begin "+revoke) && !strings.Contains(said, "fail "+revoke) {
			continue // it is gone, or perhaps: the process was killed meanwhile
		}
		_, err := store.Token(context.Background(), words[2])
		if there := err == nil; there != (words[0] == "done") || err != nil && !errors.Is(err, db.ErrNotFound) {
			r.t.Errorf("%s: answered %q, and afterwards: %v", what, words, err)
			held = false
		}
	}
	return held
}
