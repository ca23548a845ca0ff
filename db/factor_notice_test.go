package db_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"husk/db"
)

// wrongCode tells a user of a wrong code, as if the flush came at once.
func (f *fixture) wrongCode(user, address string) {
	f.t.Helper()
	f.NoteWrongCode(user, address)
	must(f.t, f.FlushLastUsed(f.ctx))
}

// A wrong code is written by a flush, and not while somebody waits for the answer; and
// before the user's next sign-in, so that it is told there.
func TestWrongCodesWaitInMemory(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	f.NoteWrongCode(ann.ID, "192.0.2.1")
	f.advance(time.Second)
	f.NoteWrongCode(ann.ID, "192.0.2.2")
	if n := f.factors(ann.ID).Notices; len(n) != 0 {
		t.Errorf("it is written already: %+v", n)
	}
	select {
	case <-f.UsesFull():
	default:
		t.Error("nothing asks for a flush")
	}
	want := db.FactorNotice{Kind: db.NoticeWrongCode, Time: f.now(), Address: "192.0.2.2", Count: 2}
	must(t, second1(f.enter(ann.User, nil)))
	for range 2 {
		if n := f.factors(ann.ID).Notices; len(n) != 1 || n[0] != want {
			t.Errorf("after a sign-in the user is told %+v", n)
		}
		must(t, f.FlushLastUsed(f.ctx)) // has no more to write
	}
	f.NoteWrongCode(ann.ID, "192.0.2.3")
	must(t, f.SeenNotices(f.ctx, ann, f.now()))
	must(t, f.FlushLastUsed(f.ctx))
	if n := f.factors(ann.ID).Notices; len(n) != 0 {
		t.Errorf("after it was seen the user is told %+v", n)
	}
}

// What happens again is one notice, with the last of it; it is told until it was seen,
// and what came after that stays.
func TestNotices(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	for i := range 100 {
		f.advance(time.Second)
		f.wrongCode(ann.ID, fmt.Sprint("192.0.2.", i))
	}
	seen := f.now()
	n := f.factors(ann.ID).Notices
	if len(n) != 1 || n[0] != (db.FactorNotice{Kind: db.NoticeWrongCode, Time: seen, Address: "192.0.2.99", Count: 100}) {
		t.Fatalf("the user is told %+v", n)
	}
	must(t, f.SeenNotices(f.ctx, ann, seen.Add(-1)))
	if n := f.factors(ann.ID).Notices; len(n) != 1 {
		t.Errorf("what is not seen yet is forgotten: %+v", n)
	}
	f.withTOTP(ann)
	f.advance(time.Second)
	must(t, second1(f.enter(ann.User, recoveryUse(0, "first"))))
	must(t, f.SeenNotices(f.ctx, ann, seen))
	if n := f.factors(ann.ID).Notices; len(n) != 1 || n[0].Kind != db.NoticeRecoveryUsed {
		t.Errorf("the user is told %+v", n)
	}
	f.wrongCode(ann.ID, "192.0.2.1")
	if n := f.factors(ann.ID).Notices; len(n) != 2 || n[1].Count != 1 {
		t.Errorf("since it was seen there were %+v", n)
	}
	f.wrongCode("nobody", "192.0.2.1")
}

// What is seen by a session that has ended is not.
func TestSeenByWhoIsGone(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	f.wrongCode(ann.ID, "192.0.2.1")
	must(t, f.EndOwnSession(f.ctx, ann, ann.Session.ID))
	if err := f.SeenNotices(f.ctx, ann, f.now()); !errors.Is(err, db.ErrEnded) {
		t.Errorf("%v", err)
	}
	if n := f.factors(ann.ID).Notices; len(n) != 1 {
		t.Errorf("%+v", n)
	}
}

// A passkey that may be a copy is told of by its name, in the audit log too, as is who
// has it; and marked.
func TestPasskeyCopyIsTold(t *testing.T) {
	f, ann := withAll(t)
	by := &db.Actor{Address: "192.0.2.66", Transport: db.TransportHTTP}
	must(t, f.NotePasskeyCopy(f.ctx, by, ann.ID, []byte("counts")))
	all := f.factors(ann.ID)
	if n := all.Notices; len(n) != 1 || n[0].Kind != db.NoticePasskeyCopy || n[0].Name != "key counts" || n[0].Address != "192.0.2.66" {
		t.Errorf("the user is told %+v", n)
	}
	if p := all.Passkey([]byte("counts")); !p.Suspected.Equal(f.now()) || p.Counter != 5 || !all.Passkey([]byte("plain")).Suspected.IsZero() {
		t.Errorf("%+v", all.Passkeys)
	}
	events := f.events()
	if e := events[len(events)-1]; e.Action != "passkey.copied" || e.Target != ann.ID || e.Address != "192.0.2.66" {
		t.Errorf("the log has %+v", e)
	}
	before := len(events)
	must(t, f.NotePasskeyCopy(f.ctx, by, ann.ID, []byte("removed meanwhile")))
	must(t, f.NotePasskeyCopy(f.ctx, by, "nobody", []byte("counts")))
	if n := len(f.events()); n != before {
		t.Errorf("%d entries more of nothing", n-before)
	}
}

// Names are the user's own: however many they make, what is told is bounded, and what
// is of another kind is not pushed out.
func TestNoticesAreBounded(t *testing.T) {
	f := newStore(t)
	ann := f.withSession("ann@example.com")
	p := f.withPasskey(ann, "c", 5)
	f.wrongCode(ann.ID, "192.0.2.1")
	for i := range 30 {
		must(t, f.RenamePasskey(f.ctx, ann, p.ID, fmt.Sprint("name ", i)))
		must(t, f.NotePasskeyCopy(f.ctx, &db.Actor{}, ann.ID, []byte("c")))
	}
	n := f.factors(ann.ID).Notices
	if len(n) != 1+db.MaxPasskeys || n[0].Kind != db.NoticeWrongCode || n[1].Name != "name 10" || n[len(n)-1].Name != "name 29" {
		t.Errorf("%d notices: %+v", len(n), n)
	}
}
