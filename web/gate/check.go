package gate

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Bounds of a configuration: the file is the operator's, and a slip in it must not
// make each decision slow.
const (
	maxRules  = 10_000
	maxValues = 100 // of one list of a rule
)

// check tells what is wrong beside the rules.
func (c *Config) check() (faults []Fault) {
	add := func(line int, key, text string) { faults = append(faults, Fault{line, key, text}) }
	if c.LoginURL != "" && !isOrigin(c.LoginURL) {
		add(c.LoginLine, "login_url", "login_url is the scheme and host of Husk's own pages, such as https://auth.example.com")
	}
	if c.CookieDomain != "" {
		folded, err := FoldHost(strings.TrimPrefix(c.CookieDomain, "."))
		_, isAddress := netip.ParseAddr(folded)
		if err != nil || isAddress == nil || !strings.Contains(folded, ".") {
			add(c.DomainLine, "cookie_domain", "cookie_domain is a domain such as example.com, under which the hosts are; browsers keep no cookie for one label, or an address")
		}
		c.CookieDomain = folded
	}
	if c.ReturnTTL < time.Minute || c.ReturnTTL > 24*time.Hour {
		add(0, "return_ttl", "return_ttl is how long somebody may take to sign in: a minute at least, a day at most")
	}
	if len(c.Rules) > maxRules {
		add(0, "rules", "there are over 10,000 rules")
	}
	return append(faults, c.checkLogin()...)
}

// checkLogin finds rules of which nobody would be led to a sign-in.
func (c *Config) checkLogin() (faults []Fault) {
	own := c.loginHost()
	for _, rule := range c.Rules {
		if c.LoginURL == "" && rule.Host != AnyHost && !rule.public() {
			return append(faults, Fault{rule.Line, "login_url", "a rule that asks for a sign-in needs login_url, or public-url: where Husk's own pages are"})
		}
		if host, err := FoldHost(rule.Host); err == nil && rule.UpstreamURL != "" && host == own {
			faults = append(faults, Fault{rule.Line, "upstream", "the host of Husk's own pages can't be an application's too: give one of them another name"})
		}
	}
	return faults
}

// loginHost is the folded host of Husk's own pages; "" where it is not known.
func (c *Config) loginHost() string {
	u, err := url.Parse(c.LoginURL)
	if err != nil {
		return ""
	}
	host, err := FoldHost(u.Host)
	if err != nil {
		return ""
	}
	return host
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || !isWebScheme(u.Scheme) || u.User != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		return false
	}
	_, err = FoldHost(u.Host)
	return err == nil
}

func isWebScheme(scheme string) bool { return scheme == "http" || scheme == "https" }

// public tells whether the rule asks for nobody.
func (rule *Rule) public() bool {
	for _, word := range rule.Require {
		if word == RequirePublic {
			return true
		}
	}
	return false
}

// compile reads the rule's texts, and tells what is wrong with them.
func (rule *Rule) compile() (faults []Fault) {
	add := func(key, text string) { faults = append(faults, Fault{rule.Line, key, text}) }
	var err error
	rule.host = rule.Host
	if rule.Host == "" {
		add("host", "a rule needs a host")
	} else if rule.Host != AnyHost || rule.Line > 0 {
		if rule.host, err = FoldHostPattern(rule.Host); err != nil {
			add("host", "host: "+err.Error())
		}
	}
	if rule.Path != "" {
		if rule.path, err = CleanPath(rule.Path); err != nil || strings.Contains(rule.Path, "?") {
			add("path", "path is the beginning of a path, such as /api/, written as it is seen: without .., //, ;, # and a query")
		}
	}
	if rule.path == "/" {
		rule.path = ""
	}
	for _, text := range []struct {
		key string
		n   int
	}{{"methods", len(rule.Methods)}, {"from", len(rule.From)}, {"require", len(rule.Require)}} {
		if text.n > maxValues {
			add(text.key, text.key+" has over 100 values")
		}
	}
	for _, m := range rule.Methods {
		if !IsMethod(m) {
			add("methods", "methods are names such as GET and POST, in capitals")
		}
	}
	for _, text := range rule.From {
		p, ok := parsePrefix(text)
		if !ok {
			add("from", "from is addresses or CIDR prefixes, such as 10.0.0.0/8 or 2001:db8::/32")
			continue
		}
		rule.from = append(rule.from, p)
	}
	faults = append(faults, rule.checkRequire()...)
	return append(faults, rule.takeUpstream()...)
}

func (rule *Rule) takeUpstream() []Fault {
	if rule.UpstreamURL == "" {
		return nil
	}
	u, err := url.Parse(rule.UpstreamURL)
	if err == nil && isWebScheme(u.Scheme) && u.User == nil && !strings.ContainsAny(rule.UpstreamURL, "?#") {
		if _, err = FoldHost(u.Host); err == nil && u.Hostname() != "" {
			rule.upstream = u
			return nil
		}
	}
	return []Fault{{rule.Line, "upstream", "upstream is the URL of the application, such as http://127.0.0.1:3000"}}
}

// permissionForm is that of a permission key, as roles grant them.
var permissionForm = sync.OnceValue(func() *regexp.Regexp { // it is large: commands start without it
	return regexp.MustCompile(`^[a-z0-9_.-]{1,64}#[a-z0-9_.:-]{1,128}/[a-z0-9_.-]{1,64}$`)
})

func (rule *Rule) checkRequire() (faults []Fault) {
	add := func(text string) { faults = append(faults, Fault{rule.Line, "require", text}) }
	if len(rule.Require) == 0 {
		add("a rule says what it requires: a permission, role:NAME, user:EMAIL, any or public")
	}
	for _, word := range rule.Require {
		name, isRole := strings.CutPrefix(word, rolePrefix)
		email, isUser := strings.CutPrefix(word, userPrefix)
		switch {
		case word == RequireAny, word == RequirePublic, word == "*":
		case isRole && strings.TrimSpace(name) == name && name != "", isUser && strings.TrimSpace(email) == email && email != "":
		case isRole, isUser, !permissionForm().MatchString(word):
			add("require is a permission (category#resource/action), role:NAME, user:EMAIL, any or public, or a list of which one is enough")
		}
	}
	if rule.public() && (len(rule.Require) > 1 || rule.SecondFactor) {
		add("public lets everybody in: beside it nothing else can be required")
	}
	return faults
}

// maxMethod is the longest name of a method, in bytes.
const maxMethod = 32

// IsMethod tells whether a text is a method (RFC 9110, 9.1). Their case counts, and
// all that are in use are in capitals: an application that folds the case would take
// another for one that a rule names.
func IsMethod(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return text != "" && len(text) <= maxMethod
}

// parsePrefix reads a CIDR prefix; a plain address stands for itself alone.
func parsePrefix(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}
