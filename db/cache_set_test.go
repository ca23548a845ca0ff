package db_test

import (
	"fmt"
	"testing"

	"husk/db"
)

// remembered is something that a store remembers.
type remembered struct {
	set    string                   // as Fill calls it
	change func()                   // changes it, and returns when that is committed
	read   func(s *db.Store) string // as a store has it
}

func (f *fixture) remembered() map[string]remembered {
	u, n := f.user("ann@example.com"), 0
	must(f.t, f.CreateRole(f.ctx, local, "clerk", db.RoleChange{}))
	return map[string]remembered{
		"roles": {"roles", func() {
			n++
			must(f.t, f.UpdateRole(f.ctx, local, "clerk", db.RoleChange{Description: ptr(fmt.Sprint("change ", n))}))
		}, func(s *db.Store) string {
			r, err := s.Role(f.ctx, "clerk")
			must(f.t, err)
			return r.Description
		}},
		"keys": {"keys", func() { must(f.t, second1(f.RotateKey(f.ctx, local, false))) }, func(s *db.Store) string {
			keys, err := s.Keys(f.ctx)
			must(f.t, err)
			return keys.Signing.ID
		}},
		"a user": {u.ID, func() {
			n++
			must(f.t, second1(f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: ptr(fmt.Sprint("change ", n))})))
		}, func(s *db.Store) string {
			u, err := s.User(f.ctx, u.ID)
			must(f.t, err)
			return u.Name
		}},
	}
}

// What was read from a snapshot of before a commit is not kept, however late
// the fill comes.
func TestLateFillIsNotKept(t *testing.T) {
	for name, meanwhile := range map[string]func(change, read func()){
		"a change":                      func(change, _ func()) { change() },
		"a change and a newer fill":     func(change, read func()) { change(); read() },
		"another fill, then a change":   func(change, read func()) { read(); change() },
		"two changes with a fill":       func(change, read func()) { change(); read(); change() },
		"two changes without one":       func(change, _ func()) { change(); change() },
		"two fills around a change":     func(change, read func()) { read(); change(); read() },
		"another fill and nothing else": func(_, read func()) { read() },
	} {
		for _, of := range []string{"roles", "keys", "a user"} {
			for _, dropped := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, dropped before: %t", of, name, dropped), func(t *testing.T) {
					f := newStore(t)
					r := f.remembered()[of]
					f.Store = f.reopened() // which remembers nothing
					if dropped {
						r.change()
					}
					must(t, f.Fill(f.ctx, r.set, func() { meanwhile(r.change, func() { r.read(f.Store) }) }))
					if got, want := r.read(f.Store), r.read(f.reopened()); got != want {
						t.Errorf("%q is kept, %q is in the store", got, want)
					}
				})
			}
		}
	}
}
