package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// This file has what is no line of the table: what all else is compared with, and
// the application's own address.

// wayIn: who opens a page without a credential is led to the sign-in.
func (p *prober) wayIn() Result {
	a := p.page
	f := finding{failed, a.statusText() + " to a page, which is not the way to the sign-in"}
	switch to, err := p.URL.Parse(a.header.Get("Location")); {
	case a.reached():
		f = finding{failed, a.statusText() + " to a page without a credential"}
		return p.result("page-without-credential", topicGate, f)
	case a.status != http.StatusFound && a.status != http.StatusSeeOther:
	case err == nil && isSignIn(to):
		f = finding{held, fmt.Sprintf("answered %d, to the sign-in", a.status)}
	default:
		f.text = "a page is led to " + short(a.header.Get("Location")) + ", which is no sign-in of Husk"
	}
	return p.result("page-without-credential", topicSignIn, f)
}

// challenge: a program without a credential is told so, by Husk.
func (p *prober) challenge() Result {
	const name = "program-without-credential"
	switch a := p.nobody; {
	case a.reached():
		return p.result(name, topicGate, finding{failed, a.statusText() + " without a credential"})
	case a.status != http.StatusUnauthorized:
		return p.result(name, topicSignIn, finding{failed, a.statusText() + " to a program, and 401 is what Husk answers"})
	case !strings.Contains(strings.Join(a.header.Values("WWW-Authenticate"), ","), `realm="husk"`):
		return p.result(name, topicSignIn, finding{untold, "answered 401, without Husk's WWW-Authenticate: is it Husk that was asked?"})
	}
	return p.result(name, topicSignIn, finding{held, "answered 401, by Husk"})
}

// letsIn: with the token the application is reached. Else nothing that takes one is told.
func (p *prober) letsIn() Result {
	f := finding{untold, "not tried: --token-file names no token"}
	switch {
	case p.isLetIn():
		f = finding{held, p.good.statusText() + " with the token"}
	case p.good != nil:
		f = finding{failed, p.good.statusText() + " with the token of --token-file"}
	}
	return p.result("token-let-through", topicToken, f)
}

// tellsWho: the application is told who asks, so that it needs no sign-in of its own.
func (p *prober) tellsWho() Result {
	f := finding{untold, p.whyNotIn()}
	switch {
	case !p.isLetIn():
	case p.good.echo == nil:
		f.text = "the application is not the echo, which alone shows what reached it: see 'husk proxy probe --echo'"
	case strings.Join(told(p.good.echo, identityHeaders)["remote-user"], "") == "":
		f = finding{failed, "the application was not told Remote-User"}
	default:
		f = finding{held, "the application was told Remote-User"}
	}
	return p.result("identity-told", topicIdentity, f)
}

// keepsToken tells of a token that the application gets to see. That is no hole, and
// one that is limited to the gate is good for little else.
func (p *prober) keepsToken() Result {
	f := finding{untold, p.whyNotIn()}
	switch {
	case !p.isLetIn():
	case p.good.echo == nil:
		f.text = "the application is not the echo, which alone shows what reached it: see 'husk proxy probe --echo'"
	case slices.Contains(told(p.good.echo, []string{"x-api-token"})["x-api-token"], p.Token):
		f = finding{held, "note: the application sees the API tokens of those who ask; limit them with --host, or drop X-API-TOKEN behind the gate"}
	default:
		f = finding{held, "the application does not see the token"}
	}
	return p.result("token-kept-back", topicToken, f)
}

// judgePreflight: both are fine, and which one it is has to be known.
func (p *prober) judgePreflight(a *answer) finding {
	if a.reached() {
		return finding{held, "note: " + a.statusText() + " without a credential, as 'preflight: allow' of a rule has it; where no rule does, the gate is not asked"}
	}
	return finding{held, a.statusText()}
}

// direct: nobody but the proxy gets to the application.
func (p *prober) direct(ctx context.Context) (Result, error) {
	const name = "direct-access"
	if p.Upstream == nil {
		return p.result(name, topicUpstream, finding{untold, "not tried: --upstream names no address of the application"}), nil
	}
	// Whatever its certificate is: whether it answers is all that is asked.
	a, err := p.send(ctx, p.Upstream, &tls.Config{InsecureSkipVerify: true}, ask{lines: []string{"Remote-User: " + forgedName, "Remote-Groups: admin"}})
	if errors.Is(err, errAway) && ctx.Err() == nil {
		p.asked()
		return p.result(name, topicUpstream, finding{held, p.Upstream.Host + " does not answer this machine"}), nil
	}
	if err != nil {
		return Result{}, err
	}
	p.asked()
	if a.status == 0 {
		return p.result(name, topicUpstream, finding{untold, p.Upstream.Host + " takes a connection of this machine: " + a.closed}), nil
	}
	text := "the application " + a.statusText() + " at " + p.Upstream.Host + ", past the proxy, to a forged Remote-User"
	return p.result(name, topicUpstream, finding{failed, text}), nil
}
