//go:build attack

package web_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"husk/db"
	"husk/web"
)

// Strangers who try passwords from all addresses of one IPv6 network, and then
// from thousands of networks day by day, push no change out of the audit log,
// make no head that was kept read as tampering, and grow the file by a bound.
func TestAttackOnTheAuditLog(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.LoginLimits = web.LoginLimits{Now: c.LoginLimits.Now} // as shipped
	})
	admin := s.single()
	s.do("POST", "/security/role", `{"name":"evidence","grants":{"permissions":["generic#system/backup"]}}`, admin.session()).want(200)
	seq, head, err := s.store.AuditHead(t.Context())
	must(t, err)
	size := func() int64 {
		info, err := os.Stat(s.path)
		must(t, err)
		return info.Size()
	}
	prune := func() {
		must(t, s.store.FlushLastUsed(t.Context()))
		_, err := s.store.PruneAudit(t.Context(), db.Retention{Changes: 1_000_000, Refusals: 10_000})
		must(t, err)
	}
	holds := func(when, kept string) {
		t.Helper()
		if n := len(s.eventsOf("role.create")); n != 1 {
			t.Errorf("%s role.create is listed %d times", when, n)
		}
		for _, known := range []string{head, fmt.Sprint(seq, ":", head)} {
			if v, err := s.store.VerifyAudit(t.Context(), known); err != nil || !v.OK || v.Kept != kept {
				t.Errorf("%s the head of before is %q: %q, %v", when, v.Kept, v.Problems, err)
			}
		}
	}

	const tries = 6500
	before := seq
	s.flood(tries, func(i int) string { return fmt.Sprintf("[2001:db8::%x:%x]", i>>16, i&0xffff+1) })
	prune()
	now, _, err := s.store.AuditHead(t.Context())
	must(t, err)
	t.Logf("%d tries from one network made %d entries", tries, now-before)
	if now-before > 10 {
		t.Errorf("%d entries", now-before)
	}
	holds("after the flood from one network", db.KeptPresent)

	_, stranger, err := s.store.AuditHead(t.Context())
	must(t, err)
	const days, networks = 12, 3000
	var sizes []int64
	for day := range days {
		for minute := range 3 {
			for i := range networks / 3 {
				s.store.NoteRefusal(&db.Actor{Transport: db.TransportHTTP, Address: fmt.Sprintf("2001:db8:%x:%x::1", day, minute*networks+i)}, "session.login", db.NoTarget)
			}
			must(t, s.store.FlushLastUsed(t.Context()))
			s.clock.advance(time.Minute)
		}
		s.clock.advance(24 * time.Hour)
		prune()
		sizes = append(sizes, size()>>20)
	}
	holds("after days of floods from many networks", db.KeptPresent)
	v, err := s.store.VerifyAudit(t.Context(), stranger)
	must(t, err)
	page, err := s.store.Audit(t.Context(), db.AuditQuery{Size: 1})
	must(t, err)
	left := int64(0)
	for _, e := range s.eventsOf(db.ActionLeftOut) {
		left += int64(e.Count)
	}
	t.Logf("%d days of %d networks: %d entries, %d refusals told as left out, %d pruned; MB by day %v; a stranger's head of before is %s", days, networks, page.Total, left, v.Pruned, sizes, v.Kept)
	if !v.OK || v.Kept != db.KeptPruned {
		t.Errorf("a head that was a stranger's: %+v", v)
	}
	if page.Total > 10_400 || left < 4*(networks-2000) || sizes[days-1] > sizes[6]+2 {
		t.Error("it grows")
	}
}

// flood tries a password from addresses, 16 at a time.
func (s *server) flood(n int, address func(i int) string) {
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for i := worker; i < n; i += 16 {
				s.do("POST", "/account/login", `{"password":"not the right password"}`, from(address(i)))
			}
		})
	}
	all.Wait()
}

// eventsOf returns the entries of an action, as they are listed.
func (s *server) eventsOf(action string) (events []db.Event) {
	s.t.Helper()
	for q := (db.AuditQuery{Action: action, Size: 1000}); ; {
		page, err := s.store.Audit(s.t.Context(), q)
		must(s.t, err)
		for _, e := range page.Items {
			events = append(events, *e)
		}
		if q.After = page.After; q.After == "" {
			return events
		}
	}
}
