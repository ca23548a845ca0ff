package db_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
)

// gone returns what is known of ended tokens of an owner, or of everybody.
func (f *fixture) gone(owner string) []*db.EndedToken {
	f.t.Helper()
	page, err := f.EndedTokens(f.ctx, db.ListQuery{Owner: owner, Size: 1000})
	must(f.t, err)
	if page.Total != int64(len(page.Items)) {
		f.t.Errorf("%d ended tokens are counted as %d", len(page.Items), page.Total)
	}
	return page.Items
}

// Each way in which a token goes leaves what was known of it, and by whom it went.
func TestEndedTokens(t *testing.T) {
	f := newStore(t)
	ann, root := f.user("ann@example.com"), f.user("root@example.com", db.RoleAdmin)
	asAnn, asRoot := f.as(ann), f.as(root)
	mint := func(name string) *db.Token { f.advance(time.Second); return f.mint(asAnn, db.NewToken{Name: name}) }
	own, shown, rotated, left := mint("own"), mint("shown"), mint("rotated"), mint("left")
	f.NoteTokenUse(own.ID, "192.0.2.1", false)
	must(t, f.FlushLastUsed(f.ctx))
	f.NoteTokenUse(shown.ID, "192.0.2.2", false) // is not written yet
	used := f.now()

	f.advance(time.Minute)
	must(t, f.DeleteToken(f.ctx, asRoot, own.ID))
	f.advance(time.Second)
	_, err := f.EndSecret(f.ctx, asAnn, shown.ID, make([]byte, 32))
	must(t, err)
	// What is replaced has not ended, and neither has a token one of whose secrets has.
	hash := append(make([]byte, 31), 1)
	_, err = f.RotateToken(f.ctx, asAnn, rotated.ID, db.Rotation{Hash: hash, Grace: time.Hour})
	must(t, err)
	_, err = f.EndSecret(f.ctx, asAnn, rotated.ID, make([]byte, 32))
	must(t, err)

	got := f.gone(ann.ID)
	want := []db.EndedToken{
		{ID: shown.ID, Name: "shown", By: ann.ID, ByName: "ann@example.com", Used: used, Address: "192.0.2.2", Ended: f.now()},
		{ID: own.ID, Name: "own", By: root.ID, ByName: "root@example.com", Used: used, Address: "192.0.2.1", Ended: f.now().Add(-time.Second)},
	}
	if len(got) != len(want) {
		t.Fatalf("%d tokens are gone, want %d", len(got), len(want))
	}
	for i, w := range want {
		w.Owner, w.OwnerName, w.Reason, w.Created, w.Expires = ann.ID, "ann@example.com", db.EndedRevoked, got[i].Created, got[i].Expires
		if *got[i] != w {
			t.Errorf("what is known is\n%+v, want\n%+v", *got[i], w)
		}
	}
	if k := own; !got[1].Created.Equal(k.Created) || got[1].Expires != k.Expires {
		t.Errorf("it was made %v and would end %d, not %v and %d", got[1].Created, got[1].Expires, k.Created, k.Expires)
	}

	// Its owner goes, and all the rest with her.
	f.advance(time.Second)
	_, err = f.DeleteUser(f.ctx, asRoot, ann.ID)
	must(t, err)
	_, err = f.Sweep(f.ctx)
	must(t, err)
	got = f.gone("")
	if len(got) != 4 {
		t.Fatalf("%d tokens are gone with their owner", len(got))
	}
	for _, e := range got[:2] {
		if e.Reason != db.EndedOwnerDeleted || e.By != root.ID || e.ByName != "root@example.com" || e.OwnerName != "ann@example.com" || (e.ID != left.ID && e.ID != rotated.ID) {
			t.Errorf("with their owner went %+v", *e)
		}
	}
	for _, key := range f.keys("ended_token") {
		var record string
		f.raw(func(tx db.Tx) error { v, err := tx.Get("ended_token", []byte(key)); record = string(v); return err })
		if strings.Contains(strings.ToLower(record), "hash") || strings.Contains(record, "AAAA") {
			t.Errorf("it has something of a secret: %s", record)
		}
	}
}

// A token that is revoked right after it was used from a new address, or whose owner is
// deleted, leaves that address in the audit log, once: its uses are written every half
// minute, and by then it is gone.
func TestEndedTokenTellsOfItsLastUses(t *testing.T) {
	f := newStore(t)
	ann := f.user("ann@example.com")
	revoked, left := f.mint(f.as(ann), db.NewToken{Name: "revoked"}), f.mint(f.as(ann), db.NewToken{Name: "left"})
	f.NoteTokenUse(revoked.ID, "192.0.2.1", false)
	must(t, f.FlushLastUsed(f.ctx))
	f.NoteTokenUse(revoked.ID, "192.0.2.1", false)
	f.NoteTokenUse(revoked.ID, "203.0.113.66", false)
	f.NoteTokenUse(left.ID, "203.0.113.67", false)
	must(t, f.DeleteToken(f.ctx, local, revoked.ID))
	_, err := f.DeleteUser(f.ctx, local, ann.ID)
	must(t, err)
	_, err = f.Sweep(f.ctx)
	must(t, err)
	must(t, f.FlushLastUsed(f.ctx))
	var told []string
	for _, e := range f.events() {
		if e.Action == "token.use" {
			told = append(told, e.TargetName+" "+e.Address)
		}
	}
	want := []string{"revoked 192.0.2.1", "revoked 203.0.113.66", "left 203.0.113.67"}
	if !slices.Equal(told, want) {
		t.Errorf("the audit log tells of %q, not of %q", told, want)
	}
}

// What had expired and made room is told of, without anybody who did it.
func TestEndedTokensExpired(t *testing.T) {
	f := newStore(t)
	ann := f.user("ann@example.com")
	k, err := f.mintMore(f.as(ann), "", 1, f.now().Add(time.Minute).Unix())
	must(t, err)
	f.advance(time.Hour)
	_, err = f.mintMore(f.as(ann), "", 1, db.Never)
	must(t, err)
	got := f.gone(ann.ID)
	if len(got) != 1 || got[0].ID != k.ID || got[0].Reason != db.EndedExpired || got[0].By+got[0].ByName != "" || !got[0].Ended.Equal(f.now()) {
		t.Errorf("gone are %+v", got)
	}
}

// A user who makes and revokes tokens for ever leaves a bounded number, the newest;
// others lose nothing by it.
func TestEndedTokensAreBounded(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	his := f.mint(f.as(bob), db.NewToken{})
	must(t, f.DeleteToken(f.ctx, local, his.ID))
	at := f.now()
	var many []*db.EndedToken
	for i := range db.MaxEndedTokens - 1 {
		many = append(many, &db.EndedToken{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Owner: ann.ID, Ended: at.Add(time.Duration(i) * time.Millisecond), Reason: db.EndedRevoked})
	}
	must(t, f.PutEnded(f.ctx, many))
	for range 3 {
		f.advance(time.Hour)
		must(t, f.DeleteToken(f.ctx, local, f.mint(f.as(ann), db.NewToken{}).ID))
	}
	got := f.gone(ann.ID)
	if len(got) != db.MaxEndedTokens || got[len(got)-1].ID != many[2].ID {
		t.Errorf("%d are kept, the oldest is %s", len(got), got[len(got)-1].ID)
	}
	if got := f.gone(bob.ID); len(got) != 1 {
		t.Errorf("of another user %d are kept", len(got))
	}

	// And after 90 days, none: a sweep goes in steps.
	f.advance(db.KeepEndedTokens - 4*time.Hour)
	_, err := f.Sweep(f.ctx) // of sessions
	must(t, err)
	if due, err := f.SweepDue(f.ctx); due || err != nil || len(f.gone(ann.ID)) != db.MaxEndedTokens {
		t.Errorf("a sweep is due before its time: %v", err)
	}
	f.advance(5 * time.Hour)
	if due, err := f.SweepDue(f.ctx); !due || err != nil {
		t.Errorf("no sweep is due: %v", err)
	}
	n, err := f.Sweep(f.ctx)
	if err != nil || n < db.MaxEndedTokens-3 {
		t.Errorf("a sweep removed %d, %v", n, err)
	}
	f.advance(2 * time.Hour)
	_, err = f.Sweep(f.ctx)
	must(t, err)
	if got := f.gone(""); len(got) != 0 {
		t.Errorf("%d are kept for longer than 90 days", len(got))
	}
}

// A damaged record of a use, or of an owner who is gone, keeps no token from being
// revoked; and a tombstone of an earlier version, which is a bare time, keeps none
// from being removed.
func TestEndedTokensOfDamage(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	k := f.mint(f.as(ann), db.NewToken{Name: "one"})
	f.NoteTokenUse(k.ID, "192.0.2.1", false)
	must(t, f.FlushLastUsed(f.ctx))
	f.damage("token.use", k.ID)
	must(t, f.DeleteToken(f.ctx, local, k.ID))
	f.broken = false
	if got := f.gone(ann.ID); len(got) != 1 || !got[0].Used.IsZero() {
		t.Errorf("gone are %+v", got)
	}
	f.mint(f.as(bob), db.NewToken{Name: "his"})
	_, err := f.DeleteUser(f.ctx, local, bob.ID)
	must(t, err)
	key := []byte(bob.ID)
	f.raw(func(tx db.Tx) error {
		return tx.Put("estate", key, db.Seal("estate", key, []byte(f.now().Format(time.RFC3339))))
	})
	_, err = f.Sweep(f.ctx)
	must(t, err)
	if got := f.gone(bob.ID); len(got) != 1 || got[0].Reason != db.EndedOwnerDeleted || got[0].By != "" {
		t.Errorf("gone are %+v", got)
	}
	if due, err := f.SweepDue(f.ctx); due || err != nil {
		t.Errorf("a sweep is due yet, %v", err)
	}
}

// A store that a repair makes anew has them, too.
func TestEndedTokensAreRepaired(t *testing.T) {
	f := newStore(t)
	ann := f.user("ann@example.com")
	must(t, f.DeleteToken(f.ctx, local, f.mint(f.as(ann), db.NewToken{}).ID))
	_, aside, s := f.repaired()
	page, err := s.EndedTokens(f.ctx, db.ListQuery{Size: 10})
	if err != nil || len(page.Items) != 1 || len(aside) > 0 {
		t.Errorf("%d are taken over, %d set aside, %v", len(page.Items), len(aside), err)
	}
}

func TestEndedTokenPages(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	var made []string
	for range 5 {
		f.advance(time.Second)
		k := f.mint(ann, db.NewToken{})
		must(t, f.DeleteToken(f.ctx, ann, k.ID))
		made = append(made, k.ID)
	}
	slices.Reverse(made)
	var got []string
	for q := (db.ListQuery{Owner: ann.ID, Size: 2}); ; {
		page, err := f.EndedTokens(f.ctx, q)
		must(t, err)
		for _, e := range page.Items {
			got = append(got, e.ID)
		}
		if q.After = page.After; q.After == "" {
			break
		}
	}
	if !slices.Equal(got, made) {
		t.Errorf("%q, want %q", got, made)
	}
	for _, sort := range []string{"created", "name", "expire_in"} {
		_, err := f.EndedTokens(f.ctx, db.ListQuery{Sort: sort, Size: 2})
		wantErr(t, err, db.ErrInvalid, "bad_sort")
	}
	if _, err := f.Tokens(f.ctx, db.ListQuery{Sort: "ended"}); !errors.Is(err, db.ErrInvalid) {
		t.Errorf("tokens are sorted by when they ended: %v", err)
	}
}
