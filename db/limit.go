package db

import "slices"

// What a limited token makes must not be worth more than the token. Another
// token has limits of its own, which are held to it (see notAbove). A user, a
// password or a role has none: it would be good for ever, from everywhere, in
// the hands of who held the token for a moment. So what adds to one is for
// those whose own authority has no end. What only takes away stays allowed: it
// makes nothing.
//
// All of this is asked where the record is written, so that no way to it, of
// today or later, has to ask by itself.

// Limited tells whether the token is worth less than its owner: it ends, or is
// good for some things or in some places alone. What limits tokens in another
// way one day belongs here too.
func (k *Token) Limited() bool {
	return k.Expires != Never || len(k.AllowedIPs) > 0 || k.GateOnly() || k.narrow()
}

// narrow tells whether the token's own permissions limit it.
func (k *Token) narrow() bool {
	return len(k.Permissions) > 0 && !slices.Contains(k.Permissions, PermAll)
}

var errLimited = fail(ErrDenied, "limited_credential", "a token with an end, or with permissions or addresses of its own, makes nothing that outlives it, "+
	"such as a user or a role: sign in, use the command line on the machine, or a token without limits ('husk token create --expires never')")

// mayOutlive refuses a limited token what would be worth more than it is.
func (t *txn) mayOutlive() error {
	if k := t.actor.Token; k != nil && k.Limited() {
		return errLimited
	}
	return nil
}

// putUser writes a user who is made or changed; old is nil for a new one.
func (t *txn) putUser(old, u *User) error {
	if old == nil || u.gains(old) {
		if err := t.mayOutlive(); err != nil {
			return err
		}
	}
	return userRecords.put(t, old, u)
}

// gains tells whether a user may do what they could not before. The email is
// what others know them by: whoever is called by another's may be taken for
// them.
func (u *User) gains(old *User) bool {
	return u.Password != old.Password || u.Email != old.Email || (old.Disabled && !u.Disabled) ||
		slices.ContainsFunc(u.Roles, func(role string) bool { return !slices.Contains(old.Roles, role) })
}

// putRole writes a role that is made or changed; old is nil for a new one.
func (t *txn) putRole(old, r *Role) error {
	if old == nil || NewPermissions(old.Permissions).Missing(NewPermissions(r.Permissions)) != "" {
		if err := t.mayOutlive(); err != nil {
			return err
		}
	}
	return roleRecords.put(t, old, r)
}
