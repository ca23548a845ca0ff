package web

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db/dbtest"
)

// chromium drives a headless browser by the Chrome DevTools Protocol over a
// pair of pipes: a few methods of it are all that is needed, and no library
// or port. Not for several goroutines.
type chromium struct {
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

// startChromium starts the browser with a profile of its own that ends with
// the test. It reaches this machine alone; husk.test is another name of it.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	path := findChromium(t)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--host-resolver-rules=MAP husk.test 127.0.0.1, MAP *.husk.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
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
	b := &chromium{T: t, to: ourOut, from: bufio.NewReaderSize(ourIn, 1<<20)}
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

func findChromium(t *testing.T) string {
	t.Helper()
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

func (b *chromium) write(session, method string, params any) int {
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

func (b *chromium) read(what string) (m message) {
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
func (b *chromium) call(session, method string, params, result any) {
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

// tab is one page of the browser.
type tab struct {
	*chromium
	session string
	base    string
	seen    []string // URLs that it asked for, or wanted to open
	foreign bool     // it shows pages of others, which may do what ours may not
}

func (b *chromium) open(base string) *tab {
	b.Helper()
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &tab{chromium: b, session: attached.SessionID, base: base}
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.do(domain+".enable", nil, nil)
	}
	p.screen(1280, 800, false)
	return p
}

func (p *tab) do(method string, params, result any) {
	p.Helper()
	p.call(p.session, method, params, result)
}

// await reads events until one of that name, and looks at those before it.
func (p *tab) await(method string) {
	p.Helper()
	for {
		for i, e := range p.events {
			p.look(e)
			if e.Method == method {
				p.events = p.events[i+1:]
				return
			}
		}
		p.events = nil
		if m := p.read(method); m.Method != "" {
			p.events = append(p.events, m.event)
		}
	}
}

// look fails the test for what no page of ours may do: break its own policy,
// or ask another server for anything.
func (p *tab) look(e event) {
	p.Helper()
	if p.foreign {
		return
	}
	var params struct {
		Entry   struct{ Source, Text string }
		Request struct{ URL string }
		URL     string
	}
	if err := json.Unmarshal(e.Params, &params); err != nil {
		p.Fatal(err)
	}
	switch e.Method {
	case "Log.entryAdded":
		if strings.Contains(params.Entry.Text, "Content Security Policy") || params.Entry.Source == "security" {
			p.Errorf("the browser says: %s", params.Entry.Text)
		}
	case "Network.requestWillBeSent":
		if !strings.HasPrefix(params.Request.URL, p.base+"/") {
			p.Errorf("the page asked for %s", params.Request.URL)
		}
	case "Page.frameRequestedNavigation", "Page.frameScheduledNavigation":
		p.seen = append(p.seen, params.URL)
	}
}

func (p *tab) visit(path string) {
	p.Helper()
	p.do("Page.navigate", map[string]any{"url": p.base + path}, nil)
	p.await("Page.loadEventFired")
}

// eval returns the string that an expression comes to.
func (p *tab) eval(expression string) string {
	p.Helper()
	var out struct{ Result struct{ Value any } }
	p.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &out)
	return fmt.Sprint(out.Result.Value)
}

// fill types text into the field of that id.
func (p *tab) fill(id, text string) {
	p.Helper()
	p.eval(fmt.Sprintf("document.getElementById(%q).focus(); document.getElementById(%[1]q).select()", id))
	p.do("Input.insertText", map[string]any{"text": text}, nil)
}

// click presses the mouse on what the selector finds, and waits for the page
// that comes.
func (p *tab) click(selector string) {
	p.Helper()
	where := p.eval(fmt.Sprintf("(e => { e.scrollIntoView(); const r = e.getBoundingClientRect(); return (r.x + r.width/2) + ' ' + (r.y + r.height/2) })(document.querySelector(%q))", selector))
	var x, y float64
	if _, err := fmt.Sscan(where, &x, &y); err != nil {
		p.Fatalf("%s is not there: %s", selector, where)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}, nil)
	}
	p.await("Page.loadEventFired")
}

// at fails unless the page is the one of path and its heading is title.
func (p *tab) at(path, title string) {
	p.Helper()
	if got := p.eval("location.pathname"); got != path {
		p.Fatalf("at %s, not %s:\n%s", got, path, p.text())
	}
	if got := p.eval("document.querySelector('h1').textContent"); got != title {
		p.Fatalf("the page is %q, not %q", got, title)
	}
}

func (p *tab) text() string { return p.eval("document.body.innerText") }

func (p *tab) screen(width, height int, dark bool) {
	p.Helper()
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// shoot keeps screenshots of the page, on a desk and a telephone, by day and
// by night, in the folder of HUSK_SCREENSHOTS; and it fails where the page is
// wider than the screen.
func (p *tab) shoot(name string) {
	p.Helper()
	folder := os.Getenv("HUSK_SCREENSHOTS")
	for _, size := range [][2]int{{1280, 800}, {390, 844}} {
		for _, dark := range []bool{false, true} {
			p.screen(size[0], size[1], dark)
			if wide := p.eval("document.documentElement.scrollWidth > innerWidth"); wide != "false" {
				p.Errorf("%s does not fit into %d pixels", name, size[0])
			}
			if folder == "" {
				continue
			}
			var shot struct{ Data string }
			p.do("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
			png, err := base64.StdEncoding.DecodeString(shot.Data)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, size[0], map[bool]string{true: "dark", false: "light"}[dark])), png, 0o600)
			}
			if err != nil {
				p.Fatal(err)
			}
		}
	}
	p.screen(1280, 800, false)
}
