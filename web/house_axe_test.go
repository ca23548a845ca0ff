package web

import (
	"testing"

	"husk/db/dbtest"
	"husk/web/chromiumtest"
)

// No page breaks WCAG 2.2 AA, as far as a program can tell, by day or by night, wide or
// on a phone: one of both in a run, the other in the next, and both with HUSK_LONG=all.
func TestBrowserAccessibility(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "each page, checked for accessibility")
	p := chromiumtest.Start(t).Open("http://127.0.0.1")
	audit := func(path string, l chromiumtest.Look) {
		p.Look(l)
		p.Visit(path)
		awaitViewer(p, path, l.NoScript)
		for _, broken := range p.Axe() {
			t.Errorf("%s, %d pixels, dark %v: %s", path, l.Width, l.Dark, broken)
		}
	}
	day, night := chromiumtest.Look{Width: 1280, Height: 800}, chromiumtest.Look{Width: 390, Height: 844, Dark: true}
	checked := dbtest.InTurn(2)
	for _, house := range []int{0, 2} {
		m := &matrix{p: p}
		m.enter(newFilledHouse(t, house))
		for n, path := range m.h.places() {
			if checked(n) {
				audit(path, day)
			}
			if checked(n+1) && m.h.records > 0 {
				audit(path, night)
			}
		}
		if m.h.records > 0 {
			p.Eval(`document.getElementById("menu").showPopover()`)
			for _, broken := range p.Axe() {
				t.Errorf("the menu: %s", broken)
			}
		}
	}
	bare := newTestHouse(t, nil)
	p.Move(bare.base)
	p.Do("Network.clearBrowserCookies", nil, nil)
	for _, l := range []chromiumtest.Look{day, night} {
		audit("/setup", l)
	}
	bare.user("", testPassword, false)
	for _, l := range []chromiumtest.Look{day, night} {
		audit("/login", l)
		audit("/nothing-here", l)
	}
}
