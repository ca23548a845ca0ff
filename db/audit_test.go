package db_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"husk/db"
)

// events returns the audit log, oldest first.
func (f *fixture) events() (events []db.Event) {
	f.t.Helper()
	must(f.t, f.engine.View(f.ctx, func(tx db.Tx) error {
		return tx.Scan("audit", nil, nil, false, func(key, sealed []byte) bool {
			value, err := db.Unseal("audit", key, sealed)
			must(f.t, err)
			var e db.Event
			must(f.t, json.Unmarshal(value, &e))
			events = append(events, e)
			return true
		})
	}))
	return events
}

func (f *fixture) actions() (actions []string) {
	for _, e := range f.events() {
		actions = append(actions, e.Action)
	}
	return actions
}

func TestAudit(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	actor := f.as(u)
	actor.RequestID = "r-1"
	k := f.mint(actor, db.NewToken{})
	must(t, f.UpdateToken(f.ctx, actor, k.ID, db.TokenChange{Name: "x"}))
	must(t, f.DeleteToken(f.ctx, actor, k.ID))
	_, _, err := f.ChangePassword(f.ctx, actor, db.PasswordChange{Verified: u.Password, Password: "hash"})
	must(t, err)
	must(t, f.Logout(f.ctx, actor))
	_, err = f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: ptr("Ann"), Password: ptr("hash 2"), Disabled: ptr(true)})
	must(t, err)
	_, err = f.DeleteUser(f.ctx, local, u.ID)
	must(t, err)
	want := []string{"store.create", "user.create", "session.login", "token.create", "token.update", "token.delete", "user.password", "session.logout",
		"user.password", "user.disable", "user.update", "user.delete"}
	if got := f.actions(); !slices.Equal(got, want) {
		t.Errorf("the log says %v, want %v", got, want)
	}
	for i, e := range f.events() {
		if e.Seq != uint64(i+1) || (e.Prev == "") != (i == 0) || e.PrevChange != e.Prev || e.Result != "ok" || e.Count != 1 || (i > 0 && !e.Time.Equal(f.now())) {
			t.Errorf("entry %d is %+v", i+1, e)
		}
	}
	e := f.events()[3]
	e.Prev, e.PrevChange = "", ""
	if want := (db.Event{Seq: 4, Time: f.now(), Actor: u.ID, ActorName: "ann@example.com", Transport: "http", Address: "192.0.2.1", Action: "token.create", Target: k.ID, TargetName: k.Name, Result: "ok", RequestID: "r-1", Count: 1}); e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
	// No entry has a password, a hash or a token.
	if text := fmt.Sprint(f.events()); strings.Contains(text, "hash") {
		t.Errorf("the log holds a hash: %s", text)
	}
}

// A change and its entry are one: what fails leaves neither.
func TestAuditIsInTheSameTransaction(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	actor := f.as(u)
	k := f.mint(actor, db.NewToken{})
	before := f.actions()
	failure := errors.New("failure")
	if err := f.Note(f.ctx, actor, failure, "lost", "lost too"); err != failure {
		t.Errorf("%v", err)
	}
	name := strings.Repeat("n", db.MaxName+1)
	for what, do := range map[string]func() error{
		"a taken email": func() error { _, err := f.CreateUser(f.ctx, local, db.NewUser{Email: "ANN@example.com"}); return err },
		"no such role": func() error {
			_, err := f.CreateUser(f.ctx, local, db.NewUser{Email: "b@example.com", Roles: []string{"wizard"}})
			return err
		},
		"more than one has": func() error {
			_, err := f.CreateUser(f.ctx, actor, db.NewUser{Email: "b@example.com", Roles: []string{"admin"}})
			return err
		},
		"the last one": func() error { _, err := f.DeleteUser(f.ctx, local, db.SingleUser); return err },
		"a long name":  func() error { return f.UpdateToken(f.ctx, actor, k.ID, db.TokenChange{Name: name}) },
		"not theirs":   func() error { return f.DeleteToken(f.ctx, f.as(f.user("eve@example.com")), k.ID) },
		"absent":       func() error { return f.DeleteToken(f.ctx, local, "absent") },
		"a moved password": func() error {
			_, _, err := f.ChangePassword(f.ctx, actor, db.PasswordChange{Verified: "another hash", Password: "x"})
			return err
		},
		"a session of another": func() error { return f.EndOwnSession(f.ctx, local, actor.Session.ID) },
		"a sign-in that moved": func() error {
			_, _, err := f.CreateSession(f.ctx, actor, db.SignIn{User: u.ID, Verified: "x"})
			return err
		},
	} {
		had := len(f.events())
		if what == "not theirs" {
			had += 2 // its own actor
		}
		if err := do(); err == nil {
			t.Errorf("%s succeeded", what)
		}
		if got := f.actions(); len(got) != had {
			t.Errorf("%s was refused and written down: %v", what, got[had:])
		}
	}
	must(t, f.Note(f.ctx, local, nil, "kept", "kept too"))
	if got := f.actions(); !slices.Equal(got[:len(before)], before) || !slices.Equal(got[len(got)-2:], []string{"kept", "kept too"}) {
		t.Errorf("the log is %v", got)
	}
}

// Many at once make one chain.
func TestAuditAtOnce(t *testing.T) {
	f := newStore(t)
	const n = 40
	together(n, func(i int) {
		var failure error
		if i%4 == 0 {
			failure = errors.New("failure")
		}
		if err := f.Note(f.ctx, local, failure, fmt.Sprint("a", i), fmt.Sprint("b", i)); err != failure {
			t.Error(err)
		}
	})
	actions := f.actions()[1:]
	if len(actions) != 2*(n-n/4) {
		t.Errorf("%d entries", len(actions))
	}
	for i := 0; i < len(actions); i += 2 {
		if actions[i][1:] != actions[i+1][1:] {
			t.Errorf("%s is beside %s", actions[i], actions[i+1])
		}
	}
}

// Check finds every entry that is gone, changed or in another's place.
func TestAuditChainIsChecked(t *testing.T) {
	seq := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	remove := func(n uint64) func(db.Tx) error { return func(tx db.Tx) error { return tx.Delete("audit", seq(n)) } }
	value := func(tx db.Tx, n uint64) []byte {
		sealed, err := tx.Get("audit", seq(n))
		if err != nil {
			panic(err)
		}
		v, err := db.Unseal("audit", seq(n), sealed)
		if err != nil {
			panic(err)
		}
		return v
	}
	put := func(tx db.Tx, n uint64, v []byte) error { return tx.Put("audit", seq(n), db.Seal("audit", seq(n), v)) }
	edit := func(n uint64, old, new string) func(db.Tx) error {
		return func(tx db.Tx) error {
			v := value(tx, n)
			if !strings.Contains(string(v), old) {
				return fmt.Errorf("%s is not in %s", old, v)
			}
			return put(tx, n, []byte(strings.Replace(string(v), old, new, 1)))
		}
	}
	for name, change := range map[string]func(db.Tx) error{
		"the first removed": remove(1),
		"one removed":       remove(3),
		"the last removed":  remove(6),
		"all removed": func(tx db.Tx) error {
			return errors.Join(remove(1)(tx), remove(2)(tx), remove(3)(tx), remove(4)(tx), remove(5)(tx), remove(6)(tx))
		},
		"first two removed": func(tx db.Tx) error { return errors.Join(remove(1)(tx), remove(2)(tx)) },
		"one changed":       edit(3, `"actor":"local"`, `"actor":"other"`),
		"the last changed":  edit(6, `"actor":"local"`, `"actor":"other"`),
		"a time changed":    edit(2, "2040-", "2041-"),
		"a space added":     edit(4, `{"seq"`, `{ "seq"`),
		"a number changed":  edit(4, `"seq":4`, `"seq":9`),
		"no JSON":           func(tx db.Tx) error { return put(tx, 3, []byte("x")) },
		"two in another's place": func(tx db.Tx) error {
			a, b := value(tx, 3), value(tx, 4)
			return errors.Join(put(tx, 3, b), put(tx, 4, a))
		},
		"two renumbered": func(tx db.Tx) error {
			a := strings.Replace(string(value(tx, 4)), `"seq":4`, `"seq":3`, 1)
			b := strings.Replace(string(value(tx, 3)), `"seq":3`, `"seq":4`, 1)
			return errors.Join(put(tx, 3, []byte(a)), put(tx, 4, []byte(b)))
		},
		"one doubled": func(tx db.Tx) error { return put(tx, 7, value(tx, 6)) },
		"one made up": func(tx db.Tx) error {
			return put(tx, 7, []byte(strings.Replace(string(value(tx, 6)), `"seq":6`, `"seq":7`, 1)))
		},
		"the head gone": func(tx db.Tx) error { return tx.Delete("meta", []byte("audit")) },
		"a head set back": func(tx db.Tx) error {
			v := []byte(`{"seq":5,"hash":""}`)
			return tx.Put("meta", []byte("audit"), db.Seal("meta", []byte("audit"), v))
		},
		"a flipped bit": func(tx db.Tx) error {
			sealed, err := tx.Get("audit", seq(3))
			sealed[len(sealed)-3] ^= 1
			return errors.Join(err, tx.Put("audit", seq(3), sealed))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			must(t, f.Note(f.ctx, local, nil, "a", "b", "c", "d", "e"))
			if faults := f.check(); len(faults) > 0 {
				t.Fatalf("before: %v", faults)
			}
			f.broken = true
			f.raw(change)
			faults := f.check()
			if !strings.Contains(fmt.Sprint(faults), "audit") {
				t.Errorf("check reports %q", faults)
			}
		})
	}
}

// What is read of an entry in a hurry is what reading all of it tells.
func TestChainLink(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	odd := db.Event{Seq: 12, ActorName: `","prev":"` + sum + `"}`, Target: "\u2028\\\"", Prev: sum}
	text := func(e db.Event) string {
		value, err := json.Marshal(&e)
		must(t, err)
		return string(value)
	}
	for value, ok := range map[string]bool{
		text(db.Event{Seq: 1}): true, text(db.Event{Seq: 18446744073709551615, Prev: sum}): true, text(odd): true,
		text(db.Event{Seq: 2, PrevChange: sum, Prev: sum, Result: "refused"}): true, text(db.Event{Seq: 2, Actor: "x", PrevChange: sum, Prev: sum, Result: "refused"}): true,
		text(db.Event{Seq: 2, PrevChange: sum, Prev: sum, Result: "ok", Target: `,"result":"refused",`}):  true,
		strings.Replace(text(db.Event{Seq: 2, Prev: sum, Result: "refused"}), `"prev_change":"",`, "", 1): true,
		text(db.Event{Seq: 7, Prev: sum[1:]}): true, text(db.Event{Seq: 7, Prev: "é" + sum[2:]}): true,
		strings.Replace(text(odd), `{"seq":12`, `{ "seq" : 12 `, 1): true,
		strings.Replace(text(odd), `{"seq":12`, `{"seq":1.2`, 1):    false,
		strings.Replace(text(odd), `{"seq":12`, `{"seq":-12`, 1):    false,
		strings.Replace(text(odd), `"target":`, `"target"`, 1):      false,
		strings.Replace(text(odd), `,"prev":"`, `,"prev":`, 1):      false,
		`{"seq":3,"prev":"` + sum + `"}`:                            true,
		`{"seq":,"prev":"` + sum + `"}`:                             false,
		`{"prev":"` + sum + `","seq":3}`:                            true,
		`"prev":"` + sum + `"}`:                                     false, "": false, "x": false, `{"seq":`: false, `{}`: true,
	} {
		var e db.Event
		wantOK := json.Unmarshal([]byte(value), &e) == nil
		seq, change, prev, stranger, got := db.ChainLink([]byte(value))
		if wantOK != ok || got != ok || (ok && (seq != e.Seq || prev != e.Prev || change != e.PrevChange || stranger != db.Stranger(&e))) {
			t.Errorf("%s: %d %q %q %t %t, want %d %q %q %t", value, seq, change, prev, stranger, got, e.Seq, e.PrevChange, e.Prev, ok)
		}
	}
}
