package web_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
)

// lists are all that answer in the search envelope.
var lists = []string{
	"/account/sessions", "/auth/access_token/_search", "/security/user/_search", "/security/role/_search", "/security/principal/_search",
	"/security/session/_search", "/security/key/_search", "/security/audit/_search", "/auth/access_token/_ended",
}

// Every list of the router is among them.
func TestListsAreAll(t *testing.T) {
	for _, r := range newServer(t).Table() {
		nothing := r.Path == "/connector/_search" // for the desktop program: there is nothing to list
		if r.Method == "GET" && strings.HasSuffix(r.Path, "_search") && !nothing && !slices.Contains(lists, r.Path) {
			t.Errorf("%s is not among the lists that are tested", r.Path)
		}
	}
}

// listed is a page of any list.
type listed = api.Search[json.RawMessage]

// TestEveryList: the same bounds, the same paging, and totals that are true.
func TestEveryList(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	for i := range 5 {
		s.clock.advance(time.Second)
		s.signIn(admin)
		s.mint(admin.session(), api.NewToken{})
		s.do("DELETE", "/auth/access_token/"+s.mint(admin.session(), api.NewToken{}).ID, "", admin.session()).want(200)
		s.role(fmt.Sprintf("role%d", i), db.PermUserRead)
		s.newUser(fmt.Sprintf("user%d@example.com", i))
		_, err := s.local.RotateKey(t.Context(), api.RotateKey{})
		must(t, err)
	}
	admin = s.signIn(admin)
	for _, path := range lists {
		t.Run(path, func(t *testing.T) {
			get := func(query string, args ...any) (page listed) {
				t.Helper()
				s.do("GET", path+"?"+fmt.Sprintf(query, args...), "", admin.session()).want(200).json(&page)
				return page
			}
			ids := func(page listed) (ids []string) {
				for _, hit := range page.Hits.Hits {
					ids = append(ids, hit.ID)
				}
				return ids
			}
			whole := get("size=1000")
			n := len(whole.Hits.Hits)
			if n < 5 || whole.Hits.Total != (api.Total{Value: int64(n), Relation: "eq"}) || whole.Hits.After != "" {
				t.Fatalf("of %d hits the total is %+v, the cursor %q", n, whole.Hits.Total, whole.Hits.After)
			}
			if got := ids(get("")); !slices.Equal(got, ids(whole)[:min(n, 10)]) {
				t.Errorf("the first page is %v", got)
			}
			if got := ids(get("&from=0&size=10&sort=&t=1&tab=user")); !slices.Equal(got, ids(whole)[:min(n, 10)]) {
				t.Errorf("with parameters that are ignored the first page is %v", got)
			}
			for _, size := range []int{1, 2, n - 1, n} {
				var byCursor, byOffset []string
				for page, after := get("size=%d", size), "x"; after != ""; {
					byCursor, after = append(byCursor, ids(page)...), page.Hits.After
					if (after != "") != (len(page.Hits.Hits) == size) || page.Hits.Total.Value != int64(n) {
						t.Errorf("a page of %d by %d has the cursor %q and the total %+v", len(page.Hits.Hits), size, after, page.Hits.Total)
					}
					if after != "" {
						page = get("size=%d&after=%s", size, url.QueryEscape(after))
					}
				}
				for from := 0; from < n; from += size {
					byOffset = append(byOffset, ids(get("size=%d&from=%d", size, from))...)
				}
				if !slices.Equal(byCursor, ids(whole)) || !slices.Equal(byOffset, ids(whole)) {
					t.Errorf("by %d: by cursor %v, by from %v, want %v", size, byCursor, byOffset, ids(whole))
				}
			}
			for _, query := range []string{"size=0", "from=9000&size=1000", fmt.Sprintf("from=%d", n)} {
				if page := get("%s", query); len(page.Hits.Hits) != 0 || page.Hits.Hits == nil || page.Hits.Total.Value != int64(n) {
					t.Errorf("%s: %d hits of %d", query, len(page.Hits.Hits), page.Hits.Total.Value)
				}
			}
			for query, code := range map[string]string{
				"from=-1": "bad_page", "size=-1": "bad_page", "from=x": "bad_page", "size=x": "bad_page", "size=1001": "bad_page",
				"from=9001&size=1000": "bad_page", "from=9991": "bad_page", "after=x": "bad_cursor",
			} {
				s.do("GET", path+"?"+query, "", admin.session()).want(400, code)
			}
		})
	}
}

// A cursor is of its list alone.
func TestCursorOfAnotherList(t *testing.T) {
	s := newServer(t)
	admin := s.single()
	s.mint(admin.session(), api.NewToken{})
	s.do("DELETE", "/auth/access_token/"+s.mint(admin.session(), api.NewToken{}).ID, "", admin.session()).want(200)
	cursors := map[string]string{}
	for _, path := range lists {
		var page listed
		s.do("GET", path+"?size=1", "", admin.session()).json(&page)
		cursors[path] = page.Hits.After
	}
	same := map[string]string{"/security/principal/_search": "/security/user/_search", "/security/user/_search": "/security/principal/_search"}
	for path := range cursors {
		for of, cursor := range cursors {
			if of != path && same[of] != path {
				s.do("GET", path+"?size=1&after="+cursor, "", admin.session()).want(400, "bad_cursor")
			}
		}
	}
}
