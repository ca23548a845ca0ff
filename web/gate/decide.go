package gate

import (
	"net/netip"
	"slices"
	"strings"
)

// Request is what a client asked of an application, as a proxy tells it, or as it
// came to Husk's own. An Adapter makes it.
type Request struct {
	Method string
	Scheme string // http or https
	Host   string // folded; rules are asked about it
	Port   string // as it was sent; "": the scheme's own
	Path   string // decoded and clean; rules are asked about it
	URI    string // the path and the query as they were sent

	Preflight string     // the method that a CORS preflight asks for (Fetch, 4.8); else ""
	Client    netip.Addr // zero: not known

	// Unsure: a client may have chosen the method. What is refused to GET is refused.
	Unsure bool
}

// Origin is the scheme and host of what was asked for, as a return address has it.
func (q *Request) Origin() string {
	host := q.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if q.Port != "" {
		host += ":" + q.Port
	}
	return q.Scheme + "://" + host
}

// Who is who asks, as far as rules and limits go. nil is nobody.
type Who struct {
	Email       string // or the name by which somebody without one signs in
	Roles       []string
	Permissions interface{ Has(key string) bool }

	Token        bool // by an API token; else by a session
	Narrow       bool // the token has permissions of its own: it is for these alone
	SecondFactor bool // one was proved in the session
	Held         bool // the session may do nothing yet but have its password changed
	NoFactor     bool // nor anything but set up or prove a second factor, which a role requires

	// Reach is where a token may be used; nil: everywhere.
	Reach interface {
		Reaches(method, host, path string) bool
	}
}

// Limited tells whether a session is worth nothing yet where somebody has to be signed
// in: at a public address it is nobody's.
func (who *Who) Limited() bool { return who.Held || who.NoFactor }

// Outcome is what becomes of a request. The zero value refuses.
type Outcome int

// What there is to decide.
const (
	Refused Outcome = iota // known, and not permitted; or no rule fits
	SignIn                 // nobody is signed in, and somebody has to be
	Allowed
)

func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case SignIn:
		return "sign_in"
	}
	return "refused"
}

// Why is the cause of a decision, in a stable word.
type Why string

// The causes.
const (
	NoRule       Why = "no_rule"
	Public       Why = "public"
	Preflight    Why = "preflight"
	Nobody       Why = "not_signed_in"
	OutOfReach   Why = "token_reach"
	MustChange   Why = "password_change_required"
	NeedsFactor  Why = "second_factor_required"
	RoleFactor   Why = "role_second_factor"
	Lacks        Why = "not_permitted"
	HasWhatNeeds Why = "permitted"
)

// Decision is what is decided about a request.
type Decision struct {
	Outcome Outcome
	Rule    *Rule // that decided; nil: none fits
	Why     Why
}

// Number is the place of the rule among the rules, from 1.
func (rule *Rule) Number() int { return rule.number }

// LacksFactor tells whether nothing is missing but a second factor in the session.
func (d *Decision) LacksFactor() bool { return d.Why == NeedsFactor || d.Why == RoleFactor }

// Decide decides about a request.
func (r *Rules) Decide(q *Request, who *Who) Decision {
	d := r.decided(q, who)
	if q.Unsure && d.Outcome > Refused {
		sure := *q
		sure.Method, sure.Preflight = "GET", ""
		if least := r.decided(&sure, who); least.Outcome < d.Outcome {
			return least
		}
	}
	return d
}

// decided is the decision about a request whose method is taken as it is told. It is
// the one way to an Allowed.
func (r *Rules) decided(q *Request, who *Who) Decision {
	d := Decision{Rule: r.find(q), Why: NoRule}
	if d.Rule == nil {
		return d
	}
	d.Outcome, d.Why = SignIn, d.Rule.objection(q, who)
	switch d.Why {
	case Public, Preflight, HasWhatNeeds:
		d.Outcome = Allowed
	case Nobody:
	default:
		d.Outcome = Refused
	}
	return d
}

// find returns the first rule that fits.
func (r *Rules) find(q *Request) *Rule {
	for _, rule := range r.about(q.Host) {
		if rule.coversHost(q.Host) && PathFits(rule.path, q.Path) && rule.coversMethod(q) && rule.coversClient(q.Client) {
			return rule
		}
	}
	return nil
}

// coversMethod: a rule that lets preflights through fits one by the method that it
// asks for.
func (rule *Rule) coversMethod(q *Request) bool {
	method := q.Method
	if rule.Preflight && q.Preflight != "" {
		method = q.Preflight
	}
	return MethodFits(rule.Methods, method)
}

// MethodFits tells whether a method is one of those that are named; none are all,
// and GET is HEAD too.
func MethodFits(methods []string, method string) bool {
	return len(methods) == 0 || slices.Contains(methods, method) || method == "HEAD" && slices.Contains(methods, "GET")
}

func (rule *Rule) coversClient(client netip.Addr) bool {
	return len(rule.from) == 0 || slices.ContainsFunc(rule.from, func(p netip.Prefix) bool { return p.Contains(client) })
}

// objection tells why the rule lets the request through, or what it has against it.
func (rule *Rule) objection(q *Request, who *Who) Why {
	switch {
	case who == nil && rule.public():
		return Public
	case who == nil && rule.Preflight && q.Preflight != "":
		return Preflight
	case who == nil:
		return Nobody
	case who.Reach != nil && !who.Reach.Reaches(q.Method, q.Host, q.Path):
		return OutOfReach
	case rule.public():
		return Public
	case who.Held:
		return MustChange
	case who.NoFactor:
		return RoleFactor
	case rule.Met(who) == "":
		return Lacks
	case rule.SecondFactor && !who.Token && !who.SecondFactor:
		return NeedsFactor
	}
	return HasWhatNeeds
}

// Met is the first of what the rule requires that who has; "": none. A token that is
// for some permissions alone is not its owner: it stands for no role and no user.
func (rule *Rule) Met(who *Who) string {
	for _, word := range rule.Require {
		name, isRole := strings.CutPrefix(word, rolePrefix)
		email, isUser := strings.CutPrefix(word, userPrefix)
		switch {
		case word == RequireAny:
			return word
		case isRole:
			if !who.Narrow && slices.Contains(who.Roles, name) {
				return word
			}
		case isUser:
			if !who.Narrow && who.Email != "" && strings.EqualFold(email, who.Email) {
				return word
			}
		case who.Permissions.Has(word):
			return word
		}
	}
	return ""
}
