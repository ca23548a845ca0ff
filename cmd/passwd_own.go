package cmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"husk/db"
	"husk/web/api"
)

// One's own password is changed over --server as a browser does it: by a sign-in, with
// the old password and the second factor where there is one. The session is made for
// this alone, and ends with the command.

// changesOwn tells whether passwd is such a change: of who sits at a terminal, and
// shows no API token, which can change no password.
func (a *app) changesOwn(o passwdOptions) bool {
	_, asks := a.terminal()
	return a.settings.Server != "" && a.settings.TokenFile == "" && asks && !o.stdin && !o.generate
}

func (a *app) passwdOwn(ctx context.Context, email string) error {
	fd, _ := a.terminal()
	if inTheOpen(a.settings.Server) {
		a.warn("the passwords travel unencrypted to another machine, and whoever is on the way can read them: give --server a URL of https")
	}
	old, err := a.askSecret(fd, "Present password of "+printable(cmp.Or(email, db.SingleUser))+": ")
	if err != nil {
		return err
	}
	return a.use(ctx, false, func(s *session) (err error) {
		in, err := a.signIn(ctx, s, api.Login{Email: email, Password: old})
		if err != nil {
			return err
		}
		s.JWT = in.AccessToken
		defer func() {
			ctx, done := lastWord(ctx)
			defer done()
			err = errors.Join(err, s.Logout(ctx))
		}()
		pass, err := a.newPassword(false)
		if err != nil {
			return err
		}
		out, err := s.ChangePassword(ctx, api.PasswordChange{OldPassword: old, NewPassword: pass})
		if err != nil {
			return err
		}
		return a.done(out, "The password of %s is changed; the other sessions have ended. API tokens stay: 'husk token revoke' ends them.", in.Username)
	})
}

// codeTries is how often a code is asked for: the next one may be right.
const codeTries = 3

// signIn signs in with a password, and asks for the code of a second factor where the
// server does.
func (a *app) signIn(ctx context.Context, s *session, in api.Login) (out api.LoggedIn, err error) {
	out, err = s.Login(ctx, in)
	var asks *api.Error
	if !errors.As(err, &asks) || asks.Detail.Code != "second_factor_required" {
		return out, err
	}
	if !slices.Contains(asks.Methods, db.MethodTOTP) && !slices.Contains(asks.Methods, db.MethodRecovery) {
		return out, &failure{code: exitDenied, err: err, what: "the second factor of this account is a passkey, which a browser alone can use",
			next: "sign in at " + printable(s.Base) + "/login, and change the password there"}
	}
	for range codeTries {
		code, asking := a.askLine("Code of the second factor, or a recovery code: ")
		if asking != nil {
			return out, asking
		}
		out, err = s.Login(ctx, api.Login{Ticket: asks.Ticket, Code: strings.Join(strings.Fields(code), "")})
		if why := wrongCode(err); why != "" {
			a.say("%s", why)
			continue
		}
		return out, err
	}
	return out, err
}

// wrongCode tells why a code is not taken where another one may be.
func wrongCode(err error) string {
	var answer *api.Error
	if errors.As(err, &answer) && slices.Contains([]string{"bad_code", "wrong_code", "code_used"}, answer.Detail.Code) {
		return answer.Sentence()
	}
	return ""
}
