package db_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"husk/db"
)

// named returns the names of the tokens of a filtered list, page by page, and how
// many pages it took.
func (f *fixture) named(q db.ListQuery, by db.TokenFilter) (names []string, pages int) {
	f.t.Helper()
	q.Size = max(q.Size, 1)
	for pages = 1; ; pages++ {
		page, err := f.FilteredTokens(f.ctx, q, by)
		must(f.t, err)
		for _, k := range page.Items {
			names = append(names, k.Name)
		}
		if page.AtMost != (page.After != "" || q.After != "") && by.Kind != db.TokensExpiring && by.Kind != db.TokensNoExpiry {
			f.t.Errorf("a page with the cursor %q behind %q says %t of its total", page.After, q.After, page.AtMost)
		}
		if page.After == "" {
			return names, pages
		}
		q.After = page.After
	}
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// TestTokenFilters asks for each filter, alone and with others, by pages of one and
// of many, and compares with what each token is.
func TestTokenFilters(t *testing.T) {
	const day = 24 * time.Hour
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	mint := func(name string, owner *db.User, ends time.Duration, ips ...netip.Prefix) *db.Token {
		f.advance(time.Second)
		expires := int64(db.Never)
		if ends != 0 {
			expires = f.now().Add(ends).Unix()
		}
		return f.mint(local, db.NewToken{Name: name, Owner: owner.ID, Expires: expires, AllowedIPs: ips})
	}
	use := func(k *db.Token, address string) { f.NoteTokenUse(k.ID, address, false) }
	flush := func() { must(t, f.FlushLastUsed(f.ctx)) }
	mint("old", ann, 0, prefix("10.0.0.0/8"))
	idle := mint("idle", ann, 200*day)
	busy := mint("busy", ann, 110*day)
	mint("gone", ann, 50*day)
	his := mint("his", bob, 115*day)
	use(idle, "192.0.2.1")
	use(busy, "192.0.2.1")
	use(his, "2001:db8::1")
	flush()
	f.advance(90 * day) // for old, idle, busy, gone and his this is long enough
	use(busy, "198.51.100.1")
	flush()
	soon := mint("soon", ann, 10*day)
	mint("new", ann, 31*day)
	use(soon, "192.0.2.9") // it is in memory alone

	for _, test := range []struct {
		name  string
		by    db.TokenFilter
		query db.ListQuery
		want  []string
	}{
		{"expiring", db.TokenFilter{Kind: db.TokensExpiring}, db.ListQuery{}, []string{"soon", "busy", "his"}},
		{"expiring, ann's", db.TokenFilter{Kind: db.TokensExpiring}, db.ListQuery{Owner: ann.ID}, []string{"soon", "busy"}},
		{"expiring, the last first", db.TokenFilter{Kind: db.TokensExpiring}, db.ListQuery{Sort: "expire_in:desc"}, []string{"his", "busy", "soon"}},
		{"expiring from a network", db.TokenFilter{Kind: db.TokensExpiring, Address: prefix("192.0.2.0/24")}, db.ListQuery{}, []string{"soon", "busy"}},
		{"expiring of a word", db.TokenFilter{Kind: db.TokensExpiring}, db.ListQuery{Query: "BUS"}, []string{"busy"}},
		{"no expiry", db.TokenFilter{Kind: db.TokensNoExpiry}, db.ListQuery{}, []string{"old"}},
		{"no expiry, bob's", db.TokenFilter{Kind: db.TokensNoExpiry}, db.ListQuery{Owner: bob.ID}, nil},
		{"never", db.TokenFilter{Kind: db.TokensNever}, db.ListQuery{}, []string{"new", "gone", "old"}},
		{"never by name", db.TokenFilter{Kind: db.TokensNever}, db.ListQuery{Sort: "name:asc"}, []string{"gone", "new", "old"}},
		{"never by end", db.TokenFilter{Kind: db.TokensNever}, db.ListQuery{Sort: "expire_in:asc"}, []string{"gone", "new", "old"}},
		{"unused", db.TokenFilter{Kind: db.TokensUnused}, db.ListQuery{}, []string{"his", "gone", "idle", "old"}},
		{"unused, the oldest first", db.TokenFilter{Kind: db.TokensUnused}, db.ListQuery{Sort: "created:asc", Owner: ann.ID}, []string{"old", "idle", "gone"}},
		{"from an address", db.TokenFilter{Address: prefix("192.0.2.1/32")}, db.ListQuery{}, []string{"busy", "idle"}},
		{"from the last one", db.TokenFilter{Address: prefix("198.51.100.1/32")}, db.ListQuery{}, []string{"busy"}},
		{"from one that is not written yet", db.TokenFilter{Address: prefix("192.0.2.9/32")}, db.ListQuery{}, []string{"soon"}},
		{"from a network of IPv6", db.TokenFilter{Address: prefix("2001:db8::/64")}, db.ListQuery{}, []string{"his"}},
		{"limited to just that", db.TokenFilter{Address: prefix("10.0.0.0/8")}, db.ListQuery{}, []string{"old"}},
		{"limited to more", db.TokenFilter{Address: prefix("10.0.0.0/16")}, db.ListQuery{}, nil},
		{"unused from an address", db.TokenFilter{Kind: db.TokensUnused, Address: prefix("192.0.2.1/32")}, db.ListQuery{}, []string{"idle"}},
	} {
		for _, size := range []int{1, 2, 1000} {
			test.query.Size = size
			if got, _ := f.named(test.query, test.by); !slices.Equal(got, test.want) {
				t.Errorf("%s by %d: %q, want %q", test.name, size, got, test.want)
			}
		}
	}
	page, err := f.FilteredTokens(f.ctx, db.ListQuery{Size: 1}, db.TokenFilter{Kind: db.TokensExpiring})
	if err != nil || page.Total != 3 || page.AtMost {
		t.Errorf("of three that end soon there are %d, at least: %t, %v", page.Total, page.AtMost, err)
	}
}

func TestTokenFilterRefusals(t *testing.T) {
	f := newStore(t)
	for i := range 3 {
		f.mint(local, db.NewToken{Name: fmt.Sprint(i)})
	}
	never := db.TokenFilter{Kind: db.TokensNever}
	page, err := f.FilteredTokens(f.ctx, db.ListQuery{Size: 1}, never)
	must(t, err)
	for _, test := range []struct {
		by   db.TokenFilter
		q    db.ListQuery
		code string
	}{
		{db.TokenFilter{Kind: "unusual"}, db.ListQuery{Size: 1}, "bad_filter"},
		{never, db.ListQuery{Size: 1, From: 1}, "bad_page"},
		{never, db.ListQuery{Size: 1001}, "bad_page"},
		{never, db.ListQuery{Size: 1, Sort: "ended"}, "bad_sort"},
		{db.TokenFilter{Kind: db.TokensExpiring}, db.ListQuery{Size: 1, Sort: "created"}, "bad_sort"},
		{db.TokenFilter{Kind: db.TokensUnused}, db.ListQuery{Size: 1, Sort: "name"}, "bad_sort"},
		{db.TokenFilter{Address: prefix("10.0.0.0/8")}, db.ListQuery{Size: 1, After: page.After}, "bad_cursor"},
		{db.TokenFilter{Kind: db.TokensUnused}, db.ListQuery{Size: 1, After: page.After}, "bad_cursor"},
		{db.TokenFilter{Kind: db.TokensNever, Address: prefix("10.0.0.0/8")}, db.ListQuery{Size: 1, After: page.After}, "bad_cursor"},
	} {
		_, err := f.FilteredTokens(f.ctx, test.q, test.by)
		wantErr(t, err, db.ErrInvalid, test.code)
	}
	_, err = f.Tokens(f.ctx, db.ListQuery{Size: 1, After: page.After})
	wantErr(t, err, db.ErrInvalid, "bad_cursor")
	if page, err := f.FilteredTokens(f.ctx, db.ListQuery{}, never); err != nil || !page.AtMost || len(page.Items) > 0 {
		t.Errorf("a page of nothing knows of %d, %v", page.Total, err)
	}
}

// What ended since the page before is not what ends soon, in either order.
func TestFilterGoesOnWithTime(t *testing.T) {
	f := newStore(t)
	for i := range 4 {
		f.mint(local, db.NewToken{Name: fmt.Sprint(i), Expires: f.now().Add(time.Duration(i+1) * time.Hour).Unix()})
	}
	by := db.TokenFilter{Kind: db.TokensExpiring}
	q := db.ListQuery{Size: 1}
	page, err := f.FilteredTokens(f.ctx, q, by)
	must(t, err)
	back, err := f.FilteredTokens(f.ctx, db.ListQuery{Size: 1, Sort: "expire_in:desc"}, by)
	must(t, err)
	f.advance(150 * time.Minute)
	q.After = page.After
	if names, _ := f.named(q, by); !slices.Equal(names, []string{"2", "3"}) {
		t.Errorf("the list goes on with %q", names)
	}
	if names, _ := f.named(db.ListQuery{Size: 1, Sort: "expire_in:desc", After: back.After}, by); !slices.Equal(names, []string{"2"}) {
		t.Errorf("the other way it goes on with %q", names)
	}
}

// A page looks at so many tokens and no more, and its cursor leads to the rest.
func TestFilterLooksAtABoundedNumber(t *testing.T) {
	f := newStore(t)
	at := f.now()
	var all []*db.Token
	for i := range 2*db.MostLooked + 50 {
		all = append(all, &db.Token{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Owner: db.SingleUser, Name: "one", Hash: make([]byte, 32),
			Created: at.Add(time.Duration(i) * time.Second), Expires: at.Add(time.Hour).Unix()})
	}
	must(t, f.PutTokens(f.ctx, all))
	f.NoteTokenUse(all[0].ID, "192.0.2.1", false)
	by := db.TokenFilter{Address: prefix("192.0.2.0/24")}
	page, err := f.FilteredTokens(f.ctx, db.ListQuery{Size: 25}, by)
	if err != nil || len(page.Items) != 0 || page.After == "" || !page.AtMost {
		t.Errorf("the first page has %d tokens, the cursor %q, at least: %t, %v", len(page.Items), page.After, page.AtMost, err)
	}
	if names, pages := f.named(db.ListQuery{Size: 25}, by); len(names) != 1 || pages != 3 {
		t.Errorf("%d tokens on %d pages", len(names), pages)
	}
	page, err = f.FilteredTokens(f.ctx, db.ListQuery{Size: 25}, db.TokenFilter{Kind: db.TokensExpiring})
	if err != nil || page.Total != db.MostLooked || !page.AtMost || len(page.Items) != 25 {
		t.Errorf("%d tokens that end soon are counted, at least: %t, %v", page.Total, page.AtMost, err)
	}
}

func TestSessionsFrom(t *testing.T) {
	f := newStore(t)
	ann, bob := f.user("ann@example.com"), f.user("bob@example.com")
	from := func(u *db.User, address string) *db.Session {
		f.advance(time.Second)
		r, _, err := f.CreateSession(f.ctx, &db.Actor{Transport: db.TransportHTTP, Address: address}, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour, IP: address})
		must(t, err)
		return r
	}
	first, second, his := from(ann, "192.0.2.1"), from(ann, "198.51.100.1"), from(bob, "192.0.2.2")
	f.NoteSessionUse(second.ID, "192.0.2.3")
	list := func(owner, address string) (ids []string) {
		q := db.ListQuery{Owner: owner, Size: 1}
		for {
			page, err := f.SessionsFrom(f.ctx, q, prefix(address))
			must(t, err)
			for _, r := range page.Items {
				ids = append(ids, r.ID)
			}
			if q.After = page.After; q.After == "" {
				return ids
			}
		}
	}
	for range 2 { // in memory alone, and written
		for _, test := range []struct {
			owner, address string
			want           []string
		}{
			{"", "192.0.2.0/24", []string{his.ID, second.ID, first.ID}},
			{ann.ID, "192.0.2.0/24", []string{second.ID, first.ID}},
			{"", "198.51.100.1/32", []string{second.ID}},
			{"", "203.0.113.0/24", nil},
		} {
			if got := list(test.owner, test.address); !slices.Equal(got, test.want) {
				t.Errorf("from %s: %q, want %q", test.address, got, test.want)
			}
		}
		must(t, f.FlushLastUsed(f.ctx))
	}
}
