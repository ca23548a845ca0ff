package db

import (
	"slices"
	"strings"
)

// actions is every word that an entry of the log can have as its action, in
// order. A test holds it to what the source writes.
var actions = []string{
	"access.refused",
	"audit.export",
	ActionLeftOut,
	"audit.prune",
	"gate.enter",
	"key.rotate",
	"passkey.copied", "passkey.create", "passkey.delete", "passkey.update",
	"recovery_code.create", "recovery_code.use",
	"role.create", "role.delete", "role.update",
	"session.evict", "session.login", "session.logout", "session.prove", "session.renew", "session.revoke",
	"setup.initialize",
	"store.create", "store.repair", "store.upgrade",
	"system.backup", "system.backup_broken",
	"token.create", "token.delete", "token.evict", "token.rotate", "token.rotate_begin", "token.rotate_undo", "token.update", "token.use",
	"totp.create", "totp.delete",
	"user.create", "user.delete", "user.disable", "user.enable", "user.password", "user.reset_second_factor", "user.unlock", "user.update",
}

// Actions returns every action that the audit log knows, sorted.
func Actions() []string { return slices.Clone(actions) }

// maxNear is how far from an action a word may be to be taken for it mistyped.
const maxNear = 3

// checkAction refuses a word that no entry can have as its action, and names
// the one that was probably meant: of a list that is asked for it, nothing is
// no answer.
func checkAction(action string) error {
	if action == "" || slices.Contains(actions, action) {
		return nil
	}
	what := "there is no action " + shortened(action) + "."
	if near := nearAction(action); near != "" {
		what = strings.TrimSuffix(what, ".") + "; did you mean " + near + "?"
	}
	return fail(ErrInvalid, "unknown_action", what+" The actions are "+strings.Join(actionsLike(action), ", "))
}

// nearAction returns the action that a word is most like; "" where it is like
// none.
func nearAction(word string) (near string) {
	least := maxNear + 1
	for _, a := range actions {
		if len(word) > 64 {
			break
		}
		if d := Distance(strings.ToLower(word), a); d < least {
			near, least = a, d
		}
	}
	return near
}

// actionsLike returns the actions of the noun that a word is or begins with;
// all, where there are none of it.
func actionsLike(word string) []string {
	noun, _, _ := strings.Cut(word, ".")
	var of []string
	for _, a := range actions {
		if strings.HasPrefix(a, noun+".") {
			of = append(of, a)
		}
	}
	if len(of) == 0 {
		return actions
	}
	return of
}

// shortened is what of a word that somebody typed an answer repeats.
func shortened(word string) string {
	if r := []rune(word); len(r) > 40 {
		word = string(r[:40]) + "…"
	}
	return inPlainText(word)
}
