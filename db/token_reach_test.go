package db_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"husk/db"
)

func hosts(patterns ...string) db.Reach   { return db.Reach{AllowedHosts: patterns} }
func paths(patterns ...string) db.Reach   { return db.Reach{AllowedPaths: patterns} }
func methods(patterns ...string) db.Reach { return db.Reach{AllowedMethods: patterns} }

func TestReaches(t *testing.T) {
	for _, c := range []struct {
		reach      db.Reach
		yes, never string // requests, each METHOD HOST PATH
	}{
		{db.Reach{}, "GET app.example.com / , BREW ::1 /a", ""},
		{hosts("app.example.com"), "GET app.example.com /", "GET www.example.com / , GET example.com / , GET x.app.example.com / , GET app.example.com.evil.test /"},
		{hosts("*.example.com"), "GET a.example.com / , GET b.example.com /x", "GET example.com / , GET a.b.example.com / , GET .example.com / , GET aexample.com /"},
		{hosts("a.example.com", "::1"), "GET ::1 / , GET a.example.com /", "GET ::2 / , GET *.example.com /"},
		{paths("/admin"), "GET h /admin , GET h /admin/ , GET h /admin/x/y", "GET h / , GET h /administrator , GET h /a , GET h /Admin"},
		{paths("/admin/"), "GET h /admin/ , GET h /admin/x", "GET h /admin , GET h /adminx/"},
		{paths("/"), "GET h / , GET h /x", ""},
		{paths("/a", "/b/"), "GET h /a/x , GET h /b/x", "GET h /b , GET h /c"},
		{methods("GET"), "GET h / , HEAD h /", "POST h / , get h / , GETS h /"},
		{methods("HEAD"), "HEAD h /", "GET h /"},
		{methods("DELETE", "POST"), "POST h / , DELETE h /", "GET h / , PUT h /"},
		{db.Reach{AllowedHosts: []string{"h"}, AllowedPaths: []string{"/a"}, AllowedMethods: []string{"GET"}}, "GET h /a", "POST h /a , GET i /a , GET h /b"},
	} {
		k := &db.Token{Reach: c.reach}
		for list, want := range map[string]bool{c.yes: true, c.never: false} {
			for request := range strings.SplitSeq(list, ", ") {
				f := strings.Fields(request)
				if len(f) == 3 && k.Reaches(f[0], f[1], f[2]) != want {
					t.Errorf("%v reaches %s: %t", c.reach, request, !want)
				}
			}
		}
		if k.GateOnly() != !reflect.DeepEqual(c.reach, db.Reach{}) {
			t.Errorf("%v is good at the gate alone: %t", c.reach, k.GateOnly())
		}
	}
	// Nothing that is no host, path or method passes for one that is allowed.
	for _, reach := range []db.Reach{hosts("*.example.com"), paths("/"), methods("GET")} {
		if (&db.Token{Reach: reach}).Reaches("", "", "") {
			t.Errorf("%v reaches a request without a method, host and path", reach)
		}
	}
}

// Each request at the gate asks it.
func TestReachesAllocatesNothing(t *testing.T) {
	k := &db.Token{Reach: db.Reach{AllowedHosts: []string{"a.example.com", "*.example.com"}, AllowedPaths: []string{"/a", "/b/"}, AllowedMethods: []string{"DELETE", "GET"}}}
	if n := testing.AllocsPerRun(100, func() {
		if !k.Reaches("HEAD", "b.example.com", "/b/c") {
			t.Error("it does not reach what it names")
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// universe are patterns and values of each kind, all that a few letters make.
var universe = []struct {
	name             string
	of               func(...string) db.Reach
	patterns, values []string
	reaches          func(r db.Reach, value string) bool
}{
	{"hosts", hosts,
		[]string{"a", "b", "a.b", "b.b", "aa.b", "a.a.b", "*.a", "*.b", "*.a.b", "*.b.b", "*.aa.b"},
		[]string{"a", "b", "c", "a.b", "b.b", "c.b", "aa.b", "a.a.b", "b.a.b", "c.a.b", "a.b.b", "a.a", "a.aa.b", "a.a.a.b"},
		func(r db.Reach, v string) bool { return r.Reaches("GET", v, "/") }},
	{"paths", paths,
		[]string{"/", "/a", "/a/", "/aa", "/aa/", "/a/b", "/a/b/", "/b"},
		[]string{"/", "/a", "/a/", "/aa", "/aa/", "/ab", "/a/a", "/a/b", "/a/b/", "/a/bb", "/a/b/c", "/a/c", "/aa/b", "/b", "/b/", "/b/a", "/c"},
		func(r db.Reach, v string) bool { return r.Reaches("GET", "h", v) }},
	{"methods", methods,
		[]string{"GET", "HEAD", "POST", "GE"}, []string{"GET", "HEAD", "POST", "GE", "OPTIONS"},
		func(r db.Reach, v string) bool { return r.Reaches(v, "h", "/") }},
}

// What a token may make reaches nothing that it does not itself: of one pattern it
// may make just what that covers, of several no more than all of them do.
func TestCoveredReachesNoMore(t *testing.T) {
	for _, u := range universe {
		more := func(inner, outer db.Reach) (found []string) {
			for _, v := range u.values {
				if u.reaches(inner, v) && !u.reaches(outer, v) {
					found = append(found, v)
				}
			}
			return found
		}
		lists := [][]string{nil}
		for _, p := range u.patterns {
			lists = append(lists, []string{p})
		}
		for _, p := range u.patterns {
			for _, q := range u.patterns {
				lists = append(lists, []string{p, q})
			}
		}
		for _, in := range lists {
			for _, out := range lists {
				inner, outer := u.of(in...), u.of(out...)
				beyond, covered := more(inner, outer), inner.Within(&outer)
				if covered && len(beyond) > 0 {
					t.Errorf("%s: %v is taken for no more than %v, and reaches %v besides", u.name, in, out, beyond)
				}
				if !covered && len(beyond) == 0 && len(in) == 1 && len(out) == 1 {
					t.Errorf("%s: %v is taken for more than %v, and reaches nothing besides", u.name, in, out)
				}
			}
		}
	}
}

// Each of the three is held alone.
func TestReachWithin(t *testing.T) {
	full := db.Reach{AllowedHosts: []string{"*.b"}, AllowedPaths: []string{"/a"}, AllowedMethods: []string{"GET"}}
	for name, c := range map[string]struct {
		change func(r *db.Reach)
		want   bool
	}{
		"the same":     {func(*db.Reach) {}, true},
		"narrower":     {func(r *db.Reach) { *r = db.Reach{[]string{"a.b"}, []string{"/a/"}, []string{"HEAD"}} }, true},
		"all hosts":    {func(r *db.Reach) { r.AllowedHosts = nil }, false},
		"all paths":    {func(r *db.Reach) { r.AllowedPaths = nil }, false},
		"all methods":  {func(r *db.Reach) { r.AllowedMethods = nil }, false},
		"more hosts":   {func(r *db.Reach) { r.AllowedHosts = []string{"*.b", "b"} }, false},
		"more paths":   {func(r *db.Reach) { r.AllowedPaths = []string{"/b", "/a"} }, false},
		"more methods": {func(r *db.Reach) { r.AllowedMethods = []string{"GET", "POST"} }, false},
	} {
		r := full
		c.change(&r)
		if got := r.Within(&full); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if none := (db.Reach{}); !r.Within(&none) {
			t.Errorf("%s: no limits don't cover it", name)
		}
	}
}

// FuzzReach: whatever the texts are, what is covered reaches nothing besides.
func FuzzReach(f *testing.F) {
	for _, u := range universe {
		for _, p := range u.patterns {
			f.Add(p, u.patterns[0], u.values[0])
		}
	}
	f.Add("*", "*.", "a.")
	f.Add("", "/", "/x")
	f.Fuzz(func(t *testing.T, outer, inner, value string) {
		for _, u := range universe {
			out, in := u.of(outer), u.of(inner)
			if in.Within(&out) && u.reaches(in, value) && !u.reaches(out, value) {
				t.Errorf("%s: %q is taken for no more than %q, and reaches %q besides", u.name, inner, outer, value)
			}
		}
	})
}

// What a token reaches is kept as it was asked, in order and each thing once, and
// changed by what names it alone.
func TestReachIsKept(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	k := f.mint(ann, db.NewToken{Expires: db.Never, Reach: db.Reach{AllowedHosts: []string{"b", "a", "b"}, AllowedPaths: []string{"/x", "/a"}, AllowedMethods: []string{"POST", "GET"}}})
	want := func(when string, r db.Reach) {
		t.Helper()
		got, err := f.bare().Token(f.ctx, k.ID)
		must(t, err)
		if !reflect.DeepEqual(got.Reach, r) {
			t.Errorf("%s: %+v, not %+v", when, got.Reach, r)
		}
	}
	all := db.Reach{AllowedHosts: []string{"a", "b"}, AllowedPaths: []string{"/a", "/x"}, AllowedMethods: []string{"GET", "POST"}}
	want("made", all)
	update := func(r db.Reach) error { return f.UpdateToken(f.ctx, ann, k.ID, db.TokenChange{Name: "x", Reach: r}) }
	must(t, update(db.Reach{}))
	want("nothing asked", all)
	k2, err := f.RotateToken(f.ctx, ann, k.ID, db.Rotation{Hash: []byte(strings.Repeat("x", 32)), Grace: time.Hour})
	must(t, err)
	want("rotated", all)
	next := db.Rotation{Hash: []byte(strings.Repeat("y", 32))}
	_, err = f.BeginRotation(f.ctx, ann, k.ID, next)
	must(t, err)
	begun, err := f.Token(f.ctx, k.ID)
	must(t, err)
	for name, r := range map[string]db.Reach{"replaced": k2.Replaced().Reach, "begun": begun.Begun().Reach} {
		if !reflect.DeepEqual(r, all) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	must(t, f.SettleRotation(f.ctx, ann, k.ID, db.Settlement{Hash: next.Hash}))
	want("settled", all)
	for _, step := range []struct{ change, want db.Reach }{
		{hosts("c"), db.Reach{AllowedHosts: []string{"c"}, AllowedPaths: all.AllowedPaths, AllowedMethods: all.AllowedMethods}},
		{db.Reach{AllowedPaths: []string{}}, db.Reach{AllowedHosts: []string{"c"}, AllowedMethods: all.AllowedMethods}},
		{methods("PUT", "GET"), db.Reach{AllowedHosts: []string{"c"}, AllowedMethods: []string{"GET", "PUT"}}},
		{db.Reach{AllowedHosts: []string{}, AllowedMethods: []string{}}, db.Reach{}},
		{paths("/p"), paths("/p")},
	} {
		must(t, update(step.change))
		want(fmt.Sprintf("changed by %+v", step.change), step.want)
	}
}

// With a token: what it makes reaches no more, and what is not asked is its own.
func TestTokensReachNoMoreThanTheirMaker(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	own := db.Reach{AllowedHosts: []string{"*.b"}, AllowedPaths: []string{"/a"}, AllowedMethods: []string{"GET"}}
	by := f.by(f.mint(ann, db.NewToken{Expires: db.Never, Reach: own}))
	empty := db.Reach{AllowedHosts: []string{}, AllowedPaths: []string{}, AllowedMethods: []string{}}
	for _, c := range []struct{ asked, want db.Reach }{
		{db.Reach{}, own}, {empty, own}, {own, own},
		{hosts("a.b"), db.Reach{AllowedHosts: []string{"a.b"}, AllowedPaths: own.AllowedPaths, AllowedMethods: own.AllowedMethods}},
		{paths("/a/x", "/a/"), db.Reach{AllowedHosts: own.AllowedHosts, AllowedPaths: []string{"/a/", "/a/x"}, AllowedMethods: own.AllowedMethods}},
		{methods("HEAD"), db.Reach{AllowedHosts: own.AllowedHosts, AllowedPaths: own.AllowedPaths, AllowedMethods: []string{"HEAD"}}},
	} {
		if k := f.mint(by, db.NewToken{Reach: c.asked}); !reflect.DeepEqual(k.Reach, c.want) {
			t.Errorf("asked for %+v it made %+v", c.asked, k.Reach)
		}
	}
	for _, wider := range []db.Reach{hosts("b"), hosts("*.a.b"), hosts("a.b", "b"), paths("/"), paths("/ab"), paths("/a", "/b"), methods("POST"), methods("GET", "POST")} {
		before := f.total(ann.ID)
		_, err := f.CreateToken(f.ctx, by, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), Reach: wider})
		wantErr(t, err, db.ErrDenied, "wider_reach")
		if f.total(ann.ID) != before {
			t.Errorf("%+v was refused, and made", wider)
		}
	}
	// Who has no such limit makes what they like.
	for _, free := range []*db.Actor{ann, f.by(f.mint(ann, db.NewToken{Expires: db.Never}))} {
		if k := f.mint(free, db.NewToken{Reach: hosts("x")}); !slices.Equal(k.AllowedHosts, []string{"x"}) {
			t.Errorf("%+v", k.Reach)
		}
	}
}

// Nor does a token change one into what reaches more than itself, or have to do with
// one that does.
func TestTokensChangeNoneThatReachesMore(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	own := db.Reach{AllowedHosts: []string{"*.b"}, AllowedPaths: []string{"/a"}, AllowedMethods: []string{"GET"}}
	shown := f.mint(ann, db.NewToken{Expires: db.Never, Reach: own})
	by, like := f.by(shown), f.mint(ann, db.NewToken{Expires: db.Never, Reach: own})
	update := func(id string, r db.Reach) error {
		return f.UpdateToken(f.ctx, by, id, db.TokenChange{Name: "x", Reach: r})
	}
	for _, r := range []db.Reach{
		{AllowedHosts: []string{}}, {AllowedPaths: []string{}}, {AllowedMethods: []string{}}, hosts("b"), paths("/b"), methods("POST"),
	} {
		wantErr(t, update(like.ID, r), db.ErrDenied, "above_token")
		wantErr(t, update(shown.ID, r), db.ErrDenied, "above_token")
	}
	must(t, update(like.ID, db.Reach{AllowedHosts: []string{"a.b"}, AllowedPaths: []string{"/a/"}, AllowedMethods: []string{"HEAD"}}))
	for name, r := range map[string]db.Reach{
		"no limits": {}, "all hosts": {AllowedPaths: own.AllowedPaths, AllowedMethods: own.AllowedMethods},
		"all paths": {AllowedHosts: own.AllowedHosts, AllowedMethods: own.AllowedMethods}, "all methods": {AllowedHosts: own.AllowedHosts, AllowedPaths: own.AllowedPaths},
	} {
		k := f.mint(ann, db.NewToken{Expires: db.Never, Reach: r})
		if err := update(k.ID, db.Reach{}); err == nil {
			t.Errorf("%s: it was changed", name)
		}
		_, err := f.RotateToken(f.ctx, by, k.ID, db.Rotation{Hash: make([]byte, 32)})
		wantErr(t, err, db.ErrDenied, "above_token")
		must(t, update(k.ID, own)) // it may cut one down to its own measure
	}
}

// A request on its way does not outlast a limit that its token gets meanwhile.
func TestReachCutMeanwhile(t *testing.T) {
	for name, r := range map[string]db.Reach{"hosts": hosts("a"), "paths": paths("/"), "methods": methods("GET")} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			ann := f.as(f.user("ann@example.com"))
			k := f.mint(ann, db.NewToken{Expires: db.Never})
			by := f.by(k)
			must(t, f.UpdateToken(f.ctx, ann, k.ID, db.TokenChange{Name: "x", Reach: r}))
			_, err := f.CreateToken(f.ctx, by, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32)})
			wantErr(t, err, db.ErrEnded, "invalid_token")
		})
	}
}

func TestReachIsBounded(t *testing.T) {
	f := newStore(t)
	ann := f.as(f.user("ann@example.com"))
	k := f.mint(ann, db.NewToken{})
	many := func(n int) (texts []string) {
		for i := range n {
			texts = append(texts, fmt.Sprintf("/%03d", i))
		}
		return texts
	}
	long := func(n int, letter string) []string { return []string{"/" + strings.Repeat(letter, n-1)} }
	const written = len(`{"allowed_paths":[""]}`)
	for name, r := range map[string]db.Reach{
		"hosts": hosts(many(101)...), "paths": paths(many(101)...), "methods": methods(many(101)...), "the same again": paths(slices.Repeat([]string{"/"}, 101)...),
		"long": paths(long(2049-written, "x")...), "long as it is kept": paths(long(400, "<")...),
		"long together": {AllowedHosts: long(700, "x"), AllowedPaths: long(700, "x"), AllowedMethods: long(700, "x")},
	} {
		_, err := f.CreateToken(f.ctx, ann, db.NewToken{ID: uuid.NewString(), Hash: make([]byte, 32), Reach: r})
		wantErr(t, err, db.ErrInvalid, "reach_too_long")
		wantErr(t, f.UpdateToken(f.ctx, ann, k.ID, db.TokenChange{Name: name, Reach: r}), db.ErrInvalid, "reach_too_long")
	}
	f.mint(ann, db.NewToken{Reach: paths(many(100)...)})
	f.mint(ann, db.NewToken{Reach: paths(long(2048-written, "x")...)})
	f.mint(ann, db.NewToken{Reach: db.Reach{AllowedHosts: long(600, "x"), AllowedPaths: long(600, "x"), AllowedMethods: long(600, "x")}})
}
