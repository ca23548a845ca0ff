//go:build attack

package web_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"husk/db"
	"husk/web"
)

// Wrong codes by who has the password, from thousands of addresses, grow neither memory
// nor the file by more than a bound, push nothing out of the audit log, and one notice
// tells of all of them. What is counted per try is none: a million is as bounded.
func TestAttackOnTheSecondFactor(t *testing.T) {
	s := newServer(t, func(c *web.Config) {
		c.LoginLimits = web.LoginLimits{Now: c.LoginLimits.Now} // as shipped
	})
	ann := s.newUser(annEmail)
	phone, codes := s.withTOTP(ann)
	ticket := s.ticket(ann)
	size := func() int64 {
		info, err := os.Stat(s.path)
		must(t, err)
		return info.Size()
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const tries = 6000
	looked := 0
	file, memory, hashes := size(), heap(), s.hasher.Stats().Total
	for i := range tries {
		address := func(r *http.Request) {
			r.URL.Host, r.Close = fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), true
		}
		if i%2 == 0 {
			if s.loginByTicket(ticket, phone.wrong(), address).status == 403 {
				looked++
			}
			continue
		}
		if s.loginBy(ann, ann.password, phone.wrong(), address).status == 403 {
			looked++
		}
	}
	t.Logf("%d tries: %d were looked at, %d hashes, the file grew by %d bytes, the heap by %d", tries, looked, s.hasher.Stats().Total-hashes, size()-file, int64(heap())-int64(memory))
	if looked != free {
		t.Errorf("%d codes were looked at", looked)
	}
	if n := s.hasher.Stats().Total - hashes; n > free {
		t.Errorf("%d hashes", n)
	}
	if grown := size() - file; grown > 4<<20 {
		t.Errorf("the file grew by %d bytes", grown)
	}
	if grown := int64(heap()) - int64(memory); grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	must(t, s.store.FlushLastUsed(t.Context()))
	if all := s.told("totp.create"); len(all) != 1 {
		t.Errorf("totp.create is listed %d times", len(all))
	}
	s.clock.advance(time.Hour)
	in := s.loginBy(ann, ann.password, codes[0]).enter(s)
	if len(in.Notices) != 2 || in.Notices[0].Kind != db.NoticeWrongCode || in.Notices[0].Count != free {
		t.Errorf("told %s", jsonOf(in.Notices))
	}
}
