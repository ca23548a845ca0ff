package db_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"husk/db"
)

// withRole returns the emails of the users of a role, by pages of a size.
func (f *fixture) withRole(q db.ListQuery, role string) (emails []string) {
	f.t.Helper()
	for {
		page, err := f.UsersWith(f.ctx, q, role)
		must(f.t, err)
		for _, u := range page.Items {
			emails = append(emails, u.Username())
		}
		if q.After = page.After; q.After == "" {
			return emails
		}
	}
}

func TestUsersWithARole(t *testing.T) {
	f := newStore(t)
	must(t, f.PutRole(f.ctx, "clerk", db.PermUserRead))
	must(t, f.PutRole(f.ctx, "clerks", db.PermUserRead))
	for i, roles := range [][]string{{"clerk"}, {"clerks"}, {"clerk", "user"}, {"user"}, {"clerk"}} {
		f.advance(time.Second)
		f.user(fmt.Sprintf("u%d@example.com", i), roles...)
	}
	for _, test := range []struct {
		role  string
		query db.ListQuery
		want  []string
	}{
		{"clerk", db.ListQuery{}, []string{"u4@example.com", "u2@example.com", "u0@example.com"}},
		{"clerk", db.ListQuery{Sort: "created:asc"}, []string{"u0@example.com", "u2@example.com", "u4@example.com"}},
		{"clerk", db.ListQuery{Query: "U2"}, []string{"u2@example.com"}},
		{"clerk", db.ListQuery{Query: "u1"}, nil},
		{"clerks", db.ListQuery{}, []string{"u1@example.com"}},
		{"admin", db.ListQuery{}, []string{db.SingleUser}},
		{"", db.ListQuery{}, nil},
	} {
		for _, size := range []int{1, 2, 1000} {
			test.query.Size = size
			if got := f.withRole(test.query, test.role); !slices.Equal(got, test.want) {
				t.Errorf("%s %+v: %q, want %q", test.role, test.query, got, test.want)
			}
		}
	}
	page, err := f.UsersWith(f.ctx, db.ListQuery{Size: 1}, "clerk")
	if err != nil || page.Total != 3 || page.AtMost {
		t.Errorf("there are %d clerks, at least: %t, %v", page.Total, page.AtMost, err)
	}
	_, err = f.UsersWith(f.ctx, db.ListQuery{Size: 1, After: page.After}, "clerks")
	wantErr(t, err, db.ErrInvalid, "bad_cursor")
	_, err = f.UsersWith(f.ctx, db.ListQuery{Size: 1, Sort: "name"}, "clerk")
	wantErr(t, err, db.ErrInvalid, "bad_sort")
	_, err = f.UsersWith(f.ctx, db.ListQuery{Size: 1, From: 1}, "clerk")
	wantErr(t, err, db.ErrInvalid, "bad_page")
}

// However many have a role, a page counts and looks at so many of them and no more.
func TestUsersWithARoleAreBounded(t *testing.T) {
	f := newStore(t)
	var all []*db.User
	for i := range db.MostLooked + 50 {
		all = append(all, &db.User{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Email: fmt.Sprintf("u%d@example.com", i), Roles: []string{db.RoleUser},
			Created: f.now().Add(time.Duration(i) * time.Second)})
	}
	all[0].Name = "Methuselah"
	must(t, f.PutUsers(f.ctx, all))
	page, err := f.UsersWith(f.ctx, db.ListQuery{Size: 25}, db.RoleUser)
	if err != nil || page.Total != db.MostLooked || !page.AtMost || len(page.Items) != 25 {
		t.Errorf("%d users are counted, at least: %t, %v", page.Total, page.AtMost, err)
	}
	page, err = f.UsersWith(f.ctx, db.ListQuery{Size: 25, Query: "methus"}, db.RoleUser)
	if err != nil || len(page.Items) != 0 || page.After == "" || !page.AtMost {
		t.Errorf("the first page has %d users, the cursor %q, at least: %t, %v", len(page.Items), page.After, page.AtMost, err)
	}
	if got := f.withRole(db.ListQuery{Size: 25, Query: "methus"}, db.RoleUser); !slices.Equal(got, []string{"u0@example.com"}) {
		t.Errorf("found %q", got)
	}
}

// A directory of buckets whose page is damaged can lack some of them, which reads as if
// nothing were in them. Without the roles that nobody can delete everybody would be let
// do nothing, and told that it is so.
func TestStoreWithoutBuiltinRolesIsDamaged(t *testing.T) {
	for _, name := range []string{db.RoleAdmin, db.RoleUser} {
		f := newStore(t)
		f.broken = true
		f.raw(func(tx db.Tx) error { return tx.Delete("role", []byte(name)) })
		again := f.reopened()
		if _, err := again.Roles(f.ctx); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("without %s: %v", name, err)
		}
		if _, err := again.CreateUser(f.ctx, local, db.NewUser{Email: "ann@example.com"}); !errors.Is(err, db.ErrDamaged) {
			t.Errorf("without %s a user is made: %v", name, err)
		}
	}
}
