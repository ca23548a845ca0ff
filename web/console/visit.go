package console

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"husk/web/api"
)

// Dialer connects to the API as http.Transport.DialContext does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Visit is one request for a page: what its handler reads, asks and answers.
type Visit struct {
	API     *api.Client // asks as the browser
	console *Console
	r       *http.Request
	form    url.Values
	w       http.ResponseWriter
}

// visit begins one; end closes its connection to the API.
func (c *Console) visit(w http.ResponseWriter, r *http.Request, form url.Values, dial Dialer) (v *Visit, end func()) {
	t := &http.Transport{DialContext: dial, DisableCompression: true}
	v = &Visit{r: r, console: c, form: form, w: w}
	v.API = &api.Client{Base: "http://localhost", HTTP: &http.Client{Transport: asBrowser{t, v}}}
	return v, t.CloseIdleConnections
}

// shown are the headers by which the API knows who asks, and what had the browser
// ask: a page is refused what the browser would be.
var shown = []string{"Authorization", "Cookie", "Origin", "Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent", "X-Api-Token"}

// asBrowser has requests show what the browser shows, and the browser keep the
// cookies that are set.
type asBrowser struct {
	http.RoundTripper
	visit *Visit
}

// RoundTrip implements http.RoundTripper. A header that the browser does not send
// is set to nothing, or net/http would name itself as the User-Agent.
func (b asBrowser) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.Host = b.visit.r.Host
	for _, name := range shown {
		if _, own := sent.Header[name]; !own {
			sent.Header[name] = b.visit.r.Header[name]
		}
	}
	answer, err := b.RoundTripper.RoundTrip(sent)
	if err == nil {
		for _, cookie := range answer.Header["Set-Cookie"] {
			b.visit.w.Header().Add("Set-Cookie", cookie)
		}
	}
	return answer, err
}

// valueSameOrigin: under no-referrer a browser sends a form with "Origin: null",
// which can't be told from another site's where it sends no Sec-Fetch-Site: on
// plain http to anything but this machine.
var valueSameOrigin = []string{"same-origin"}

// show answers with a page.
func (v *Visit) show(p Page) error { return show(v.w, http.StatusOK, p) }

// refuse answers with a page that tells of e.
func refuse(w http.ResponseWriter, e *api.Error, p Page) error {
	if wait := e.WaitSeconds(); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	return show(w, e.Status, p)
}

func show(w http.ResponseWriter, status int, p Page) error {
	body, err := Render(p)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Security-Policy"], h["Referrer-Policy"] = []string{PolicyOf(p)}, valueSameOrigin
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked may have left
	return nil
}

// seeOther answers a form, or leads to another page of this server.
func (v *Visit) seeOther(path string) error { seeOther(v.w, path); return nil }

func seeOther(w http.ResponseWriter, path string) {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}
