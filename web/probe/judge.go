package probe

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// verdict is what is made of an answer, in the order in which the worst of
// several decides.
type verdict int

const (
	held verdict = iota
	untold
	failed
)

// finding is a verdict with its reason.
type finding struct {
	verdict
	text string
}

// reached tells whether the application has answered.
func (a *answer) reached() bool {
	return a.echo != nil || isThrough(a.status) || slices.ContainsFunc(a.later, isThrough)
}

func isThrough(status int) bool {
	return status >= 200 && status < 300 || status == http.StatusSwitchingProtocols
}

// statusText is how an answer is told.
func (a *answer) statusText() string {
	if a.status == 0 {
		return a.closed
	}
	for _, s := range a.later {
		if isThrough(s) {
			return fmt.Sprintf("answered %d, and then %d", a.status, s)
		}
	}
	return fmt.Sprintf("answered %d", a.status)
}

// judgeNobody judges the answer to a request without a good credential.
func (p *prober) judgeNobody(t *trick, a *answer) finding {
	if a.reached() {
		switch {
		case t.foreign && a.echo == nil && p.echoes:
			return finding{held, a.statusText() + " at another host, and not by the application"}
		case t.foreign && a.echo == nil:
			return finding{untold, a.statusText() + " at another host, which may be another site of the proxy"}
		}
		return finding{failed, a.statusText() + " without a credential"}
	}
	switch s := a.status; {
	case s >= 300 && s < 400:
		return p.judgeRedirect(a)
	case !p.echoes && (s == http.StatusNotFound || s == http.StatusMethodNotAllowed || s == http.StatusGone):
		return finding{untold, a.statusText() + ", as the gate never does: it may be the application's answer"}
	}
	return finding{held, a.statusText()}
}

// judgeRedirect judges where an answer leads.
func (p *prober) judgeRedirect(a *answer) finding {
	to := a.header.Get("Location")
	u, err := p.URL.Parse(to)
	switch {
	case err != nil, u.Host == "":
		return finding{untold, "it is led to what is no address: " + short(to)}
	case leadsAway(u):
		return finding{failed, "it is led to, or back to, a host that the request made up: " + short(to)}
	case isSignIn(u):
		return finding{held, fmt.Sprintf("answered %d, to the sign-in", a.status)}
	case strings.EqualFold(u.Hostname(), p.URL.Hostname()):
		return finding{held, fmt.Sprintf("answered %d, to another path here", a.status)}
	}
	return finding{untold, "it is led to " + short(to) + ", which is no sign-in of Husk"}
}

// isSignIn tells whether an address is that of Husk's page.
func isSignIn(u *url.URL) bool {
	return strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/login")
}

// leadsAway tells whether an address names the made up host: as its own, or in the
// return address of a sign-in, which is signed and may be in base64.
func leadsAway(u *url.URL) bool {
	if strings.Contains(u.Host, evilHost) {
		return true
	}
	texts := []string{u.Path, u.RawQuery}
	for _, values := range u.Query() {
		texts = append(texts, values...)
	}
	for _, text := range texts {
		if strings.Contains(text, evilHost) {
			return true
		}
		for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(".~:|$!", r) }) {
			plain, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
			if err == nil && strings.Contains(string(plain), evilHost) {
				return true
			}
		}
	}
	return false
}

// judgeHolder judges the answer to a request with the token.
func (p *prober) judgeHolder(t *trick, sent ask, a *answer) finding {
	switch {
	case !a.reached():
		return finding{held, "refused with a credential (" + a.statusText() + ")"}
	case t.sees == nil:
		return finding{failed, a.statusText() + " with a good credential beside the other"}
	case a.echo == nil && t.needs:
		return finding{untold, "the application is not the echo, which alone shows what reached it: see 'husk proxy probe --echo'"}
	case a.echo == nil:
		return finding{held, "with a credential " + a.statusText()}
	}
	return t.sees(p, sent, a.echo)
}

// seesNothing is for what can be told to the application only where that is its own matter.
func seesNothing(*prober, ask, *Echoed) finding { return finding{held, "passed on with a credential"} }

// folded is the name of a header as careless applications read it: CGI and its heirs
// make one of these spellings.
func folded(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// told returns the headers of an echo that are in names, by their folded names.
func told(e *Echoed, names []string) map[string][]string {
	all := map[string][]string{}
	if e == nil {
		return all
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if f := folded(name); slices.Contains(names, f) {
			all[f] = append(all[f], e.Headers[name]...)
		}
	}
	return all
}

// seesWho: who the application is told of is who Husk says, and nobody else.
func seesWho(p *prober, _ ask, e *Echoed) finding {
	want, got := told(p.good.echo, identityHeaders), told(e, identityHeaders)
	for _, name := range identityHeaders {
		switch {
		case strings.Contains(strings.Join(got[name], " "), forgedName):
			return finding{failed, "the application was told the forged " + name + ": " + short(strings.Join(got[name], ", "))}
		case len(got[name]) < len(want[name]):
			return finding{failed, "the application was not told " + name + ", which it is without the trick"}
		case !slices.Equal(got[name], want[name]):
			return finding{failed, "the application was told " + name + " otherwise than without the trick: " + short(strings.Join(got[name], ", "))}
		}
	}
	return finding{held, "the application was told what Husk says"}
}

// rarelyRead are headers that are meant for the gate and hardly any application knows.
var rarelyRead = []string{"x-forwarded-uri", "x-forwarded-method", "x-original-method"}

// seesForwarded: of where a request came from the application is told what the proxy
// saw, and not what the client says.
func seesForwarded(p *prober, sent ask, e *Echoed) finding {
	name, value, _ := strings.Cut(sent.lines[len(sent.lines)-1], ": ")
	got := strings.Join(told(e, []string{folded(name)})[folded(name)], ", ")
	switch {
	case !shows(got, value):
	case slices.Contains(rarelyRead, folded(name)):
		return finding{held, "note: the application was told the forged " + name + ", which hardly any reads"}
	default:
		return finding{failed, "the application was told the forged " + name + ": " + short(got)}
	}
	return finding{held, "the application was not told it"}
}

// shows tells whether a header has what was made up. The scheme http is a word of its
// own: https is what an application behind TLS is rightly told.
func shows(got, value string) bool {
	if value != "http" {
		return strings.Contains(got, value)
	}
	return slices.Contains(strings.FieldsFunc(got, func(r rune) bool { return r == ',' || r == ' ' }), value)
}

// seesDropped: no header that the proxy sets went with what the client wanted removed.
func seesDropped(p *prober, sent ask, e *Echoed) finding {
	if f := seesWho(p, sent, e); f.verdict != held {
		return f
	}
	for _, name := range []string{"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"} {
		want, got := told(p.good.echo, []string{name})[name], told(e, []string{name})[name]
		if len(got) < len(want) {
			return finding{failed, "the application was not told " + name + ", which it is without the trick"}
		}
	}
	return finding{held, "the application was told as without the trick"}
}

// seesPath: the application was asked for no path that it may take for another one.
func seesPath(_ *prober, sent ask, e *Echoed) finding {
	for _, mark := range pathMarks {
		if contains(sent.target, mark) && contains(e.Target, mark) {
			return finding{failed, "the application was asked for " + short(e.Target)}
		}
	}
	if strings.Contains(e.Host, evilHost) {
		return finding{failed, "the application was told the made up host " + evilHost}
	}
	return finding{held, "the application was asked for " + short(e.Target)}
}

// contains looks for an escape in either case, and not for the slashes of a scheme.
func contains(target, mark string) bool {
	path, _, _ := strings.Cut(strings.Replace(target, "://", ":", 1), "?")
	return strings.Contains(strings.ToLower(path), mark)
}

// short is a text for one line: what came from elsewhere may be long.
func short(text string) string {
	const most = 120
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
