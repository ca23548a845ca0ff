package web_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// runNow does the work in the background, until the test ends.
func (s *server) runNow(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Upkeep.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for h := (api.HealthDetails{}); h.Writable != "yes"; <-tick.C {
		s.do("GET", "/system/health", "", local).want(200).json(&h)
	}
}

func (s *server) ready() bool { return s.do("GET", "/readyz", "").status == 200 }

func (s *server) green() bool {
	return strings.Contains(s.do("GET", "/health", "").body, `"green"`)
}

// A change that was refused says more than the proof before it: nobody waits for
// the end of that proof's life to hear of it. The next one that succeeds, when its
// time has come, is the way back.
func TestRefusalEndsReadiness(t *testing.T) {
	s, disk := newFaulty(t)
	s.runNow(t)
	login := func() answer {
		return s.do("POST", "/account/login", jsonOf(api.Login{Password: singlePassword}))
	}
	for name, fault := range map[string]struct {
		err    error
		status int
	}{"full": {db.ErrFull, 507}, "disk": {db.ErrDisk, 500}, "moved": {db.ErrMoved, 503}} {
		if !s.ready() {
			t.Fatalf("%s: not ready before", name)
		}
		disk.set(func(int) error { return fault.err }, nil)
		login().want(fault.status)
		disk.set(nil, nil)
		for passed := time.Duration(0); passed < 10*time.Second; passed += 5 * time.Second {
			if s.ready() || s.green() {
				t.Errorf("%s: %v after the refusal ready is %t, green %t", name, passed, s.ready(), s.green())
			}
			login().want(200) // which is no proof: it may be smaller than what was refused
			s.clock.advance(5 * time.Second)
		}
		if !s.ready() || !s.green() {
			t.Errorf("%s: not ready again", name)
		}
	}
	// What is refused while a proof is under way counts: nobody knows which was first.
	s.clock.advance(10 * time.Second)
	var during int
	disk.set(nil, func() {
		disk.set(func(int) error { return db.ErrFull }, nil)
		during = login().status
		disk.set(nil, nil)
	})
	if s.ready() || during != 507 {
		t.Errorf("ready is true after a sign-in was %d during the proof", during)
	}
}

// elsewhere is what others may do to a file, or its folder, that is open, with
// the way back, nil where there is none.
func (s *server) elsewhere(t *testing.T) map[string]func() (back func()) {
	dir, aside := filepath.Dir(s.path), t.TempDir()
	rename := func(from, to string) func() {
		must(t, os.Rename(from, to))
		return func() {
			os.RemoveAll(from)
			must(t, os.Rename(to, from))
		}
	}
	kept := filepath.Join(aside, "kept")
	return map[string]func() func(){
		"file moved":   func() func() { return rename(s.path, filepath.Join(aside, "moved")) },
		"folder moved": func() func() { return rename(dir, filepath.Join(aside, "folder")) },
		"file replaced": func() func() {
			must(t, os.Link(s.path, kept))
			other := filepath.Join(aside, "other")
			must(t, os.WriteFile(other, []byte("another"), 0o600))
			must(t, os.Rename(other, s.path))
			return func() { must(t, os.Rename(kept, s.path)) }
		},
		"file deleted, with a name left": func() func() {
			must(t, os.Link(s.path, kept))
			must(t, os.Remove(s.path))
			return func() { must(t, os.Rename(kept, s.path)) }
		},
		"folder replaced": func() func() {
			back := rename(dir, filepath.Join(aside, "folder"))
			must(t, os.Mkdir(dir, 0o700))
			return back
		},
	}
}

// Nothing is done in a file that nobody finds any more, and nothing else is
// claimed. What can be read is, and with the file back all goes on.
func TestFileElsewhere(t *testing.T) {
	s := newServer(t)
	s.runNow(t)
	p := s.single()
	made := s.mint(p.session(), api.NewToken{})
	for name, move := range s.elsewhere(t) {
		t.Run(name, func(t *testing.T) {
			back := move()
			if a := s.do("POST", "/auth/access_token", "", p.session()).want(503, "store_moved"); a.header.Get("Retry-After") != "" {
				t.Error("waiting is said to help")
			}
			s.do("POST", "/account/login", jsonOf(api.Login{Password: singlePassword})).want(503, "store_moved")
			if a := s.do("POST", "/account/logout", "", p.session()).want(503, "store_moved"); a.header.Get("Set-Cookie") != "" {
				t.Error("the cookie is cleared")
			}
			s.do("GET", "/account/profile", "", p.session()).want(200)
			s.do("GET", "/account/profile", "", apiToken(made.AccessToken)).want(200)
			if a := s.do("GET", "/readyz", "").want(503, "not_ready"); !strings.Contains(a.body, "moved") || s.green() {
				t.Errorf("readyz says %s, green %t", a.body, s.green())
			}
			back()
			if !s.ready() { // the refusals are not older than a proof
				s.clock.advance(10 * time.Second)
			}
			if !s.ready() || !s.green() {
				t.Error("not ready with the file back")
			}
			s.do("POST", "/auth/access_token", "", p.session()).want(200)
		})
	}
	if n := strings.Count(s.log.String(), "the data file is not where it was opened"); n != len(s.elsewhere(t)) {
		t.Errorf("the log says so %d times", n)
	}
}
