package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"husk/db"
	"husk/web/gate"
)

// This file makes the gate of the settings: of what the configuration file says, or
// of --upstream.

// oneApplication is the gate of --upstream: whoever is signed in may use the
// application, at whatever host.
func oneApplication(upstream string) []gate.Rule {
	return []gate.Rule{{Host: gate.AnyHost, Require: []string{gate.RequireAny}, UpstreamURL: upstream}}
}

// isUpstream takes what the gate takes as the URL of an application.
func isUpstream(text string) error {
	if text == "" {
		return nil
	}
	if _, faults := gate.Parse(gate.Config{Rules: oneApplication(text)}); len(faults) > 0 {
		return errors.New("it is the URL of the application, such as http://127.0.0.1:3000")
	}
	return nil
}

// gateFile is what the configuration file says of the gate; nil: nothing.
func (a *app) gateFile() *gateFile {
	if a.resolved == nil || a.resolved.file == nil {
		return nil
	}
	return a.resolved.file.gate
}

// gateConfig is the gate of the settings; false: there is none.
func (a *app) gateConfig() (c gate.Config, ok bool) {
	file := a.gateFile()
	if file != nil {
		c = file.Config
		c.Rules = slices.Clone(c.Rules)
		for i := range c.Rules {
			c.Rules[i].Require = foldedRequire(c.Rules[i].Require)
		}
	}
	switch {
	case a.settings.Upstream != "": // it has its sign-in at the host that is asked
		c.Rules = append(c.Rules, oneApplication(a.settings.Upstream)...)
	case c.LoginURL == "":
		c.LoginURL = a.settings.PublicURL
	}
	return c, file != nil || a.settings.Upstream != ""
}

// gateRules are the rules of the settings; nil: there is no gate, or it has faults.
func (a *app) gateRules() (rules *gate.Rules, faults []fault) {
	c, ok := a.gateConfig()
	if !ok {
		return nil, nil
	}
	file := a.gateFile()
	if file != nil && len(file.Rules) > 0 && a.settings.Upstream != "" {
		return nil, []fault{{setting: "upstream", err: usage("upstream is for one application at any host, and gate has rules of its own: they exclude each other", "give the rules their upstream, and leave the other out")}}
	}
	rules, wrong := gate.Parse(c)
	wrong = append(wrong, a.ownHosts(c)...)
	for _, f := range wrong {
		faults = append(faults, a.gateFault(f))
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.problem.Line, b.problem.Line) })
	if len(faults) > 0 {
		return nil, faults
	}
	return rules, nil
}

// gateFault is a fault of the gate with its place in the file.
func (a *app) gateFault(f gate.Fault) fault {
	file := a.resolved.file // there is one, since upstream alone is right
	p := problem{file.gate.lineOf(f), gateKey + "." + f.Key, f.Text}
	return fault{setting: p.Setting, problem: p, err: usage(file.text(p), "mend it; 'husk config check "+printable(file.name)+"' looks again")}
}

// ownHosts finds rules that give a host of public-url to an application. That of
// login_url gate.Parse knows.
func (a *app) ownHosts(c gate.Config) (faults []gate.Fault) {
	own := map[string]bool{}
	for _, text := range append([]string{a.settings.PublicURL}, a.settings.OtherURLs...) {
		own[hostOf(text)] = true
	}
	delete(own, "")
	delete(own, hostOf(c.LoginURL))
	for _, rule := range c.Rules {
		if host, err := gate.FoldHost(rule.Host); err == nil && rule.UpstreamURL != "" && own[host] {
			faults = append(faults, gate.Fault{Line: rule.Line, Key: "upstream", Text: "the host of public-url can't be an application's too: give one of them another name"})
		}
	}
	return faults
}

// hostOf is the folded host of a URL; "" where it has none.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	host, err := gate.FoldHost(u.Host)
	if err != nil {
		return ""
	}
	return host
}

// foldedRequire has the emails as users have them.
func foldedRequire(words []string) (folded []string) {
	const user = "user:"
	for _, word := range words {
		if len(word) > len(user) && word[:len(user)] == user {
			word = user + db.FoldEmail(word[len(user):])
		}
		folded = append(folded, word)
	}
	return folded
}

// uncertified warns of hosts that husk serves itself and that none of its
// certificates names. Without a certificate a proxy may have them.
func uncertified(rules *gate.Rules, pairs keyPairs) (warnings []string) {
	if rules == nil || len(pairs) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, rule := range rules.List() {
		if rule.UpstreamURL == "" || rule.Host == gate.AnyHost || seen[rule.Host] {
			continue
		}
		seen[rule.Host] = true
		if folded, err := gate.FoldHostPattern(rule.Host); err == nil && !pairs.covers(folded) {
			warnings = append(warnings, fmt.Sprintf("no certificate of tls-cert names %s, which a rule of gate has husk serve: browsers will refuse it", rule.Host))
		}
	}
	return warnings
}
