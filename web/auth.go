package web

import (
	"context"
	"errors"
	"net/http"

	"husk/db"
)

// This file is the one place that turns a credential or a connection into a
// db.Actor, for every route and every way to present a credential: who asks. What
// a request shows is read in credential.go and cookie.go, what that means is found
// out in resolve.go, and remembered in identity.go.

// authenticate returns who asks. Without a credential that is the owner of the
// data file on a local connection, and nobody elsewhere. A credential that is
// refused is an error, never passed over.
//
// Where bearerTokens is set, an API token may come as a Bearer, too.
func (s *Server) authenticate(r *http.Request, requestID string, bearerTokens bool) (*db.Actor, error) {
	actor := &db.Actor{Transport: db.TransportHTTP, Address: s.clientAddress(r), RequestID: requestID}
	local, isLocal := localOf(r.Context())
	if isLocal {
		actor.Transport, actor.Address = local.transport, ""
	}
	cred, sent, err := s.credentialOf(r)
	switch {
	case err != nil:
		return actor, err
	case !sent && isLocal && local.owner && !forwarded(r):
		actor.ID, actor.Name, actor.Permissions = db.LocalActor, local.name, db.AllPermissions
		return actor, nil
	case !sent:
		return actor, nil
	}
	if bearerTokens && cred.token == "" && decides(r.Header) { // never from a cookie
		cred = credentialIn(cred.jwt)
	}
	who, err := s.identifyAny(r.Context(), cred)
	if err != nil {
		return actor, err
	}
	if err := who.refusedHere(actor.Address); err != nil {
		// The clearest sign of a stolen one: its owner's log has it.
		shown := *actor
		who.become(&shown)
		s.Store.NoteRefusal(&shown, "token.use", who.token.Target())
		return actor, err
	}
	who.become(actor)
	if who.session == nil || !isPageCall(r.Context()) { // the page counts
		who.requests.Add(1)
	}
	s.noteUse(who, actor.Address)
	return actor, nil
}

// refusedHere tells why a credential that is good is not good at the API, from that
// address.
func (who *identity) refusedHere(address string) error {
	switch {
	case who.token == nil:
		return nil
	case !who.token.Allows(parseAddress(address)):
		return errFromElsewhere
	case who.token.GateOnly():
		return errGateOnly
	}
	return nil
}

// identifyAny is identify of a credential that may be several cookies: the good
// one decides. Two good ones of different users can't be told apart: one of
// them is somebody's who wants to have this browser act as them.
func (s *Server) identifyAny(ctx context.Context, cred credential) (*identity, error) {
	who, err := s.identify(ctx, cred)
	for _, jwt := range cred.more {
		other, failed := s.identify(ctx, credential{jwt: jwt})
		switch {
		case isRefused(failed):
		case failed != nil:
			return nil, failed
		case isRefused(err):
			who, err = other, nil
		case err == nil && other.user.ID != who.user.ID:
			return nil, errManyUsers
		}
	}
	return who, err
}

// isRefused tells a credential that is not good from a store that failed.
func isRefused(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.status == http.StatusUnauthorized || errors.Is(err, db.ErrEnded)
}
