package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"husk/web/api"
)

var rulePlaces = []Place{
	get(roomRules, Handler{answer: rulesPage}),
	get(testPath, Handler{answer: testRulePage}),
	get(testTokenPath, Handler{answer: testTokenPage}),
	post(testTokenPath, testToken),
}

// inRules is a page of the access rules.
type inRules struct{}

func (inRules) room() string { return roomRules }

const (
	testPath      = roomRules + "/test"
	testTokenPath = testPath + "/token"
)

// ruleTabs are the parts of the room, of which here is one. What is asked for goes along
// between the two ways to test it.
func ruleTabs(here string, asked url.Values) []Tab {
	along := ""
	if asked.Get("url") != "" {
		along = "?" + url.Values{"url": asked["url"], "method": asked["method"], "from": asked["from"]}.Encode()
	}
	return []Tab{
		{Path: roomRules, Title: say("rule.tab.list"), Here: here == roomRules},
		{Path: testPath + along, Title: say("rule.tab.test"), Here: here == testPath},
		{Path: testTokenPath + along, Title: say("rule.tab.token"), Here: here == testTokenPath},
	}
}

// mostRules is how many rules a page shows at once.
const mostRules = 100

// Rules lists the access rules as the server has them, in their order.
type Rules struct {
	inRules
	Tabs     []Tab
	Rules    []RuleRow
	Warnings []Advice
	Lacking  int // rules that require what nobody is granted
	Pager    Pager
	Empty    Empty
}

// RuleRow is a rule, in words.
type RuleRow struct {
	Number    int
	Line      int // of the configuration file; 0: of none
	Host      string
	Path      string
	Methods   []string
	From      []string
	Requires  []Text
	Extras    []Text // what else it says
	Ungranted []string
	Upstream  string
	Test      string // path of the test of its address; "": its host stands for many
}

func (Rules) view() (file string, title Text) { return "rules.html", say("nav.rules") }

func rulesPage(v *Visit) error {
	all, err := v.API.Rules(v.r.Context())
	if err != nil {
		return err
	}
	health, err := v.API.HealthDetails(v.r.Context())
	if err != nil {
		return err
	}
	page := Rules{Tabs: ruleTabs(roomRules, nil), Warnings: advise(ofGate(health.Warnings)), Empty: Empty{Text: say("rule.none"), Act: say("app.protect"), Link: pageOfGate}}
	for _, rule := range all {
		if len(rule.Ungranted) > 0 {
			page.Lacking++
		}
	}
	from, _ := strconv.Atoi(v.query("after"))
	from = min(max(from, 0), len(all))
	shown := all[from:min(from+mostRules, len(all))]
	for i := range shown {
		page.Rules = append(page.Rules, ruleRow(&shown[i]))
	}
	after := ""
	if end := from + len(shown); end < len(all) {
		after = strconv.Itoa(end)
	}
	page.Pager = v.pager(after)
	return v.show(page)
}

// ofGate are the warnings that are about the rules.
func ofGate(all []api.Warning) []api.Warning {
	return slices.DeleteFunc(all, func(w api.Warning) bool { return w.Code != "gate_no_proxy" })
}

func ruleRow(r *api.Rule) RuleRow {
	row := RuleRow{Number: r.Number, Line: r.Line, Host: r.Host, Path: r.Path, Methods: r.Methods, From: r.From, Ungranted: r.Ungranted, Upstream: r.Upstream}
	for _, word := range r.Require {
		row.Requires = append(row.Requires, requireText(word))
	}
	if r.SecondFactor {
		row.Extras = append(row.Extras, say("rule.second_factor"))
	}
	if r.Preflight {
		row.Extras = append(row.Extras, say("rule.preflight"))
	}
	if !strings.Contains(r.Host, "*") {
		row.Test = testPath + "?url=" + url.QueryEscape("https://"+r.Host+r.Path)
	}
	return row
}

// requireText says what one word of a rule lets in.
func requireText(word string) Text {
	if role, ok := strings.CutPrefix(word, "role:"); ok {
		return say("rule.needs_role", "role", role)
	}
	if user, ok := strings.CutPrefix(word, "user:"); ok {
		return say("rule.needs_user", "user", user)
	}
	switch word {
	case "public":
		return say("rule.needs_nothing")
	case "any":
		return say("rule.needs_sign_in")
	}
	return say("rule.needs_permission", "permission", permissionText(word))
}

// TestRule tells who may reach an address.
type TestRule struct {
	inRules
	Form
	Tabs    []Tab
	URL     Field
	Method  Field
	From    Field
	User    Field // by a person, or nobody
	Secret  Field // by a token
	ByToken bool
	Tested  *Tested
}

// Tested is what the rules make of a request.
type Tested struct {
	Mark   string // allowed, refused or signin: how it is drawn
	Says   Text
	Method string
	Target string // what is asked for
	By     Text   // who asks
	Why    []Text // as the API says it, by its codes
	Rule   *RuleRow
}

func (TestRule) view() (file string, title Text) { return "rule_test.html", say("rule.tab.test") }

// testedMethods are offered.
var testedMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// testForm is the form, without an answer.
func (v *Visit) testForm(f Form, byToken bool) TestRule {
	here := testPath
	if byToken {
		here = testTokenPath
	}
	page := TestRule{Form: f, Tabs: ruleTabs(here, f.values), ByToken: byToken}
	method := Field{Name: "method", Label: say("rule.method"), Type: "select"}
	for _, name := range testedMethods {
		method.Options = append(method.Options, Option{Value: name, Label: literal(name)})
	}
	// A field of this kind is one whose value may stand in an address.
	page.URL = f.field(Field{Name: "url", Label: say("rule.url"), Hint: say("rule.url.hint"), Type: "search", Required: true, Max: 2048, Focus: true})
	page.Method = f.field(method)
	page.From = f.field(Field{Name: "from", Label: say("rule.from"), Hint: say("rule.from.hint"), Type: "search", Max: 64})
	if byToken {
		page.Secret = f.field(Field{Name: fieldSecret, Label: say("rule.token"), Hint: say("rule.token.hint"), Type: "password", Required: true, Max: 256})
		return page
	}
	if v.may(permUserRead) {
		page.User = f.field(Field{Name: "user", Label: say("rule.user"), Hint: say("rule.user.hint"), Type: "search", Max: 254})
		return page
	}
	page.User = f.field(Field{Name: "user", Label: say("rule.user"), Type: "select", Options: []Option{
		{Label: say("rule.nobody")}, {Value: v.profile.ID, Label: literal(nameOf(*v.profile))},
	}})
	return page
}

// fieldOfTestCode is which field of the test a refusal is about.
var fieldOfTestCode = map[string]string{"bad_url": "url", "bad_from": "from", "not_found": "user", "not_permitted": "user"}

func testRulePage(v *Visit) error {
	if _, err := v.me(); err != nil {
		return err
	}
	f := v.asked()
	if v.query("url") == "" {
		if _, err := v.API.Rules(v.r.Context()); err != nil { // who may not see them may not test them
			return err
		}
		return v.show(v.testForm(f, false))
	}
	asked := api.RuleTest{URL: strings.TrimSpace(v.query("url")), Method: v.query("method"), From: strings.TrimSpace(v.query("from")), User: strings.TrimSpace(v.query("user"))}
	by := say("rule.nobody")
	if asked.User != "" {
		by = literal(asked.User)
	}
	return v.testAndShow(asked, by, f, false)
}

func testTokenPage(v *Visit) error {
	if _, err := v.me(); err != nil {
		return err
	}
	if _, err := v.API.Rules(v.r.Context()); err != nil {
		return err
	}
	return v.show(v.testForm(v.asked(), true))
}

// testToken asks by a token: a secret does not stand in an address. It changes nothing,
// so it has no name of its own.
var testToken = Handler{
	Fields: []string{"url", "method", "from", fieldSecret},
	form:   needs(permSystemRead, func(v *Visit) error { return v.show(v.testForm(v.again(), true)) }),
	answer: func(v *Visit) error {
		if _, err := v.me(); err != nil {
			return err
		}
		f := v.again()
		secret := strings.TrimSpace(v.form.Get(fieldSecret))
		if secret == "" {
			f.problems = map[string]Text{fieldSecret: say("rule.token.missing")}
			return v.showAs(http.StatusBadRequest, v.testForm(f, true))
		}
		asked := api.RuleTest{URL: strings.TrimSpace(v.form.Get("url")), Method: v.form.Get("method"), From: strings.TrimSpace(v.form.Get("from")), AccessToken: secret}
		return v.testAndShow(asked, say("rule.by_token"), f, true)
	},
}

func (v *Visit) testAndShow(asked api.RuleTest, by Text, f Form, byToken bool) error {
	tested, err := v.API.TestRule(v.r.Context(), asked)
	if refused := refusedBy(err); refused != nil && refused.Status != http.StatusUnauthorized && fieldOfTestCode[refused.Detail.Code] != "" && !v.lacksRoom(refused) {
		f.tell(refused, func(e *api.Error) fieldProblem { return fieldProblem{field: fieldOfTestCode[e.Detail.Code]} })
		return v.refuse(refused, v.testForm(f, byToken))
	}
	if err != nil {
		return err
	}
	page := v.testForm(f, byToken)
	page.Tested = testedView(tested, asked)
	page.Tested.By = by
	page.URL.Focus = false
	if tested.Rule > 0 {
		rules, err := v.API.Rules(v.r.Context())
		if err != nil {
			return err
		}
		if tested.Rule <= len(rules) { // else they were read anew in between
			row := ruleRow(&rules[tested.Rule-1])
			page.Tested.Rule = &row
		}
	}
	return v.show(page)
}

// lacksRoom tells a refusal of the whole room from that of a person who may not be
// looked at.
func (v *Visit) lacksRoom(refused *api.Error) bool {
	return refused.Status == http.StatusForbidden && !v.may(permSystemRead)
}

func testedView(tested api.RuleTested, asked api.RuleTest) *Tested {
	out := &Tested{Method: or(asked.Method, http.MethodGet), Target: asked.URL}
	for _, one := range tested.Reasons {
		why := sentence("reason."+one.Code, one.Text)
		if one.Word != "" {
			why.args = []any{"word", requireText(one.Word)}
		}
		out.Why = append(out.Why, why)
	}
	switch {
	case tested.Decision == "allowed":
		out.Mark, out.Says = "allowed", say("rule.allowed")
	case tested.Status == http.StatusUnauthorized && asked.User == "" && asked.AccessToken == "":
		out.Mark, out.Says = "signin", say("rule.sign_in")
	default:
		out.Mark, out.Says = "refused", say("rule.refused")
	}
	return out
}
