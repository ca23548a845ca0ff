package gate

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DefaultReturnTTL is how long a return address is good where none was configured.
const DefaultReturnTTL = 10 * time.Minute

// Config is the gate as it is configured.
type Config struct {
	LoginURL     string        // origin of Husk's own pages, such as https://auth.example.com
	LoginLine    int           // where it stands, from 1; 0: nowhere
	CookieDomain string        // folded domain for whose hosts one cookie is good; "": one for each host
	DomainLine   int           // where it stands
	ReturnTTL    time.Duration // how long a return address is good; 0: DefaultReturnTTL
	Rules        []Rule        // the first that fits decides
}

// Rule is one access rule, as it is configured. Host, Path, Methods and From say
// what it is about; empty ones fit all.
type Rule struct {
	Line int // of the file, from 1; 0: of no file

	Host    string   // a name, an address, or *.NAME; "*": any host, which no file can say
	Path    string   // names itself and what is under it
	Methods []string // GET covers HEAD
	From    []string // addresses and CIDR prefixes of clients

	Require      []string // one of them: a permission, role:NAME, user:EMAIL, any, public
	SecondFactor bool     // of sessions
	Preflight    bool     // a CORS preflight needs no credential
	UpstreamURL  string   // of the application, where Husk is its reverse proxy

	number   int // from 1, as they stand in the file
	host     string
	path     string
	from     []netip.Prefix
	upstream *url.URL
}

// The words of Require that are no permission.
const (
	RequireAny    = "any"    // anybody who is signed in
	RequirePublic = "public" // anybody
	rolePrefix    = "role:"
	userPrefix    = "user:"
)

// Fault is what is wrong in a configuration.
type Fault struct {
	Line int    // from 1; 0: of no line
	Key  string // of the setting, such as "host"
	Text string // for people
}

func (f Fault) String() string {
	if f.Line == 0 {
		return f.Text
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Text)
}

// AnyHost as a rule's Host fits every host.
const AnyHost = "*"

// Rules are access rules that were found right. They never change, and may be used
// by many at once.
type Rules struct {
	config    Config
	loginHost string             // folded
	serves    bool               // some rule has an upstream
	byHost    map[string][]*Rule // of exact hosts: all rules that may fit one, in order
	others    []*Rule            // those of patterns and of any host, in order
	all       []*Rule
	hosts     []string // that byHost has, sorted
}

// Parse makes the rules of a configuration. Where it has faults, there are none.
func Parse(c Config) (*Rules, []Fault) {
	r := &Rules{config: c, loginHost: c.loginHost(), byHost: map[string][]*Rule{}}
	if r.config.ReturnTTL == 0 {
		r.config.ReturnTTL = DefaultReturnTTL
	}
	faults := r.config.check()
	r.config.Rules = slices.Clone(c.Rules)
	for i := range r.config.Rules {
		rule := &r.config.Rules[i]
		rule.number = i + 1
		faults = append(faults, rule.compile()...)
		r.all = append(r.all, rule)
		r.serves = r.serves || rule.upstream != nil
	}
	if len(faults) > 0 {
		return nil, faults
	}
	r.sort()
	return r, nil
}

// sort puts the rules where a request for their host finds them.
func (r *Rules) sort() {
	for _, rule := range r.all {
		if strings.HasPrefix(rule.host, "*") {
			r.others = append(r.others, rule)
		} else if r.byHost[rule.host] == nil {
			r.byHost[rule.host] = []*Rule{}
		}
	}
	for host := range r.byHost {
		for _, rule := range r.all {
			if rule.coversHost(host) {
				r.byHost[host] = append(r.byHost[host], rule)
			}
		}
	}
	r.hosts = slices.Sorted(maps.Keys(r.byHost))
}

func (rule *Rule) coversHost(host string) bool {
	return rule.host == AnyHost || HostFits(rule.host, host)
}

// List returns all rules, in order; read only.
func (r *Rules) List() []Rule { return r.config.Rules }

// Hosts returns the folded hosts that rules name in full, without those of patterns,
// sorted; read only.
func (r *Rules) Hosts() []string { return r.hosts }

// LoginURL is the origin of Husk's own pages, without a slash at the end; "": those
// of the host that is asked.
func (r *Rules) LoginURL() string { return strings.TrimSuffix(r.config.LoginURL, "/") }

// ReturnTTL is how long a return address is good.
func (r *Rules) ReturnTTL() time.Duration { return r.config.ReturnTTL }

// UpstreamOf is the application that a rule leads to at a folded host, where Husk is
// its reverse proxy: its own, or that of the first rule about the host that has one;
// nil: another is the proxy. It is shared, read only.
func (r *Rules) UpstreamOf(rule *Rule, host string) *url.URL {
	if rule != nil && rule.upstream != nil {
		return rule.upstream
	}
	for _, other := range r.about(host) {
		if other.upstream != nil && other.coversHost(host) {
			return other.upstream
		}
	}
	return nil
}

// about are the rules among which those of a folded host are.
func (r *Rules) about(host string) []*Rule {
	if rules, known := r.byHost[host]; known {
		return rules
	}
	return r.others
}

// Knows tells whether any rule is about a folded host.
func (r *Rules) Knows(host string) bool {
	return slices.ContainsFunc(r.about(host), func(rule *Rule) bool { return rule.coversHost(host) })
}

// SignsIn tells whether Husk's own pages, with the sign-in, are at a folded host.
func (r *Rules) SignsIn(host string) bool { return host != "" && host == r.loginHost }

// ServesAny tells whether Husk is the reverse proxy of any host.
func (r *Rules) ServesAny() bool { return r.serves }

// Serves tells whether Husk is the reverse proxy of a folded host. That of its own
// pages never is an application's.
func (r *Rules) Serves(host string) bool {
	return r.serves && host != r.loginHost && r.UpstreamOf(nil, host) != nil
}

// NeedProxy tells whether any rule is about a host of which another is the proxy.
func (r *Rules) NeedProxy() bool {
	return slices.ContainsFunc(r.all, func(rule *Rule) bool { return r.UpstreamOf(rule, rule.host) == nil })
}

// ServesAll tells whether one application is behind every host.
func (r *Rules) ServesAll() bool {
	return slices.ContainsFunc(r.others, func(rule *Rule) bool { return rule.host == AnyHost && rule.upstream != nil })
}

// Scope is for what hosts a cookie is good that is set at a folded host: itself, or
// the domain that was configured.
func (r *Rules) Scope(host string) (scope string, isDomain bool) {
	d := r.config.CookieDomain
	if d != "" && (host == d || strings.HasSuffix(host, "."+d)) {
		return d, true
	}
	return host, false
}
