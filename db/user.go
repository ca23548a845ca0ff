package db

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SingleUser is the id of the user that always exists: the one that a
// password without an email means.
const SingleUser = "coco-default-user"

// User is a person or a robot.
type User struct {
	ID         string    `json:"id"`
	Email      string    `json:"email"` // as it was given; FoldEmail of it is unique; empty for the single user only
	Name       string    `json:"name"`  // may be empty; see DisplayName
	Roles      []string  `json:"roles"`
	Password   string    `json:"password,omitempty"` // a PHC string; empty: can't sign in
	MustChange bool      `json:"must_change,omitempty"`
	Imported   bool      `json:"imported,omitempty"` // the password's hash was made elsewhere, with parameters of its own
	Disabled   bool      `json:"disabled,omitempty"`
	Devices    uint64    `json:"devices,omitempty"` // the generation of device cookies; those of an earlier one are worth nothing
	Factors    []string  `json:"factors,omitempty"` // the second factors that are set up, sorted; see Factors.Methods
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
	LastLogin  time.Time `json:"last_login,omitzero"`
}

func (u *User) readFast(j *fastJSON) {
	j.text("id", &u.ID)
	j.text("email", &u.Email)
	j.text("name", &u.Name)
	j.texts("roles", &u.Roles)
	j.text("password", &u.Password)
	j.flag("must_change", &u.MustChange)
	j.flag("imported", &u.Imported)
	j.flag("disabled", &u.Disabled)
	j.natural("devices", &u.Devices)
	j.texts("factors", &u.Factors)
	j.time("created", &u.Created)
	j.time("updated", &u.Updated)
	j.time("last_login", &u.LastLogin)
}

// DisplayName is the name, or the email's local part; never empty.
func (u *User) DisplayName() string {
	local, _, _ := strings.Cut(u.Email, "@")
	return cmp.Or(u.Name, local, u.ID)
}

// Username is the email, or the id of the single user.
func (u *User) Username() string { return cmp.Or(u.Email, u.ID) }

var userRecords = collection[User]{
	bucket: "user",
	id:     func(u *User) string { return u.ID },
	unique: func(u *User) []string {
		if u.Email == "" {
			return nil
		}
		return []string{FoldEmail(u.Email)}
	},
	index: func(u *User) [][]byte {
		keys := [][]byte{
			indexKey(everything, byCreated, timeKey(u.Created), u.ID),
			indexKey(everything, byName, textKey(u.DisplayName()), u.ID),
		}
		for _, w := range words(u.DisplayName(), u.Email) {
			keys = append(keys, indexKey(everything, byWord, []byte(w), u.ID))
		}
		for _, role := range u.Roles {
			keys = append(keys, indexKey(roleScope(role), byCreated, timeKey(u.Created), u.ID))
		}
		return keys
	},
	count: func(u *User) []string {
		if u.Password == "" {
			return []string{"user"}
		}
		return []string{"user", hashCounter(u.Password)}
	},
	taken:  fail(ErrConflict, "email_taken", "another user has that email"),
	memory: func(s *Store) memory { return s.users },
}

// roleScope is the scope of the index under which the users of a role stand;
// no id begins with "role:".
func roleScope(role string) string { return "role:" + role }

func singleUser(now time.Time) *User {
	return &User{ID: SingleUser, Name: SingleUser, Roles: []string{RoleAdmin}, Created: now, Updated: now}
}

// User returns the user of id; shared, read only.
func (s *Store) User(ctx context.Context, id string) (*User, error) {
	return userRecords.cached(ctx, s, s.users, id)
}

// UserByEmail returns the user whose folded email is that of email; shared,
// read only.
func (s *Store) UserByEmail(ctx context.Context, email string) (*User, error) {
	var id string
	err := s.view(ctx, func(t *txn) (err error) { id, err = userRecords.find(t, FoldEmail(email)); return err })
	if err != nil {
		return nil, err
	}
	return s.User(ctx, id)
}

// FindUser returns the user of an id or an email; shared, read only.
func (s *Store) FindUser(ctx context.Context, idOrEmail string) (*User, error) {
	if strings.Contains(idOrEmail, "@") {
		return s.UserByEmail(ctx, idOrEmail)
	}
	return s.User(ctx, idOrEmail)
}

// findUser is FindUser inside a transaction.
func (t *txn) findUser(idOrEmail string) (*User, error) {
	id := idOrEmail
	if strings.Contains(id, "@") {
		var err error
		if id, err = userRecords.find(t, FoldEmail(id)); err != nil {
			return nil, err
		}
	}
	return userRecords.get(t, id)
}

// Users returns a page of users, by created or name.
func (s *Store) Users(ctx context.Context, q ListQuery) (Page[User], error) {
	q.Owner = ""
	return userRecords.page(ctx, s, q, "user", byCreated, byName)
}

// UsersWith is Users of those who have a role, by created. As of FilteredTokens no
// more than MostLooked are counted, or looked at for words, for a page.
func (s *Store) UsersWith(ctx context.Context, q ListQuery, role string) (page Page[User], err error) {
	q.Owner = roleScope(role)
	l, err := parseSifted(userRecords.bucket, q, "created:desc", []string{byCreated}, "", netip.Prefix{})
	if err != nil {
		return page, err
	}
	return sifted(ctx, s, &userRecords, l, func(t *txn, l *listing) sieve {
		if len(l.words) == 0 {
			return nil
		}
		return func(part []*match) ([]*match, error) { return t.siftUsers(l.words, part) }
	})
}

// siftUsers returns those whose name and email have the words.
func (t *txn) siftUsers(words []string, part []*match) (kept []*match, err error) {
	if err := t.readMatches(userRecords.bucket, part); err != nil {
		return nil, err
	}
	for _, m := range part {
		u, err := userRecords.decode(m.id, m.value)
		if err != nil {
			return nil, err
		}
		if hasWords(userRecords.indexEntries(u), everything, words) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// NewUser is what CreateUser makes a user from.
type NewUser struct {
	Email      string
	Name       string   // may be empty
	Roles      []string // empty: RoleUser
	Password   string   // a PHC string; empty: can't sign in
	MustChange bool
	Wrong      error // what is wrong already: nobody is made, and the rest is told with it
}

// CreateUser makes a user. A taken email is ErrConflict; rights that the actor
// does not have are ErrDenied. What is wrong with several things that were asked for
// is Problems.
func (s *Store) CreateUser(ctx context.Context, actor *Actor, n NewUser) (u *User, err error) {
	if wrong := n.check(); wrong != nil {
		return nil, s.wrongBefore(ctx, actor, wrong, func(t *txn) error {
			roles, err := t.roleSet()
			if err != nil {
				return err
			}
			return t.mayGrant(roles, n.Roles)
		})
	}
	id := uuid.NewString()
	err = s.update(ctx, actor, func(t *txn) error {
		u = &User{ID: id, Email: n.Email, Name: n.Name, Roles: n.Roles, Password: n.Password,
			MustChange: n.MustChange, Created: t.now, Updated: t.now}
		roles, err := t.roleSet()
		if err != nil {
			return err
		}
		if err := t.mayGrant(roles, u.Roles); err != nil {
			return err
		}
		if err := t.putUser(nil, u); err != nil {
			return err
		}
		return t.audit("user.create", u.Target())
	})
	return u, err
}

func (n *NewUser) check() error {
	n.Email, n.Name = strings.TrimSpace(n.Email), strings.TrimSpace(n.Name)
	if len(n.Roles) == 0 {
		n.Roles = []string{RoleUser}
	}
	n.Roles = unique(n.Roles)
	return Together(n.Wrong, checkEmail(n.Email), checkText("name", n.Name, maxName))
}

// unique returns a sorted copy without doubles, never nil.
func unique(names []string) []string {
	names = append([]string{}, names...)
	slices.Sort(names)
	return slices.Compact(names)
}

// mayGrant refuses roles that do not exist or that grant more than the actor
// has.
func (t *txn) mayGrant(roles *RoleSet, names []string) error {
	if len(names) > maxUserRoles {
		return fail(ErrInvalid, "too_many_roles", "a user has at most 100 roles; make one that grants what several do")
	}
	if err := roles.checkNames(names); err != nil {
		return err
	}
	if missing := t.actor.Permissions.Missing(roles.Permissions(names)); missing != "" {
		return fail(ErrDenied, "grants_more", "nobody grants what they do not have: those roles grant "+missing)
	}
	return nil
}

// UserChange is what UpdateUser changes; nil leaves a member as it is.
type UserChange struct {
	Name       *string
	Email      *string
	Roles      []string // nil: as they are; empty: none
	Password   *string  // a PHC string
	MustChange bool     // with Password: it has to be changed at the next sign-in
	Disabled   *bool
}

// UpdateUser changes a user, by id or email. A new password and disabling end
// all of the user's sessions, and a new password the device cookies. Only the local actor changes a user who may do
// more than the actor, or the actor's own roles; a password is set for others
// only, and never by an API token.
func (s *Store) UpdateUser(ctx context.Context, actor *Actor, idOrEmail string, c UserChange) (u *User, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := t.findUser(idOrEmail)
		if err != nil {
			return err
		}
		changed := *old
		u = &changed
		if err := t.mayChange(old, c); err != nil {
			return err
		}
		if err := c.apply(u, t.now); err != nil {
			return err
		}
		if err := t.replaceUser(old, u); err != nil {
			return err
		}
		if c.Password != nil || u.Disabled {
			if _, err := t.endSessions(u.ID, ""); err != nil {
				return err
			}
		}
		return t.auditUserChange(old, u, c)
	})
	return u, err
}

// mayChange checks the actor's right over the user as it is now.
func (t *txn) mayChange(old *User, c UserChange) error {
	if t.actor.Local() {
		return nil
	}
	if err := t.mayTouch(old); err != nil {
		return err
	}
	if c.Roles != nil && old.ID == t.actor.ID && !slices.Equal(unique(c.Roles), unique(old.Roles)) {
		return fail(ErrDenied, "own_roles", "nobody changes their own roles; ask another administrator, or use the command line on the machine")
	}
	if c.Password != nil && t.actor.Token != nil {
		return fail(ErrDenied, "session_required", "an API token can't change a password; sign in, or use 'husk passwd' on the machine")
	}
	if c.Password != nil && old.ID == t.actor.ID {
		return fail(ErrDenied, "own_password", "one's own password is changed by PUT /account/password, with the old one")
	}
	return nil
}

// Above tells whether a user may do more than the actor, who can't change them.
func (s *Store) Above(ctx context.Context, actor *Actor, u *User) (above bool, err error) {
	if actor.Local() {
		return false, nil
	}
	roles, err := s.Roles(ctx)
	return err == nil && actor.Permissions.Missing(roles.Permissions(u.Roles)) != "", err
}

// mayTouch refuses a user who may do more than the actor.
func (t *txn) mayTouch(u *User) error {
	if t.actor.Local() {
		return nil
	}
	roles, err := t.roleSet()
	if err != nil {
		return err
	}
	if t.actor.Permissions.Missing(roles.Permissions(u.Roles)) != "" {
		return fail(ErrDenied, "user_above", "that user may do more than you may")
	}
	return nil
}

// apply writes the change into u and checks the texts.
func (c *UserChange) apply(u *User, now time.Time) (wrong error) {
	u.Updated = now
	if c.Name != nil {
		u.Name = strings.TrimSpace(*c.Name)
		wrong = checkText("name", u.Name, maxName)
	}
	if c.Email != nil && strings.TrimSpace(*c.Email) != u.Email {
		if u.ID == SingleUser {
			return Together(wrong, fail(ErrInvalid, "single_user", "the single user has no email; create a user with that email instead"))
		}
		u.Email = strings.TrimSpace(*c.Email)
		wrong = Together(wrong, checkEmail(u.Email))
	}
	if c.Roles != nil {
		u.Roles = unique(c.Roles)
	}
	if c.Password != nil {
		u.setPassword(*c.Password, c.MustChange)
	}
	if c.Disabled != nil {
		u.Disabled = *c.Disabled
	}
	return wrong
}

// replaceUser writes the changed user after the checks that look at the whole
// store: roles that exist and may be granted, an administrator left.
func (t *txn) replaceUser(old, u *User) error {
	roles, err := t.roleSet()
	if err != nil {
		return err
	}
	if !slices.Equal(old.Roles, u.Roles) {
		if err := t.mayGrant(roles, u.Roles); err != nil {
			return err
		}
	}
	return t.guarded(func() error { return t.putUser(old, u) })
}

func (t *txn) auditUserChange(old, u *User, c UserChange) error {
	actions := []string{}
	if c.Password != nil {
		actions = append(actions, "user.password")
	}
	if old.Disabled != u.Disabled {
		actions = append(actions, map[bool]string{true: "user.disable", false: "user.enable"}[u.Disabled])
	}
	if old.Name != u.Name || old.Email != u.Email || !slices.Equal(old.Roles, u.Roles) || len(actions) == 0 {
		actions = append(actions, "user.update")
	}
	for _, action := range actions {
		if err := t.audit(action, old.Target()); err != nil {
			return err
		}
	}
	return nil
}

// DeleteUser removes a user, by id or email. Credentials that the user leaves
// are dead from the commit on, since their owner is looked up at each use.
func (s *Store) DeleteUser(ctx context.Context, actor *Actor, idOrEmail string) (id string, err error) {
	err = s.update(ctx, actor, func(t *txn) error {
		u, err := t.findUser(idOrEmail)
		if err != nil {
			return err
		}
		id = u.ID
		if err := t.mayDelete(u); err != nil {
			return err
		}
		if err := t.guarded(func() error { return userRecords.put(t, u, nil) }); err != nil {
			return err
		}
		if err := t.dropFactors(id); err != nil {
			return err
		}
		if err := t.leaveTombstone(u); err != nil {
			return err
		}
		return t.audit("user.delete", u.Target())
	})
	return id, err
}

func (t *txn) mayDelete(u *User) error {
	if u.ID == SingleUser {
		return fail(ErrDenied, "single_user", "the single user can't be deleted; 'husk user disable "+SingleUser+"' closes it")
	}
	if u.ID == t.actor.ID {
		return fail(ErrDenied, "own_user", "nobody deletes themselves; ask another administrator, or use the command line on the machine")
	}
	return t.mayTouch(u)
}

// PasswordChange is what ChangePassword does.
type PasswordChange struct {
	Verified string // the stored hash that the old password was checked against
	Password string // the hash of the new one
	Renew    bool   // the session that was shown goes on under a new secret
}

// ChangePassword sets the actor's own password. Had the stored hash changed
// since the old password was checked against it, the check would prove nothing:
// that is ErrConflict. All other sessions of the user end; device cookies stay,
// which are the owner's own. That which was shown has its password proved by it, and
// where it is renewed it is returned with its new secret.
func (s *Store) ChangePassword(ctx context.Context, actor *Actor, c PasswordChange) (renewed *Session, secret string, err error) {
	if c.Renew {
		secret = newSessionSecret()
	}
	err = s.update(ctx, actor, func(t *txn) error {
		old, err := userRecords.get(t, actor.ID)
		if err != nil {
			return err
		}
		if old.Password != c.Verified {
			return errPasswordMoved
		}
		u := *old
		u.Password, u.MustChange, u.Imported, u.Updated = c.Password, false, false, t.now
		if err := t.putUser(old, &u); err != nil {
			return err
		}
		if _, err := t.endSessions(u.ID, actor.Session.ID); err != nil {
			return err
		}
		if renewed, err = t.prove(MethodPassword, secret); err != nil {
			return err
		}
		return t.audit("user.password", u.Target())
	})
	if err != nil {
		return nil, "", err
	}
	return renewed, secret, nil
}

// Rehash puts another hash of the same password in the place of the one that it was
// checked against, and returns the user as they are then. Had that changed since, the
// check would prove nothing: that is ErrDenied, as it is of who was disabled or deleted.
func (s *Store) Rehash(ctx context.Context, id, verified, hash string) (u *User, err error) {
	err = s.update(ctx, &Actor{}, func(t *txn) error {
		old, err := userRecords.get(t, id)
		if errors.Is(err, ErrNotFound) || (err == nil && (old.Disabled || old.Password != verified)) {
			return errSignInMoved
		}
		if err != nil {
			return err
		}
		changed := *old
		changed.Password, changed.Imported = hash, false
		u = &changed
		return t.putUser(old, u)
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

var errPasswordMoved = fail(ErrConflict, "password_moved", "the password was changed meanwhile; sign in again")

// CountUsers returns how many users there are, the single one included.
func (s *Store) CountUsers(ctx context.Context) (int64, error) { return s.counter(ctx, "user") }

func (s *Store) counter(ctx context.Context, name string) (n int64, err error) {
	err = s.view(ctx, func(t *txn) error { n, err = t.count(name); return err })
	return n, err
}
