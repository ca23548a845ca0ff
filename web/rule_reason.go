package web

import (
	"context"
	"slices"
	"strings"

	"husk/web/api"
	"husk/web/gate"
)

// This file says why the gate lets a request in or refuses it: a stable code, and
// English. Pages have messages of their own for the codes, reason.CODE.

// ruleReasons is the one table of codes and texts. {rule} is the rule that decides,
// {needs} all that it requires, and {word} the one of these that the reason is about.
// Beside them are the codes of gate.Malformed, which has its own words.
var ruleReasons = map[string]string{
	string(gate.Public):       "{rule} lets everybody in",
	string(gate.Preflight):    "{rule} lets a CORS preflight through",
	string(gate.HasWhatNeeds): "{rule} requires {needs}, and {word} is met",
	string(gate.Nobody):       "{rule} requires {needs}, and nobody is signed in",
	string(gate.OutOfReach):   "the token is not for this host, path or method: see its allowed_hosts, allowed_paths and allowed_methods",
	string(gate.MustChange):   "the password was generated, and has to be changed first",
	string(gate.NeedsFactor):  "{rule} asks a session for a second factor",
	string(gate.RoleFactor):   "a role of this user's requires a second factor: without one a sign-in may do nothing but set it up",
	string(gate.Lacks):        "{rule} requires {needs}, and none of it is met",
	string(gate.NoRule):       "no rule about this host is about this path, method and client",

	"no_second_factor":     "this user has none set up: they do so on the page /second-factor, or with POST /account/totp",
	"ungranted_role":       "{word}: there is no such role: see 'husk role list'",
	"ungranted_permission": "{word}: no role grants it: only who may do everything has it; name it in a role with 'husk role set'",
	"narrow_token":         "a token with permissions of its own stands for these alone, and for no role or user",

	"no_rules":          "husk has no rules: they stand under gate in the configuration file",
	"no_rule_host":      "no rule is about this host",
	"own_host":          "no rule is about this host: Husk's own pages are there",
	"answers_unproxied": "no rule is about this host; where no proxy asks first, Husk answers there with its own pages",
	"no_rule_from":      "no rule about this host is about this path and method; one with from fits only where the address of a client was given",

	"token_none":           "the token is refused: it is none of husk's, is mistyped or cut",
	"token_needs_address":  "the token is refused: it is for some addresses alone, and the client's was not given",
	"token_unknown":        "the token is refused: husk does not know it; it was revoked, or never was",
	"token_hidden":         "the token is refused; why is for its owner and for administrators to see",
	"token_refused":        "the token is refused",
	"token_expired":        "the token is refused: it has expired",
	"token_replaced":       "the token is refused: its secret was replaced, or was never this token's",
	"token_address":        "the token is refused: it may not be used from here",
	"token_gate_only":      "the token is refused: it is good behind the gate alone",
	"token_owner_deleted":  "the token is refused: its owner was deleted",
	"token_owner_disabled": "the token is refused: its owner is disabled",
	"user_owner_deleted":   "nobody can be this user: its owner was deleted",
	"user_owner_disabled":  "nobody can be this user: its owner is disabled",
}

// because is a reason of the table. rule is that which decides, where it is named;
// words are the one of its words that the reason is about.
func because(code string, rule *gate.Rule, words ...string) *api.RuleReason {
	r := &api.RuleReason{Code: code, Text: ruleReasons[code], Word: strings.Join(words, "")}
	if rule != nil {
		r.Text = strings.NewReplacer("{rule}", placeOf(rule), "{needs}", strings.Join(rule.Require, " or "), "{word}", r.Word).Replace(r.Text)
	}
	return r
}

// explained is an answer with its reasons, one by one and as one text.
func explained(out *api.RuleTested, why ...api.RuleReason) *api.RuleTested {
	out.Reasons = append([]api.RuleReason{}, why...)
	texts := make([]string, 0, len(why))
	for _, one := range why {
		texts = append(texts, one.Text)
	}
	out.Why = strings.Join(texts, "; ")
	return out
}

// whyAtGate says what fits, or what is missing.
func (s *Server) whyAtGate(ctx context.Context, rules *gate.Rules, asked *gate.Request, d gate.Decision, who *identity) ([]api.RuleReason, error) {
	if d.Rule == nil {
		return []api.RuleReason{*because(s.whyNoRule(rules, asked), nil)}, nil
	}
	word := ""
	if d.Why == gate.HasWhatNeeds {
		word = d.Rule.Met(who.atGate())
	}
	why := []api.RuleReason{*because(string(d.Why), d.Rule, word)}
	if d.LacksFactor() { // who has one is taken to have proved it: see identifyUser
		return append(why, *because("no_second_factor", nil)), nil
	}
	if d.Why != gate.Lacks {
		return why, nil
	}
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	if lacking := ungranted(d.Rule, roles); len(lacking) > 0 {
		why = append(why, *because(lackCode(lacking[0]), d.Rule, lacking[0]))
	}
	if who.atGate().Narrow {
		why = append(why, *because("narrow_token", nil))
	}
	return why, nil
}

// lackCode is that of why nobody is granted a word of a rule.
func lackCode(word string) string {
	if strings.HasPrefix(word, rolePrefix) {
		return "ungranted_role"
	}
	return "ungranted_permission"
}

// whyNoRule is the code of why no rule is about what was asked for.
func (s *Server) whyNoRule(rules *gate.Rules, asked *gate.Request) string {
	known := rules.Knows(asked.Host)
	switch {
	case len(rules.List()) == 0:
		return "no_rules"
	case !known && (s.isPublicHost(asked.Host) || rules.SignsIn(asked.Host)):
		return "own_host"
	case !known && rules.ServesAny():
		return "answers_unproxied"
	case !known:
		return "no_rule_host"
	case !asked.Client.IsValid() && slices.ContainsFunc(rules.List(), func(rule gate.Rule) bool { return len(rule.From) > 0 }):
		return "no_rule_from"
	}
	return string(gate.NoRule)
}
