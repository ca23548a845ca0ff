//go:build unix

package bolt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
	"husk/db/dbtest/syscalls"
)

// tracedStore is the variable by which the test binary becomes the process
// whose system calls are looked at; with tracedAlone it does one thing after
// the other, all in one thread, with tracedDies it kills itself when a commit
// fails.
const (
	tracedStore = "HUSK_TEST_TRACED_STORE"
	tracedAlone = "HUSK_TEST_TRACED_ALONE"
	tracedDies  = "HUSK_TEST_TRACED_DIES"
	tracedGrows = "grows" // the value of tracedAlone by which the file grows, too
)

// runTraced is what that process does.
func runTraced(path string) {
	// The calls of one thread can be counted, those of several can't.
	runtime.LockOSThread()
	if err := traced(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// traceSelf runs the workload in a process of its own, with one more variable,
// and returns its calls, the folder of its store, and what it said.
func traceSelf(t *testing.T, variable string, options ...string) (calls []*syscalls.Call, dir, said string) {
	t.Helper()
	dir = memory(t)
	calls, said, err := traceIn(t, dir, variable, options...)
	if err != nil {
		t.Errorf("the traced process, %v: %v\n%s", options, err, said)
	}
	return calls, dir, said
}

// traceIn does so in a folder; err is how the process ended.
func traceIn(t *testing.T, dir, variable string, options ...string) (calls []*syscalls.Call, said string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file := filepath.Join(memory(t), "trace")
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), tracedStore+"="+filepath.Join(dir, "husk.db"), "GORACE=atexit_sleep_ms=0", variable)
	if err := syscalls.Trace(cmd, file, options...); err != nil {
		t.Fatal(err)
	}
	out, ended := cmd.CombinedOutput()
	if calls, err = syscalls.Read(file); err != nil {
		t.Fatal(err)
	}
	os.Remove(file) // megabytes, of memory
	return calls, string(out), ended
}

// acts are the operations of the workload, by the words in which they are told:
// "begin WORD ID", and "done WORD ID" or "fail WORD ID" once they are answered.
type acts struct {
	store  *db.Store
	mu     sync.Mutex
	fails  int
	unread int   // reads that failed
	odd    error // a failure that is none of the disk's, or that nobody should read
}

var traceActor = &db.Actor{ID: db.LocalActor, Name: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}

// do tells of an operation in one call of write before it and one after.
func (a *acts) do(word, id string, f func() error) bool {
	fmt.Fprintf(os.Stdout, "begin %s %s\n", word, id)
	if err := f(); err != nil {
		a.note(word, id, plainFailure(err))
		a.mu.Lock()
		a.fails++
		a.mu.Unlock()
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", word, id, err)
		fmt.Fprintf(os.Stdout, "fail %s %s\n", word, id)
		return false
	}
	fmt.Fprintf(os.Stdout, "done %s %s\n", word, id)
	return true
}

// note keeps what must not be.
func (a *acts) note(word, id string, odd error) {
	if odd != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.odd = errors.Join(a.odd, fmt.Errorf("%s %s: %w", word, id, odd))
	}
}

// seen holds what the store says against the answer to a mint or a revoke:
// what failed has not happened, and reads go on.
func (a *acts) seen(word, id string, want bool) {
	_, err := a.store.Token(context.Background(), id)
	switch {
	case err == nil && !want:
		a.note(word, id, errors.New("the token is there"))
	case errors.Is(err, db.ErrNotFound) && want:
		a.note(word, id, errors.New("the token is not there"))
	case err != nil && !errors.Is(err, db.ErrNotFound):
		fmt.Fprintf(os.Stderr, "read %s: %v\n", id, err)
		a.note(word, id, plainFailure(err))
		a.mu.Lock()
		a.unread++
		a.mu.Unlock()
	}
}

// plainFailure answers what is wrong with an error of a disk that fails: each
// has a kind and words of Husk's own.
func plainFailure(err error) error {
	var e *db.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("it has no words of its own: %w", err)
	}
	for _, foreign := range []string{"file resize", "file sync", "husk-new", "input/output", "no space left", "pwrite", "goroutine"} {
		if strings.Contains(e.Reason, foreign) {
			return fmt.Errorf("the words of a library are told: %q", e.Reason)
		}
	}
	return nil
}

func (a *acts) mint(name string) (id string) {
	ctx, id := context.Background(), uuid.NewString()
	hash := sha256.Sum256([]byte(id))
	made := a.do("mint", id, func() error {
		_, err := a.store.CreateToken(ctx, traceActor, db.NewToken{ID: id, Hash: hash[:], Name: name})
		return err
	})
	a.seen("mint", id, made)
	return id
}

func (a *acts) revoke(id string) {
	if _, err := a.store.Token(context.Background(), id); errors.Is(err, db.ErrNotFound) {
		return // its mint failed
	}
	gone := a.do("revoke", id, func() error { return a.store.DeleteToken(context.Background(), traceActor, id) })
	a.seen("revoke", id, !gone)
}

// traced is the workload: it makes a store, and does to it one of each kind,
// then many at once, then what makes the file grow.
func traced(path string) error {
	made := func() error {
		if err := Create(path, db.Init); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil // by a try that failed in the end
	}
	a := &acts{}
	for try := 1; !a.do("create", "store", made); try++ {
		if try == 2 {
			return a.odd
		}
	}
	e, err := Open(path, Options{})
	if err != nil {
		return err
	}
	if os.Getenv(tracedDies) != "" {
		e.commitHook = func(commit func() error) error {
			err := commit()
			if err != nil {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return err
		}
	}
	if a.store, err = db.Open(context.Background(), e, db.Options{}); err != nil {
		return err
	}
	a.oneByOne()
	alone := os.Getenv(tracedAlone) + os.Getenv(tracedDies)
	if alone == "" {
		a.atOnce(5, 4)
	}
	if alone == "" || alone == tracedGrows {
		a.grow()
	}
	for i := range 3 {
		a.mint("last " + strconv.Itoa(i))
	}
	fmt.Fprintf(os.Stdout, "failed %d, unread %d\n", a.fails, a.unread)
	return errors.Join(a.odd, a.store.Close())
}

func (a *acts) oneByOne() {
	ctx, store := context.Background(), a.store
	a.mint("kept")
	a.revoke(a.mint("gone"))
	var u *db.User
	var err error
	made := a.do("user", "ada@example.com", func() error {
		u, err = store.CreateUser(ctx, traceActor, db.NewUser{Email: "ada@example.com", Password: "first"})
		return err
	})
	if !made {
		return
	}
	sessions := make([]*db.Session, 2)
	for i := range sessions {
		if !a.do("login", u.ID, func() error {
			sessions[i], _, err = store.CreateSession(ctx, traceActor, db.SignIn{User: u.ID, Verified: "first", TTL: time.Hour})
			return err
		}) {
			sessions[i] = nil
		}
	}
	if s := sessions[0]; s != nil {
		actor := &db.Actor{ID: u.ID, Name: u.Email, Session: s, Transport: db.TransportOffline}
		a.do("logout", s.ID, func() error { return store.Logout(ctx, actor) })
	}
	if s := sessions[1]; s != nil {
		actor := &db.Actor{ID: u.ID, Name: u.Email, Session: s, Transport: db.TransportOffline}
		a.do("password", u.ID, func() error {
			_, _, err := store.ChangePassword(ctx, actor, db.PasswordChange{Verified: "first", Password: "second", Renew: true})
			return err
		})
	}
	a.do("disable", u.ID, func() error {
		disabled := true
		_, err := store.UpdateUser(ctx, traceActor, u.ID, db.UserChange{Disabled: &disabled})
		return err
	})
	a.mint("after")
}

// atOnce has several at work, whose changes share commits.
func (a *acts) atOnce(workers, rounds int) {
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			before := ""
			for r := range rounds {
				id := a.mint(fmt.Sprintf("%d of %d", r, w))
				if r%2 == 1 {
					a.revoke(before)
				}
				before = id
			}
		})
	}
	all.Wait()
}

func (a *acts) grow() {
	users := make([]db.ImportUser, 450)
	for i := range users {
		email := fmt.Sprintf("user%03d@example.com", i)
		users[i] = db.ImportUser{Line: i + 1, NewUser: db.NewUser{Email: email, Name: strings.Repeat(strconv.Itoa(i)+" ", 40)}}
	}
	a.do("import", "all", func() error {
		_, err := a.store.ImportUsers(context.Background(), traceActor, users, true, false)
		return err
	})
}
