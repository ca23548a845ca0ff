package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"husk/db"
	"husk/web/api"
	"husk/web/gate"
	"husk/web/token"
)

// This file shows the rules of the gate, and tells what they make of a request
// without one: by what answers a proxy.

// listRules answers a bare array of the rules, in the order in which they are asked.
func (s *Server) listRules(ctx context.Context, _ *db.Actor, _ *nothing) ([]api.Rule, error) {
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	rules := s.gate.rules.Load().List()
	out := make([]api.Rule, 0, len(rules))
	for i := range rules {
		out = append(out, showRule(&rules[i], roles))
	}
	return out, nil
}

func showRule(rule *gate.Rule, roles *db.RoleSet) api.Rule {
	return api.Rule{
		Number: rule.Number(), Line: rule.Line, Host: rule.Host, Path: rule.Path,
		Methods: list(rule.Methods), From: list(rule.From), Require: list(rule.Require), Ungranted: list(ungranted(rule, roles)),
		SecondFactor: rule.SecondFactor, Preflight: rule.Preflight, Upstream: rule.UpstreamURL,
	}
}

// list is a list that is not null in JSON.
func list(texts []string) []string { return append([]string{}, texts...) }

const rolePrefix, userPrefix = "role:", "user:"

// ungranted are the words of a rule that nobody meets for the sake of a role:
// permissions that no role names, and roles that there are not.
func ungranted(rule *gate.Rule, roles *db.RoleSet) (words []string) {
	for _, word := range rule.Require {
		role, isRole := strings.CutPrefix(word, rolePrefix)
		switch {
		case isRole && !roles.Has(role):
			words = append(words, word)
		case isRole, strings.HasPrefix(word, userPrefix), word == gate.RequireAny, word == gate.RequirePublic, word == db.PermAll:
		default:
			if _, known := slices.BinarySearch(roles.Known(), word); !known {
				words = append(words, word)
			}
		}
	}
	return words
}

// mostGateWarnings bounds how many words are warned of.
const mostGateWarnings = 20

// GateWarnings tells which permissions of the rules no role grants, and which roles
// of theirs there are not: mostly something is mistyped.
func (s *Server) GateWarnings(ctx context.Context) (texts []string) {
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return []string{"whether any role grants what the rules of the gate require could not be looked up: the store does not answer"}
	}
	rules, told := s.gate.rules.Load().List(), map[string]bool{}
	for i := range rules {
		for _, word := range ungranted(&rules[i], roles) {
			if told[word] {
				continue
			}
			told[word] = true
			if len(told) <= mostGateWarnings {
				texts = append(texts, fmt.Sprintf("%s of the gate requires %s, %s", placeOf(&rules[i]), word, lackOf(word)))
			}
		}
	}
	if more := len(told) - mostGateWarnings; more > 0 {
		texts = append(texts, fmt.Sprintf("the rules of the gate require %d more that no role grants; see 'husk rule list'", more))
	}
	return texts
}

func lackOf(word string) string {
	if strings.HasPrefix(word, rolePrefix) {
		return "and there is no such role: see 'husk role list'"
	}
	return "which no role grants: only who may do everything has it; name it in a role with 'husk role set'"
}

// placeOf names a rule for people.
func placeOf(rule *gate.Rule) string {
	if rule.Line == 0 {
		return fmt.Sprintf("rule %d", rule.Number())
	}
	return fmt.Sprintf("rule %d (line %d)", rule.Number(), rule.Line)
}

type ruleTest struct {
	Body api.RuleTest `body:"required"`
}

// testRule tells what the gate would answer a program that asks for an address.
func (s *Server) testRule(ctx context.Context, actor *db.Actor, in *ruleTest) (*api.RuleTested, error) {
	asked, m, err := askedFor(&in.Body)
	if err != nil {
		return nil, err
	}
	who, refused, err := s.testedWho(ctx, actor, &in.Body, asked.Client)
	switch {
	case err != nil:
		return nil, err
	case m != nil:
		return &api.RuleTested{Status: http.StatusBadRequest, Decision: gate.Refused.String(), Why: m.Reason}, nil
	}
	rules := s.gate.rules.Load()
	d := rules.Decide(&asked, who.atGate())
	out := &api.RuleTested{Status: statusAtGate(d.Outcome), Decision: gate.Refused.String(), Why: refused}
	if d.Rule != nil {
		out.Rule, out.Line = d.Rule.Number(), d.Rule.Line
	}
	if d.Rule != nil && refused != "" {
		out.Status = http.StatusUnauthorized
		return out, nil
	}
	if d.Outcome == gate.Allowed {
		out.Decision = d.Outcome.String()
	}
	out.Why, err = s.whyAtGate(ctx, rules, &asked, d, who)
	return out, err
}

func statusAtGate(o gate.Outcome) int {
	switch o {
	case gate.Allowed:
		return http.StatusOK
	case gate.SignIn:
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// askedFor reads what is asked for as a proxy would tell it.
func askedFor(t *api.RuleTest) (asked gate.Request, m *gate.Malformed, err error) {
	scheme, rest, found := strings.Cut(t.URL, "://")
	rest, _, _ = strings.Cut(rest, "#") // which no client sends
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, uri := rest[:end], rest[end:]
	if !strings.HasPrefix(uri, "/") {
		uri = "/" + uri
	}
	if !found || scheme != "http" && scheme != "https" || host == "" || strings.Contains(host, "@") {
		return asked, nil, malformed("bad_url", "url is what is asked for, with its scheme and host, such as https://app.example.com/admin")
	}
	method := t.Method
	if method == "" {
		method = http.MethodGet
	}
	asked, m = gate.ForwardAuth(&http.Request{Header: http.Header{
		"X-Forwarded-Method": {method}, "X-Forwarded-Proto": {scheme}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri},
	}})
	if t.From != "" {
		client, err := netip.ParseAddr(t.From)
		if err != nil || client.Zone() != "" {
			return asked, nil, malformed("bad_from", "from is the address of a client, such as 192.0.2.7 or 2001:db8::7")
		}
		asked.Client = client.Unmap()
	}
	return asked, m, nil
}

// testedWho is who asks; nil: nobody. refused is why the credential is none.
func (s *Server) testedWho(ctx context.Context, actor *db.Actor, t *api.RuleTest, client netip.Addr) (who *identity, refused string, err error) {
	switch {
	case t.User != "" && t.AccessToken != "":
		return nil, "", malformed("bad_test", "user and access_token exclude each other")
	case t.AccessToken != "":
		return s.testedToken(ctx, actor, t.AccessToken, client)
	case t.User == "":
		return nil, "", nil
	}
	self := actor.User != nil && (t.User == actor.ID || actor.User.Email != "" && db.FoldEmail(t.User) == db.FoldEmail(actor.User.Email))
	if !self && !actor.Permissions.Has(db.PermUserRead) {
		return nil, "", errNotPermitted(db.PermUserRead)
	}
	user, err := s.Store.FindUser(ctx, t.User)
	if err != nil {
		return nil, "", err
	}
	if who, err = s.identifyUser(ctx, user.ID); err == nil {
		return who, "", nil
	}
	found, err := introspect(nil, err)
	return nil, "nobody can be this user: " + found.Reason, err
}

// testedToken looks at a token as the gate would; it is neither used nor noted as
// used. Why it is refused is for its owner and for administrators.
func (s *Server) testedToken(ctx context.Context, actor *db.Actor, secret string, client netip.Addr) (who *identity, refused string, err error) {
	id, err := token.Parse(secret)
	if err != nil {
		return nil, "the token is refused: it is none of husk's, is mistyped or cut", nil
	}
	who, err = s.resolve(ctx, credential{token: secret}, sha256.Sum256([]byte(secret)))
	switch {
	case err == nil && who.token.Allows(client):
		return who, "", nil
	case err == nil && !client.IsValid():
		return nil, "the token is refused: it is for some addresses alone, and the client's was not given", nil
	case err == nil:
		err = errFromElsewhere
	}
	why, err := s.whyRefused(ctx, actor, id, err)
	return nil, "the token is refused" + why, err
}

// whyRefused tells those who may know what is the matter with a token.
func (s *Server) whyRefused(ctx context.Context, actor *db.Actor, id string, refusal error) (string, error) {
	var f *failure
	if !errors.As(refusal, &f) || f.status != http.StatusUnauthorized {
		return "", refusal
	}
	_, err := s.Store.TokenFor(ctx, actor, id)
	switch {
	case errors.Is(err, db.ErrNotFound) && actor.Administrator():
		return ": husk does not know it; it was revoked, or never was", nil
	case errors.Is(err, db.ErrNotFound):
		return "; why is for its owner and for administrators to see", nil
	case err != nil:
		return "", err
	case f.cause == nil:
		return "", nil
	}
	return ": " + f.cause.reason, nil
}

// whyAtGate says what fits, or what is missing.
func (s *Server) whyAtGate(ctx context.Context, rules *gate.Rules, asked *gate.Request, d gate.Decision, who *identity) (string, error) {
	if d.Rule == nil {
		return s.whyNoRule(rules, asked), nil
	}
	place, needs := placeOf(d.Rule), strings.Join(d.Rule.Require, " or ")
	switch d.Why {
	case gate.Public:
		return place + " lets everybody in", nil
	case gate.HasWhatNeeds:
		return fmt.Sprintf("%s requires %s, and %s is met", place, needs, d.Rule.Met(who.atGate())), nil
	case gate.Nobody:
		return fmt.Sprintf("%s requires %s, and nobody is signed in", place, needs), nil
	case gate.OutOfReach:
		return "the token is not for this host, path or method: see its allowed_hosts, allowed_paths and allowed_methods", nil
	case gate.MustChange:
		return "the password was generated, and has to be changed first", nil
	case gate.NeedsFactor:
		return place + " asks a session for a second factor", nil
	}
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return "", err
	}
	why := fmt.Sprintf("%s requires %s, and none of it is met", place, needs)
	if lacking := ungranted(d.Rule, roles); len(lacking) > 0 {
		why += "; " + lacking[0] + ": " + strings.TrimPrefix(lackOf(lacking[0]), "and ")
	}
	if who.atGate().Narrow {
		why += "; a token with permissions of its own stands for these alone, and for no role or user"
	}
	return why, nil
}

func (s *Server) whyNoRule(rules *gate.Rules, asked *gate.Request) string {
	switch {
	case len(rules.List()) == 0:
		return "husk has no rules: they stand under gate in the configuration file"
	case !rules.Knows(asked.Host):
		why := "no rule is about this host"
		if strings.EqualFold(asked.Host, s.publicHost) || rules.SignsIn(asked.Host) {
			why += ": Husk's own pages are there"
		} else if rules.ServesAny() {
			why += "; where no proxy asks first, Husk answers there with its own pages"
		}
		return why
	case !asked.Client.IsValid() && slices.ContainsFunc(rules.List(), func(rule gate.Rule) bool { return len(rule.From) > 0 }):
		return "no rule about this host is about this path and method; one with from fits only where the address of a client was given"
	}
	return "no rule about this host is about this path, method and client"
}
