package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"husk/db"
)

// Readers never see an old value once the change was acknowledged. Before that
// they may see either, in any order.
func TestCacheIsNeverOld(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	k := f.mint(local, db.NewToken{Name: "0", Owner: u.ID})
	must(t, f.CreateRole(f.ctx, local, "clerk", db.RoleChange{}))
	const changes, readers = 80, 2
	var acknowledged [3]atomic.Int64 // of the user, of the token, of the role
	number := func(name string) (n int64) { fmt.Sscan(name, &n); return n }
	read := []func() (int64, error){
		func() (int64, error) {
			u, err := f.User(f.ctx, u.ID)
			if err != nil {
				return 0, err
			}
			return number(u.Name), nil
		},
		func() (int64, error) {
			k, err := f.Token(f.ctx, k.ID)
			if err != nil {
				return 0, err
			}
			return number(k.Name), nil
		},
		func() (int64, error) {
			r, err := f.Role(f.ctx, "clerk")
			if err != nil {
				return 0, err
			}
			return number(r.Description), nil
		},
	}
	change := []func(name string) error{
		func(name string) error {
			_, err := f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: &name})
			return err
		},
		func(name string) error { return f.UpdateToken(f.ctx, local, k.ID, db.TokenChange{Name: name}) },
		func(name string) error {
			return f.UpdateRole(f.ctx, local, "clerk", db.RoleChange{Description: &name})
		},
	}
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	for kind := range change {
		writing.Go(func() {
			for i := range int64(changes) {
				if err := change[kind](fmt.Sprint(i + 1)); err != nil {
					t.Error(err)
				}
				acknowledged[kind].Store(i + 1)
			}
		})
		for range readers {
			reading.Go(func() {
				for !done.Load() {
					least := acknowledged[kind].Load()
					got, err := read[kind]()
					if err != nil || got < least {
						t.Errorf("read %d, %v; %d was acknowledged", got, err, least)
						return
					}
					runtime.Gosched() // the writers are to come to their turn
				}
			})
		}
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
}

// A record that is gone is gone from memory too, and a failed change leaves
// the memory right.
func TestCacheForgets(t *testing.T) {
	f := newStore(t)
	u := f.user("ann@example.com")
	k := f.mint(local, db.NewToken{Owner: u.ID})
	actor := f.as(u)
	for range 2 {
		_, err := f.User(f.ctx, u.ID)
		must(t, err)
		_, err = f.Token(f.ctx, k.ID)
		must(t, err)
		_, err = f.Session(f.ctx, actor.Session.ID)
		must(t, err)
	}
	before, tokens := f.CacheMisses()
	_, err := f.User(f.ctx, u.ID)
	must(t, err)
	if after, tokensAfter := f.CacheMisses(); after != before || tokensAfter != tokens {
		t.Error("what was read twice is not in memory")
	}
	_, err = f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: ptr("other"), Email: ptr("not an email")})
	wantErr(t, err, db.ErrInvalid, "bad_email")
	if now, err := f.User(f.ctx, u.ID); err != nil || now.Name != "" || now.Email != "ann@example.com" {
		t.Errorf("a failed change made it %+v, %v", now, err)
	}
	must(t, f.DeleteToken(f.ctx, local, k.ID))
	must(t, f.EndSession(f.ctx, actor, actor.Session.ID))
	_, err = f.DeleteUser(f.ctx, local, u.ID)
	must(t, err)
	_, err = f.User(f.ctx, u.ID)
	wantErr(t, err, db.ErrNotFound, "not_found")
	_, err = f.Token(f.ctx, k.ID)
	wantErr(t, err, db.ErrNotFound, "not_found")
	_, err = f.Session(f.ctx, actor.Session.ID)
	wantErr(t, err, db.ErrNotFound, "not_found")
	// Roles and keys are remembered as a whole.
	roles, err := f.Roles(f.ctx)
	must(t, err)
	if again, _ := f.Roles(f.ctx); again != roles {
		t.Error("the roles are read twice")
	}
	must(t, f.PutRole(f.ctx, "clerk", db.PermUserRead))
	if now, err := f.Roles(f.ctx); err != nil || now == roles || !now.Permissions([]string{"clerk"}).Has(db.PermUserRead) {
		t.Errorf("a new role is not known: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	f := newStore(t)
	f.ShrinkUserCache(640)
	users := f.bulk(1500)
	for range 2 {
		for _, u := range users {
			got, err := f.User(f.ctx, u.ID)
			if err != nil || got.ID != u.ID {
				t.Fatal(got, err)
			}
		}
		if n, most := f.CachedUsers(); n > most || n < most/2 {
			t.Errorf("%d users in memory, at most %d", n, most)
		}
	}
}

// The id that is asked for is a part of the whole secret, which must not stay
// in memory with the record.
func TestCacheKeepsNoSecret(t *testing.T) {
	f := newStore(t)
	id := f.mint(local, db.NewToken{}).ID
	secret := id + "_and what nobody may see"
	k, err := f.Token(f.ctx, secret[:len(id)])
	must(t, err)
	keys := f.TokenKeys()
	if len(keys) != 1 || keys[0] != id {
		t.Fatalf("%q are in memory", keys)
	}
	if unsafe.StringData(keys[0]) == unsafe.StringData(secret) || unsafe.StringData(keys[0]) != unsafe.StringData(k.ID) {
		t.Error("the token is kept under a part of its secret")
	}
}

// Made-up ids take no room.
func TestCacheKeepsNothingAbsent(t *testing.T) {
	f := newStore(t)
	for i := range 1000 {
		if _, err := f.User(f.ctx, fmt.Sprint("made up ", i)); err == nil {
			t.Fatal("found")
		}
	}
	if n, _ := f.CachedUsers(); n > 1 {
		t.Errorf("%d users in memory", n)
	}
}

func TestUses(t *testing.T) {
	f := newStore(t)
	k, gone := f.mint(local, db.NewToken{}), f.mint(local, db.NewToken{})
	f.NoteTokenUse(k.ID, "192.0.2.1", true)
	old := f.now()
	f.advance(1e9)
	f.NoteTokenUse(k.ID, "192.0.2.2", false)
	want := db.LastUsed{Time: f.now(), Address: "192.0.2.2", Old: old, Seen: []string{"192.0.2.1", "192.0.2.2"}}
	if u, err := f.TokenLastUsed(f.ctx, k.ID); err != nil || !reflect.DeepEqual(u, want) {
		t.Errorf("in memory %+v, %v; want %+v", u, err, want)
	}
	f.NoteTokenUse(gone.ID, "192.0.2.1", false)
	f.NoteTokenUse("made up", "192.0.2.1", false)
	must(t, f.DeleteToken(f.ctx, local, gone.ID))
	before := f.engine.Stats().Commits
	must(t, f.FlushLastUsed(f.ctx))
	must(t, f.FlushLastUsed(f.ctx))
	if n := f.engine.Stats().Commits - before; n != 1 {
		t.Errorf("%d commits for the uses, want one", n)
	}
	if u, err := f.reopened().TokenLastUsed(f.ctx, k.ID); err != nil || !reflect.DeepEqual(u, want) {
		t.Errorf("written %+v, %v; want %+v", u, err, want)
	}
	f.advance(1e9)
	f.NoteTokenUse(k.ID, "192.0.2.3", false)
	must(t, f.FlushLastUsed(f.ctx))
	if u, err := f.TokenLastUsed(f.ctx, k.ID); err != nil || !u.Old.Equal(old) || u.Address != "192.0.2.3" {
		t.Errorf("the use of the old secret was forgotten: %+v, %v", u, err)
	}
	for _, id := range []string{gone.ID, "made up", ""} {
		if u, err := f.reopened().TokenLastUsed(f.ctx, id); err != nil || !u.Time.IsZero() {
			t.Errorf("%q: %+v, %v", id, u, err)
		}
	}
	if keys := f.keys("token.use"); len(keys) != 1 {
		t.Errorf("uses of %q", keys)
	}
}

// However uses are collected, given back and written in between, what is kept
// in the end is as if each had been written by itself.
func TestUsesInAnyOrder(t *testing.T) {
	f := newStore(t)
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 60 {
		k := f.mint(local, db.NewToken{})
		session := fmt.Sprint(round)
		must(t, f.PutSession(f.ctx, session))
		var token, own db.LastUsed
		giveBack := func() {}
		for range 40 {
			f.advance(1e9)
			switch n := random.IntN(12); {
			case n < 9:
				address := []string{"", "192.0.2.1", "192.0.2.2", fmt.Sprint("192.0.2.", random.IntN(30))}[random.IntN(4)]
				old := random.IntN(4) == 0
				f.NoteTokenUse(k.ID, address, old)
				f.NoteSessionUse(session, address)
				token.Time, token.Address, own.Time, own.Address = f.now(), address, f.now(), address
				if old {
					token.Old = f.now()
				}
				if address != "" {
					token.Seen = slices.DeleteFunc(token.Seen, func(s string) bool { return s == address })
					token.Seen = append(token.Seen, address)
					token.Seen = token.Seen[max(0, len(token.Seen)-16):]
				}
			case n == 9:
				giveBack()
				giveBack = f.TakeUses()
			case n == 10:
				giveBack()
				giveBack = func() {}
				must(t, f.FlushLastUsed(f.ctx))
			default:
				ended, cancel := context.WithCancel(f.ctx)
				cancel()
				if f.PendingUses() > 0 && f.FlushLastUsed(ended) == nil {
					t.Fatal("written without a context")
				}
			}
		}
		giveBack()
		must(t, f.FlushLastUsed(f.ctx))
		if u, err := f.TokenLastUsed(f.ctx, k.ID); err != nil || !reflect.DeepEqual(u, token) {
			t.Fatalf("round %d: token: %+v, %v; want %+v", round, u, err, token)
		}
		if u, err := f.SessionLastUsed(f.ctx, session); err != nil || !reflect.DeepEqual(u, own) {
			t.Fatalf("round %d: session: %+v, %v; want %+v", round, u, err, own)
		}
	}
}

// The uses in memory are bounded, and ask for a flush before that.
func TestUsesAreBounded(t *testing.T) {
	f := newStore(t)
	asked := false
	for i := range 3 * db.MaxUses {
		f.NoteSessionUse(fmt.Sprint("made up ", i), "192.0.2.1")
		select {
		case <-f.UsesFull():
			asked = true
			if i < db.MaxUses/2 {
				t.Fatalf("asked for a flush after %d", i)
			}
		default:
		}
	}
	if n := f.PendingUses(); !asked || n > 2*db.MaxUses {
		t.Errorf("%d uses are kept, the bound is %d; asked for a flush: %t", n, 2*db.MaxUses, asked)
	}
	must(t, f.FlushLastUsed(f.ctx))
	if n := f.PendingUses(); n != 0 {
		t.Errorf("%d uses are left", n)
	}
}
