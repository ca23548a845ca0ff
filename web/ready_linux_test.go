package web_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"husk/web/api"
)

// smallDisk is a file system of a few megabytes, with a way to take all of its
// space but so many pages.
type smallDisk struct {
	t       *testing.T
	dir     string
	ballast *os.File
}

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	missing := ""
	d := &smallDisk{t: t, dir: t.TempDir()}
	if os.Geteuid() != 0 {
		missing = "only root can mount"
	} else if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		missing = "mount: " + err.Error()
	}
	if missing != "" && os.Getenv("CI") == "true" {
		t.Fatal(missing)
	} else if missing != "" {
		t.Skip(missing)
	}
	var err error
	d.ballast, err = os.Create(filepath.Join(d.dir, "ballast"))
	must(t, err)
	t.Cleanup(func() {
		must(t, d.ballast.Close())
		must(t, syscall.Unmount(d.dir, 0))
	})
	return d
}

// leave takes all space but that of n pages.
func (d *smallDisk) leave(n int64) {
	d.t.Helper()
	const page = 4096
	var size int64
	if info, err := d.ballast.Stat(); err == nil {
		size = info.Size()
	}
	var fs syscall.Statfs_t
	must(d.t, syscall.Statfs(d.dir, &fs))
	for fs.Bfree > uint64(n) {
		if _, err := d.ballast.WriteAt(make([]byte, page), size); errors.Is(err, syscall.ENOSPC) {
			break
		}
		size += page
		must(d.t, syscall.Statfs(d.dir, &fs))
	}
	must(d.t, d.ballast.Truncate(max(0, size-max(0, n-int64(fs.Bfree))*page)))
}

// runIn makes a running server whose store is on the disk.
func (d *smallDisk) runIn(t *testing.T) *server {
	t.Setenv("TMPDIR", d.dir)
	s := newServer(t)
	s.runNow(t)
	return s
}

// However much room there is: a server that says that it is ready signs people
// in, one that can't says that it is not ready, at the very next question, and
// with room again it is ready after the life of a proof.
func TestReadyOnAFullDisk(t *testing.T) {
	d := newSmallDisk(t)
	wronglyReady, refused, idle := 0, 0, 0
	t.Run("run", func(t *testing.T) {
		s := d.runIn(t)
		login := func() int {
			return s.do("POST", "/account/login", jsonOf(api.Login{Password: singlePassword})).status
		}
		rooms, rounds := []int64{0, 1, 2, 9, 17, 33}, 12
		if os.Getenv("HUSK_LONG") != "" {
			rooms, rounds = nil, 40
			for room := range int64(48) {
				rooms = append(rooms, room)
			}
		}
		for _, room := range rooms {
			for range rounds {
				d.leave(room)
				s.clock.advance(10 * time.Second)
				ready, status := s.ready(), login()
				switch {
				case status == 507:
					refused++
					if ready {
						wronglyReady++
					}
					if s.ready() || s.green() {
						t.Fatalf("with room for %d pages: ready %t and green %t after a sign-in was refused", room, s.ready(), s.green())
					}
				case status != 200:
					t.Fatalf("sign-in = %d", status)
				case !ready:
					idle++
				}
			}
			d.leave(1 << 20)
			s.clock.advance(10 * time.Second)
			if !s.ready() || !s.green() || login() != 200 {
				t.Fatalf("not ready with room again")
			}
		}
	})
	t.Logf("%d sign-ins were refused, %d of them by a server that was ready; %d were possible where it was not", refused, wronglyReady, idle)
	if wronglyReady > 0 || refused == 0 {
		t.Errorf("%d of %d refused sign-ins were by a server that said it was ready", wronglyReady, refused)
	}
}
