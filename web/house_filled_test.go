package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/db/bolt/bolttest"
	"husk/db/dbtest"
	"husk/db/dbtest/large"
	"husk/web/console"
	"husk/web/gate"
	"husk/web/manual"
	"husk/web/upkeep"
)

// filledHouse is a house with so many of everything, and who is signed in there as its
// single user.
type filledHouse struct {
	*visitor
	name    string
	records int
}

// houses are those in which pages are looked at. In the last all names are as long as
// they may be.
var houses = []struct {
	name    string
	records int
	text    func(i, most int) string // a text of at most so many characters
}{
	{"none", 0, plainText},
	{"one", 1, plainText},
	{"dozen", 12, plainText},
	{"many", mostRecords(), plainText},
	{"long", 12, longText},
}

// mostRecords is more than any list has on a page, and with the time for it more than one
// wants to look through.
func mostRecords() int {
	if dbtest.Long() {
		return 10_000
	}
	return 1_500
}

var plainTexts = []string{"nightly backup", "ci-deploy", "grafana", "wiki editor", "phone of Ann", "restic", "build server", "monitoring", "photo frame", "mail filter", "print room", "old laptop"}

func plainText(i, _ int) string {
	if i < len(plainTexts) {
		return plainTexts[i]
	}
	return fmt.Sprintf("%s %d", plainTexts[i%len(plainTexts)], i)
}

// longTexts are without a place where a line would break by itself, some of them.
var longTexts = []string{"备份服务器每晚自动运行的令牌", "مفتاح النسخ الاحتياطي الليلي ", "👩🏽‍💻🗝️🧑‍🚀", "Donaudampfschifffahrtsgesellschaftskapitän"}

func longText(i, most int) string {
	part := longTexts[i%len(longTexts)]
	parts := []rune(strings.Repeat(part, most/len([]rune(part))+1))
	return strings.TrimSpace(string(parts[:most]))
}

// newFilledHouse makes the house of a number.
func newFilledHouse(t *testing.T, i int) *filledHouse {
	t.Helper()
	one := houses[i]
	h := newTestHouse(t, func(c *Config) {
		fill(t, c, filling(one.records, one.text), one.records, filledGate(t, one.records, one.text))
	})
	until(t, func() bool { _, last := h.Upkeep.LastBackups(); return !last.Newest.IsZero() })
	return &filledHouse{h.signedIn(""), one.name, one.records}
}

// fill gives a house that is not made yet a store with what filling has, in which as much
// was counted as much tells, rules, and a folder with backups.
func fill(t *testing.T, c *Config, filling db.Filling, much int, rules *gate.Rules) {
	t.Helper()
	path, now := filepath.Join(c.Dir, "filled.db"), c.Store.Now()
	past := bolttest.Store(t, bolttest.Options{Path: path, Options: db.Options{Now: func() time.Time { return now }}})
	(&testHouse{T: t, Server: &Server{Config: Config{Store: past, Passwords: c.Passwords}}}).user("", testPassword, false) // ends all sessions
	if much > 0 {
		for hours := range 24 * 30 {
			now = c.Store.Now().Add(-time.Duration(hours) * time.Hour)
			past.NoteCounts(countsOf(now, uint64(much), rules))
		}
	}
	if err := errors.Join(past.FlushCounts(t.Context()), past.Close(), bolt.Fill(path, func(tx db.Tx) error { return db.Fill(tx, filling) })); err != nil {
		t.Fatal(err)
	}
	c.Store, c.Gate = bolttest.Store(t, bolttest.Options{Path: path, Options: db.Options{Now: c.Store.Now}}), rules
	c.Upkeep = &upkeep.Upkeep{Config: upkeep.Config{Backups: upkeep.Backups{Dir: t.TempDir(), Every: 24 * time.Hour, Keep: 14}}}
	c.OpenCopy = func(path string) (db.Engine, error) { return bolt.Open(path, bolt.Options{}) }
	c.Configuration = ConfigurationOfTests
}

// countsOf is what an hour is like: by day there is more.
func countsOf(at time.Time, much uint64, rules *gate.Rules) db.Counts {
	day := uint64(14 - max(at.Hour()-13, 13-at.Hour()))
	if at.Weekday() == time.Sunday {
		day /= 3
	}
	odd := uint64(at.Unix()/3600) % 7
	c := db.Counts{
		SignIns:  db.SignInCounts{OK: day/2 + odd, Refused: odd / 3, Throttled: odd / 6},
		Requests: db.RequestCounts{Session: much * day * 3, Token: much * (20 + day*2 + odd), None: day + odd, Refused: odd},
		Store:    1_300_000 + (at.Unix()-filledNow.Unix())/4,
	}
	var hosts []string
	if rules != nil {
		hosts = rules.Hosts()
	}
	for i, host := range hosts[:min(5, len(hosts))] {
		c.Add(db.Counts{Gate: map[string]db.GateCounts{host: {Allowed: much * day * uint64(i+1), Refused: odd / 2, SignIn: day / 4}}})
	}
	return c
}

var filledNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// filling is n of everything, of all states that there are. Every second token and
// session is of the single user.
func filling(n int, text func(i, most int) string) db.Filling {
	at := func(i int) time.Time { return filledNow.Add(-time.Duration(i+1) * 37 * time.Minute) }
	owner := func(i int) string {
		if i%2 == 0 {
			return db.SingleUser
		}
		return large.UserID(i)
	}
	return db.Filling{
		Roles: min(n, 900), // there may be a thousand
		Role: func(i int) *db.Role {
			return &db.Role{Name: fmt.Sprintf("team-%d%s", i, strings.Repeat("x", len(text(0, 90))/2)), Description: text(i, 200), Permissions: []string{db.PermUserRead, db.PermTokenSearch}, Created: at(i), Updated: at(i)}
		},
		Users: n,
		User: func(i int) *db.User {
			email := fmt.Sprintf("user%d%s@example.com", i, strings.Repeat("x", len(text(0, 90))/2))
			return &db.User{ID: large.UserID(i), Email: email, Name: text(i, 200), Roles: []string{db.RoleUser}, Disabled: i%7 == 3, MustChange: i%7 == 2, Created: at(i), Updated: at(i)}
		},
		Sessions: n,
		Session: func(i int) *db.Session {
			agent := "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
			return &db.Session{ID: large.ID("session", i), Hash: make([]byte, 32), User: owner(i), Created: at(i), Expires: filledNow.Add(20 * time.Hour), IP: "2001:db8:85a3:8d3:1319:8a2e:370:7348", UserAgent: agent + text(i, 60)}
		},
		Tokens: n,
		Token: func(i int) *db.Token {
			ends := []int64{db.Never, filledNow.Add(72 * time.Hour).Unix(), filledNow.Add(-time.Hour).Unix(), filledNow.AddDate(1, 0, 0).Unix()}[i/2%4]
			return &db.Token{ID: large.TokenID(i), Owner: owner(i), Name: text(i, 200), Description: text(i+1, 300), Hash: make([]byte, 32), Permissions: []string{db.PermUserRead}, Expires: ends, Created: at(i), Issued: at(i), Updated: at(i),
				Reach: db.Reach{AllowedHosts: []string{"wiki.example.com"}, AllowedPaths: []string{"/" + strings.Repeat("long", 30) + "/"}, AllowedMethods: []string{"GET", "POST"}}}
		},
		Used: func(i int) db.LastUsed {
			if i%3 == 2 {
				return db.LastUsed{}
			}
			return db.LastUsed{Time: at(i), Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348", Seen: []string{"2001:db8:85a3:8d3:1319:8a2e:370:7348"},
				Day: filledNow.Format(time.DateOnly), Requests: []uint64{3, 0, 12, 7}}
		},
		Ended: n,
		EndedOf: func(i int) *db.EndedToken {
			return &db.EndedToken{ID: large.ID("ended", i), Owner: owner(i), OwnerName: text(i, 200), Name: text(i, 200), Created: at(i), Expires: db.Never, Used: at(i), Address: "192.0.2.1",
				Ended: at(i), By: db.SingleUser, ByName: db.SingleUser, Reason: db.EndedRevoked}
		},
		Events: n,
		Event: func(i int) db.Event {
			e := db.Event{Time: at(n - i), Actor: owner(i), ActorName: text(i, 200), Transport: db.TransportHTTP, Address: "192.0.2.1", Action: "token.create", Target: large.TokenID(i), TargetName: text(i, 200), Result: db.ResultOK, RequestID: large.RequestID(i), Count: 1}
			if i%4 == 1 {
				e.Action, e.Target, e.TargetName, e.Result = "login", "", "", db.ResultRefused
			}
			return e
		},
	}
}

// filledGate has n rules, at most as many as somebody would write.
func filledGate(t *testing.T, n int, text func(i, most int) string) *gate.Rules {
	t.Helper()
	if n == 0 {
		return nil
	}
	config := gate.Config{LoginURL: "https://auth.example.com"}
	for i := range min(n, 200) {
		config.Rules = append(config.Rules, gate.Rule{Host: fmt.Sprintf("app%d%s.example.com", i, strings.Repeat("x", min(len(text(0, 90))/2, 50))), Path: "/" + strings.Repeat("p", i%40), Require: []string{[]string{"any", "public", "role:admin"}[i%3]}})
	}
	rules, faults := gate.Parse(config)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return rules
}

// places are the addresses of all pages in the house, and of those that stand around it.
func (h *filledHouse) places() []string {
	h.Helper()
	return append(h.addresses(http.MethodGet), "/", "/docs", "/password", "/me/nothing-here", h.connectPath())
}

// connectPath is the page on which a desktop program is let in.
func (h *filledHouse) connectPath() string {
	return "/connect?" + url.Values{"product": {"coco"}, "provider": {"x"}, "request_id": {testRequest}}.Encode()
}

// forms are the addresses to which forms of the house are sent.
func (h *filledHouse) forms() []string {
	h.Helper()
	return h.addresses(http.MethodPost)
}

func (h *filledHouse) addresses(method string) (all []string) {
	h.Helper()
	for _, p := range console.Places() {
		if p.Method == method {
			all = append(all, h.address(p.Path))
		}
	}
	return all
}

// address has the ids of records in the place of names. A noun that is not known here is
// a failure: its pages would be looked at as nothing but "not found".
func (h *filledHouse) address(path string) string {
	h.Helper()
	if path == "/console/tokens/:id/rotate" { // for whose token it is
		return "/console/tokens/" + large.TokenID(0) + "/rotate"
	}
	for _, known := range []struct{ under, id string }{
		{"/me/tokens/", large.TokenID(0)},
		{"/me/sessions/", large.ID("session", 0)},
		{"/console/tokens/", large.TokenID(1 % max(h.records, 1))},
		{"/console/sessions/", large.ID("session", 1%max(h.records, 1))},
		{"/console/users/", large.UserID(1 % max(h.records, 1))},
		{"/console/roles/", fmt.Sprintf("team-0%s", strings.Repeat("x", len(houses[h.number()].text(0, 90))/2))},
		{"/console/audit/request/", large.RequestID(0)},
		{"/console/system/backups/", "husk-20261124T120000Z.bak"}, // of which there is none
		{"/me/second-factor/passkeys/", "none"},                   // nor of these
		{"/console/manual/", manual.Pages()[0].Name},
	} {
		if rest, under := strings.CutPrefix(path, known.under); under && strings.HasPrefix(rest, ":") {
			_, act, _ := strings.Cut(rest, "/")
			return strings.TrimSuffix(known.under+known.id+"/"+act, "/")
		}
	}
	if path == "/console/sessions/end" {
		return path + "?user=" + db.SingleUser
	}
	if strings.Contains(path, ":") {
		h.Errorf("no record is known for %s", path)
	}
	return path
}

func (h *filledHouse) number() int {
	for i, one := range houses {
		if one.name == h.name {
			return i
		}
	}
	panic(h.name)
}
