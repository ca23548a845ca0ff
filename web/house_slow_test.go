package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"husk/web/chromiumtest"
)

// A card that comes in two parts, as over a slow line, shows its first part where it
// stays: what follows moves nothing that somebody reads, or is about to press. Pages of
// the house show nothing before they are whole.
func TestBrowserSlowLine(t *testing.T) {
	t.Parallel()
	h := newFilledHouse(t, 2)
	rest := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding")
		whole := httptest.NewRecorder()
		h.ServeHTTP(whole, r)
		for name, values := range whole.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(whole.Code)
		body := whole.Body.String()
		if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			main := strings.Index(body, "<main")
			cut := main + strings.LastIndex(body[main:(main+len(body))/2], "\n<")
			_, _ = w.Write([]byte(body[:cut]))
			_ = http.NewResponseController(w).Flush()
			<-rest
			body = body[cut:]
		}
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(func() { close(rest); slow.Close() })
	p := chromiumtest.Start(t).Open(slow.URL)
	for _, c := range h.cookies() {
		p.SetCookie(c.Name, c.Value)
	}
	p.Do("Page.navigate", map[string]any{"url": slow.URL + h.connectPath()}, nil)
	p.Await("Page.frameNavigated")
	until(t, func() bool { return p.Eval(`performance.getEntriesByName("first-contentful-paint").length`) == "1" })
	rest <- struct{}{}
	p.Await("Page.loadEventFired")
	if moved := p.Shifts(); moved != "" {
		t.Errorf("what was there moved: %s", moved)
	}
}
