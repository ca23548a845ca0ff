package console

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"husk/web/api"
)

// Dialer connects to the API as http.Transport.DialContext does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Visit is one request for a page: what its handler reads, asks and answers.
type Visit struct {
	API     *api.Client // asks as the browser
	console *Console
	r       *http.Request
	by      Sender
	form    url.Values
	file    io.Reader
	w       http.ResponseWriter
	profile *api.Profile // of who asks, once it was asked for

	wantsProof   bool // the password has to be shown before this is done
	proofProblem Text // why the one that was shown is not good
	proofWait    int  // seconds until another may be shown
}

// me is who asks.
func (v *Visit) me() (api.Profile, error) {
	if v.profile != nil {
		return *v.profile, nil
	}
	who, err := v.API.Profile(v.r.Context())
	if err == nil {
		v.profile = &who
	}
	return who, err
}

// may tells whether who asks has a permission. Who asks has to be known already.
func (v *Visit) may(permission string) bool {
	return v.profile != nil && (v.profile.Administrator || slices.Contains(v.profile.Permissions, permission))
}

// needs is an answer for those who have a permission: nobody else is shown a form that
// the API would refuse.
func needs(permission string, answer func(v *Visit) error) func(v *Visit) error {
	return func(v *Visit) error {
		who, err := v.me()
		switch {
		case err != nil:
			return err
		case permission == administratorsOnly && !who.Administrator:
			return forbidden("administrator_required", "that is for administrators")
		case !v.may(permission):
			return &api.Error{Status: http.StatusForbidden, Detail: api.ErrorDetail{Code: "not_permitted", Reason: "that needs the permission " + permission}, Permission: permission}
		}
		return answer(v)
	}
}

// param is a part of the path that the route names, such as id.
func (v *Visit) param(name string) string { return v.r.PathValue(name) }

// query is a parameter of the page's address.
func (v *Visit) query(name string) string { return v.r.URL.Query().Get(name) }

// visit begins one; end closes its connection to the API.
func (c *Console) visit(w http.ResponseWriter, r *http.Request, sent Sent, dial Dialer) (v *Visit, end func()) {
	t := &http.Transport{DialContext: dial, DisableCompression: true}
	v = &Visit{r: r, console: c, by: sent.By, form: sent.Form, file: sent.File, w: w}
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
		b.visit.take(answer.Cookies())
	}
	return answer, err
}

// take has what is asked next show the cookies that were set, in the place of those
// that the browser sent: a session that was renewed has no other.
func (v *Visit) take(set []*http.Cookie) {
	if len(set) == 0 || v.r.Header["Cookie"] == nil {
		return
	}
	kept := slices.DeleteFunc(v.r.Cookies(), func(c *http.Cookie) bool {
		return slices.ContainsFunc(set, func(n *http.Cookie) bool { return n.Name == c.Name })
	})
	var pairs []string
	for _, c := range append(kept, set...) {
		if c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	v.r = v.r.Clone(v.r.Context())
	v.r.Header["Cookie"] = []string{strings.Join(pairs, "; ")}
}

// valueSameOrigin: under no-referrer a browser sends a form with "Origin: null",
// which can't be told from another site's where it sends no Sec-Fetch-Site: on
// plain http to anything but this machine.
var valueSameOrigin = []string{"same-origin"}

// show answers with a page.
func (v *Visit) show(p Page) error { return v.showAs(http.StatusOK, p) }

// refuse answers with a page that tells of e.
func (v *Visit) refuse(e *api.Error, p Page) error {
	retryAfter(v.w, e)
	return v.showAs(e.Status, p)
}

func (v *Visit) showAs(status int, p Page) error {
	f := frame{Page: p, Looks: lookLinks(v.r)}
	if path := roomOf(p); path != "" {
		who, err := v.me()
		if err != nil {
			return err
		}
		f.Shell = v.console.shell(who, path)
		f.Shell.Notices = v.notices(who)
	}
	return send(v.w, status, lookOf(v.r), f)
}

// refuse answers a request of which nothing more is known.
func refuse(w http.ResponseWriter, r *http.Request, e *api.Error, p Page) error {
	retryAfter(w, e)
	return send(w, e.Status, lookOf(r), frame{Page: p, Looks: lookLinks(r)})
}

func retryAfter(w http.ResponseWriter, e *api.Error) {
	if wait := e.WaitSeconds(); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
}

func send(w http.ResponseWriter, status int, l look, f frame) error {
	body, err := render(l, f)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Security-Policy"], h["Referrer-Policy"] = []string{PolicyOf(f.Page)}, valueSameOrigin
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body))) // by itself net/http tells that of short pages alone
	h.Add("Vary", "Accept-Language")
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

// origin is scheme and host of this server, for what people copy. What was asked for
// tells them where nothing else does: a proxy may name another host to Husk, and
// whoever asks whatever they like.
func (v *Visit) origin() string {
	if v.console.Origin != "" {
		return v.console.Origin
	}
	scheme := "http"
	if v.console.Secure {
		scheme = "https"
	}
	return scheme + "://" + cmp.Or(v.r.Host, "HOST")
}
