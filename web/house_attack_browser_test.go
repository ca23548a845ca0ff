package web

import (
	"testing"

	"husk/web/chromiumtest"
)

// clockwork lets a page's intervals pass by hand, and its clock be turned.
const clockwork = `{
  window.ticks = []; window.asked = 0; window.later = 0;
  window.setInterval = (act) => { window.ticks.push(act); return 0; };
  const ask = window.fetch, now = Date.now;
  window.fetch = (...all) => { window.asked++; return ask(...all); };
  Date.now = () => now() + window.later;
}`

// A page that asks for itself again stops where nobody moves: a browser that was left
// alone would else keep its session from ending.
func TestBrowserLeftAloneAsksNoMore(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	p.Visit("/login")
	p.Fill("password", testPassword)
	p.Click("main button")
	p.Do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": clockwork}, nil)
	p.Visit("/console")
	for _, c := range []struct{ before, want string }{
		{"", "1"},
		{"later = 299000", "2"},
		{"later = 302000", "2"},
		{`window.dispatchEvent(new Event("keydown"))`, "3"},
	} {
		p.Eval(c.before + "; null")
		if got := p.Eval(`ticks.forEach((tick) => tick()); asked`); got != c.want {
			t.Errorf("%s: asked %s times, want %s", c.before, got, c.want)
		}
	}
}
