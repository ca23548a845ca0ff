// Package chromiumtest drives a headless Chromium as a person would: by pages, fields
// and clicks. It is for tests alone.
package chromiumtest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db/dbtest"
)

// Browser drives a headless browser by the Chrome DevTools Protocol over a
// pair of pipes: a few methods of it are all that is needed, and no library
// or port. Not for several goroutines.
type Browser struct {
	*testing.T
	to     *os.File
	from   *bufio.Reader
	id     int
	events []event // not looked at yet
}

type event struct {
	Method  string
	Session string `json:"sessionId"`
	Params  json.RawMessage
}

// message is an answer or an event.
type message struct {
	event
	ID     int
	Result json.RawMessage
	Error  *struct{ Message string }
}

const browserPatience = 30 * time.Second

// Start starts the browser with a profile of its own that ends with
// the test. It reaches this machine alone: names under test and example.com are
// other names of it. Flags are more of the browser's own.
func Start(t *testing.T, flags ...string) *Browser {
	t.Helper()
	return start(t, t.TempDir(), flags)
}

// During has what goes wrong be told of a part of the test, until that has ended.
func (b *Browser) During(t *testing.T) {
	whole := b.T
	b.T = t
	t.Cleanup(func() { b.T = whole })
}

// StartWithoutCookies is Start, and the browser keeps no cookie of that origin.
func StartWithoutCookies(t *testing.T, origin string, flags ...string) *Browser {
	t.Helper()
	profile := t.TempDir()
	var settings struct {
		Profile struct {
			ContentSettings struct {
				Exceptions map[string]map[string]any `json:"exceptions"`
			} `json:"content_settings"`
		} `json:"profile"`
	}
	const block = 2
	settings.Profile.ContentSettings.Exceptions = map[string]map[string]any{"cookies": {origin + ",*": map[string]int{"setting": block}}}
	text, err := json.Marshal(settings)
	if err == nil {
		err = os.Mkdir(filepath.Join(profile, "Default"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(profile, "Default", "Preferences"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return start(t, profile, flags)
}

func start(t *testing.T, profile string, flags []string) *Browser {
	t.Helper()
	path := Find(t)
	cmd := exec.Command(path, append(flags, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--host-resolver-rules=MAP localhost 127.0.0.1, MAP *.test 127.0.0.1, MAP *.example.com 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--user-data-dir="+profile, "--remote-debugging-pipe")...)
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &Browser{T: t, to: ourOut, from: bufio.NewReaderSize(ourIn, 1<<20)}
	t.Cleanup(func() {
		b.write("", "Browser.close", nil)
		stop := time.AfterFunc(browserPatience, func() { cmd.Process.Kill() })
		defer stop.Stop()
		cmd.Wait()
		ourIn.Close()
		ourOut.Close()
	})
	return b
}

// Find returns the path of a Chromium, and skips the test where there is none.
func Find(t *testing.T) string {
	t.Helper()
	dbtest.NoRace(t, "the pages in a browser")
	dbtest.TakesLong(t, "the pages in a browser")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium: the pages must be tried in a browser here")
	}
	t.Skip("no Chromium")
	return ""
}

func (b *Browser) write(session, method string, params any) int {
	b.id++
	line, err := json.Marshal(struct {
		ID      int    `json:"id"`
		Session string `json:"sessionId,omitempty"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
	}{b.id, session, method, params})
	if err == nil {
		b.to.SetWriteDeadline(time.Now().Add(browserPatience))
		_, err = b.to.Write(append(line, 0))
	}
	if err != nil {
		b.Errorf("%s: %v", method, err)
	}
	return b.id
}

func (b *Browser) read(what string) (m message) {
	b.Helper()
	// The pipe has no deadline of its own on every system.
	stop := time.AfterFunc(browserPatience, func() { panic("the browser does not answer: " + what) })
	line, err := b.from.ReadBytes(0)
	stop.Stop()
	if err == nil {
		err = json.Unmarshal(line[:len(line)-1], &m)
	}
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	return m
}

// call sends a command and returns its answer; events are kept.
func (b *Browser) call(session, method string, params, result any) {
	b.Helper()
	id := b.write(session, method, params)
	for {
		m := b.read(method)
		switch {
		case m.Method != "":
			b.events = append(b.events, m.event)
		case m.ID != id:
		case m.Error != nil:
			b.Fatalf("%s: %s", method, m.Error.Message)
		default:
			if result != nil {
				if err := json.Unmarshal(m.Result, result); err != nil {
					b.Fatalf("%s: %v", method, err)
				}
			}
			return
		}
	}
}

// Tab is one page of the browser.
type Tab struct {
	*Browser
	session string
	base    string
	others  []string
	Seen    []string // URLs that it asked for, or wanted to open
	Sent    []string // URLs whose answers came from the server, not from what the browser keeps
	Foreign bool     // it shows pages of others, which may do what ours may not

	had map[string]bool // requests that what the browser keeps answered
}

// Open opens a page that is empty yet. What it shows is of base, or of the others:
// all of them are schemes with a host.
func (b *Browser) Open(base string, others ...string) *Tab {
	b.Helper()
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &Tab{Browser: b, session: attached.SessionID, base: base, others: others, had: map[string]bool{}}
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.Do(domain+".enable", nil, nil)
	}
	p.Screen(1280, 800, false)
	return p
}

// Do calls a method of the browser's own, and reads what it answers into result,
// which may be nil.
func (p *Tab) Do(method string, params, result any) {
	p.Helper()
	p.call(p.session, method, params, result)
}

// Await reads events of the page until one of that name, and looks at those before
// it.
func (p *Tab) Await(method string) {
	p.Helper()
	for {
		var ofOthers []event
		for i, e := range p.events {
			if e.Session != p.session {
				ofOthers = append(ofOthers, e)
				continue
			}
			p.look(e)
			if e.Method == method {
				p.events = append(ofOthers, p.events[i+1:]...)
				return
			}
		}
		p.events = ofOthers
		if m := p.read(method); m.Method != "" {
			p.events = append(p.events, m.event)
		}
	}
}

// look fails the test for what no page of ours may do: break its own policy, throw an
// error, miss a file of ours, or ask another server for anything.
func (p *Tab) look(e event) {
	p.Helper()
	if p.Foreign {
		return
	}
	var params struct {
		Entry    struct{ Source, Level, Text, URL string }
		Request  struct{ URL string }
		Response struct {
			URL           string
			FromDiskCache bool
		}
		ExceptionDetails json.RawMessage
		Args             json.RawMessage
		Type, URL        string
		RequestID        string
	}
	if err := json.Unmarshal(e.Params, &params); err != nil {
		p.Fatal(err)
	}
	switch e.Method {
	case "Log.entryAdded":
		said := params.Entry
		if strings.Contains(said.Text, "Content Security Policy") || said.Source == "security" || said.Level == "error" && (said.Source != "network" || strings.HasPrefix(said.URL, p.base+"/assets/")) {
			p.Errorf("the browser says: %s %s", said.Text, said.URL)
		}
	case "Runtime.exceptionThrown":
		p.Errorf("a script failed: %s", params.ExceptionDetails)
	case "Runtime.consoleAPICalled":
		if params.Type == "error" || params.Type == "assert" {
			p.Errorf("a script says: %s", params.Args)
		}
	case "Network.requestWillBeSent":
		if !p.mayAsk(params.Request.URL) {
			p.Errorf("the page asked for %s", params.Request.URL)
		}
	case "Network.requestServedFromCache":
		p.had[params.RequestID] = true
	case "Network.responseReceived":
		if !params.Response.FromDiskCache && !p.had[params.RequestID] {
			p.Sent = append(p.Sent, params.Response.URL)
		}
	case "Page.frameRequestedNavigation", "Page.frameScheduledNavigation":
		p.Seen = append(p.Seen, params.URL)
	}
}

// mayAsk also lets pass icons that come along, of the browser's own for fields such as
// dates or inside of a style sheet: no server sends them.
func (p *Tab) mayAsk(url string) bool {
	return strings.HasPrefix(url, "data:image/svg+xml;") || slices.ContainsFunc(append(p.others, p.base), func(origin string) bool { return strings.HasPrefix(url, origin+"/") })
}

// Visit opens a path of base, and waits until it is there.
func (p *Tab) Visit(path string) {
	p.Helper()
	p.Go(p.base + path)
}

// Go opens a URL, and waits until it is there.
func (p *Tab) Go(url string) {
	p.Helper()
	p.Do("Page.navigate", map[string]any{"url": url}, nil)
	p.Await("Page.loadEventFired")
}

// Back goes to the page before, as the browser's button does, and waits until it is
// there. One that was kept is not loaded again.
func (p *Tab) Back() {
	p.Helper()
	var history struct {
		CurrentIndex int
		Entries      []struct{ ID int }
	}
	p.Do("Page.getNavigationHistory", nil, &history)
	if history.CurrentIndex == 0 {
		p.Fatal("there is no page before")
	}
	p.Do("Page.navigateToHistoryEntry", map[string]any{"entryId": history.Entries[history.CurrentIndex-1].ID}, nil)
	p.Await("Page.frameNavigated")
	for p.Eval("document.readyState") != "complete" { // nothing tells it of a page without a script
	}
	p.events = slices.DeleteFunc(p.events, func(e event) bool { return e.Session == p.session && e.Method == "Page.loadEventFired" })
}

// Cookie is one that the browser keeps.
type Cookie struct {
	Name, Value, Domain, Path, SameSite string
	HTTPOnly, Secure                    bool
}

// Cookies are those of all hosts, of that name.
func (p *Tab) Cookies(name string) (all []Cookie) {
	p.Helper()
	var kept struct{ Cookies []Cookie }
	p.Do("Network.getAllCookies", nil, &kept)
	for _, c := range kept.Cookies {
		if c.Name == name {
			all = append(all, c)
		}
	}
	return all
}

// Eval returns the string that an expression comes to, or that the promise does
// which it is.
func (p *Tab) Eval(expression string) string {
	p.Helper()
	var out struct{ Result struct{ Value any } }
	p.Do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	return fmt.Sprint(out.Result.Value)
}

// Fill types text into the field of that id.
func (p *Tab) Fill(id, text string) {
	p.Helper()
	p.Eval(fmt.Sprintf("document.getElementById(%q).focus(); document.getElementById(%[1]q).select()", id))
	p.Do("Input.insertText", map[string]any{"text": text}, nil)
}

// Click presses the mouse on what the selector finds, and waits for the page
// that comes.
func (p *Tab) Click(selector string) {
	p.Helper()
	where := p.Eval(fmt.Sprintf("(e => { e.scrollIntoView(); const r = e.getBoundingClientRect(); return (r.x + r.width/2) + ' ' + (r.y + r.height/2) })(document.querySelector(%q))", selector))
	var x, y float64
	if _, err := fmt.Sscan(where, &x, &y); err != nil {
		p.Fatalf("%s is not there: %s", selector, where)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.Do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}, nil)
	}
	p.Await("Page.loadEventFired")
}

// At fails unless the page is the one of path and its heading is title.
func (p *Tab) At(path, title string) {
	p.Helper()
	if got := p.Eval("location.pathname"); got != path {
		p.Fatalf("at %s, not %s:\n%s", got, path, p.Text())
	}
	if got := p.Eval("document.querySelector('h1').textContent"); got != title {
		p.Fatalf("the page is %q, not %q", got, title)
	}
}

// Text is what the page shows.
func (p *Tab) Text() string { return p.Eval("document.body.innerText") }

// Screen sets the size of the screen, and its colours.
func (p *Tab) Screen(width, height int, dark bool) {
	p.Helper()
	p.Do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.Do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Shoot keeps screenshots of the whole page, on a desk and a telephone, by day and
// by night, in the folder of HUSK_SCREENSHOTS; and it fails where the page is
// wider than the screen.
func (p *Tab) Shoot(name string) {
	p.Helper()
	folder := os.Getenv("HUSK_SCREENSHOTS")
	for _, size := range [][2]int{{1280, 800}, {390, 844}} {
		for _, dark := range []bool{false, true} {
			p.Screen(size[0], size[1], dark)
			if wide := p.Eval("document.documentElement.scrollWidth > document.documentElement.clientWidth"); wide != "false" {
				p.Errorf("%s does not fit into %d pixels", name, size[0])
			}
			if folder == "" {
				continue
			}
			var whole struct {
				CSSContentSize struct{ Width, Height float64 }
			}
			p.Do("Page.getLayoutMetrics", nil, &whole)
			clip := map[string]any{"x": 0, "y": 0, "width": whole.CSSContentSize.Width, "height": whole.CSSContentSize.Height, "scale": 1}
			var shot struct{ Data string }
			p.Do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": clip}, &shot)
			png, err := base64.StdEncoding.DecodeString(shot.Data)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, size[0], map[bool]string{true: "dark", false: "light"}[dark])), png, 0o600)
			}
			if err != nil {
				p.Fatal(err)
			}
		}
	}
	p.Screen(1280, 800, false)
}
