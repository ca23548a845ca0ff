package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/ratelimit"
)

// told returns the entries of an action, the oldest first, with what waits in
// memory.
func (s *server) told(action string) (events []db.Event) {
	s.t.Helper()
	must(s.t, s.store.FlushLastUsed(context.Background()))
	for _, e := range s.events() {
		if e.Action == action {
			events = append(events, e)
		}
	}
	return events
}

// Who takes all there is, and who reads the log, is in the log: before the first
// byte leaves, and with how much of it was taken.
func TestReadsAreAudited(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	s.do("GET", "/system/backup?to=/elsewhere", "", admin.session()).want(200)
	s.do("HEAD", "/system/backup", "", admin.session()).want(200)
	must(t, s.local.Backup(t.Context(), io.Discard, "/var/backups/\x00\nhusk.tar"))
	must(t, s.local.Backup(t.Context(), io.Discard, strings.Repeat("ü", 1200)))
	must(t, s.local.Backup(t.Context(), io.Discard, ""))
	var got []string
	for _, e := range s.told("system.backup") {
		got = append(got, fmt.Sprintf("%s %s %s %.30s %s", e.Actor, e.Transport, e.Address, e.Target, e.Result))
		if e.RequestID == "" || len(e.Target) > 1000 {
			t.Errorf("%+v", e)
		}
	}
	want := []string{
		"coco-default-user http 192.0.2.1 stream ok",
		"local offline  /var/backups/??husk.tar ok",
		"local offline  …" + strings.Repeat("ü", 29) + " ok",
		"local offline  stream ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("backups are told as %q, want %q", got, want)
	}
	if broken := s.told("system.backup_broken"); len(broken) != 0 {
		t.Errorf("none broke off: %+v", broken)
	}
	text := s.do("GET", "/security/audit/_export", "", admin.session()).want(200).body
	s.do("HEAD", "/security/audit/_export", "", admin.session()).want(200)
	if e := s.told("audit.export"); len(e) != 1 || e[0].Actor != db.SingleUser || e[0].Target != "stream" || !strings.Contains(text, `"action":"audit.export"`) {
		t.Errorf("exports are told as %+v", e)
	}
}

// Of a backup that breaks off it is told that it left, and how much was taken,
// also where the credential has ended meanwhile.
func TestABrokenBackupIsAudited(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	c, answer := s.slowReceiver(admin.jwt)
	if e := s.told("system.backup"); len(e) != 1 || e[0].Actor != db.SingleUser {
		t.Errorf("before a byte of it is taken: %+v", e)
	}
	s.do("POST", "/account/logout", "", admin.session()).want(200)
	c.Close()
	s.untilNoCopies()
	e := s.told("system.backup_broken")
	if len(e) != 1 || e[0].Actor != db.SingleUser || e[0].Address != stranger || !strings.HasSuffix(e[0].Target, fmt.Sprintf(" of %d bytes", answer.ContentLength)) {
		t.Errorf("broken off: %+v", e)
	}
}

// A disk that is full keeps nobody from what is read; the entry comes when
// there is room, and until then the log has it.
func TestReadsOnAFullDisk(t *testing.T) {
	s, disk := newFaulty(t)
	admin := s.single()
	for _, path := range []string{"/security/audit/_export", "/system/backup"} {
		disk.set(full, nil)
		a := s.do("GET", path, "", admin.session())
		disk.set(nil, nil)
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if !strings.Contains(s.log.String(), "this is not in the audit log yet") {
		t.Error("the log has no line of it")
	}
	for _, action := range []string{"audit.export", "system.backup"} {
		if e := s.told(action); len(e) != 1 || e[0].Actor != db.SingleUser || e[0].Result != db.ResultOK {
			t.Errorf("%s: %+v", action, e)
		}
	}
}

// What is refused for want of rights is told of somebody known, by the minute;
// what nobody may, and nobody's tries, are no such thing.
func TestRefusalsForWantOfRightsAreAudited(t *testing.T) {
	s := newServer(t)
	ann := s.newUser(annEmail)
	for range 30 {
		s.do("GET", "/security/user/_search", "", ann.session()).want(403, "not_permitted")
	}
	s.do("GET", "/auth/access_token/_search?owner=*", "", ann.session()).want(403, "administrator_required")
	s.do("POST", "/auth/access_token", `{"permissions":["generic#security:user/create"]}`, ann.session()).want(403, "asks_more")
	s.do("GET", "/security/user/_search", "").want(401)
	s.do("GET", "/security/user/_search", "", apiToken("x")).want(401)
	s.do("PUT", "/account/password", `{"old_password":"wrong, and long enough","new_password":"nine crates of quinces"}`, ann.session()).want(403, "wrong_password")
	s.do("GET", "/account/sessions", "", apiToken(s.mintFor(ann, api.NewToken{}).AccessToken)).want(403, "session_required")
	got := map[string]int{}
	for _, e := range s.told("access.refused") {
		got[e.Target] += e.Count
		if e.Actor != ann.id || e.Result != db.ResultRefused || e.Address != stranger || e.RequestID == "" {
			t.Errorf("%+v", e)
		}
	}
	want := map[string]int{db.PermUserSearch: 30, db.PermTokenSearch: 1, db.PermTokenCreate: 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("refusals are told as %v, want %v", got, want)
	}
}

// What the audit log folds is what the throttle counts together.
func TestNetworksAreThoseOfTheThrottle(t *testing.T) {
	addresses := []string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:80", "192.0.2.2", "2001:db8::1", "2001:db8::ffff:1:2", "[2001:db8::2]:443",
		"2001:db8:0:1::1", "2001:db8:0:0:8000::", "fe80::1%eth0", "fe80::2", "::1", "::2", "no address", "", "2001:DB8::A"}
	for _, a := range addresses {
		for _, b := range addresses {
			l := ratelimit.New(ratelimit.Config{AddressFree: 1, Base: time.Minute, Now: newClock().now})
			first, _ := l.Allow("ann", a, false)
			first.End()
			second, _ := l.Allow("bob", b, false)
			if one := second == nil; one != (db.NetworkOf(a) == db.NetworkOf(b)) && a != "" && b != "" {
				t.Errorf("%q and %q are one to the throttle: %t; to the audit log %q and %q", a, b, one, db.NetworkOf(a), db.NetworkOf(b))
			}
			second.End()
		}
	}
}
