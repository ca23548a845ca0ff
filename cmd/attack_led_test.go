//go:build attack && linux

package cmd

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attackLedFor is how long each of the swaps goes on.
const attackLedFor = 15 * time.Second

// TestAttackRootIsLed has root's commands work on a folder of another user,
// who exchanges it all the while for a link to a folder of root's, and for a
// folder of root's itself. A command works on theirs or on nothing.
func TestAttackRootIsLed(t *testing.T) {
	needRoot(t)
	dir := openDir(t)
	maker := program{data: filepath.Join(dir, "maker")}
	backup := filepath.Join(dir, "backup.tar")
	maker.ok(t, "token", "create", "--name", "restored")
	maker.ok(t, "backup", "--output", backup)
	byLink, byFolder := newDecoy(t, filepath.Join(dir, "by-link")), newDecoy(t, filepath.Join(dir, "by-folder"))
	theirs := own(t, nobody, dir, "theirs")
	link := linkOf(t, nobody, byLink.data, theirs, "link")
	folder := filepath.Join(theirs, "folder")
	if err := unix.Rename(byFolder.data, folder); err != nil {
		t.Fatal(err)
	}
	byFolder.data = folder
	for name, lure := range map[string]string{"a link": link, "a folder of root's": folder} {
		t.Run(name, func(t *testing.T) {
			data := own(t, nobody, theirs, "data")
			stop := swapping(t, data, lure)
			done, refused := 0, 0
			p := program{data: data, stdin: testPassword + "\n"}
			for began := time.Now(); time.Since(began) < attackLedFor; {
				for _, args := range [][]string{
					{"token", "create"}, {"passwd", "--password-stdin"}, {"backup", "--output", filepath.Join(dir, "out.tar"), "--force"},
					{"compact"}, {"check", "--repair"}, {"restore", backup}, {"token", "list"},
				} {
					switch r := p.run(t, args...); r.code {
					case exitDone:
						done++
					case exitDenied, exitNotFound, exitFailure:
						refused++
					default:
						t.Errorf("husk %q: %v", args, r)
					}
				}
			}
			swaps := stop()
			t.Logf("%d swaps, %d commands worked on their folder, %d were refused", swaps, done, refused)
			if done == 0 || refused == 0 || swaps == 0 {
				t.Error("it was no race")
			}
			byLink.wantUntouched(t)
			if data := unswapped(t, data, lure); data != "" {
				t.Error(data)
			}
			byFolder.wantUntouched(t)
		})
	}
}

// swapping exchanges two names, as their owner could, until stop is called,
// which leaves them as they were.
func swapping(t *testing.T, a, b string) (stop func() (swaps int)) {
	t.Helper()
	ending, n := make(chan struct{}), 0
	var working sync.WaitGroup
	working.Go(func() {
		for {
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
			n++
			select {
			case <-ending:
				if n%2 == 0 {
					return
				}
			default:
			}
		}
	})
	return func() int { close(ending); working.Wait(); return n }
}

// unswapped removes their folder, for the next test.
func unswapped(t *testing.T, data, lure string) string {
	t.Helper()
	if ownerOf(t, data) != nobody {
		return data + " is not theirs after the race"
	}
	if err := unix.Rename(data, data+"-of-"+filepath.Base(lure)); err != nil {
		return err.Error()
	}
	return ""
}
