package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// runTime bounds a whole run.
const runTime = 2 * time.Minute

// Config says what is probed.
type Config struct {
	URL      *url.URL    // of the protected application, as browsers have it: http or https
	Upstream *url.URL    // the application's own address, which nobody is to reach; nil: not tried
	Token    string      // an API token that is let through; "": what needs one is not tried
	MadeUp   string      // an API token of the right form that is nobody's
	Proxy    string      // whose lines are advised, one of Proxies; "": found out
	TLS      *tls.Config // whom to trust; nil: the machine's authorities

	dial func(context.Context, *url.URL, *tls.Config) (net.Conn, error) // for tests
}

// Result is what became of one trick.
type Result struct {
	Name   string `json:"name"`
	Held   *bool  `json:"held"`   // null: it can't be told, or was not tried
	Detail string `json:"detail"` // why
	Advice string `json:"advice"` // the lines to add; empty unless it failed
}

// Failed tells whether the trick did not hold.
func (r *Result) Failed() bool { return r.Held != nil && !*r.Held }

// UnreachableError tells that a URL does not answer, or not any more.
type UnreachableError struct {
	URL  *url.URL
	What string // what was seen
	Err  error  // may be nil

	Answers bool // something answers, and not as the gate or an application does
}

func (e *UnreachableError) Error() string { return e.URL.Redacted() + " " + e.What }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// prober is one run.
type prober struct {
	Config
	nobody *answer // to a program without a credential
	page   *answer // to a browser without one
	good   *answer // with the token; nil: there is none
	echoes bool    // the application is Echo
	asked  func()
}

// Asks is how many requests a run makes at most.
func Asks(c Config) (n int) {
	for _, t := range tricks(c) {
		n += len(t.nobody)
		if c.Token != "" {
			n += len(t.holder)
		}
	}
	n += 3 // without a credential as a program and as a browser, and whether it still answers
	if c.Token != "" {
		n++
	}
	if c.Upstream != nil {
		n++
	}
	return n
}

// Run tries all tricks, in their order, and calls asked after each request. The error is
// an *UnreachableError, or that ctx has ended; with one there are no results to rely on.
func Run(ctx context.Context, c Config, asked func()) ([]Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, errSlow)
	defer cancel()
	p := &prober{Config: c, asked: asked}
	if err := p.begin(ctx); err != nil {
		return nil, p.why(ctx, err)
	}
	all := []Result{p.wayIn(), p.challenge(), p.letsIn(), p.tellsWho(), p.keepsToken()}
	for _, t := range tricks(c) {
		r, err := p.try(ctx, t)
		if err != nil {
			return nil, p.why(ctx, err)
		}
		all = append(all, r)
	}
	direct, err := p.direct(ctx)
	if err == nil {
		_, err = p.ask(ctx, ask{}) // what has stopped to answer has held nothing
	}
	return append(all, direct), p.why(ctx, err)
}

var errSlow = errors.New("it answers too slowly")

// begin asks what all else is compared with.
func (p *prober) begin(ctx context.Context) (err error) {
	if p.nobody, err = p.ask(ctx, ask{}); err != nil {
		return err
	}
	switch s := p.nobody.status; {
	case s == 0:
		return &UnreachableError{URL: p.URL, What: "does not answer: " + p.nobody.closed}
	case s == http.StatusBadRequest || s >= 500:
		return &UnreachableError{URL: p.URL, What: fmt.Sprintf("answers %d to a plain request: the proxy gets no answer from Husk that it can use", s), Answers: true}
	}
	if p.Proxy == "" {
		p.Proxy = recognize(p.nobody.header)
	}
	if p.page, err = p.ask(ctx, ask{lines: asBrowser}); err != nil {
		return err
	}
	if p.Token != "" {
		p.good, err = p.ask(ctx, ask{lines: []string{"X-API-TOKEN: " + p.Token}})
	}
	return err
}

// ask asks the URL.
func (p *prober) ask(ctx context.Context, a ask) (*answer, error) {
	got, err := p.send(ctx, p.URL, p.TLS, a)
	if err == nil {
		err = ctx.Err() // what was broken off is no answer
	}
	if err != nil {
		return nil, err
	}
	p.asked()
	p.echoes = p.echoes || got.echo != nil
	return got, nil
}

// why puts into words what ended a run.
func (p *prober) why(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) == errSlow:
		return &UnreachableError{URL: p.URL, What: "answers too slowly: all tricks together have " + runTime.String(), Err: err}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errAway):
		return &UnreachableError{URL: p.URL, What: "does not answer: " + cause(err), Err: err}
	}
	return err
}

// cause is the last of the words that a failed connection comes with.
func cause(err error) string {
	text := strings.TrimPrefix(err.Error(), errAway.Error()+": ")
	if _, after, found := strings.Cut(text, "connect: "); found {
		return after
	}
	return strings.TrimPrefix(text, "tls: ")
}

// Proxies are those that there are lines for.
var Proxies = []string{"nginx", "caddy", "traefik", "haproxy", "envoy", "husk"}

// recognize returns the proxy that says that it has answered; "" for one that is silent.
func recognize(h http.Header) string {
	said := strings.ToLower(strings.Join(append(slices.Clone(h.Values("Server")), h.Values("Via")...), " "))
	for _, name := range Proxies {
		if strings.Contains(said, name) {
			return name
		}
	}
	return ""
}
