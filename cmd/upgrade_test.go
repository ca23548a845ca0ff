//go:build unix

package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
	"husk/web/api"
)

// The release before, whose stores this one takes over. It is built of this repository.
const (
	releaseBefore = "0.1.0"
	commitBefore  = "131feaac03d9ef34af006e89c2e76d7ff122459d"
	schemaBefore  = 3
)

var errNoHistory = errors.New("the commit of husk " + releaseBefore + " is not here: the whole history of the repository is needed, which a copy of the source and a shallow clone lack")

// builtBefore builds the release before, once, and returns its folder.
var builtBefore = sync.OnceValues(func() (dir string, err error) {
	if exec.Command("git", "-C", "..", "cat-file", "-e", commitBefore+"^{commit}").Run() != nil {
		return "", errNoHistory
	}
	if dir, err = folderOfRun(); err != nil {
		return "", err
	}
	build := exec.Command("bash", "-euc", `mkdir source && git -C "$1" archive "$2" | tar -x -C source && cd source && go build -trimpath -o "../husk-$3" . && cd .. && rm -r source`, "bash", filepath.Dir(workingFolder()), commitBefore, releaseBefore)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build husk %s: %w: %s", releaseBefore, err, out)
	}
	return dir, nil
})

func workingFolder() string {
	dir, _ := os.Getwd() // of a test, which go test has started there
	return dir
}

// beforeFolder is the folder with husk-0.1.0 in it.
func beforeFolder(t *testing.T) string {
	t.Helper()
	dbtest.TakesVeryLong(t, "the release before, built")
	dir, err := builtBefore()
	if errors.Is(err, errNoHistory) {
		prerequisite(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// livedIn is a store that the release before has made and used, and what it said of it.
type livedIn struct {
	before, after program // the same store, by the one husk and the other
	facts         schemaFacts
	limited       string // a token of bob's
	lists         map[string]string
	backup        string
}

// listsOf are what both releases tell of a store.
var listsOf = [][]string{{"user", "list"}, {"token", "list"}, {"role", "list"}, {"session", "list"}, {"key", "list"}, {"audit", "list", "--last", "500"}}

func newLivedIn(t *testing.T) *livedIn {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	l := &livedIn{before: program{path: filepath.Join(beforeFolder(t), "husk-"+releaseBefore), data: data, env: []string{"HUSK_SESSION_TTL=3650d"}}, after: program{data: data}, lists: map[string]string{}}
	t.Cleanup(func() { wantWhole(t, data) })
	p := l.before
	l.facts.Password = "a kettle on the hob"
	p.stdin = l.facts.Password + "\n"
	p.ok(t, "user", "create", "ann@example.com", "--name", "Ann", "--role", "admin", "--password-stdin")
	p.ok(t, "user", "create", "bob@example.com", "--password-stdin")
	p.ok(t, "user", "create", "gone@example.com", "--generate")
	p.ok(t, "role", "set", "reader", "--permission", "generic#security:user/read", "--description", "may look")
	p.ok(t, "user", "update", "bob@example.com", "--role", "reader")
	l.facts.Token = p.ok(t, "token", "create", "--user", "ann@example.com", "--name", "kept", "--expires", "never")
	l.limited = p.ok(t, "token", "create", "--user", "bob@example.com", "--name", "limited", "--expires", "365d", "--permission", "generic#security:user/read")
	p.ok(t, "token", "create", "--user", "gone@example.com", "--name", "ended")
	p.ok(t, "token", "revoke", "ended")
	p.ok(t, "user", "delete", "gone@example.com")
	s := p.serve(t)
	l.facts.JWT = signInAsAnn(t, s, l.facts.Password).AccessToken
	if _, err := s.client("").Login(t.Context(), api.Login{Email: "ann@example.com", Password: "a wrong one"}); err == nil {
		t.Error("a wrong password is taken")
	}
	p.ok(t, "key", "rotate")
	if _, err := s.client(l.facts.Token).Profile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.end()
	p.ok(t, "user", "disable", "bob@example.com")
	p.ok(t, "user", "enable", "bob@example.com")
	l.facts.Audit = p.ok(t, "audit", "head")
	for _, list := range listsOf {
		l.lists[strings.Join(list, " ")] = p.ok(t, append(list, "--json")...)
	}
	l.backup = filepath.Join(t.TempDir(), "before.tar")
	p.ok(t, "backup", "--output", l.backup)
	return l
}

// wantAll: all that was there is there, and good. by is the husk that is asked.
func (l *livedIn) wantAll(t *testing.T, by program) {
	t.Helper()
	for _, list := range listsOf {
		name := strings.Join(list, " ")
		var was, is []map[string]any
		if err := errors.Join(json.Unmarshal([]byte(l.lists[name]), &was), json.Unmarshal([]byte(by.ok(t, append(list, "--json")...)), &is)); err != nil || len(was) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		for _, record := range was {
			if !holdsRecord(is, record) {
				t.Errorf("%s has no %v any more, but %v", name, record, is)
			}
		}
	}
	for _, token := range []string{l.facts.Token, l.limited} {
		by.stdin = token
		if got := by.ok(t, "token", "check"); !strings.Contains(got, "valid:        yes") {
			t.Errorf("a token:\n%s", got)
		}
	}
	by.ok(t, "audit", "verify", "--head", l.facts.Audit)
	by.ok(t, "check")
	s := by.serve(t)
	defer s.end()
	for _, c := range []*api.Client{s.client(l.facts.Token), {Base: s.url(), JWT: l.facts.JWT}} {
		if profile, err := c.Profile(t.Context()); err != nil || profile.Email != "ann@example.com" {
			t.Errorf("the profile is %+v, %v", profile, err)
		}
	}
	signInAsAnn(t, s, l.facts.Password)
}

// whatMoves is what use alone changes of a record.
var whatMoves = map[string]bool{"last_used": true, "last_ip": true, "last_login": true, "last_seen": true, "updated": true, "current": true}

// holdsRecord tells whether a list has a record with all that was known of it, and perhaps
// more.
func holdsRecord(list []map[string]any, record map[string]any) bool {
	for _, other := range list {
		same := true
		for name, value := range record {
			same = same && (whatMoves[name] || fmt.Sprint(other[name]) == fmt.Sprint(value))
		}
		if same {
			return true
		}
	}
	return false
}

// filesOf are the files of the data folder, with what is in them.
func (l *livedIn) filesOf(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	names, err := filepath.Glob(filepath.Join(l.after.data, "*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = string(text)
	}
	return files
}

// TestUpgradeFromTheReleaseBefore goes there and back: the server of the release before is
// met while it runs, its store is taken over whole, it refuses the new one by name, and goes
// on with the copy that was kept, or with its own backup.
func TestUpgradeFromTheReleaseBefore(t *testing.T) {
	dbtest.NoRace(t, "another program")
	dbtest.TakesVeryLong(t, "the release before, built and used")
	t.Parallel()
	l := newLivedIn(t)
	l.besideTheOlder(t)
	l.wantAll(t, l.before)

	l.wantAll(t, l.after)
	kept := fmt.Sprintf("%s.schema-%d", l.after.store(), schemaBefore)
	if err := proveSchema(t.Context(), kept, db.Schema{Version: schemaBefore}); err != nil {
		t.Fatalf("the copy: %v", err)
	}
	l.after.ok(t, "token", "create", "--name", "of the newer", "--host", "app.example.com")
	l.olderRefuses(t)

	// Back by the copy, which the newer one puts in place as it is.
	if r := l.after.want(t, exitDone, "restore", kept, "--yes"); !strings.Contains(r.stderr, "is in place: 3 users and 2 tokens") {
		t.Errorf("%v", r)
	}
	l.wantAll(t, l.before)
	if l.before.tokenNames(t)["of the newer"] {
		t.Error("the older one has what came after the copy")
	}
	// And forward again, by the store that was set aside meanwhile.
	l.after.ok(t, "restore", l.after.store()+".before-restore", "--yes")
	if !l.after.tokenNames(t)["of the newer"] {
		t.Error("what was made by the newer one is lost")
	}
	l.wantAll(t, l.after)

	// Back by the backup of the older one, and by the file, as 0.1.0 has it alone.
	l.before.ok(t, "restore", l.backup)
	l.wantAll(t, l.before)
	if err := os.Rename(kept, l.before.store()); err != nil {
		t.Fatal(err)
	}
	l.wantAll(t, l.before)
	l.after.ok(t, "restore", l.backup)
	l.wantAll(t, l.after)
}

// besideTheOlder: a running server of the release before is asked as any other, and what
// needs the file is told who has it.
func (l *livedIn) besideTheOlder(t *testing.T) {
	t.Helper()
	s := l.before.serve(t)
	defer s.end()
	l.after.ok(t, "user", "list")
	l.after.ok(t, "check")
	for _, args := range [][]string{{"serve", "--addr", "127.0.0.1:0"}, {"restore", l.backup, "--yes"}, {"compact"}} {
		r := l.after.want(t, exitBusy, args...)
		if want := fmt.Sprintf("in use by process %d", s.cmd.Process.Pid); !strings.Contains(r.stderr, want) {
			t.Errorf("husk %q does not say %q: %v", args, want, r)
		}
	}
	elsewhere := program{data: newData(t)}
	if r := elsewhere.want(t, exitBusy, "restore", l.before.store(), "--yes"); !strings.Contains(r.stderr, "that store is in use") {
		t.Errorf("the store of a running server was copied: %v", r)
	}
}

// olderRefuses: the release before does not touch a newer store, and says what it needs.
func (l *livedIn) olderRefuses(t *testing.T) {
	t.Helper()
	newer := filepath.Join(t.TempDir(), "newer.tar")
	l.after.ok(t, "backup", "--output", newer)
	files := l.filesOf(t)
	for _, args := range [][]string{
		{"user", "list"}, {"serve", "--addr", "127.0.0.1:0"}, {"token", "create"}, {"check"}, {"check", "--repair"}, {"compact"}, {"backup", "--output", newer + ".x"}, {"restore", newer},
	} {
		r := l.before.want(t, exitInvalid, args...)
		if want := fmt.Sprintf("husk 0.2.0 or a later one is needed: its schema is %d, this husk knows %d", db.SchemaVersion, schemaBefore); !strings.Contains(r.stderr, want) {
			t.Errorf("husk %s %q says %v", releaseBefore, args, r)
		}
		if !maps.Equal(files, l.filesOf(t)) {
			t.Fatalf("husk %s %q has changed a store of a newer one", releaseBefore, args)
		}
	}
}

// TestUpgradeWithoutAGap: behind a socket that is held for both, the release before makes
// room for this one under load, its store is upgraded, and no request fails.
func TestUpgradeWithoutAGap(t *testing.T) {
	dbtest.NoRace(t, "another program")
	dbtest.TakesVeryLong(t, "the release before, replaced under load")
	t.Parallel()
	data, husk := newData(t), filepath.Join(beforeFolder(t), "husk-"+releaseBefore)
	token := program{path: husk, data: data}.ok(t, "token", "create", "--name", "load")
	addr, socket := listenLocal(t)
	// Who passes a socket says to which process, which is known after the fork.
	before := program{path: "/bin/sh", data: data, sockets: []*os.File{socket}}.spawn(t, "-c", `LISTEN_PID=$$ exec "$0" "$@"`, husk, "serve")
	before.ready()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	l := &load{t: t, base: "http://" + addr, token: token, deadline: ctx}
	for _, keep := range []bool{true, false} {
		l.client(keep, 0, l.read)
		l.client(keep, 10*time.Millisecond, l.makeToken)
	}
	progress := func() {
		t.Helper()
		asked := l.asked.Load()
		eventually(t, "the load goes on", func() bool { return l.asked.Load() > asked+100 })
	}
	progress()
	before.end()
	after := program{data: data, sockets: []*os.File{socket}}.spawn(t, "serve")
	after.ready()
	progress()
	l.stop.Store(true)
	l.clients.Wait()
	after.end()
	t.Logf("%d requests, %d tokens made", l.asked.Load(), len(l.made))
	if len(l.failed) > 0 {
		t.Errorf("%d requests failed; the first: %v", len(l.failed), l.failed[0])
	}
	if err := proveSchema(t.Context(), fmt.Sprintf("%s.schema-%d", filepath.Join(data, embedded.file), schemaBefore), db.Schema{Version: schemaBefore}); err != nil {
		t.Errorf("it was not upgraded: %v", err)
	}
	var tokens []api.Token
	if err := json.Unmarshal([]byte(program{data: data}.ok(t, "token", "list", "--json")), &tokens); err != nil || len(tokens) != len(l.made)+1 {
		t.Errorf("%d tokens were made, and %d are there (%v)", len(l.made), len(tokens), err)
	}
}
