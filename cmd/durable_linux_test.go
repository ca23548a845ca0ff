package cmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"husk/db/dbtest/syscalls"
	"husk/web/api"
)

// tracedServer is a server under strace.
type tracedServer struct {
	*server
	file string // of the trace
}

// serveTraced starts husk serve under strace and waits until it serves.
func (p program) serveTraced(t testing.TB, options ...string) *tracedServer {
	t.Helper()
	c := p.command(context.Background(), "serve", "--addr", "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "trace")
	if err := syscalls.Trace(c, file, options...); err != nil {
		t.Fatal(err)
	}
	s := &tracedServer{run(t, c), file}
	s.ready()
	return s
}

// calls stops the server and returns its calls in the order of their effect: a
// sync has it when it ends, everything else when it begins.
func (s *tracedServer) calls() []*syscalls.Call {
	s.t.Helper()
	s.end()
	calls, err := syscalls.Read(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return syscalls.ByEffect(calls)
}

// The stages of a commit.
const (
	stageNone = iota
	stageData
	stageDataSynced
	stageMeta
	stageSynced
)

// stages follows commits through the calls on the store.
type stages struct {
	store string
	now   int
}

// metaEnd is where the metas end and the other pages begin, on machines with
// pages of 4 KiB.
const metaEnd = 8192

func (s *stages) see(c *syscalls.Call) {
	if c.Path() != s.store || !c.OK() {
		return
	}
	sync := strings.HasSuffix(c.Name, "sync")
	switch {
	case c.Name == "pwrite64" && c.Int(3) >= metaEnd:
		s.now = stageData
	case c.Name == "pwrite64" && s.now == stageDataSynced:
		s.now = stageMeta
	case sync && s.now == stageData:
		s.now = stageDataSynced
	case sync && s.now == stageMeta:
		s.now = stageSynced
	}
}

var durableCalls = []string{"-xx", "-s", "100000", "-e", "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"}

// isAnswer tells an answer from what the control socket says before HTTP.
func isAnswer(c *syscalls.Call) bool {
	return !c.Contains("HUSK-CONTROL 1\n") && slices.Contains([]string{"write", "writev", "sendto", "sendmsg"}, c.Name) && strings.HasPrefix(c.Path(), "socket:")
}

// TestSyncBeforeAnswer watches the server's system calls: of each change, data
// and meta are on the disk before the first byte of the answer leaves.
func TestSyncBeforeAnswer(t *testing.T) {
	t.Parallel()
	needStrace(t)
	p := program{data: newData(t), stdin: testPassword + "\n"}
	p.ok(t, "passwd", "--password-stdin")
	token := p.ok(t, "token", "create", "--name", "admin", "--expires", "never")
	s := p.serveTraced(t, durableCalls...)
	ctx, admin := t.Context(), s.client(token)
	var minted api.TokenCreated
	var user api.UserCreated
	session := &api.Client{Base: s.url()}
	changes := []struct {
		name string
		make func() error
	}{
		{"login", func() error {
			in, err := session.Login(ctx, api.Login{Password: testPassword})
			session.JWT = in.AccessToken
			return err
		}},
		{"mint", func() (err error) {
			minted, err = admin.CreateToken(ctx, api.NewToken{Name: "minted"})
			return err
		}},
		{"revoke", func() error { _, err := admin.DeleteToken(ctx, minted.ID); return err }},
		{"change of password", func() error {
			_, err := session.ChangePassword(ctx, api.PasswordChange{OldPassword: testPassword, NewPassword: testPassword + " and more"})
			return err
		}},
		{"logout", func() error { return session.Logout(ctx) }},
		{"new user", func() (err error) {
			user, err = admin.CreateUser(ctx, api.NewUser{Email: "ada@example.com", NoPassword: true})
			return err
		}},
		{"disable", func() error {
			disabled := true
			_, err := admin.UpdateUser(ctx, user.Result.ID, api.UserUpdate{Disabled: &disabled})
			return err
		}},
		{"mint by the socket", func() error { p.ok(t, "token", "create", "--name", "by the socket"); return nil }},
	}
	for _, c := range changes {
		if err := c.make(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	at, commit := 0, stages{store: filepath.Join(p.data, embedded.file)}
	for _, c := range s.calls() {
		commit.see(c)
		if !isAnswer(c) {
			continue
		}
		if at == len(changes) {
			t.Fatalf("one answer too many: %s", c)
		}
		if !c.Contains("HTTP/1.1 200 ") {
			t.Fatalf("the answer to %s does not begin so: %s", changes[at].name, c)
		}
		if commit.now != stageSynced {
			t.Errorf("%s is answered at stage %d of its commit, want %d", changes[at].name, commit.now, stageSynced)
		}
		commit.now = stageNone
		at++
	}
	if at != len(changes) {
		t.Errorf("%d of %d answers were seen", at, len(changes))
	}
}

// TestSyncBeforeAnswerUnderLoad does so where changes share commits: the one
// that holds a token is on the disk before the token is answered.
func TestSyncBeforeAnswerUnderLoad(t *testing.T) {
	t.Parallel()
	needStrace(t)
	const clients, each = 8, 6
	p := program{data: newData(t)}
	token := p.ok(t, "token", "create", "--name", "admin", "--expires", "never")
	s := p.serveTraced(t, durableCalls...)
	var mu sync.Mutex
	var minted []string
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				k, err := s.client(token).CreateToken(t.Context(), api.NewToken{Name: "under load"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				minted = append(minted, k.ID)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	calls := s.calls()
	for _, id := range minted {
		commit := stages{store: filepath.Join(p.data, embedded.file)}
		written, answered := false, false
		for _, c := range calls {
			if written = written || c.Path() == commit.store && c.Contains(id); written && commit.now != stageSynced {
				commit.see(c)
			}
			if isAnswer(c) && c.Contains(id) {
				answered = true
				break
			}
		}
		if !written || !answered || commit.now != stageSynced {
			t.Errorf("token %s: written %t, answered %t at stage %d of its commit, want %d", id, written, answered, commit.now, stageSynced)
		}
	}
	if len(minted) != clients*each {
		t.Errorf("%d tokens were made", len(minted))
	}
}

// TestFolderThatCantBeRead has a store in a folder that its owner may enter but
// not list: the folder can't be synced, and is nothing new.
func TestFolderThatCantBeRead(t *testing.T) {
	t.Parallel()
	needRoot(t)
	p := program{data: filepath.Join(openDir(t), "data"), uid: nobody}
	if err := errors.Join(os.Mkdir(p.data, 0o700), os.Chown(p.data, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	p.ok(t, "token", "create", "--name", "first")
	if err := os.Chmod(p.data, 0o311); err != nil {
		t.Fatal(err)
	}
	p.ok(t, "token", "create", "--name", "second")
}

// TestSyncBeforeAnswerOffline watches the first command of all, which makes
// folders and store: all of their names are durable, too, before it prints.
func TestSyncBeforeAnswerOffline(t *testing.T) {
	t.Parallel()
	needStrace(t)
	p := program{data: filepath.Join(newData(t), "some", "where")}
	c := p.command(t.Context(), "token", "create", "--name", "first")
	file := filepath.Join(t.TempDir(), "trace")
	if err := syscalls.Trace(c, file, "-e", "trace=mkdir,mkdirat,link,linkat,pwrite64,fdatasync,fsync,write"); err != nil {
		t.Fatal(err)
	}
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	calls, err := syscalls.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	commit, unsafe, made := stages{store: filepath.Join(p.data, embedded.file)}, map[string]bool{}, 0
	for _, c := range syscalls.ByEffect(calls) {
		commit.see(c)
		switch {
		case strings.HasPrefix(c.Name, "mkdir") && c.OK(), strings.HasPrefix(c.Name, "link") && c.OK():
			for i := range c.Args {
				if path := c.Named(i); path != "" {
					unsafe[filepath.Dir(path)] = true
				}
			}
			made++
		case c.Name == "fsync" && c.OK():
			delete(unsafe, c.Path())
		case c.Name == "write" && c.Contains(string(out[:8])):
			if made != 4 || len(unsafe) > 0 || commit.now != stageSynced {
				t.Errorf("%d names were made, and when the token is printed %v are not synced, and the commit is at stage %d", made, unsafe, commit.now)
			}
			return
		}
	}
	t.Error("the token was not printed")
}
