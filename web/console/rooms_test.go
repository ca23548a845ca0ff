package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// roomsOfMine are the pages of one's own rooms, and of everybody's tokens.
func roomsOfMine(text string) map[string]Page {
	said, at := literal(text), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	row := TokenRow{ID: "k1", Name: text, State: State{"warn", said}, Ends: at.Unix(), LastUsed: &at, LastIP: text}
	groups := []PermissionGroup{{Title: said, Options: []Option{{Value: "a#b/c", Label: said}}}}
	field := Field{Name: "name", Label: said, Hint: said, Value: text, Problem: said}
	choice := Field{Name: "ends", Label: said, Type: "select", Options: []Option{{Value: "1", Label: said}}}
	picker := PermissionPicker{Name: "permissions", Label: said, Groups: groups, Problem: said}
	limits := TokenLimits{Open: true, Addresses: named(field, "addresses"), Hosts: named(field, "hosts"), Paths: named(field, "paths"), Methods: named(field, "methods")}
	form := Form{Once: "x", Seen: "2026", Proof: true, Problem: said}
	token := api.Token{ID: "k1", Name: text, Description: text, AllowedIPs: []string{text}, AllowedHosts: []string{text}, AllowedPaths: []string{text},
		AllowedMethods: []string{text}, LastUsed: &at, LastIP: text, Owner: "u1", OwnerName: text,
		Previous: &api.PreviousSecret{Ends: at.Unix()}, Next: &api.NextSecret{Made: at}}
	bare := api.Token{ID: "k1", Name: text, Owner: "u1"}
	mine, all := inTokens{roomTokens}, inTokens{roomAllTokens}
	settle := SettleForm{Form: Form{Once: "x", Problem: said}, Secret: Field{Name: "secret", Label: said, Type: "password", Required: true}, Grace: named(choice, "grace")}
	app := api.OwnApplication{Host: text, URL: "https://app.example.com/", Public: true}
	sign := SessionRow{ID: "s1", Device: said, Address: text, Since: at, LastSeen: at, Expires: at}
	sign.Methods, sign.Proved = []Text{said, said}, &at
	this := sign
	this.Current = true
	return map[string]Page{
		"me": Me{Name: text, Email: text, Roles: []string{text}, Steps: []Step{{"/me/tokens/new", said, said, true}, {"/console", said, said, false}}, Soon: []TokenRow{{ID: "k1", Name: text, State: State{"warn", said}}},
			Tiles: []Tile{{"/me/tokens", said, text}}, Applications: []api.OwnApplication{app}, Elsewhere: &sign},
		"tokens":           Tokens{inTokens: mine, Done: said, Query: text, Tabs: mine.tabs(roomTokens), Soon: []TokenRow{row}, Tokens: []TokenRow{row}, Pager: Pager{"/me/tokens", "/me/tokens?after=x"}},
		"tokens none":      Tokens{inTokens: mine, Empty: Empty{said, said, "/me/tokens/new", "/me/tokens/ended"}},
		"tokens all":       AllTokens{inTokens: all, Done: said, Tabs: all.tabs(roomAllTokens), Query: text, Owner: text, Address: text, Filters: tokenFilters("unused"), Narrowed: true, Problem: said, Tokens: []TokenRow{row}},
		"tokens all none":  AllTokens{inTokens: all, Empty: Empty{Text: said, Gone: "/console/tokens/ended"}},
		"tokens further":   AllTokens{inTokens: all, More: true},
		"tokens ended":     EndedTokens{inTokens: all, Query: text, Owner: text, Problem: said, Tokens: []EndedRow{{Name: text, Owner: "u1", Username: text, Ended: at, Why: said, By: said}}},
		"token new":        NewToken{Form: form, inTokens: all, Owner: named(field, "owner"), Name: field, Description: named(field, "description"), Ends: choice, EndDate: named(field, "end_date"), Rights: rightsField(allRights), Permissions: picker, Limits: limits},
		"token made":       TokenMade{inTokens: mine, ID: "k1", Name: text, Secret: Secret{said, text}, Curl: text},
		"token":            TokenDetails{inTokens: all, Token: token, Done: said, State: State{"good", said}, Rights: groups, Settle: settle, Mine: true, Usage: usageChart(api.TokenUsage{Days: []api.TokenUsageDay{{Date: "2026-11-24", Requests: 3}}})},
		"token bare":       TokenDetails{inTokens: mine, Token: bare, State: State{"good", said}, Usage: usageChart(api.TokenUsage{})},
		"token edit":       EditToken{Form: form, inTokens: mine, ID: "k1", Name: field, Description: named(field, "description"), Permissions: picker, Limits: limits},
		"token edit all":   EditToken{Form: Form{Once: "x"}, inTokens: mine, ID: "k1", Name: field, Rights: rightsField(theseFew), Description: named(field, "description"), Permissions: picker, Limits: limits},
		"token rotate":     RotateToken{Form: form, inTokens: mine, Token: api.Token{ID: "k1", Name: text, Next: &api.NextSecret{Made: at}}},
		"token rotated":    TokenRotated{inTokens: mine, Token: api.TokenCreated{ID: "k1", Name: text}, Secret: Secret{said, text}, Settle: SettleForm{Form: form, Grace: choice}},
		"token revoke":     RevokeToken{Form: form, inTokens: mine, Token: api.Token{ID: "k1", Name: text, LastUsed: &at, LastIP: text, OwnerName: text}, Lately: said},
		"sessions":         Sessions{Form: Form{Once: "x"}, Done: said, Sessions: []SessionRow{this, sign}, Others: true},
		"applications":     Applications{Applications: []api.OwnApplication{app}},
		"applications new": Applications{Empty: Empty{said, said, pageOfGate, ""}},
		"account":          Account{Done: said, Name: text, Email: text, ID: text, Roles: []string{text}, Since: at, LastLogin: &at, Rights: groups, Languages: []lookLink{{Lang: "en", Name: said, URL: "?lang=en"}}},
		"account plain":    Account{Name: text, Administrator: true},
	}
}

func named(f Field, name string) Field { f.Name = name; return f }

func TestDevice(t *testing.T) {
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	for agent, want := range map[string]string{
		chrome:               "Chrome on Linux",
		chrome + " Edg/131":  "Edge on Linux",
		chrome + " OPR/99.0": "Opera on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0":                                                           "Firefox on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                         "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1":    "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36":                      "Chrome on Android",
		"Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36": "Samsung Internet on Android",
		"curl/8.5.0": "curl", "Coco": "Coco", "Firefox/1": "Firefox", "": "An unknown program", "Mozilla/5.0": "An unknown program",
		strings.Repeat("x", 50) + "/1": "An unknown program", "<b>": "&lt;b&gt;",
	} {
		if got, err := languageOf("en").html(deviceOf(agent)); string(got) != want || err != nil {
			t.Errorf("%q is %q %v, want %q", agent, got, err, want)
		}
	}
}

func TestGroupPermissions(t *testing.T) {
	groups := groupPermissions([]string{"wiki#page/read", "generic#security:user/read", "wiki#page/write", "coco#system/read", "coco#assistant/search", "wiki#page/read"}, []string{"wiki#page/read"})
	got := ""
	for _, g := range groups {
		title, _ := languageOf("en").html(g.Title)
		got += string(title) + ":"
		for _, o := range g.Options {
			got += fmt.Sprintf(" %s %v", o.Value, o.Chosen)
		}
		got += "; "
	}
	want := "Users: generic#security:user/read false; This server: coco#system/read false; coco: coco#assistant/search false; wiki: wiki#page/read true wiki#page/write false; "
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	// A group of Husk's own stands for each word.
	var all []string
	for key := range permissionWords {
		all = append(all, key)
	}
	shown := 0
	for _, g := range groupPermissions(all, nil) {
		shown += len(g.Options)
	}
	if shown != len(all) {
		t.Errorf("%d of %d are shown", shown, len(all))
	}
}
