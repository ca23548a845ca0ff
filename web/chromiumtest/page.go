package chromiumtest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Look is how a page is looked at.
type Look struct {
	Width, Height int
	Scale         int // device pixels to each; 0: 1
	Dark          bool
	Still         bool // less motion is wanted
	NoScript      bool
}

// Look sets how the pages are looked at from now on.
func (p *Tab) Look(l Look) {
	p.Helper()
	p.Do("Emulation.setDeviceMetricsOverride", map[string]any{"width": l.Width, "height": l.Height, "deviceScaleFactor": max(l.Scale, 1), "mobile": l.Width < 600}, nil)
	media := []map[string]string{{"name": "prefers-color-scheme", "value": "light"}, {"name": "prefers-reduced-motion", "value": ""}}
	if l.Dark {
		media[0]["value"] = "dark"
	}
	if l.Still {
		media[1]["value"] = "reduce"
	}
	p.Do("Emulation.setEmulatedMedia", map[string]any{"features": media}, nil)
	p.Do("Emulation.setScriptExecutionDisabled", map[string]any{"value": l.NoScript}, nil)
}

// SetCookie has the browser keep a cookie of base.
func (p *Tab) SetCookie(name, value string) {
	p.Helper()
	p.Do("Network.setCookie", map[string]any{"url": p.base, "name": name, "value": value}, nil)
}

// At the base of another server the tab shows pages from now on.
func (p *Tab) Move(base string) { p.base = base }

// Shifts are the movements of what was there already while the page was loaded, of
// which there should be none.
func (p *Tab) Shifts() string {
	p.Helper()
	return p.Eval(`new Promise(done => {
		const seen = [], take = list => list.forEach(e => seen.push(e.value.toFixed(4) + " " + e.sources.map(s => {
			const n = s.node && (s.node.nodeType === 1 ? s.node : s.node.parentElement);
			return n ? n.outerHTML.slice(0, 90) : "?";
		}).join(" | ")));
		const o = new PerformanceObserver(list => take(list.getEntries()));
		o.observe({ type: "layout-shift", buffered: true });
		requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => { take(o.takeRecords()); done(seen.join("; ")); })));
	})`)
}

//go:embed testdata/axe-*.js.gz
var axeFiles embed.FS

// axe is the checker of accessibility, https://github.com/dequelabs/axe-core.
func axe() (string, error) {
	names, err := axeFiles.ReadDir("testdata")
	if err != nil {
		return "", err
	}
	packed, err := axeFiles.ReadFile("testdata/" + names[0].Name())
	if err != nil {
		return "", err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(z)
	return string(text), err
}

// Axe returns what breaks WCAG 2.2 AA on the page, as far as axe-core can tell, a line
// each. It runs in a world of its own: the page's policy lets no other script in, nor a
// copy of its style sheets, which axe-core would preload.
func (p *Tab) Axe() (broken []string) {
	p.Helper()
	script, err := axe()
	if err != nil {
		p.Fatal(err)
	}
	var tree struct {
		FrameTree struct{ Frame struct{ ID string } }
	}
	p.Do("Page.getFrameTree", nil, &tree)
	var world struct{ ExecutionContextID int }
	p.Do("Page.createIsolatedWorld", map[string]any{"frameId": tree.FrameTree.Frame.ID, "worldName": "axe"}, &world)
	run := func(expression string) string {
		var out struct {
			Result           struct{ Value any }
			ExceptionDetails json.RawMessage
		}
		p.Do("Runtime.evaluate", map[string]any{"expression": expression, "contextId": world.ExecutionContextID, "returnByValue": true, "awaitPromise": true}, &out)
		if out.ExceptionDetails != nil {
			p.Fatalf("axe: %s", out.ExceptionDetails)
		}
		return fmt.Sprint(out.Result.Value)
	}
	run(script + "\n;1")
	found := run(`axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"], preload: false }).then(r =>
		(r.passes.length ? "" : "nothing was looked at\n") + r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html.replace(/\s+/g, " ").slice(0, 160) + " — " + n.any.concat(n.all, n.none).map(c => c.message).join("; "))).join("\n"))`)
	if found == "" {
		return nil
	}
	return strings.Split(found, "\n")
}

// Keep writes a screenshot of the whole page, NAME.png, into the folder of
// HUSK_SCREENSHOTS; without one it does nothing.
func (p *Tab) Keep(name string) {
	p.Helper()
	folder := os.Getenv("HUSK_SCREENSHOTS")
	if folder == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), p.PNG(true), 0o600); err != nil {
		p.Fatal(err)
	}
}

// PNG is a picture of what the tab shows, or of the whole page.
func (p *Tab) PNG(whole bool) []byte {
	p.Helper()
	params := map[string]any{"format": "png"}
	if whole {
		var size struct {
			CSSContentSize struct{ Width, Height float64 }
		}
		p.Do("Page.getLayoutMetrics", nil, &size)
		params["captureBeyondViewport"] = true
		params["clip"] = map[string]any{"x": 0, "y": 0, "width": size.CSSContentSize.Width, "height": min(size.CSSContentSize.Height, 3000), "scale": 1}
	}
	var shot struct{ Data string }
	p.Do("Page.captureScreenshot", params, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		p.Fatal(err)
	}
	return png
}

// keys are those that Press knows, with their codes.
var keys = map[string]struct {
	code string
	key  int
	text string
}{
	"Tab": {"Tab", 9, ""}, "Enter": {"Enter", 13, "\r"}, "Escape": {"Escape", 27, ""}, " ": {"Space", 32, " "},
	"ArrowDown": {"ArrowDown", 40, ""}, "ArrowUp": {"ArrowUp", 38, ""}, "/": {"Slash", 191, "/"}, "?": {"Slash", 191, "?"},
}

// Press presses a key and lets it go.
func (p *Tab) Press(key string) {
	p.Helper()
	k, ok := keys[key]
	if !ok {
		p.Fatalf("no key %q", key)
	}
	params := map[string]any{"type": "keyDown", "key": key, "code": k.code, "windowsVirtualKeyCode": k.key, "text": k.text, "unmodifiedText": k.text}
	if k.text == "" {
		params["type"] = "rawKeyDown"
		delete(params, "text")
		delete(params, "unmodifiedText")
	}
	p.Do("Input.dispatchKeyEvent", params, nil)
	params["type"] = "keyUp"
	delete(params, "text")
	delete(params, "unmodifiedText")
	p.Do("Input.dispatchKeyEvent", params, nil)
}

// Type types text where the focus is.
func (p *Tab) Type(text string) {
	p.Helper()
	p.Do("Input.insertText", map[string]any{"text": text}, nil)
}

// TabTo presses Tab until what the selector finds has the focus, as somebody does who
// has no mouse. Each stop on the way has to be seen.
func (p *Tab) TabTo(selector string) {
	p.Helper()
	const most = 200
	for range most {
		p.Press("Tab")
		switch state := p.Eval(fmt.Sprintf(`(e => {
			if (!e || e === document.body) return "";
			const r = e.getBoundingClientRect();
			if (!r.width || !r.height || r.right <= 0 || r.left >= innerWidth) return "unseen " + e.outerHTML.slice(0, 90);
			if (getComputedStyle(e).outlineStyle === "none" && e.id !== "main") return "unmarked " + e.outerHTML.slice(0, 90);
			return String(e.matches(%q));
		})(document.activeElement)`, selector)); state {
		case "true":
			return
		case "false", "":
		default:
			p.Errorf("the focus is %s", state)
		}
	}
	p.Fatalf("%s can't be reached by Tab:\n%s", selector, p.Text())
}
