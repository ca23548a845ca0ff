package upkeep

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"husk/db"
)

// Asked for are beside the scheduled ones: they put none off, push none out, and
// are not taken for one.
func TestAskedBackupsAreNoScheduledOnes(t *testing.T) {
	w := newBackedUp(t, nil)
	made, err := w.BackUpNow(t.Context(), owner)
	must(t, err)
	if every, f := w.LastBackups(); every == 0 || f.Kept != 0 || !f.Newest.IsZero() {
		t.Errorf("it counts as a scheduled one: %+v", f)
	}
	w.backUpWhenDue(t.Context())
	w.wantBackups(2, "a scheduled one was due all the same")
	readBackupFile(t, w.Backups.Dir+"/"+made.Name)
	for range 4 {
		w.pass(25 * time.Hour)
		w.backUpWhenDue(t.Context())
	}
	w.wantBackups(3, "two are kept by schedule, and the other one")
	if names := strings.Join(w.backups(), " "); !strings.Contains(names, made.Name) {
		t.Errorf("it was pushed out: %s", names)
	}
	for range 5 {
		w.pass(time.Minute)
		_, err := w.BackUpNow(t.Context(), owner)
		must(t, err)
	}
	w.wantBackups(5, "two by schedule, three that were asked for")
	if names := strings.Join(w.backups(), " "); strings.Contains(names, made.Name) {
		t.Errorf("the oldest is kept: %s", names)
	}
}

func TestOneBackupAtATime(t *testing.T) {
	var w *watched
	w = newBackedUp(t, func(c *Config) {
		c.Backups.Seal = func(out io.Writer) (io.WriteCloser, error) {
			// While one is made.
			if _, err := w.BackUpNow(t.Context(), owner); !errors.Is(err, ErrMaking) {
				t.Errorf("another is made: %v", err)
			}
			if list, err := w.KeptBackups(); err != nil || !list.Making || !list.Encrypts {
				t.Errorf("the list does not tell: %+v, %v", list, err)
			}
			return reversing{out, new(bool)}, nil
		}
	})
	made, err := w.BackUpNow(t.Context(), owner)
	if err != nil || !made.Encrypted || made.Manifest != "sealed" || made.Bytes == 0 {
		t.Errorf("made %+v, %v", made, err)
	}
	if list, err := w.KeptBackups(); err != nil || list.Making || len(list.Files) != 1 {
		t.Errorf("the list is %+v, %v", list, err)
	}
	w.pass(time.Minute)
	w.backUpWhenDue(t.Context())
	w.wantBackups(2, "one by schedule")
}

// Who looks is in nobody's way, however many do at once: nothing is said to be made
// meanwhile, and what is asked for is made.
func TestLookingAtBackupsIsNoMaking(t *testing.T) {
	w := newBackedUp(t, nil)
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			for range 1_000_000 {
				if w.isMaking() {
					t.Error("one is said to be made, and none is")
					return
				}
			}
		})
	}
	looking.Wait()
}

// Who asked may leave: a proxy does long before a large store is copied. The server
// that ends is another matter.
func TestAskedBackupGoesOn(t *testing.T) {
	w := newBackedUp(t, nil)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := w.BackUpNow(gone, owner); err != nil {
		t.Errorf("it ended with who asked: %v", err)
	}
	events, err := w.Store.Audit(t.Context(), db.AuditQuery{Action: "system.backup", Size: 10})
	if err != nil || len(events.Items) != 1 || events.Items[0].Actor != owner.ID || !strings.HasSuffix(events.Items[0].Target, askedMark+".tar") {
		t.Errorf("the audit log has %+v, %v", events.Items, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	w.Run(ended)
	w.pass(time.Minute)
	if _, err := w.BackUpNow(t.Context(), owner); !errors.Is(err, context.Canceled) {
		t.Errorf("it goes on after the end of the server: %v", err)
	}
}

func TestBackupThatCannotBeMadeOnRequest(t *testing.T) {
	var none *Upkeep
	if _, err := none.BackUpNow(t.Context(), owner); !errors.Is(err, ErrNoBackupDir) {
		t.Errorf("without a server: %v", err)
	}
	w := newBackedUp(t, func(c *Config) {
		c.Backups.Seal = func(io.Writer) (io.WriteCloser, error) { return nil, errors.New("no such key") }
	})
	if _, err := w.BackUpNow(t.Context(), owner); err == nil {
		t.Error("it was made without the key")
	}
	w.wantBackups(0, "it could not be sealed")
}
