package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

// This file is for applications and API gateways, in the words that they know: what
// a token is worth that somebody showed them (RFC 7662), how one is ended by who has
// it (RFC 7009), and where both are (RFC 8414). What husk tells its own command line
// is in introspection.go.

const (
	introspectPath = "/oauth/introspect"
	revokePath     = "/oauth/revoke"
	bearerType     = "Bearer" // RFC 6750, 6.1.1
)

var (
	errTokenMissing = malformed("invalid_request", "token is missing: send it as a form, token=…, in the body") // RFC 6749, 5.2
	errNoForm       = &failure{status: http.StatusUnsupportedMediaType, code: "content_type",
		reason: "send a form, token=…, as " + formType + ", and say so in Content-Type: JSON is not read here"}
)

// formToken reads the token of a form. That of an empty value is absent (RFC 6749,
// 3.1). What else OAuth's programs send along is not looked at.
func formToken(c echo.Context) (string, error) {
	form, err := bindForm(c, []string{"token", "token_type_hint"}, nil)
	if f, ok := err.(*failure); ok && f.status == errNoForm.status {
		return "", errNoForm
	}
	if err == nil && form.Get("token") == "" {
		return "", errTokenMissing
	}
	return form.Get("token"), err
}

// credentialIn is a text that may be of either kind: none can be both.
func credentialIn(text string) credential {
	if _, err := token.Parse(text); err == nil {
		return credential{token: text}
	}
	return credential{jwt: text}
}

var inactive = []byte("{\"active\":false}\n")

// introspectToken tells what a token is worth. That is no use of it. It is asked as
// often as the applications behind are, so nothing is written down of it.
func (s *Server) introspectToken(c echo.Context, _ *db.Actor) error {
	text, err := formToken(c)
	if err != nil {
		return err
	}
	who, err := s.identify(c.Request().Context(), credentialIn(text))
	switch {
	case isRefused(err) || err == nil && !who.goodAnywhere():
		return writeJSON(c, inactive)
	case err != nil:
		return err
	}
	if done := who.introspect.Load(); done != nil {
		return writeJSON(c, *done)
	}
	body, err := json.Marshal(who.introspected())
	if err != nil {
		return err
	}
	body = append(body, '\n')
	who.introspect.Store(&body)
	return writeJSON(c, body)
}

// goodAnywhere tells whether a credential is good wherever it is shown. Who
// introspects does not say from where it came and what for, and would take active for
// all of it.
func (who *identity) goodAnywhere() bool {
	if who.token != nil {
		return !boundToPlace(who.token)
	}
	return !who.gate.Limited()
}

// boundToPlace tells whether a token is good from some addresses, or for some
// requests, alone.
func boundToPlace(k *db.Token) bool { return len(k.AllowedIPs) > 0 || k.GateOnly() }

func (who *identity) introspected() *api.OAuthIntrospection {
	scope := strings.Join(who.expanded(), " ")
	out := &api.OAuthIntrospection{Active: true, Scope: &scope, Sub: who.user.ID, Username: who.user.Username(), TokenType: bearerType}
	if who.token == nil {
		out.Iat, out.Exp = who.session.Created.Unix(), who.session.Expires.Unix()
		return out
	}
	k := who.token
	out.Iat = k.Issued.Unix()
	switch who.kind {
	case replaced: // when that secret was made is not kept
		k, out.Iat = k.Replaced(), k.Created.Unix()
	case begun:
		k, out.Iat = k.Begun(), k.Next.Made.Unix()
	}
	if k.Expires != db.Never {
		out.Exp = k.Expires
	}
	return out
}

// revokeToken ends what is shown in full, where it is the caller's own, whatever
// else the caller may do: who has it could end it with itself. The answer is the same
// where there was nothing to end (RFC 7009, 2.2).
func (s *Server) revokeToken(c echo.Context, actor *db.Actor) error {
	text, err := formToken(c)
	if err != nil {
		return err
	}
	if len(text) <= maxCredential {
		if cred := credentialIn(text); cred.token != "" {
			err = s.revokeOwnToken(c.Request().Context(), actor, cred.token)
		} else {
			err = s.revokeOwnSession(c.Request(), actor, cred.jwt)
		}
	}
	if err != nil {
		return err
	}
	return write(c, api.OAuthRevoked{})
}

func (s *Server) revokeOwnToken(ctx context.Context, actor *db.Actor, text string) error {
	who, sum := &identity{}, token.Hash(text)
	owner, err := s.resolveToken(ctx, who, text, sum)
	if isRefused(err) || err == nil && owner != actor.ID {
		return nil
	}
	if err != nil {
		return err
	}
	whole, err := s.Store.EndSecret(ctx, actor, who.token.ID, sum[:])
	switch {
	case errors.Is(err, db.ErrNotFound): // ended meanwhile
		return nil
	case err == nil && whole:
		s.did(actor, "token deleted", "token", who.token.ID)
	case err == nil:
		s.did(actor, "token secret ended", "token", who.token.ID)
	}
	return err
}

func (s *Server) revokeOwnSession(r *http.Request, actor *db.Actor, jwt string) error {
	shown, err := s.shown(r, actor.RequestID, []string{jwt})
	if err != nil || len(shown) == 0 || shown[0].ID != actor.ID {
		return err
	}
	return s.endShown(r, shown)
}

// authorizationServer tells OAuth's programs what there is for them. RFC 8414 knows
// of no word for how revocation is asked with a bearer token; left out, it would be
// a client's password.
func (s *Server) authorizationServer(context.Context, *db.Actor, *nothing) (*api.AuthorizationServer, error) {
	issuer := s.Endpoint()
	return &api.AuthorizationServer{
		Issuer:                issuer,
		IntrospectionEndpoint: issuer + introspectPath, IntrospectionAuth: []string{bearerType},
		RevocationEndpoint: issuer + revokePath, RevocationAuth: []string{bearerType},
		ResponseTypes: []string{}, GrantTypes: []string{},
	}, nil
}
