package probe

import (
	"context"
	"strings"
)

// What requests make up. None of it is anybody's: names and addresses are those that
// are kept for examples (RFC 2606, RFC 5737).
const (
	forgedName    = "husk-probe-forged"
	forgedAddress = "203.0.113.77"
	evilHost      = "evil.example"
)

// asBrowser is what a browser says when it opens a page.
var asBrowser = []string{"Accept: text/html,application/xhtml+xml", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// identityHeaders are what the application believes, by their folded names.
var identityHeaders = []string{"remote-user", "remote-name", "remote-email", "remote-groups"}

// trick is a line of the table.
type trick struct {
	name   string
	topic  topic
	nobody []ask // without a good credential: none may reach the application
	holder []ask // with the token
	needs  bool  // without the second part nothing is told

	// sees judges what reached the application with the token; nil: nothing may.
	sees func(p *prober, sent ask, e *Echoed) finding
	// judges an answer in the place of judgeNobody; nil: that does.
	judge   func(p *prober, a *answer) finding
	foreign bool // at another host: what answers may be another site
}

// tricks is the table, in the order in which it is told.
func tricks(c Config) (all []trick) {
	for _, list := range [][]trick{credentialTricks(c), identityTricks(c), forwardedTricks(c), pathTricks(c), connectionTricks(c), doubledTricks(c), redirectTricks(c), otherTricks(c)} {
		all = append(all, list...)
	}
	return all
}

// try sends what a trick is made of.
func (p *prober) try(ctx context.Context, t trick) (Result, error) {
	worst := finding{held, ""}
	take := func(a ask, f finding) {
		if f.verdict > worst.verdict || f.verdict == held && worst.verdict == held {
			if a.label != "" {
				f.text = a.label + ": " + f.text
			}
			worst = f
		}
	}
	for _, a := range t.nobody {
		got, err := p.ask(ctx, a)
		if err != nil {
			return Result{}, err
		}
		if got.reached() && p.nobody.reached() {
			t.topic = topicGate // it took no trick
		}
		if t.judge != nil {
			take(a, t.judge(p, got))
		} else {
			take(a, p.judgeNobody(&t, got))
		}
	}
	if !p.isLetIn() {
		if t.needs {
			take(ask{}, finding{untold, p.whyNotIn()})
		}
		return p.result(t.name, t.topic, worst), nil
	}
	for _, a := range t.holder {
		got, err := p.ask(ctx, a)
		if err != nil {
			return Result{}, err
		}
		take(a, p.judgeHolder(&t, a, got))
	}
	return p.result(t.name, t.topic, worst), nil
}

func (p *prober) result(name string, about topic, f finding) Result {
	r := Result{Name: name, Detail: f.text}
	if f.verdict == untold {
		return r
	}
	ok := f.verdict == held
	if r.Held = &ok; !ok {
		r.Advice = advise(about, p.Proxy)
	}
	return r
}

func (p *prober) isLetIn() bool { return p.good != nil && p.good.reached() }

func (p *prober) whyNotIn() string {
	if p.good == nil {
		return "not tried with a credential: --token-file names none"
	}
	return "not tried with a credential: the token is not let through"
}

// withToken is a request with the token before its other lines.
func withToken(c Config, a ask) ask {
	a.lines = append([]string{"X-API-TOKEN: " + c.Token}, a.lines...)
	return a
}

// both makes each request once without a credential and once with the token.
func both(c Config, t trick, asks ...ask) trick {
	for _, a := range asks {
		t.nobody = append(t.nobody, a)
		t.holder = append(t.holder, withToken(c, a))
	}
	return t
}

// credentialTricks are those of bad credentials.
func credentialTricks(c Config) []trick {
	cookie := "Cookie: husk_gate=" + strings.Repeat("aHVzay1wcm9iZS1mb3Jn", 4)
	line := func(name string, lines ...string) trick {
		return trick{name: name, topic: topicGate, nobody: []ask{{lines: lines}}}
	}
	return []trick{
		line("bad-api-token", "X-API-TOKEN: "+c.MadeUp),
		line("bad-bearer", "Authorization: Bearer "+c.MadeUp),
		line("bad-basic", "Authorization: Basic "+basic("probe", c.MadeUp)),
		line("bad-cookie", cookie),
		{name: "post-without-credential", topic: topicGate, nobody: []ask{{method: "POST", lines: []string{"Content-Length: 0"}}}},
		{name: "other-methods", topic: topicGate, nobody: []ask{
			{label: "HEAD", method: "HEAD"}, {label: "PROPFIND", method: "PROPFIND", lines: []string{"Content-Length: 0"}}, {label: "get", method: "get"},
		}},
	}
}

// identityTricks are forged identities, by each spelling that some application reads.
func identityTricks(c Config) (all []trick) {
	for _, s := range []struct {
		name  string
		topic topic
		names []string
	}{
		{"identity-user", topicIdentity, []string{"Remote-User"}},
		{"identity-name", topicIdentity, []string{"Remote-Name"}},
		{"identity-email", topicIdentity, []string{"Remote-Email"}},
		{"identity-groups", topicIdentity, []string{"Remote-Groups"}},
		{"identity-case", topicIdentity, []string{"remote-user", "REMOTE-USER", "rEMOTE-gROUPS"}},
		{"identity-underscore", topicSpelling, []string{"Remote_User", "REMOTE_USER", "Remote_Groups"}},
		{"identity-dot", topicSpelling, []string{"Remote.User", "Remote.Groups"}},
	} {
		t := trick{name: s.name, topic: s.topic, needs: true, sees: seesWho}
		for _, name := range s.names {
			t = both(c, t, ask{label: name, lines: []string{name + ": " + forgedName}})
		}
		all = append(all, t)
	}
	twice := ask{lines: []string{"Remote-User: " + forgedName, "Remote-User: " + forgedName}}
	behind := ask{lines: []string{"Remote-User: ", "Remote-User: " + forgedName, "Remote-Groups: ", "Remote-Groups: " + forgedName}}
	return append(all, both(c, trick{name: "identity-doubled", topic: topicIdentity, needs: true, sees: seesWho}, twice, behind))
}

// forwardedTricks are lies about where a request came from and what it asks for.
func forwardedTricks(c Config) (all []trick) {
	scheme := "http"
	if c.URL.Scheme == "http" {
		scheme = "https"
	}
	for _, h := range []struct{ name, header, value string }{
		{"forwarded-for", "X-Forwarded-For", forgedAddress},
		{"forwarded-host", "X-Forwarded-Host", evilHost},
		{"forwarded-proto", "X-Forwarded-Proto", scheme},
		{"forwarded-uri", "X-Forwarded-Uri", "/" + forgedName},
		{"forwarded-method", "X-Forwarded-Method", "OPTIONS"},
		{"original-url", "X-Original-URL", "/" + forgedName},
		{"original-method", "X-Original-Method", "OPTIONS"},
		{"rewrite-url", "X-Rewrite-URL", "/" + forgedName},
		{"forwarded", "Forwarded", "for=" + forgedAddress + ";host=" + evilHost},
		{"real-ip", "X-Real-IP", forgedAddress},
	} {
		line := h.header + ": " + h.value
		t := trick{name: h.name, topic: topicForwarded, needs: true, sees: seesForwarded}
		if strings.HasSuffix(h.name, "-method") { // to be taken for a preflight
			line := []string{"Origin: https://" + evilHost, "Access-Control-Request-Method: GET", line}
			t = both(c, t, ask{lines: line})
		} else {
			t = both(c, t, ask{lines: []string{line}})
		}
		all = append(all, t)
	}
	return all
}
