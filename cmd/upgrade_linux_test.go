package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/dbtest/syscalls"
)

// Upgrades that a disk or a signal cuts short. TestKilledBetweenSteps kills one of each
// schema at each step; here the disk fails.

// TestUpgradeOnAFullDisk: no copy, no upgrade. The store stays as it was, and is upgraded
// once there is room.
func TestUpgradeOnAFullDisk(t *testing.T) {
	dbtest.NoRace(t, "commands, one after the other")
	t.Parallel()
	for schema := 1; schema < db.SchemaVersion; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			older, facts := unpackSchema(t, schema)
			text, err := os.ReadFile(older.store())
			if err != nil {
				t.Fatal(err)
			}
			dir := smallDisk(t)
			p := program{data: filepath.Join(dir, "data")}
			if err := os.Mkdir(p.data, 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, p.data, embedded.file, string(text))
			free := fillDisk(t, dir)
			for _, args := range [][]string{{"token", "list"}, {"serve", "--addr", "127.0.0.1:0"}, {"token", "create"}} {
				r := p.want(t, exitFailure, args...)
				if !strings.Contains(r.stderr, "is full") {
					t.Errorf("husk %q: %v", args, r)
				}
			}
			if now, err := os.ReadFile(p.store()); err != nil || !bytes.Equal(now, text) {
				t.Errorf("the store was changed (%v)", err)
			}
			wantFiles(t, p.data, embedded.file)
			free()
			p.ok(t, "token", "list")
			p.ok(t, "audit", "verify", "--head", facts.Audit)
			if err := proveSchema(t.Context(), fmt.Sprintf("%s.schema-%d", p.store(), schema), db.Schema{Version: schema}); err != nil {
				t.Errorf("the copy: %v", err)
			}
		})
	}
}

// TestFailedCallsInAnUpgrade makes each call fail by which an upgrade writes. Then the
// store is the one before or the new one, and the next command finds all of it.
func TestFailedCallsInAnUpgrade(t *testing.T) {
	needStrace(t)
	t.Parallel()
	for schema := 1; schema < db.SchemaVersion; schema++ {
		for _, f := range callFaults {
			t.Run(fmt.Sprintf("%d-%s-%s", schema, f.call, f.errno), func(t *testing.T) {
				t.Parallel()
				met := 0
				for n := range dbtest.Sample(f.every) {
					if !upgradeWithFault(t, schema, f, n) {
						break
					}
					met++
				}
				if met == 0 && f.call != "ftruncate" {
					t.Error("no call was met")
				}
			})
		}
	}
}

func upgradeWithFault(t *testing.T, schema int, f callFault, n int) (met bool) {
	t.Helper()
	what := fmt.Sprintf("%s, call %d", f.kind(), n)
	p, facts := unpackSchema(t, schema)
	file := filepath.Join(t.TempDir(), "trace")
	c := p.command(t.Context(), "token", "list")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := syscalls.Trace(c, file, f.rule(n)...); err != nil {
		t.Fatal(err)
	}
	_ = c.Run()
	calls, err := syscalls.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	met = slices.ContainsFunc(calls, func(c *syscalls.Call) bool { return c.Injected })
	if code := c.ProcessState.ExitCode(); code != exitDone && (code != exitFailure || !met) {
		t.Errorf("%s: exit code %d, a call failed: %t\n%s", what, code, met, &stderr)
	}
	wantOwnWords(t, what, stderr.String())
	if found, _ := filepath.Glob(filepath.Join(p.data, ".husk-*")); len(found) > 0 {
		t.Errorf("%s: there is left %q", what, found)
	}
	if names := p.tokenNames(t); !names["kept"] || !names["limited"] {
		t.Errorf("%s: the tokens are %v", what, names)
	}
	p.ok(t, "audit", "verify", "--head", facts.Audit)
	p.ok(t, "check")
	if err := proveSchema(t.Context(), fmt.Sprintf("%s.schema-%d", p.store(), schema), db.Schema{Version: schema}); err != nil {
		t.Errorf("%s: the copy: %v", what, err)
	}
	return met
}

// TestDowngradeSaysTheWay: a husk that meets a newer store names the one that it needs, and
// what to restore: the copy that it made itself, where that is there.
func TestDowngradeSaysTheWay(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "token", "create", "--name", "kept")
	mine, err := os.ReadFile(p.store())
	if err != nil {
		t.Fatal(err)
	}
	setSchema(t, p.store(), fmt.Sprintf(`{"schema":%d,"needs":"9.8.7","created":"2030-01-02T03:04:05Z"}`, db.SchemaVersion+1))
	wantWay := func(way string) {
		t.Helper()
		for _, args := range [][]string{{"user", "list"}, {"serve", "--addr", "127.0.0.1:0"}, {"compact"}} {
			r := p.want(t, exitInvalid, args...)
			if !strings.Contains(r.stderr, "husk 9.8.7 or a later one is needed") || !strings.Contains(r.stderr, way) {
				t.Errorf("husk %q: %v, want %q", args, r, way)
			}
		}
	}
	wantWay("or restore a backup that this one made: husk restore FILE")
	kept := fmt.Sprintf("%s.schema-%d", p.store(), db.SchemaVersion)
	if err := os.WriteFile(kept, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	wantWay("husk restore " + kept)
	p.ok(t, "restore", kept) // as it says
	if got := p.tokenNames(t); !got["kept"] {
		t.Errorf("the tokens are %v", got)
	}
	newer, err := os.ReadFile(p.store() + ".before-restore")
	if err != nil || bytes.Equal(newer, mine) {
		t.Errorf("the newer store was not kept: %v", err)
	}
	r := p.want(t, exitInvalid, "restore", p.store()+".before-restore")
	if !strings.Contains(r.stderr, "husk 9.8.7 or a later one is needed") {
		t.Errorf("%v", r)
	}
	if err := os.Remove(p.store() + ".before-restore"); err != nil {
		t.Fatal(err)
	}
}
