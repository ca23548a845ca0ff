package cmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"husk/web/probe"
	"husk/web/token"
)

type proxyProbeOptions struct {
	upstream formed
	proxy    formed
	echo     formed
}

func (a *app) proxyProbeCommand() *cobra.Command {
	o := proxyProbeOptions{upstream: formed{form: isServerURL}, proxy: formed{form: oneOf(probe.Proxies...)}, echo: formed{form: isAddr}}
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Try the known tricks against your own protected application",
		Long: `Try what strangers are known to try against an application that Husk protects: no
credential and bad ones, forged identity and forwarded headers in their spellings,
path tricks, Connection that names headers, doubled headers, a sign-in that leads to
another host, a WebSocket, odd requests. A line for each is ok, FAILED or not told;
what failed comes with the lines to add to the proxy.

Give it the URL as browsers have it, of your own deployment and of nobody else's. It
asks that URL and paths under it, with one trick at the root of its host, and never
follows a redirect; each answer has 10 s and all have 2 minutes. An application that
is not protected gets these requests, among them POST without content.

With --token-file, a token that the gate lets through, the tricks are also tried by
somebody who may in; the token is sent with GET alone. What reached the
application is known only if it shows that: for the time of a probe put
'husk proxy probe --echo ADDR' in its place. Of any other the status alone is judged.
--upstream is the application's own address, which must not answer this machine.
--server-ca is for URL here.

It needs no store and no server. It ends with 0 where all that was told held, 1 where
something did not, and 6 where URL does not answer. Asked for JSON it prints an array
of {name, held, detail, advice}; held is null for what was not told.`,
		Example: `  husk proxy probe https://grafana.example.com/
  husk proxy probe https://grafana.example.com/ --token-file probe.token --upstream http://10.0.0.5:3000
  husk proxy probe --echo 127.0.0.1:3000       in the application's place`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.echo.text != "" {
				return none(cmd, args)
			}
			return one("the URL of the application, as browsers have it")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.echo.text != "" {
				return a.echo(cmd.Context(), o.echo.text)
			}
			return a.probe(cmd.Context(), args[0], &o)
		},
	}
	f := cmd.Flags()
	f.Var(&o.upstream, "upstream", "the application's own URL, past the proxy: it must not answer")
	f.Var(&o.proxy, "proxy", "advise for "+strings.Join(probe.Proxies, ", ")+"; found out where it says so itself")
	f.Var(&o.echo, "echo", "listen at this address as an application that shows what reached it")
	for _, name := range []string{"upstream", "proxy"} {
		cmd.MarkFlagsMutuallyExclusive("echo", name)
	}
	return cmd
}

// probe tries the tricks and tells what became of them.
func (a *app) probe(ctx context.Context, text string, o *proxyProbeOptions) error {
	c, err := a.probeConfig(text, o)
	if err != nil {
		return err
	}
	a.say("It asks %s %d times.", printable(c.URL.Redacted()), probe.Asks(c))
	shown := a.progress("probing", int64(probe.Asks(c)), countText)
	all, err := probe.Run(ctx, c, func() { shown.add(1) })
	shown.end()
	var away *probe.UnreachableError
	switch {
	case errors.As(err, &away):
		return explainProbe(ctx, away)
	case err != nil:
		return err
	}
	return a.printProbe(all)
}

func (a *app) probeConfig(text string, o *proxyProbeOptions) (c probe.Config, err error) {
	if c.URL, err = probeURL(text, "URL"); err != nil {
		return c, err
	}
	if o.upstream.text != "" {
		if c.Upstream, err = probeURL(o.upstream.text, "--upstream"); err != nil {
			return c, err
		}
	}
	if a.settings.ServerCA != "" {
		if c.URL.Scheme != "https" {
			return c, usage("--server-ca is for a URL of https, and this is none", "give a URL of https, or leave --server-ca out")
		}
		pool, err := a.authorities()
		if err != nil {
			return c, err
		}
		c.TLS = &tls.Config{RootCAs: pool}
	}
	if c.Token, err = a.readTokenFor(text); err != nil {
		return c, err
	}
	if c.Token != "" && inTheOpen(text) {
		a.warn("the token travels unencrypted to another machine, and whoever is on the way can read it: probe a URL of https")
	}
	c.MadeUp, _ = token.New()
	c.Proxy = o.proxy.text
	return c, nil
}

// probeURL reads a URL that is to be asked. What is not asked about is refused, so that
// nobody believes that it was.
func probeURL(text, what string) (*url.URL, error) {
	const next = "it is http or https, host and path, such as https://app.example.com/"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, usage(what+" is none that can be probed", next)
	case u.User != nil:
		return nil, usage(what+" holds a user or a password, where others can see it", "leave it out; an API token goes into --token-file")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, usage(what+" has more than a path", next)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// explainProbe says what keeps the URL from being probed, and the next step.
func explainProbe(ctx context.Context, e *probe.UnreachableError) error {
	f := &failure{code: exitBusy, err: e, what: e.Error(), next: "see that the proxy runs, and that this machine gets to it at that address"}
	if e.Answers {
		f.next = "see that Husk runs and that its trusted-proxy names the proxy, and what the log of the proxy says"
	}
	if e.URL.Scheme == "http" && speaksTLS(ctx, e.URL) {
		secure := *e.URL
		secure.Scheme = "https"
		f.what, f.next = "that port speaks TLS, and URL says http", "probe "+secure.Redacted()
	}
	if strings.Contains(f.what, "certificate") {
		f.next = "name a file with the certificate of its authority: --server-ca FILE"
	}
	return f
}

// printProbe prints a line for each trick, and what is to be added.
func (a *app) printProbe(all []probe.Result) error {
	var err error
	if a.settings.JSON {
		err = a.printJSON(all)
	} else if err = a.table([]column{{name: "TRICK"}, {name: "RESULT"}, {name: "DETAIL", least: 24}}, probeRows(all)); err == nil {
		_, err = fmt.Fprint(a.stdout, probeAdvice(all))
	}
	if err != nil {
		return err
	}
	bad, untold := 0, 0
	for _, r := range all {
		if r.Failed() {
			bad++
		}
		if r.Held == nil {
			untold++
		}
	}
	if untold > 0 {
		a.say("Not told: %d of %d; the details say why.", untold, len(all))
	}
	if bad > 0 {
		return &failure{code: exitFailure, what: strconv.Itoa(bad) + " of " + strconv.Itoa(len(all)) + " tricks did not hold", next: "add the lines that stand with them, reload the proxy, and probe again"}
	}
	return nil
}

func probeRows(all []probe.Result) (rows [][]string) {
	for _, r := range all {
		result := "ok"
		switch {
		case r.Failed():
			result = "FAILED"
		case r.Held == nil:
			result = "not told"
		}
		rows = append(rows, []string{r.Name, result, r.Detail})
	}
	return rows
}

// probeAdvice is each advice once, under the names of the tricks that it is for.
func probeAdvice(all []probe.Result) string {
	names := map[string][]string{}
	var order []string
	for _, r := range all {
		if !r.Failed() {
			continue
		}
		if len(names[r.Advice]) == 0 {
			order = append(order, r.Advice)
		}
		names[r.Advice] = append(names[r.Advice], r.Name)
	}
	var b strings.Builder
	for _, advice := range order {
		fmt.Fprintf(&b, "\nFor %s add:\n", strings.Join(names[advice], ", "))
		for line := range strings.Lines(advice) {
			b.WriteString("  " + line)
		}
		b.WriteString("\n")
	}
	return b.String()
}
