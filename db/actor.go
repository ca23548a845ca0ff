package db

import (
	"bytes"
	"errors"
	"slices"
)

// Transports, as the audit names them.
const (
	TransportHTTP    = "http"    // TCP
	TransportSocket  = "socket"  // the control socket of a running server
	TransportOffline = "offline" // the same handler in the process of the command
)

// LocalActor is the id of the actor who owns the data file: the command line
// beside it.
const LocalActor = "local"

// OwnActor is the id of the server itself, in the log of what it does of its own
// accord.
const OwnActor = "husk"

// Actor is who asks: the answer of the one place that turns a connection or a
// credential into rights. The zero value is nobody and may nothing.
type Actor struct {
	ID          string      // user id, LocalActor, or "" for nobody
	Name        string      // for the audit: an email, the single user's name, a uid
	User        *User       // nil for the local actor and for nobody; shared, read only
	Token       *Token      // the API token that was shown, if one was; shared, read only
	Session     *Session    // the session that was shown, if one was; shared, read only
	Permissions Permissions // what this actor may do now
	Transport   string      // TransportHTTP, TransportSocket or TransportOffline
	Address     string      // the client's address, without port; empty on the socket
	RequestID   string
	NoFactor    bool   // a role of the user's requires a second factor, and none was proved in the session
	Profile     []byte // the profile as JSON where it is known; shared, read only
}

// Local tells whether the actor owns the data file.
func (a *Actor) Local() bool { return a.ID == LocalActor }

// SignedIn tells whether the actor is somebody.
func (a *Actor) SignedIn() bool { return a.ID != "" }

// Administrator tells whether the actor may do everything.
func (a *Actor) Administrator() bool { return a.Permissions.All() }

var errEnded = fail(ErrEnded, "invalid_token", "the credential ended, or was cut, while the request was on its way")

// actorNow brings the actor up to the transaction. Who asks was found out
// before the body was read, and a body may come slowly: it must not outlast the
// end of what was shown, nor do more than its user may do by then.
func (t *txn) actorNow() error {
	if t.actor.User == nil {
		return nil // the owner of the data file, or nobody
	}
	now := *t.actor
	err := t.shownNow(&now)
	switch {
	case errors.Is(err, ErrNotFound):
		return errEnded
	case err != nil:
		return err
	case now.Permissions.Missing(t.actor.Permissions) != "", now.NoFactor && !t.actor.NoFactor:
		return errEnded
	}
	t.actor = &now
	return nil
}

// shownNow reads the actor's records anew. One that is gone is ErrNotFound.
func (t *txn) shownNow(a *Actor) (err error) {
	if a.User, err = userRecords.get(t, a.User.ID); err != nil {
		return err
	}
	if a.User.Disabled {
		return errAbsentRecord
	}
	roles, err := t.roleSet()
	if err != nil {
		return err
	}
	a.Permissions = roles.Permissions(a.User.Roles)
	if a.Session != nil {
		r, err := sessionRecords.get(t, a.Session.ID)
		if err == nil && r.Expired(t.now) {
			err = errAbsentRecord
		}
		if err == nil {
			a.NoFactor = !r.SecondFactor(a.User) && roles.RequiresSecondFactor(a.User.Roles)
		}
		return err
	}
	if a.Token == nil {
		return nil
	}
	if a.Token, err = t.tokenNow(a.Token); err == nil && len(a.Token.Permissions) > 0 {
		a.Permissions = a.Permissions.Intersect(NewPermissions(a.Token.Permissions))
	}
	return err
}

// tokenNow reads a token that was shown anew, by the same secret.
func (t *txn) tokenNow(shown *Token) (*Token, error) {
	k, err := tokenRecords.get(t, shown.ID)
	if err != nil {
		return nil, err
	}
	if p := k.Previous; p != nil && bytes.Equal(p.Hash, shown.Hash) {
		k = k.Replaced()
	} else if n := k.Next; n != nil && bytes.Equal(n.Hash, shown.Hash) {
		k = k.Begun()
	}
	if !bytes.Equal(k.Hash, shown.Hash) || k.Expired(t.now) || !slices.Equal(k.AllowedIPs, shown.AllowedIPs) || !k.Reach.equal(&shown.Reach) {
		return nil, errAbsentRecord
	}
	return k, nil
}
