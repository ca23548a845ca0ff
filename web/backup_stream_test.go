package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

// slowReceiver asks for a backup and takes the header of the answer only.
func (s *server) slowReceiver(jwt string) (c net.Conn, answer *http.Response) {
	s.t.Helper()
	c, err := s.far.dial(s.t.Context(), stranger+":80")
	must(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	must(s.t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = fmt.Fprintf(c, "GET /system/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", jwt)
	must(s.t, err)
	answer, err = http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
	must(s.t, err)
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("status %d", answer.StatusCode)
	}
	return c, answer
}

func (s *server) leftovers() []string {
	left, err := filepath.Glob(filepath.Join(filepath.Dir(s.path), ".husk-*"))
	must(s.t, err)
	return left
}

func (s *server) untilNoCopies() {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); s.Copies() > 0; <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d copies are kept", s.Copies())
		}
	}
}

// While a receiver takes its time there is no read transaction, whatever is
// written, and no file that a killed process would leave.
func TestASlowReceiverOfABackup(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	c, answer := s.slowReceiver(admin.jwt)
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("the copy has a name: %v", left)
	}
	if s.Copies() != 1 {
		t.Errorf("%d copies", s.Copies())
	}
	// A reader that is open keeps the pages that are freed from being used: the
	// file would grow with each change, and does not.
	before := s.store.Stats().Engine
	for i := range 200 {
		made := s.mint(admin.session(), api.NewToken{Name: "brief " + strconv.Itoa(i)})
		_, err := s.client(admin.session()).DeleteToken(t.Context(), made.ID)
		must(t, err)
	}
	if after := s.store.Stats().Engine; after.PendingPages > 50 || after.Commits < before.Commits+400 {
		t.Errorf("%d pages wait for a reader", after.PendingPages)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || int64(len(text)) != answer.ContentLength {
		t.Errorf("%d bytes of %d, %v", len(text), answer.ContentLength, err)
	}
	c.Close()
	s.untilNoCopies()
}

// One that takes nothing any more is given up, and one that leaves is missed.
func TestAReceiverOfABackupThatIsGone(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	c, _ := s.slowReceiver(admin.jwt)
	c.Close()
	s.untilNoCopies()

	s.SetStallTimeout(10 * time.Millisecond)
	_, _ = s.slowReceiver(admin.jwt)
	s.untilNoCopies()
}

// The disk holds so many copies and no more.
func TestManyReceiversOfABackup(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	for range web.MaxCopies {
		s.slowReceiver(admin.jwt)
	}
	a := s.do("GET", "/system/backup", "", admin.session()).want(503)
	must(t, s.local.Backup(t.Context(), io.Discard, "")) // the owner is not kept waiting
	if a.header.Get("Retry-After") == "" || s.Copies() != web.MaxCopies {
		t.Errorf("Retry-After %q, %d copies", a.header.Get("Retry-After"), s.Copies())
	}
}

// shortOf is an engine for whose copy there is no space.
type shortOf struct {
	db.Engine
	errno syscall.Errno
}

// Backup implements db.Backuper.
func (e *shortOf) Backup(_ context.Context, w io.Writer) error {
	if _, err := w.Write(make([]byte, 1000)); err != nil {
		return err
	}
	return fmt.Errorf("page 7: %w", &os.PathError{Op: "write", Path: "/secret", Err: e.errno})
}

func TestABackupWithoutSpace(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		s := newServer(t)
		config := s.Config
		store, err := db.Open(t.Context(), &shortOf{s.store.Engine(), errno}, db.Options{Now: s.clock.now})
		must(t, err)
		config.Store = store
		handler, err := web.New(config)
		must(t, err)
		owner := s.single()
		w := &written{recorder: recorder{header: http.Header{}}}
		r, err := http.NewRequest("GET", "/system/backup", nil)
		must(t, err)
		r.RemoteAddr = stranger + ":1"
		r.Header.Set("Authorization", "Bearer "+owner.jwt)
		handler.ServeHTTP(w, r)
		if w.status != http.StatusInsufficientStorage {
			t.Errorf("%v: %d %s", errno, w.status, &w.body)
		}
		if left := s.leftovers(); len(left) > 0 {
			t.Errorf("%v: left %v", errno, left)
		}
	}
}
