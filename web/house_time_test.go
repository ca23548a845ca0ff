package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/web/chromiumtest"
)

// Times are written alike with script and without, in every language: as ISO 8601 has
// them. A script puts them into the reader's zone, and UTC beside; nothing moves for it.
func TestBrowserTimes(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, nil)
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	p.Do("Emulation.setTimezoneOverride", map[string]any{"timezoneId": "Asia/Kolkata"}, nil)
	p.Do("Emulation.setLocaleOverride", map[string]any{"locale": "en-US"}, nil)
	h.browserSignIn(p)
	for _, path := range []string{"/me/sessions?lang=en", "/me/sessions?lang=zh", "/me/account?lang=en"} {
		p.Visit(path)
		times := strings.Split(p.Eval(`[...document.querySelectorAll("time")].map((t) => [t.dateTime, "day" in t.dataset, t.textContent, t.title].join("|")).join("\n")`), "\n")
		if len(times) < 2 {
			t.Fatalf("%s has the times %q", path, times)
		}
		for _, one := range times {
			part := strings.Split(one, "|")
			at, err := time.Parse(time.RFC3339, part[0])
			here := at.In(time.FixedZone("", 5*3600+1800))
			want := here.Format("2006-01-02 15:04")
			if part[1] == "true" {
				want = here.Format(time.DateOnly)
			}
			if err != nil || part[2] != want || part[3] != at.UTC().Format("2006-01-02 15:04 UTC") {
				t.Errorf("%s: %q, want %s", path, part, want)
			}
		}
		if moved := p.Shifts(); moved != "" {
			t.Errorf("%s moves: %s", path, moved)
		}
	}
}

// A wait inside the house counts down to its end, which alone is announced.
func TestBrowserWaitsInside(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1, Address: 100, Delay: 75 * time.Second} })
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	h.browserSignIn(p)
	p.Visit("/password")
	for range 2 {
		p.Fill("old", "not the password")
		p.Fill("new", testPassword+"!")
		p.Fill("again", testPassword+"!")
		p.Click("main form button")
	}
	if text := p.Text(); !strings.Contains(text, "You can try again in 7") {
		t.Fatalf("no time is told:\n%s", text)
	}
	if live := p.Eval(`document.querySelector("#seconds").closest("[role]").role + document.querySelector("[data-over] [role=status]").textContent`); live != "timer" {
		t.Errorf("what counts is %s", live)
	}
	p.Do("Emulation.setVirtualTimePolicy", map[string]any{"policy": "advance", "budget": 76_000}, nil)
	p.Await("Emulation.virtualTimeBudgetExpired")
	if told := p.Eval(`document.querySelector("[data-over]").innerText + "|" + document.querySelector("[data-over] [role=status]").textContent`); told != "You can try again now.|You can try again now." {
		t.Errorf("the time is not counted down: %q", told)
	}
}

// A wait that comes with the answer to an upload counts down as well.
func TestBrowserWaitsAfterUpload(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1, Address: 100, Delay: 75 * time.Second} })
	h.user("", testPassword, false)
	p := chromiumtest.Start(t).Open(h.base)
	h.browserSignIn(p)
	h.wait(11 * time.Minute)
	p.Visit(importPage)
	p.Eval("(() => { const d = new DataTransfer(); d.items.add(new File([`" + twoUsers + "`], 'users.jsonl')); document.getElementById('file').files = d.files; return ''; })()")
	seconds := func() string { return p.Eval(`document.getElementById("seconds")?.textContent || ""`) }
	for range 2 {
		p.Fill("proof", "not the password")
		p.Eval(`document.querySelector("main form button:not([formaction])").click()`)
		until(t, func() bool { return p.Eval(`document.getElementById("proof").value`) == "" })
	}
	until(t, func() bool { return seconds() != "" })
	first := seconds()
	until(t, func() bool { return seconds() < first })
}

// The password before a sensitive act waits, too, and says how long.
func TestProofWaits(t *testing.T) {
	t.Parallel()
	h := newTestHouse(t, func(c *Config) { c.LoginLimits = LoginLimits{Account: 1, Address: 100, Delay: 75 * time.Second} })
	h.user("", testPassword, false)
	v := h.signedIn("")
	h.wait(11 * time.Minute)
	form := []string{"now", "", "proof", "not the password"}
	v.post("/console/system/keys/rotate", form...)
	refused := v.post("/console/system/keys/rotate", form...)
	refused.isPage(t, http.StatusOK, "Too many tries failed.", `<span id="seconds">7`, "countdown")
}
