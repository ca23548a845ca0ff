package web

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/dbtest"
	"husk/db/dbtest/large"
	"husk/web/chromiumtest"
	"husk/web/gate"
	"husk/web/password"
)

var updateScreenshots = flag.Bool("update-screenshots", false, "make the pictures in docs/screenshots anew")

// The pictures of the manual are of a house where people live. They are made by
//
//	make screenshots
//
// Otherwise they are made to be thrown away: that they can be made, and are small.
func TestScreenshots(t *testing.T) {
	const most = 120_000 // bytes
	folder := filepath.Join("..", "docs", "screenshots")
	if !*updateScreenshots {
		dbtest.TakesVeryLong(t, "the pictures of the manual")
		folder = t.TempDir()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	h := newTestHouse(t, func(c *Config) {
		rules, faults := gate.Parse(gate.Config{LoginURL: "https://auth.example.com", Rules: livelyRules})
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		hash, err := c.Passwords.Hash(t.Context(), password.Caller{}, testPassword)
		if err != nil {
			t.Fatal(err)
		}
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}
		fill(t, c, livelyFilling(hash), 3, rules)
	})
	until(t, func() bool { _, last := h.Upkeep.LastBackups(); return !last.Newest.IsZero() })
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("email", "ann@example.com")
	p.Fill("password", testPassword)
	p.Click("button")
	for _, s := range []struct {
		name, path    string
		dark          bool
		width, height int
		act           func()
	}{
		{name: "start", path: "/me"},
		{name: "tokens", path: "/me/tokens"},
		{name: "token-new", path: "/me/tokens/new"},
		{name: "overview", path: "/console"},
		{name: "overview-dark", path: "/console", dark: true},
		{name: "users", path: "/console/users"},
		{name: "rules", path: "/console/rules/test?url=https%3A%2F%2Fwiki.example.com%2F&method=GET&user=ben%40example.com"},
		{name: "audit", path: "/console/audit"},
		{name: "system", path: "/console/system"},
		{name: "phone", path: "/console/tokens", width: 390, height: 844},
		{name: "token-made", path: "/me/tokens/new", act: func() { // the last: one does not leave it by accident
			p.Fill("name", "ci-deploy")
			p.Click("main form button[type=submit]")
		}},
	} {
		look := chromiumtest.Look{Width: 1280, Height: 860, Dark: s.dark}
		if s.width > 0 {
			look.Width, look.Height = s.width, s.height
		}
		p.Look(look)
		p.Visit(s.path)
		if s.act != nil {
			s.act()
		}
		p.Eval(fmt.Sprintf(atHome, h.base))
		small := fewColours(t, p.PNG(false))
		if len(small) > most {
			t.Errorf("%s has %d bytes", s.name, len(small))
		}
		if err := os.WriteFile(filepath.Join(folder, s.name+".png"), small, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s.png: %d bytes", s.name, len(small))
	}
}

// atHome has a page tell of a server as people have it, not of the folders of a test.
const atHome = `(base => {
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(base, "http://localhost:9000").replace(/\/\S*\/(husk-\d)/, "/var/backups/husk/$1");
})(%q)`

// fewColours is a picture with at most 256 colours, which is a third of its size and
// looks the same: a page has few.
func fewColours(t *testing.T, full []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	box := picture.Bounds()
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA) }
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	var palette color.Palette
	for len(palette) < 256 && len(count) > 0 { // the most frequent
		var best color.RGBA
		for c, n := range count {
			if n > count[best] || n == count[best] && fmt.Sprint(c) < fmt.Sprint(best) {
				best = c
			}
		}
		delete(count, best)
		palette = append(palette, best)
	}
	small := image.NewPaletted(box, palette)
	draw.Draw(small, box, picture, box.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var livelyRules = []gate.Rule{
	{Host: "wiki.example.com", Require: []string{"any"}},
	{Host: "grafana.example.com", Require: []string{"role:operations"}},
	{Host: "status.example.com", Require: []string{"public"}},
	{Host: "photos.example.com", Require: []string{"any"}},
	{Host: "git.example.com", Path: "/admin", Require: []string{"role:admin"}},
	{Host: "git.example.com", Require: []string{"any"}},
}

var (
	livelyPeople = strings.Fields("ann ben carol dora emil fay gus hana ivan jun kim lena mo nils olga pia")
	livelyTokens = []string{"ci-deploy", "nightly-backup", "grafana-agent", "wiki-import", "photo-sync", "uptime-check", "print-room", "mail-filter", "restic", "build-cache"}
)

// livelyFilling is people with names, and what they have.
func livelyFilling(hash string) db.Filling {
	f := filling(len(livelyPeople), plainText)
	person := func(i int) string { return livelyPeople[i%len(livelyPeople)] }
	email := func(i int) string { return person(i) + "@example.com" }
	at := func(i int) time.Time { return filledNow.Add(-time.Duration(i*i+3*i+1) * 11 * time.Minute) }
	teams := []string{"operations", "editors", "auditors"}
	f.Roles = len(teams)
	f.Role = func(i int) *db.Role {
		return &db.Role{Name: teams[i], Description: []string{"Keeps it running", "Writes the wiki", "Reads the audit log"}[i], Permissions: []string{db.PermUserRead}, Created: at(i), Updated: at(i)}
	}
	f.User = func(i int) *db.User {
		name := person(i)
		u := &db.User{ID: large.UserID(i), Email: email(i), Name: strings.ToUpper(name[:1]) + name[1:], Roles: []string{db.RoleUser, teams[i%len(teams)]}[:1+i%2], Disabled: i == 6, Created: at(i + 20), Updated: at(i), LastLogin: at(i)}
		if i == 0 {
			u.Password, u.Roles = hash, []string{db.RoleAdmin}
		}
		return u
	}
	f.Session = func(i int) *db.Session {
		agents := []string{"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"}
		return &db.Session{ID: large.ID("session", i), Hash: make([]byte, 32), User: large.UserID(i), Created: at(i), Expires: filledNow.Add(20 * time.Hour), IP: fmt.Sprintf("192.0.2.%d", 10+i), UserAgent: agents[i%2]}
	}
	f.Tokens = len(livelyTokens)
	f.Token = func(i int) *db.Token {
		ends := []int64{filledNow.AddDate(0, 0, 5).Unix(), db.Never, filledNow.AddDate(0, 3, 0).Unix(), filledNow.AddDate(1, 0, 0).Unix()}[i%4]
		return &db.Token{ID: large.TokenID(i), Owner: large.UserID(i % 3), Name: livelyTokens[i], Hash: make([]byte, 32), Permissions: []string{}, Expires: ends, Created: at(i + 9), Issued: at(i + 9), Updated: at(i + 9)}
	}
	f.Used = func(i int) db.LastUsed {
		return db.LastUsed{Time: at(i), Address: fmt.Sprintf("192.0.2.%d", 10+i), Day: filledNow.Format(time.DateOnly), Requests: []uint64{120, 140, 90, 160, 155, 30, 20, 130}}
	}
	f.EndedOf = func(i int) *db.EndedToken {
		return &db.EndedToken{ID: large.ID("ended", i), Owner: large.UserID(i), OwnerName: email(i), Name: livelyTokens[i%len(livelyTokens)], Created: at(i + 9), Expires: db.Never, Used: at(i + 1), Address: "192.0.2.1", Ended: at(i), By: large.UserID(i), ByName: email(i), Reason: db.EndedRevoked}
	}
	f.Events = 40
	f.Event = func(i int) db.Event {
		n := 40 - i
		actions := []string{"session.login", "token.create", "session.login", "role.update", "user.create", "session.logout", "token.rotate"}
		e := db.Event{Time: at(n), Actor: large.UserID(n % len(livelyPeople)), ActorName: email(n), Transport: db.TransportHTTP, Address: fmt.Sprintf("192.0.2.%d", 10+n%9), Action: actions[n%len(actions)], Result: db.ResultOK, RequestID: large.RequestID(n), Count: 1}
		switch e.Action {
		case "token.create", "token.rotate":
			e.Target, e.TargetName = large.TokenID(n%len(livelyTokens)), livelyTokens[n%len(livelyTokens)]
		case "role.update":
			e.Target = teams[n%len(teams)]
		case "user.create":
			e.Target, e.TargetName = large.UserID(n%len(livelyPeople)), email(n)
		default:
			e.Target, e.TargetName = e.Actor, email(n)
		}
		if n%9 == 4 {
			e.Actor, e.ActorName, e.Action, e.Result, e.Count = "", "", "session.login", db.ResultRefused, 3
		}
		return e
	}
	return f
}

// What the README shows is there.
func TestReadmePictures(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?:src|srcset)="([^"]+)"`).FindAllStringSubmatch(string(readme), -1)
	for _, m := range shown {
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Errorf("%v: 'make screenshots' makes the pictures", err)
		}
	}
	if len(shown) < 2 {
		t.Errorf("the README shows %d pictures", len(shown))
	}
}
