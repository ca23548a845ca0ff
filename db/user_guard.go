package db

import "context"

// guarded makes a change that must leave an administrator: an enabled user
// with a role that grants everything. While one of them can sign in, one must
// remain who can; and one must remain at all.
func (t *txn) guarded(change func() error) error {
	_, couldSignIn, err := t.anyAdministrator()
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	exists, canSignIn, err := t.anyAdministrator()
	if err != nil {
		return err
	}
	if !exists || (couldSignIn && !canSignIn) {
		return fail(ErrConflict, "last_administrator", "that is the last administrator who can sign in; make another one first")
	}
	return nil
}

// anyAdministrator tells whether an enabled administrator exists, and one who
// has a password.
func (t *txn) anyAdministrator() (exists, canSignIn bool, err error) {
	roles, err := t.roleSet()
	if err != nil {
		return false, false, err
	}
	for _, role := range roles.administrators() {
		err := t.visit(userRecords.indexBucket(), indexPrefix(roleScope(role), byCreated), func(_, id []byte) (more bool, err error) {
			u, err := userRecords.get(t, string(id))
			if err == nil && !u.Disabled {
				exists = true
				canSignIn = canSignIn || u.Password != ""
			}
			return !canSignIn, err
		})
		if err != nil || canSignIn {
			return exists, canSignIn, err
		}
	}
	return exists, canSignIn, nil
}

// SetupRequired tells whether no enabled administrator can sign in.
func (s *Store) SetupRequired(ctx context.Context) (required bool, err error) {
	err = s.view(ctx, func(t *txn) error {
		_, can, err := t.anyAdministrator()
		required = !can
		return err
	})
	return required, err
}
