package db_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
)

func errorsIs(err, target error) bool { return errors.Is(err, target) }

// bulk writes n users beside the single one. Their times and names repeat, so
// that pages break between equal ones.
func (f *fixture) bulk(n int) (users []*db.User) {
	f.t.Helper()
	single, err := f.User(f.ctx, db.SingleUser)
	must(f.t, err)
	users = append(users, single)
	given := []string{"Ann", "bob", "Çelik", "dora", "Émile", "ann"}
	for i := range n {
		at := f.now().Add(time.Duration(i%97) * time.Second)
		users = append(users, &db.User{ID: uuid.NewString(), Email: email(i), Name: given[i%len(given)] + fmt.Sprintf(" %d", i%11), Roles: []string{db.RoleUser}, Created: at, Updated: at})
	}
	must(f.t, f.PutUsers(f.ctx, users[1:]))
	return users
}

func ids(users []*db.User) (ids []string) {
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}

// pages reads a list by its cursor.
func (f *fixture) pages(q db.ListQuery) (all []*db.User, total int64) {
	f.t.Helper()
	for {
		page, err := f.Users(f.ctx, q)
		must(f.t, err)
		if all = append(all, page.Items...); page.After == "" {
			return all, page.Total
		}
		if len(page.Items) != q.Size {
			f.t.Fatalf("a page of %d has the cursor of a full one", len(page.Items))
		}
		q.After = page.After
	}
}

func TestPagesAreOneList(t *testing.T) {
	f := newStore(t)
	const n = 2500
	users := f.bulk(n)
	orders := map[string]func(a, b *db.User) int{
		"created": func(a, b *db.User) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) },
		"name": func(a, b *db.User) int {
			return cmp.Or(cmp.Compare(strings.ToLower(a.DisplayName()), strings.ToLower(b.DisplayName())), cmp.Compare(a.ID, b.ID))
		},
	}
	for sort, order := range orders {
		for _, direction := range []string{":asc", ":desc"} {
			want := slices.SortedFunc(slices.Values(users), order)
			if direction == ":desc" {
				slices.Reverse(want)
			}
			for _, size := range []int{7, 100, 1000} {
				got, total := f.pages(db.ListQuery{Sort: sort + direction, Size: size})
				if total != n+1 || !slices.Equal(ids(got), ids(want)) {
					t.Errorf("%s%s by %d: %d of %d users, or another order", sort, direction, size, len(got), total)
				}
			}
			for _, from := range []int{0, 1, 999, 2490, 2501, 9000} {
				page, err := f.Users(f.ctx, db.ListQuery{Sort: sort + direction, Size: 100, From: from})
				rest := want[min(from, len(want)):]
				if err != nil || !slices.Equal(ids(page.Items), ids(rest[:min(100, len(rest))])) {
					t.Errorf("%s%s from %d: %d users, %v", sort, direction, from, len(page.Items), err)
				}
			}
		}
	}
	// A query is paged like any other list, and a cursor belongs to its query.
	var anns []*db.User
	for _, u := range users {
		if strings.HasPrefix(strings.ToLower(u.Name), "ann") {
			anns = append(anns, u)
		}
	}
	slices.SortFunc(anns, orders["name"])
	for _, size := range []int{10, 333, 1000} {
		got, total := f.pages(db.ListQuery{Query: "ANN exam", Sort: "name", Size: size})
		if total != int64(len(anns)) || !slices.Equal(ids(got), ids(anns)) {
			t.Errorf("query by %d: %d of %d users, want %d", size, len(got), total, len(anns))
		}
	}
	page, err := f.Users(f.ctx, db.ListQuery{Query: "ann", Sort: "name", Size: 10})
	must(t, err)
	for _, q := range []db.ListQuery{{Sort: "name"}, {Query: "anna", Sort: "name"}, {Query: "ann", Sort: "name:desc"}, {Query: "ann", Sort: "created"}, {Query: "ann"}} {
		q.Size, q.After = 10, page.After
		_, err := f.Users(f.ctx, q)
		wantErr(t, err, db.ErrInvalid, "bad_cursor")
	}
	_, err = f.Tokens(f.ctx, db.ListQuery{Query: "ann", Sort: "name", Size: 10, After: page.After})
	wantErr(t, err, db.ErrInvalid, "bad_cursor")
}

// A page goes on behind its cursor, also where that entry has gone meanwhile.
func TestPagesWhileTheListChanges(t *testing.T) {
	f := newStore(t)
	for i := range 9 {
		f.user(email(i))
		f.advance(time.Second)
	}
	for _, query := range []string{"", "user"} {
		first, err := f.Users(f.ctx, db.ListQuery{Query: query, Sort: "created", Size: 4})
		must(t, err)
		last := first.Items[3]
		_, err = f.DeleteUser(f.ctx, local, last.ID)
		must(t, err)
		second, err := f.Users(f.ctx, db.ListQuery{Query: query, Sort: "created", Size: 4, After: first.After})
		must(t, err)
		if len(second.Items) != 4 || !second.Items[0].Created.After(last.Created) {
			t.Errorf("%q: %d users behind the cursor, from %v", query, len(second.Items), second.Items[0].Created)
		}
	}
}

func TestListBounds(t *testing.T) {
	f := newStore(t)
	f.user("ann@example.com")
	const most = int(^uint(0) >> 1)
	for _, q := range []db.ListQuery{
		{From: -1}, {Size: -1}, {Size: db.MaxPageSize + 1}, {From: db.MaxWindow, Size: 1}, {From: db.MaxWindow - 9, Size: 10}, {From: most, Size: 10}, {From: most}, {Size: most}, {From: most, Size: most},
	} {
		_, err := f.Users(f.ctx, q)
		wantErr(t, err, db.ErrInvalid, "bad_page")
	}
	for _, q := range []db.ListQuery{{}, {Size: db.MaxPageSize, From: db.MaxWindow - db.MaxPageSize}, {From: db.MaxWindow}} {
		if page, err := f.Users(f.ctx, q); err != nil || page.Total != 2 || len(page.Items) != 0 || page.After != "" {
			t.Errorf("%+v = %+v, %v", q, page, err)
		}
	}
	for _, sort := range []string{"x", "created:", "name:asc:x", ":", ":asc", "Name", "expire_in"} {
		_, err := f.Users(f.ctx, db.ListQuery{Sort: sort, Size: 1})
		if sort == "created:" {
			continue
		}
		wantErr(t, err, db.ErrInvalid, "bad_sort")
	}
}

func TestQueries(t *testing.T) {
	f := newStore(t)
	names := map[string]string{
		"ann@example.com": "Ann Lee", "strasse@example.com": "Max Weißstraße", "jurgen@example.com": "Jürgen Müller", "istanbul@example.com": "İpek Yılmaz",
		"greek@example.com": "Σίσυφος", "cjk@example.com": "山田 太郎", "kelvin@example.com": "\u212Aelvin", "marks@example.com": "e\u0301clair", "dash@example.com": "Anne-Marie O'Neil 2nd",
		"x@long.example": strings.Repeat("abcdefgh", 20),
	}
	for email, name := range names {
		_, err := f.CreateUser(f.ctx, local, db.NewUser{Email: email, Name: name})
		must(t, err)
	}
	for query, want := range map[string]string{
		"ann": "ann@ dash@", "ANN": "ann@ dash@", "ann lee": "ann@", "lee ann": "ann@", "  Lee\t": "ann@", "le": "ann@", "ee": "", "ann@example.com": "ann@ dash@", "ann@example.org": "",
		"weissstrasse": "strasse@", "WEISSSTRASSE": "strasse@", "weiß": "strasse@", "STRASSE": "strasse@", "jür": "jurgen@", "JÜR": "jurgen@", "jur": "jurgen@", "müller": "jurgen@", "MÜLLER": "jurgen@",
		"ΣΊΣΥΦΟΣ": "greek@", "σίσυφος": "greek@", "σίσυφοσ": "greek@", "山": "cjk@", "太郎": "cjk@", "山田太郎": "", "kelvin": "kelvin@", "\u212A": "kelvin@", "e\u0301c": "marks@",
		"anne-marie": "dash@", "marie": "dash@", "neil": "dash@", "2ND": "dash@", "o'neil": "dash@", "nobody": "",
		strings.Repeat("abcdefgh", 8): "x@", strings.Repeat("abcdefgh", 20): "x@", "abcdefgha": "x@", "abcdefghb": "",
		"long": "x@", "example nobody": "",
	} {
		page, err := f.Users(f.ctx, db.ListQuery{Query: query, Size: 100})
		must(t, err)
		var got []string
		for _, u := range page.Items {
			local, _, _ := strings.Cut(u.Email, "@")
			got = append(got, local+"@")
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want || page.Total != int64(len(got)) || page.AtMost {
			t.Errorf("%q finds %v of %d, want %s", query, got, page.Total, want)
		}
	}
	// A changed name is found, the old one is not.
	u, err := f.UserByEmail(f.ctx, "ann@example.com")
	must(t, err)
	_, err = f.UpdateUser(f.ctx, local, u.ID, db.UserChange{Name: ptr("Zoe"), Email: ptr("zoe@example.com")})
	must(t, err)
	for query, want := range map[string]int64{"zoe": 1, "lee": 0, "ann": 1} {
		if page, err := f.Users(f.ctx, db.ListQuery{Query: query, Size: 9}); err != nil || page.Total != want {
			t.Errorf("%q finds %d, %v; want %d", query, page.Total, err, want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// A query counts to 10,000 and says that there are more; all of them are
// counted without one.
func TestTotals(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 10,001 users")
	}
	f := newStore(t)
	users := make([]*db.User, db.MaxWindow+1)
	for i := range users {
		at := f.now().Add(time.Duration(i) * time.Second)
		users[i] = &db.User{ID: uuid.NewString(), Email: email(i), Roles: []string{db.RoleUser}, Created: at, Updated: at}
	}
	must(t, f.PutUsers(f.ctx, users))
	for query, want := range map[string]struct {
		total  int64
		atMost bool
	}{"": {10_002, false}, "example": {10_000, true}, "user": {10_000, true}, "user0": {1000, false}, "user10000": {1, false}, "example user10000": {1, false}, "user10000 example": {1, false}} {
		page, err := f.Users(f.ctx, db.ListQuery{Query: query, Size: 1})
		if err != nil || page.Total != want.total || page.AtMost != want.atMost {
			t.Errorf("%q: total %d, at most %t, %v; want %+v", query, page.Total, page.AtMost, err, want)
		}
	}
	n, err := f.CountUsers(f.ctx)
	if err != nil || n != 10_002 {
		t.Errorf("%d users, %v", n, err)
	}
}

func TestCursor(t *testing.T) {
	for _, key := range [][]byte{{1}, []byte("name\x00id"), make([]byte, 200)} {
		c := db.FormatCursor(7, key)
		got, ok := db.ParseCursor(c, 7)
		if !ok || string(got) != string(key) {
			t.Errorf("%q became %q", key, got)
		}
		if _, ok := db.ParseCursor(c, 8); ok {
			t.Error("a cursor of another list is taken")
		}
		for i := range c {
			changed := []byte(c)
			changed[i] ^= 1
			if got, ok := db.ParseCursor(string(changed), 7); ok {
				t.Errorf("changed at %d: %q", i, got)
			}
			if _, ok := db.ParseCursor(c[:i], 7); ok {
				t.Errorf("cut at %d", i)
			}
		}
	}
}

// FuzzCursor: a cursor has one spelling but for line ends, which base64 passes
// over, and what is no cursor is refused.
func FuzzCursor(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, bound uint32) {
		key, ok := db.ParseCursor(text, bound)
		if ok && db.FormatCursor(bound, key) != strings.NewReplacer("\r", "", "\n", "").Replace(text) {
			t.Fatalf("%q is %q, which is spelled %q", text, key, db.FormatCursor(bound, key))
		}
		if key := []byte(text); len(key) > 0 {
			if got, ok := db.ParseCursor(db.FormatCursor(bound, key), bound); !ok || string(got) != text {
				t.Fatalf("%q became %q", text, got)
			}
		}
	})
}
