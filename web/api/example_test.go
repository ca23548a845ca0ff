package api_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/web/api"
)

// A program signs in, makes itself an API token, and goes on with that.
func Example() {
	// Over TCP this is &api.Client{Base: "https://id.example.com"} and no more.
	c, ctx, end := inMemory()
	defer end()

	in, err := c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword})
	check(err)
	c.JWT = in.AccessToken
	made, err := c.CreateToken(ctx, api.NewToken{Name: "nightly", Permissions: []string{"generic#security:auth:api-token/search"}})
	check(err)

	c.JWT, c.Token = "", made.AccessToken
	p, err := c.Profile(ctx)
	check(err)
	fmt.Println(p.Name, "by", made.Name, "may", p.Permissions)
	for hit, err := range api.All(ctx, api.ListOptions{Sort: "name"}, c.SearchTokens) {
		check(err)
		fmt.Println(hit.Source.Name, hit.Source.Type)
	}
	_, err = c.SearchUsers(ctx, api.ListOptions{})
	var refused *api.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused)
	}
	// Output:
	// Ann by nightly may [generic#security:auth:api-token/search]
	// nightly general
	// 403 that needs the permission generic#security:user/search
}

func ExampleAll() {
	c, ctx, end := inMemory()
	defer end()

	for hit, err := range api.All(ctx, api.ListOptions{Sort: "name:asc"}, c.SearchUsers) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(hit.Source.Name)
	}
	// Output:
	// Ann
	// coco-default-user
}

func ExampleClient_Health() {
	c, ctx, end := inMemory()
	defer end()

	h, err := c.Health(ctx)
	fmt.Println(h.Status, h.Version, err)
	// Output: green 1.2.3 <nil>
}

func ExampleClient_HealthDetails() {
	c, ctx, end := inMemory()
	defer end()

	h, err := c.HealthDetails(ctx)
	fmt.Println(h.Status, h.Writable, h.Users, len(h.Warnings), err)
	// Output: green unknown 2 0 <nil>
}

func ExampleClient_Statistics() {
	c, ctx, end := inMemory()
	defer end()

	_, _ = c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword})
	s, err := c.Statistics(ctx, "24h")
	fmt.Println(s.Step, len(s.Points), s.Points[23].SignIns.OK, s.TokenLife[0].Left, err)
	// Output: hour 24 1 ended <nil>
}

func ExampleClient_Login() {
	c, ctx, end := inMemory()
	defer end()

	in, err := c.Login(ctx, api.Login{Email: "Ann@example.com", Password: examplePassword})
	fmt.Println(in.Username, in.ExpireIn, err)

	session := &api.Client{Base: c.Base, HTTP: c.HTTP, JWT: in.AccessToken}
	p, err := session.Profile(ctx)
	fmt.Println(p.Name, err)
	// Output:
	// ann@example.com 86400 <nil>
	// Ann <nil>
}

func ExampleClient_Application() {
	c, ctx, end := inMemory()
	defer end()

	settings, err := c.Application(ctx)
	fmt.Println(settings.SetupRequired, settings.LoginMode, err)
	// Output: false multi <nil>
}

// The code is what the server printed when it started; see web.Server.SetupCode.
func ExampleClient_Initialize() {
	c, ctx, end := inMemory()
	defer end()

	_, err := c.Initialize(ctx, api.Setup{Email: "eve@example.com", Password: examplePassword, Code: "k7wqm-3htpx-9zrbd"})
	fmt.Println(err)
	// Output: husk is set up: sign in
}

func ExampleClient_Logout() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	fmt.Println(session.Logout(ctx))
	_, err := session.Profile(ctx)
	fmt.Println(err)
	// Output:
	// <nil>
	// the credential is not valid: it is mistyped, expired, revoked or not for here, or its owner may not sign in
}

func ExampleClient_Profile() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	p, err := session.Profile(ctx)
	fmt.Println(p.Name, p.Email, p.Roles, len(p.Permissions) > 0, err)
	// Output: Ann ann@example.com [admin] true <nil>
}

func ExampleClient_ChangePassword() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	done, err := session.ChangePassword(ctx, api.PasswordChange{OldPassword: examplePassword, NewPassword: "and four quite different ones"})
	fmt.Println(done.Result, err)

	_, err = session.ChangePassword(ctx, api.PasswordChange{OldPassword: examplePassword, NewPassword: "something else entirely"})
	fmt.Println(err)
	// Output:
	// updated <nil>
	// the old password is wrong
}

func ExampleClient_Prove() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	proved, err := session.Prove(ctx, api.Proof{Password: examplePassword})
	p, _ := session.Profile(ctx)
	fmt.Println(proved.Status, p.ProvedUntil.Equal(proved.ProvedUntil), err)

	_, err = session.Prove(ctx, api.Proof{Password: "something else entirely"})
	fmt.Println(err)
	// Output:
	// ok true <nil>
	// the password is wrong
}

func ExampleClient_SecondFactor() {
	c, ctx, end := inMemory()
	defer end()
	session, _, _ := withTOTP(ctx, c)

	f, err := session.SecondFactor(ctx)
	fmt.Println(f.Methods, f.Recovery.Left, f.Required, err)
	// Output: [totp recovery] 10 false <nil>
}

func ExampleClient_SeenNotices() {
	c, ctx, end := inMemory()
	defer end()
	_, _, recovery := withTOTP(ctx, c)

	in, err := c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword, Code: recovery[0]})
	check(err)
	last := in.Notices[len(in.Notices)-1]
	fmt.Println(last.Kind, *last.Left)

	session := &api.Client{Base: c.Base, HTTP: c.HTTP, JWT: in.AccessToken}
	_, err = session.SeenNotices(ctx, api.SeenNotices{Until: last.Time})
	f, _ := session.SecondFactor(ctx)
	fmt.Println(len(f.Notices), err)
	// Output:
	// recovery_used 9
	// 0 <nil>
}

func ExampleClient_BeginTOTP() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	begun, err := session.BeginTOTP(ctx)
	fmt.Println(len(begun.Secret), strings.HasPrefix(begun.URI, "otpauth://totp/Husk:ann@example.com?"), err)
	// Output: 32 true <nil>
}

func ExampleClient_ConfirmTOTP() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	begun, err := session.BeginTOTP(ctx)
	check(err)
	code, err := totp.GenerateCode(begun.Secret, time.Now()) // as the program on the phone does
	check(err)
	made, err := session.ConfirmTOTP(ctx, api.ConfirmTOTP{Code: code})
	fmt.Println(len(made.Codes), err)

	// From now on the password alone is not enough.
	_, err = c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword})
	var refused *api.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Detail.Code, refused.Methods)
	}
	in, err := c.Login(ctx, api.Login{Ticket: refused.Ticket, Code: made.Codes[0]})
	fmt.Println(in.Username, err)
	// Output:
	// 10 <nil>
	// second_factor_required [totp recovery]
	// ann@example.com <nil>
}

func ExampleClient_RemoveTOTP() {
	c, ctx, end := inMemory()
	defer end()
	session, _, _ := withTOTP(ctx, c)

	done, err := session.RemoveTOTP(ctx)
	fmt.Println(done.Result, err)
	// Output: deleted <nil>
}

func ExampleClient_NewRecoveryCodes() {
	c, ctx, end := inMemory()
	defer end()
	session, _, old := withTOTP(ctx, c)

	made, err := session.NewRecoveryCodes(ctx)
	fmt.Println(len(made.Codes), err)
	_, err = c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword, Code: old[0]})
	fmt.Println(err != nil) // those of before have ended
	// Output:
	// 10 <nil>
	// true
}

func ExampleClient_BeginPasskey() {
	c, ctx, end := inMemory()
	defer end()
	c.Base = "http://localhost" // browsers use passkeys there, and over https
	session := signIn(ctx, c)

	asked, err := session.BeginPasskey(ctx)
	fmt.Println(asked.PublicKey.RP.ID, asked.PublicKey.User.Name, err)
	// Output: localhost ann@example.com <nil>
}

func ExampleClient_FinishPasskey() {
	c, ctx, end := inMemory()
	defer end()
	c.Base = "http://localhost"
	session, browser := signIn(ctx, c), newBrowser(c.Base)

	asked, err := session.BeginPasskey(ctx)
	check(err)
	added, err := session.FinishPasskey(ctx, api.PasskeySetUp{State: asked.State, Name: "the key at home", Credential: browser.create(asked)})
	fmt.Println(added.Passkey.Name, len(added.Codes), err)
	// Output: the key at home 10 <nil>
}

func ExampleClient_Passkeys() {
	c, ctx, end := inMemory()
	defer end()
	session, _, _ := withPasskey(ctx, c)

	mine, err := session.Passkeys(ctx)
	fmt.Println(len(mine), mine[0].Name, mine[0].Host, err)
	// Output: 1 the key at home localhost <nil>
}

func ExampleClient_Passkey() {
	c, ctx, end := inMemory()
	defer end()
	session, _, added := withPasskey(ctx, c)

	one, err := session.Passkey(ctx, added.Passkey.ID)
	fmt.Println(one.Name, one.Used == nil, err)
	// Output: the key at home true <nil>
}

func ExampleClient_RenamePasskey() {
	c, ctx, end := inMemory()
	defer end()
	session, _, added := withPasskey(ctx, c)

	done, err := session.RenamePasskey(ctx, added.Passkey.ID, api.PasskeyName{Name: "the blue key"})
	fmt.Println(done.Result, err)
	// Output: updated <nil>
}

func ExampleClient_RemovePasskey() {
	c, ctx, end := inMemory()
	defer end()
	session, _, added := withPasskey(ctx, c)

	done, err := session.RemovePasskey(ctx, added.Passkey.ID)
	fmt.Println(done.Result, err)
	// Output: deleted <nil>
}

func ExampleClient_BeginPasskeyLogin() {
	c, ctx, end := inMemory()
	defer end()
	withPasskey(ctx, c)

	// The passkey is to be the second factor: without the ticket it would sign in alone.
	_, err := c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword})
	var refused *api.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Detail.Code, refused.Methods)
	}
	asked, err := c.BeginPasskeyLogin(ctx, api.PasskeyBegin{Ticket: refused.Ticket})
	fmt.Println(len(asked.PublicKey.AllowCredentials), asked.PublicKey.UserVerification, err)
	// Output:
	// second_factor_required [passkey recovery]
	// 1 discouraged <nil>
}

func ExampleClient_FinishPasskeyLogin() {
	c, ctx, end := inMemory()
	defer end()
	_, browser, _ := withPasskey(ctx, c)

	asked, err := c.BeginPasskeyLogin(ctx, api.PasskeyBegin{})
	check(err)
	in, err := c.FinishPasskeyLogin(ctx, browser.get(asked))
	fmt.Println(in.Username, err)
	// Output: ann@example.com <nil>
}

func ExampleClient_BeginPasskeyProof() {
	c, ctx, end := inMemory()
	defer end()
	session, _, _ := withPasskey(ctx, c)

	asked, err := session.BeginPasskeyProof(ctx)
	fmt.Println(asked.PublicKey.RPID, len(asked.PublicKey.AllowCredentials), err)
	// Output: localhost 1 <nil>
}

func ExampleClient_FinishPasskeyProof() {
	c, ctx, end := inMemory()
	defer end()
	session, browser, _ := withPasskey(ctx, c)

	asked, err := session.BeginPasskeyProof(ctx)
	check(err)
	done, err := session.FinishPasskeyProof(ctx, browser.get(asked))
	fmt.Println(done.Status, time.Until(done.ProvedUntil) > 9*time.Minute, err)
	// Output: ok true <nil>
}

func ExampleClient_ResetSecondFactor() {
	c, ctx, end := inMemory()
	defer end()
	withTOTP(ctx, c)

	// Ann lost her phone, and the codes with it.
	done, err := c.ResetSecondFactor(ctx, "ann@example.com")
	fmt.Println(done.Result, err)
	in, err := c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword})
	fmt.Println(in.Notices[0].Kind, err)
	// Output:
	// deleted <nil>
	// reset <nil>
}

func ExampleClient_Applications() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	mine, err := session.Applications(ctx) // of the rules of the gate
	fmt.Println(len(mine), err)
	// Output: 0 <nil>
}

func ExampleClient_OwnSessions() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	page, err := session.OwnSessions(ctx, api.ListOptions{})
	fmt.Println(page.Hits.Total.Value, err)
	for _, hit := range page.Hits.Hits {
		fmt.Println(hit.Source.UserName, hit.Source.Current)
	}
	// Output:
	// 1 <nil>
	// ann@example.com true
}

func ExampleClient_EndOwnSession() {
	c, ctx, end := inMemory()
	defer end()
	here, elsewhere := signIn(ctx, c), signIn(ctx, c)

	page, err := here.OwnSessions(ctx, api.ListOptions{})
	check(err)
	for _, hit := range page.Hits.Hits {
		if !hit.Source.Current {
			done, err := here.EndOwnSession(ctx, hit.ID)
			fmt.Println(done.Result, err)
		}
	}
	_, err = elsewhere.Profile(ctx)
	fmt.Println(err != nil)
	// Output:
	// deleted <nil>
	// true
}

func ExampleClient_EndOtherSessions() {
	c, ctx, end := inMemory()
	defer end()
	here, _, _ := signIn(ctx, c), signIn(ctx, c), signIn(ctx, c)

	done, err := here.EndOtherSessions(ctx)
	fmt.Println(done.Result, done.Count, err)
	// Output: deleted 2 <nil>
}

func ExampleClient_CreateToken() {
	c, ctx, end := inMemory()
	defer end()

	t, err := c.CreateToken(ctx, api.NewToken{
		Name: "backup", Owner: "ann@example.com",
		Permissions: []string{"generic#system/backup"}, AllowedIPs: []string{"10.0.0.0/8"},
		ExpireIn: time.Now().AddDate(0, 1, 0).Unix(),
	})
	fmt.Println(t.Name, strings.HasPrefix(t.AccessToken, t.ID+"_"), err)
	// Output: backup true <nil>
}

// token makes a token of ann@example.com and returns its id.
func token(ctx context.Context, c *api.Client, name string) string {
	t, err := c.CreateToken(ctx, api.NewToken{Name: name, Owner: "ann@example.com"})
	check(err)
	return t.ID
}

func ExampleClient_EndedTokens() {
	c, ctx, end := inMemory()
	defer end()
	_, err := c.DeleteToken(ctx, token(ctx, c, "backup"))
	check(err)

	page, err := c.EndedTokens(ctx, api.ListOptions{Filter: map[string]string{"owner": "ann@example.com"}})
	check(err)
	for _, hit := range page.Hits.Hits {
		fmt.Println(hit.Source.Name, hit.Source.Reason, hit.Source.OwnerName)
	}
	// Output: backup revoked ann@example.com
}

func ExampleClient_SearchTokens() {
	c, ctx, end := inMemory()
	defer end()
	token(ctx, c, "backup")
	token(ctx, c, "metrics")

	page, err := c.SearchTokens(ctx, api.ListOptions{Sort: "name:asc", Filter: map[string]string{"owner": "ann@example.com"}})
	fmt.Println(page.Hits.Total.Value, err)
	for _, hit := range page.Hits.Hits {
		fmt.Println(hit.Source.Name, hit.Source.LastUsed == nil)
	}
	// Output:
	// 2 <nil>
	// backup true
	// metrics true
}

func ExampleClient_GetToken() {
	c, ctx, end := inMemory()
	defer end()
	id := token(ctx, c, "backup")

	t, err := c.GetToken(ctx, id)
	fmt.Println(t.Found, t.Source.Name, t.Source.AccessToken == id[:8]+"***", err)
	// Output: true backup true <nil>
}

func ExampleClient_TokenUsage() {
	c, ctx, end := inMemory()
	defer end()
	id := token(ctx, c, "backup")

	u, err := c.TokenUsage(ctx, id)
	fmt.Println(len(u.Days), u.Total, err)
	// Output: 30 0 <nil>
}

func ExampleClient_UpdateToken() {
	c, ctx, end := inMemory()
	defer end()
	id := token(ctx, c, "backup")

	done, err := c.UpdateToken(ctx, id, api.TokenUpdate{Name: "nightly backup", AllowedIPs: &[]string{"10.0.0.7"}})
	fmt.Println(done.Result, err)
	t, err := c.GetToken(ctx, id)
	fmt.Println(t.Source.Name, t.Source.AllowedIPs, err)
	// Output:
	// updated <nil>
	// nightly backup [10.0.0.7/32] <nil>
}

func ExampleClient_RotateToken() {
	c, ctx, end := inMemory()
	defer end()
	id := token(ctx, c, "backup")

	// The old secret goes on working for an hour.
	t, err := c.RotateToken(ctx, id, api.Rotate{Grace: "1h"})
	fmt.Println(t.Name, t.ID == id, err)
	shown, err := c.GetToken(ctx, id)
	fmt.Println(shown.Source.Previous != nil, err)
	// Output:
	// backup true <nil>
	// true <nil>
}

func ExampleClient_SettleToken() {
	c, ctx, end := inMemory()
	defer end()
	id := token(ctx, c, "backup")

	// Both secrets are good until the new one is known to be kept.
	t, err := c.RotateToken(ctx, id, api.Rotate{Hold: true})
	check(err)
	shown, err := c.GetToken(ctx, id)
	fmt.Println(t.Held, shown.Source.Next != nil, err)
	done, err := c.SettleToken(ctx, id, api.Settle{AccessToken: t.AccessToken})
	fmt.Println(done.Result, err)
	// Output:
	// true true <nil>
	// updated <nil>
}

func ExampleClient_CheckToken() {
	c, ctx, end := inMemory()
	defer end()
	_, err := c.CreateUser(ctx, api.NewUser{Email: "ci@example.com", NoPassword: true})
	check(err)
	t, err := c.CreateToken(ctx, api.NewToken{Name: "nightly", Owner: "ci@example.com"})
	check(err)

	worth, err := c.CheckToken(ctx, api.TokenCheck{AccessToken: t.AccessToken})
	fmt.Println(worth.Valid, len(worth.Permissions) > 0, err)
	disabled := true
	_, err = c.UpdateUser(ctx, "ci@example.com", api.UserUpdate{Disabled: &disabled})
	check(err)
	worth, err = c.CheckToken(ctx, api.TokenCheck{AccessToken: t.AccessToken})
	fmt.Println(worth.Valid, worth.Code, err)
	// Output:
	// true true <nil>
	// false owner_disabled <nil>
}

func ExampleClient_DeleteToken() {
	c, ctx, end := inMemory()
	defer end()
	id := token(ctx, c, "backup")

	done, err := c.DeleteToken(ctx, id)
	fmt.Println(done.Result, err)
	_, err = c.DeleteToken(ctx, id)
	fmt.Println(err)
	// Output:
	// deleted <nil>
	// there is no such thing, or it is not yours
}

func ExampleClient_SearchUsers() {
	c, ctx, end := inMemory()
	defer end()

	page, err := c.SearchUsers(ctx, api.ListOptions{Query: "ann"})
	fmt.Println(page.Hits.Total.Value, err)
	fmt.Println(page.Hits.Hits[0].Source.Email, page.Hits.Hits[0].Source.Roles)
	// Output:
	// 1 <nil>
	// ann@example.com [admin]
}

func ExampleClient_CreateUser() {
	c, ctx, end := inMemory()
	defer end()

	// Without a password one is generated, to be changed at the first sign-in.
	u, err := c.CreateUser(ctx, api.NewUser{Email: "bob@example.com"})
	fmt.Println(u.Name, u.Roles, u.Password != "", err)
	// Output: bob [user] true <nil>
}

func ExampleClient_GetUser() {
	c, ctx, end := inMemory()
	defer end()

	u, err := c.GetUser(ctx, "ann@example.com")
	fmt.Println(u.Source.Name, u.Source.Roles, u.Source.Disabled, err)
	// Output: Ann [admin] false <nil>
}

// bob makes the user bob@example.com.
func bob(ctx context.Context, c *api.Client) {
	_, err := c.CreateUser(ctx, api.NewUser{Email: "bob@example.com", Password: examplePassword})
	check(err)
}

func ExampleClient_UpdateUser() {
	c, ctx, end := inMemory()
	defer end()
	bob(ctx, c)

	disabled := true
	done, err := c.UpdateUser(ctx, "bob@example.com", api.UserUpdate{Disabled: &disabled})
	fmt.Println(done.Result.Result, err)
	_, err = c.Login(ctx, api.Login{Email: "bob@example.com", Password: examplePassword})
	fmt.Println(err)
	// Output:
	// updated <nil>
	// the email or the password is wrong, or the account may not sign in
}

func ExampleClient_DeleteUser() {
	c, ctx, end := inMemory()
	defer end()
	bob(ctx, c)

	done, err := c.DeleteUser(ctx, "bob@example.com")
	fmt.Println(done.Result, err)
	// Output: deleted <nil>
}

func ExampleClient_UnlockUser() {
	c, ctx, end := inMemory()
	defer end()

	done, err := c.UnlockUser(ctx, "ann@example.com")
	fmt.Println(done.Result, err)
	// Output: updated <nil>
}

func ExampleClient_ImportUsers() {
	c, ctx, end := inMemory()
	defer end()

	lines := `{"email":"ann@example.com"}
{"email":"bob@example.com","roles":["user"]}
`
	done, err := c.ImportUsers(ctx, strings.NewReader(lines), api.ImportOptions{IfMissing: true})
	fmt.Println(done.Created, done.Skipped, err)
	// Output: 1 1 <nil>
}

func ExampleClient_SearchRoles() {
	c, ctx, end := inMemory()
	defer end()

	page, err := c.SearchRoles(ctx, api.ListOptions{Sort: "name:asc"})
	fmt.Println(page.Hits.Total.Value, err)
	for _, hit := range page.Hits.Hits {
		fmt.Println(hit.ID, hit.Source.Builtin)
	}
	// Output:
	// 2 <nil>
	// admin true
	// user true
}

// keeper makes a role that may make backups.
func keeper(ctx context.Context, c *api.Client) (done api.Result, err error) {
	about := "makes backups"
	return c.CreateRole(ctx, api.RoleChange{Name: "keeper", Description: &about, Grants: &api.Grants{Permissions: []string{"generic#system/backup"}}})
}

func ExampleClient_CreateRole() {
	c, ctx, end := inMemory()
	defer end()

	about := "reads the wiki"
	done, err := c.CreateRole(ctx, api.RoleChange{Name: "reader", Description: &about, Grants: &api.Grants{Permissions: []string{"wiki#page/read"}}})
	fmt.Println(done.ID, done.Result, err)
	// Output: reader created <nil>
}

func ExampleClient_GetRole() {
	c, ctx, end := inMemory()
	defer end()

	r, err := c.GetRole(ctx, "admin")
	fmt.Println(r.Source.Grants.Permissions, r.Source.Builtin, err)
	// Output: [*] true <nil>
}

func ExampleClient_UpdateRole() {
	c, ctx, end := inMemory()
	defer end()
	_, err := keeper(ctx, c)
	check(err)

	// The description, which is not named, stays.
	done, err := c.UpdateRole(ctx, "keeper", api.RoleChange{Grants: &api.Grants{Permissions: []string{"generic#system/backup", "generic#system/keys"}}})
	fmt.Println(done.Result, err)
	r, err := c.GetRole(ctx, "keeper")
	fmt.Println(r.Source.Description, r.Source.Grants.Permissions, err)
	// Output:
	// updated <nil>
	// makes backups [generic#system/backup generic#system/keys] <nil>
}

func ExampleClient_DeleteRole() {
	c, ctx, end := inMemory()
	defer end()
	_, err := keeper(ctx, c)
	check(err)

	done, err := c.DeleteRole(ctx, "keeper")
	fmt.Println(done.Result, err)
	_, err = c.DeleteRole(ctx, "admin")
	fmt.Println(err != nil)
	// Output:
	// deleted <nil>
	// true
}

func ExampleClient_Permissions() {
	c, ctx, end := inMemory()
	defer end()

	all, err := c.Permissions(ctx)
	for _, p := range all {
		if p.Resource == "system" && p.Category == "generic" {
			fmt.Println(p.ID, p.Action)
		}
	}
	fmt.Println(err)
	// Output:
	// generic#system/backup backup
	// generic#system/keys keys
	// <nil>
}

func ExampleClient_Rules() {
	c, ctx, end := inMemory()
	defer end()

	rules, err := c.Rules(ctx) // in the order in which they are asked
	fmt.Println(len(rules), err)
	// Output: 0 <nil>
}

func ExampleClient_TestRule() {
	c, ctx, end := inMemory()
	defer end()

	told, err := c.TestRule(ctx, api.RuleTest{URL: "https://wiki.example.com/edit", Method: "POST", User: "ann@example.com"})
	fmt.Println(told.Status, told.Decision, err)
	fmt.Println(told.Why)
	// Output:
	// 403 refused <nil>
	// husk has no rules: they stand under gate in the configuration file
}

func ExampleClient_SearchPrincipals() {
	c, ctx, end := inMemory()
	defer end()

	page, err := c.SearchPrincipals(ctx, api.ListOptions{Query: "ann"})
	for _, hit := range page.Hits.Hits {
		fmt.Println(hit.Source.Type, hit.Source.Name, hit.Source.Description)
	}
	fmt.Println(err)
	// Output:
	// user Ann ann@example.com
	// <nil>
}

func ExampleClient_SearchSessions() {
	c, ctx, end := inMemory()
	defer end()
	signIn(ctx, c)
	signIn(ctx, c)

	page, err := c.SearchSessions(ctx, api.ListOptions{Filter: map[string]string{"user": "ann@example.com"}})
	fmt.Println(page.Hits.Total.Value, err)
	// Output: 2 <nil>
}

func ExampleClient_GetSession() {
	c, ctx, end := inMemory()
	defer end()
	signIn(ctx, c)
	page, err := c.SearchSessions(ctx, api.ListOptions{})
	check(err)

	found, err := c.GetSession(ctx, page.Hits.Hits[0].ID)
	fmt.Println(found.Source.UserName, found.Source.Valid, len(found.Source.Permissions) > 0, err)
	_, err = c.GetSession(ctx, "00000000-0000-4000-8000-000000000000")
	fmt.Println(err)
	// Output:
	// ann@example.com true true <nil>
	// there is no such thing, or it is not yours
}

func ExampleClient_EndSession() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	page, err := c.SearchSessions(ctx, api.ListOptions{})
	check(err)
	done, err := c.EndSession(ctx, page.Hits.Hits[0].ID)
	fmt.Println(done.Result, err)
	_, err = session.Profile(ctx)
	fmt.Println(err != nil)
	// Output:
	// deleted <nil>
	// true
}

func ExampleClient_EndSessions() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	page, err := c.SearchSessions(ctx, api.ListOptions{})
	check(err)
	done, err := c.EndSessions(ctx, page.Hits.Hits[0].Source.User)
	fmt.Println(done.Result, done.Count, err)
	_, err = session.Profile(ctx)
	fmt.Println(err != nil)
	// Output:
	// deleted 1 <nil>
	// true
}

func ExampleClient_SearchKeys() {
	c, ctx, end := inMemory()
	defer end()

	page, err := c.SearchKeys(ctx, api.ListOptions{})
	fmt.Println(page.Hits.Total.Value, page.Hits.Hits[0].Source.Signing, err)
	// Output: 1 true <nil>
}

func ExampleClient_RotateKey() {
	c, ctx, end := inMemory()
	defer end()
	session := signIn(ctx, c)

	// Now ends every session; without it they go on to their end.
	done, err := c.RotateKey(ctx, api.RotateKey{Now: true})
	fmt.Println(done.Result, err)
	_, err = session.Profile(ctx)
	fmt.Println(err != nil)
	// Output:
	// created <nil>
	// true
}

func ExampleClient_SearchAudit() {
	c, ctx, end := inMemory()
	defer end()
	token(ctx, c, "backup")

	page, err := c.SearchAudit(ctx, api.ListOptions{Filter: map[string]string{"action": "token.create"}})
	for _, hit := range page.Hits.Hits {
		fmt.Println(hit.Source.Action, hit.Source.Transport, hit.Source.Result)
	}
	fmt.Println(err)
	// Output:
	// token.create offline ok
	// <nil>
}

func ExampleClient_ExportAudit() {
	c, ctx, end := inMemory()
	defer end()

	var lines bytes.Buffer
	err := c.ExportAudit(ctx, &lines)
	fmt.Println(strings.Count(lines.String(), `"action":"user.create"`), err)
	// Output: 1 <nil>
}

func ExampleClient_VerifyAudit() {
	c, ctx, end := inMemory()
	defer end()

	// A hash that was noted elsewhere shows whether the log was cut since.
	noted, err := c.AuditHead(ctx)
	check(err)
	token(ctx, c, "backup")
	v, err := c.VerifyAudit(ctx, noted.Hash)
	fmt.Println(v.OK, v.Last-noted.Seq, v.Problems, err)
	// Output: true 1 [] <nil>
}

func ExampleClient_AuditHead() {
	c, ctx, end := inMemory()
	defer end()

	before, err := c.AuditHead(ctx)
	check(err)
	token(ctx, c, "backup")
	after, err := c.AuditHead(ctx)
	fmt.Println(after.Seq-before.Seq, len(after.Hash), err)
	// Output: 1 64 <nil>
}

func ExampleClient_Check() {
	c, ctx, end := inMemory()
	defer end()

	report, err := c.Check(ctx)
	fmt.Println(report.OK, report.Records > 0, report.Problems, err)
	// Output: true true [] <nil>
}

func ExampleClient_Backup() {
	c, ctx, end := inMemory()
	defer end()

	var backup bytes.Buffer
	fmt.Println(c.Backup(ctx, &backup, ""))
	for files := tar.NewReader(&backup); ; {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		check(err)
		fmt.Println(h.Name)
	}
	// Output:
	// <nil>
	// manifest.json
	// husk.db
}

func ExampleClient_Configuration() {
	c, ctx, end := inMemory()
	defer end()

	// This server was made by hand; one that 'husk serve' runs tells its settings.
	settings, err := c.Configuration(ctx)
	fmt.Println(settings.File, len(settings.Settings), err)
	// Output: 0 <nil>
}

func ExampleClient_Backups() {
	c, ctx, end := inMemory()
	defer end()

	kept, err := c.Backups(ctx)
	fmt.Println(kept.Kept, kept.Files, err)
	// Output: false [] <nil>
}

func ExampleClient_MakeBackup() {
	c, ctx, end := inMemory()
	defer end()

	_, err := c.MakeBackup(ctx)
	var refused *api.Error
	if errors.As(err, &refused) { // this server has no folder for them
		fmt.Println(refused.Status, refused.Detail.Code)
	}
	// Output: 409 no_backup_dir
}

func ExampleClient_KeptBackup() {
	c, ctx, end := inMemory()
	defer end()

	err := c.KeptBackup(ctx, "husk-20260101T031500Z.tar", io.Discard)
	var refused *api.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Detail.Code)
	}
	// Output: 404 not_found
}
