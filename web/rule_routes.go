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

// UnaskedRules says that rules are of no use, as nobody is believed who would ask about
// them (gate.Rules.NeedProxy).
const UnaskedRules = "rules of gate have no upstream, so a proxy asks about them, and all that it asks is refused: name its address as trusted-proxy, such as 127.0.0.1"

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
		return explained(&api.RuleTested{Status: http.StatusBadRequest, Decision: gate.Refused.String()}, api.RuleReason{Code: m.Code, Text: m.Reason}), nil
	}
	rules := s.gate.rules.Load()
	d := rules.Decide(&asked, who.atGate())
	out := &api.RuleTested{Status: statusAtGate(d.Outcome), Decision: gate.Refused.String()}
	if d.Rule != nil {
		out.Rule, out.Line = d.Rule.Number(), d.Rule.Line
	}
	if d.Rule != nil && refused != nil {
		out.Status = http.StatusUnauthorized
		return explained(out, *refused), nil
	}
	if d.Outcome == gate.Allowed {
		out.Decision = d.Outcome.String()
	}
	why, err := s.whyAtGate(ctx, rules, &asked, d, who)
	return explained(out, why...), err
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
func (s *Server) testedWho(ctx context.Context, actor *db.Actor, t *api.RuleTest, client netip.Addr) (who *identity, refused *api.RuleReason, err error) {
	switch {
	case t.User != "" && t.AccessToken != "":
		return nil, nil, malformed("bad_test", "user and access_token exclude each other")
	case t.AccessToken != "":
		return s.testedToken(ctx, actor, t.AccessToken, client)
	case t.User == "":
		return nil, nil, nil
	}
	self := actor.User != nil && (t.User == actor.ID || actor.User.Email != "" && db.FoldEmail(t.User) == db.FoldEmail(actor.User.Email))
	if !self && !actor.Permissions.Has(db.PermUserRead) {
		return nil, nil, errNotPermitted(db.PermUserRead)
	}
	user, err := s.Store.FindUser(ctx, t.User)
	if err != nil {
		return nil, nil, err
	}
	if who, err = s.identifyUser(ctx, user.ID); err == nil {
		return who, nil, nil
	}
	found, err := introspect(nil, err)
	return nil, because("user_"+found.Code, nil), err
}

// testedToken looks at a token as the gate would; it is neither used nor noted as
// used. Why it is refused is for its owner and for administrators.
func (s *Server) testedToken(ctx context.Context, actor *db.Actor, secret string, client netip.Addr) (who *identity, refused *api.RuleReason, err error) {
	id, err := token.Parse(secret)
	if err != nil {
		return nil, because("token_none", nil), nil
	}
	who, err = s.resolve(ctx, credential{token: secret}, sha256.Sum256([]byte(secret)))
	switch {
	case err == nil && who.token.Allows(client):
		return who, nil, nil
	case err == nil && !client.IsValid():
		return nil, because("token_needs_address", nil), nil
	case err == nil:
		err = errFromElsewhere
	}
	refused, err = s.whyRefused(ctx, actor, id, err)
	return nil, refused, err
}

// whyRefused tells those who may know what is the matter with a token.
func (s *Server) whyRefused(ctx context.Context, actor *db.Actor, id string, refusal error) (*api.RuleReason, error) {
	var f *failure
	if !errors.As(refusal, &f) || f.status != http.StatusUnauthorized {
		return nil, refusal
	}
	_, err := s.Store.TokenFor(ctx, actor, id)
	switch {
	case errors.Is(err, db.ErrNotFound) && actor.Administrator():
		return because("token_unknown", nil), nil
	case errors.Is(err, db.ErrNotFound):
		return because("token_hidden", nil), nil
	case err != nil:
		return nil, err
	case f.cause == nil:
		return because("token_refused", nil), nil
	}
	return because("token_"+f.cause.code, nil), nil
}
