package console

import (
	"net/http"
	"slices"
	"time"

	"husk/web/api"
)

// TokenDetails shows a token.
type TokenDetails struct {
	inTokens
	Token  api.Token
	Done   Text
	State  State
	Rights []PermissionGroup // none: all that its owner may do
	Settle SettleForm        // where a rotation waits for it
	Mine   bool              // it is that of who asks
	Usage  Chart
	May    struct{ Update, Delete bool }
}

func (p TokenDetails) view() (file string, title Text) { return "token.html", literal(p.Token.Name) }

// Limited tells whether something limits where the token may be used.
func (p TokenDetails) Limited() bool { return len(p.Token.AllowedIPs) > 0 || p.AtGate() }

// AtGate tells whether it is good behind the gate alone.
func (p TokenDetails) AtGate() bool {
	return len(p.Token.AllowedHosts)+len(p.Token.AllowedPaths)+len(p.Token.AllowedMethods) > 0
}

// OldEnds is when the old secret of a rotation that is settled ends.
func (p TokenDetails) OldEnds() time.Time { return time.Unix(p.Token.Previous.Ends, 0) }

func tokenPage(v *Visit) error {
	k, err := v.token()
	if err != nil {
		return err
	}
	return v.showToken(k, v.newForm(), http.StatusOK)
}

func (v *Visit) token() (api.Token, error) {
	found, err := v.API.GetToken(v.r.Context(), v.param("id"))
	return found.Source, err
}

func (v *Visit) showToken(k api.Token, f Form, status int) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	page := TokenDetails{inTokens: v.inTokens(), Token: k, Done: tokenDone(v.query("done")), State: tokenState(k, v.console.Now()),
		Rights: groupPermissions(k.Permissions, nil), Mine: k.Owner == who.ID}
	if !page.Mine {
		page.inTokens = inTokens{roomAllTokens}
	}
	page.May.Update, page.May.Delete = v.may(permTokenUpdate), v.may(permTokenDelete)
	page.Settle = newSettleForm(f)
	usage, err := v.API.TokenUsage(v.r.Context(), k.ID)
	if err != nil {
		return err
	}
	page.Usage = usageChart(usage)
	return v.showAs(status, page)
}

// EditToken asks what of a token is to be another.
type EditToken struct {
	Form
	inTokens
	ID          string
	Name        Field
	Description Field
	Rights      Field // of one that may do all; one that is limited stays so
	Permissions PermissionPicker
	Limits      TokenLimits
}

func (EditToken) view() (file string, title Text) { return "token_edit.html", say("token.edit") }

func editTokenPage(v *Visit) error {
	k, err := v.token()
	if err != nil {
		return err
	}
	f := v.newForm()
	f.Seen = seenAt(k.Updated)
	return v.showEditToken(k, f, http.StatusOK)
}

func (v *Visit) showEditToken(k api.Token, f Form, status int) error {
	who, err := v.me()
	if err != nil {
		return err
	}
	page := EditToken{
		Form: f, inTokens: v.inTokens(), ID: k.ID,
		Name:        f.field(Field{Name: "name", Label: say("token.name"), Hint: say("token.name.hint"), Value: k.Name, Required: true, Max: 200}),
		Description: f.field(Field{Name: "description", Label: say("token.description"), Value: k.Description, Max: 1000}),
		Permissions: f.permissionPicker("permissions", say("token.permissions"), slices.Concat(who.Permissions, k.Permissions), k.Permissions).focused(f),
		Limits:      f.tokenLimits(k),
	}
	if len(k.Permissions) == 0 {
		page.Rights = f.field(rightsField(allRights))
	}
	return v.showAs(status, page)
}

// changeToken changes a token. One that becomes powerful becomes what createToken asks
// the password for.
var changeToken = Handler{
	Fields: []string{"name", "description", "rights", "permissions", "addresses", "hosts", "paths", "methods"},
	Many:   []string{"permissions"},
	answer: updateToken,
	form: needs(permTokenUpdate, func(v *Visit) error {
		k, err := v.token()
		if err != nil {
			return err
		}
		return v.showEditToken(k, v.again(), http.StatusOK)
	}),
	sensitive: func(v *Visit) bool { return v.form.Get("rights") != allRights && v.isPowerful(v.form["permissions"]) },
}

func updateToken(v *Visit) error {
	k, err := v.token()
	if err != nil {
		return err
	}
	if v.stale(k.Updated) {
		f := v.newForm()
		f.changedMeanwhile(k.Updated)
		return v.showEditToken(k, f, http.StatusConflict)
	}
	own := map[string]fieldProblem{}
	_, err = v.API.UpdateToken(v.r.Context(), k.ID, v.tokenChange(own))
	refused, err := v.forForm(err)
	if refused != nil {
		return v.showEditToken(k, v.refusedAs(refused, own), refused.Status)
	}
	if err != nil {
		return err
	}
	return v.seeOther(v.inTokens().path(k.ID) + "?done=changed")
}

// tokenChange reads the form, as askedToken does. An empty list is no limit.
func (v *Visit) tokenChange(own map[string]fieldProblem) api.TokenUpdate {
	list := func(name string) *[]string {
		all := append([]string{}, lines(v.form.Get(name))...)
		return &all
	}
	description := v.form.Get("description")
	change := api.TokenUpdate{Name: v.form.Get("name"), Description: &description, AllowedIPs: list("addresses"),
		AllowedHosts: list("hosts"), AllowedPaths: list("paths"), AllowedMethods: list("methods")}
	if v.form.Get("rights") != allRights {
		change.Permissions = v.chosenPermissions(own)
	}
	return change
}

// RevokeToken asks before a token ends.
type RevokeToken struct {
	Form
	inTokens
	Token  api.Token
	Mine   bool
	Lately Text // how much it was used in the last days; says nothing of one that never was
}

func (RevokeToken) view() (file string, title Text) { return "token_revoke.html", say("token.revoke") }

func revokePage(v *Visit) error {
	k, err := v.token()
	if err != nil {
		return err
	}
	who, err := v.me()
	if err != nil {
		return err
	}
	page := RevokeToken{Form: v.newForm(), inTokens: v.inTokens(), Token: k, Mine: k.Owner == who.ID}
	if k.LastUsed != nil {
		usage, err := v.API.TokenUsage(v.r.Context(), k.ID)
		if err != nil {
			return err
		}
		page.Lately = usedLately(usage)
	}
	return v.show(page)
}

// latelyDays is how many days, today included, tell whether something still uses a token.
const latelyDays = 7

func usedLately(u api.TokenUsage) Text {
	var n uint64
	for _, day := range u.Days[max(0, len(u.Days)-latelyDays):] {
		n += day.Requests
	}
	if n == 0 {
		return say("token.revoke.lately_none", "days", latelyDays)
	}
	return say("token.revoke.lately", "n", n, "days", latelyDays)
}

func revokeToken(v *Visit) error {
	if _, err := v.API.DeleteToken(v.r.Context(), v.param("id")); err != nil {
		return err
	}
	return v.seeOther(v.inTokens().Room + "?done=revoked")
}
