package story

import (
	"cmp"
	"regexp"
	"strings"

	"husk/web/api"
)

const refused = "refused"

// act is what an entry means. In its texts {who} is who did it and {what} the name
// of what it was done to; what stands in brackets is left out where that has none.
type act struct {
	did  string
	why  string // it was refused
	next []Step // for administrators; in a command {id} is the target, {name} its name and {who} who asked
	ask  string // for others, who have an administrator do it; "": nothing can be done
}

// done are the acts by their actions.
var done = map[string]act{
	"audit.export":         {did: "{who} read the whole audit log"},
	"audit.prune":          {did: "old entries of the audit log were removed, as it is set[: {what}]"},
	"gate.enter":           {did: "{who} signed in to an application[: {what}]"},
	"key.rotate":           {did: "{who} replaced the signing key"},
	"passkey.copied":       {did: "a passkey[ of {what}] was refused, since it may be a copy"},
	"passkey.create":       {did: "{who} set up a passkey"},
	"passkey.delete":       {did: "{who} removed a passkey"},
	"passkey.update":       {did: "{who} gave a passkey another name"},
	"recovery_code.create": {did: "{who} made new recovery codes"},
	"recovery_code.use":    {did: "{who} used a recovery code"},
	"role.create":          {did: "{who} made the role[ {what}]"},
	"role.delete":          {did: "{who} removed the role[ {what}]"},
	"role.update":          {did: "{who} changed the role[ {what}]"},
	"session.evict":        {did: "the session that was unused the longest[, of {what},] ended to make room"},
	"session.login":        {did: "{who} signed in"},
	"session.logout":       {did: "{who} signed out"},
	"session.renew":        {did: "{who} went on with a new session"},
	"session.revoke":       {did: "{who} ended sessions[ of {what}]"},
	"setup.initialize":     {did: "the first administrator[, {what},] was made"},
	"store.create":         {did: "the store was made"},
	"store.repair":         {did: "the store was repaired after damage[: {what}]"},
	"store.upgrade":        {did: "the store was upgraded[: {what}]"},
	"system.backup":        {did: "{who} took a backup of everything[: {what}]"},
	"system.backup_broken": {did: "a backup that {who} took broke off[: {what}]"},
	"token.create":         {did: "{who} made the API token[ {what}]"},
	"token.delete":         {did: "{who} revoked the API token[ {what}]"},
	"token.evict":          {did: "the API token[ {what}], which had expired, was removed to make room"},
	"token.rotate":         {did: "{who} replaced the secret of the API token[ {what}]"},
	"token.rotate_begin":   {did: "{who} began to replace the secret of the API token[ {what}]"},
	"token.rotate_undo":    {did: "{who} left the API token[ {what}] its old secret"},
	"token.update":         {did: "{who} changed the API token[ {what}]"},
	"token.use": {did: "the API token[ {what}] was used from an address that it had not been used from",
		next: []Step{{"if its owner does not know that address, revoke it", "husk token revoke {id}", PlaceRevoke}},
		ask:  "if its owner does not know that address, they or an administrator should revoke it"},
	"totp.create":              {did: "{who} set up an authenticator app"},
	"totp.delete":              {did: "{who} removed an authenticator app"},
	"user.create":              {did: "{who} made the user[ {what}]"},
	"user.delete":              {did: "{who} removed the user[ {what}]"},
	"user.disable":             {did: "{who} disabled the user[ {what}]"},
	"user.enable":              {did: "{who} enabled the user[ {what}]"},
	"user.password":            {did: "{who} set the password[ of {what}]"},
	"user.reset_second_factor": {did: "{who} reset the second factor[ of {what}]"},
	"user.unlock":              {did: "{who} let[ {what}] try to sign in again at once"},
	"user.update":              {did: "{who} changed the user[ {what}]"},
}

// denied are what was refused, by their actions.
var denied = map[string]act{
	"access.refused": {did: "{who} was refused what they have no right to", why: "it needs[ {what}], which the credential of the one who asked does not have",
		next: []Step{{"see which roles they have; a limited token has less", "husk user show {who}", PlaceActor}, {"see which roles there are, and what they grant", "husk role list", PlaceRoles}},
		ask:  "if they need it, an administrator can give them a role that grants it"},
	"audit.left_out": {did: "more was refused on one day[, {what},] than the audit log has entries of", why: "strangers asked so often that only their number was written down"},
	"gate.enter": {did: "{who} was not let in[ to {what}]", why: "no rule of the gate lets them in there",
		next: []Step{{"see what the rules make of it", "husk rule test --url https://{id}/ --user {who}", PlaceRules}, {"see which roles they have", "husk user show {who}", PlaceActor}},
		ask:  "if they should be let in, an administrator can give them a role that the rules ask for"},
	"session.login": {did: "a sign-in[ as {what}] was refused", why: "the password or the code was wrong, nobody who may sign in is called so, or too many tries had failed before: which of them a sign-in does not tell",
		next: []Step{{"see whether they are disabled or have to wait", "husk user show {name}", PlaceUser}, {"give them a new password", "husk passwd {name}", PlacePassword}},
		ask:  "if it was they themselves, they can try again, after a wait where one was told; an administrator can give them a new password"},
	"session.prove": {did: "{who} could not prove who they are", why: "the password or the code was wrong, or too many tries had failed before",
		next: []Step{{"if they have forgotten it, give them a new one", "husk passwd {who}", PlaceActorPassword}},
		ask:  "they can try again, after a wait where one was told; an administrator can give them a new password"},
	"setup.initialize": {did: "somebody tried to make the first administrator", why: "the set-up code was wrong, or too many tries had failed before",
		next: []Step{{"the server prints the code when it starts; it is a new one each time", "", ""}},
		ask:  "who runs the server finds the code where it was started"},
	"token.use": {did: "the API token[ {what}] was refused", why: "it was shown where it is not good: it is limited to addresses, or to what is behind the gate",
		next: []Step{{"see what it is limited to", "husk token show {id}", PlaceToken}, {"if its owner does not know of that, somebody else has its secret: revoke it", "husk token revoke {id}", PlaceRevoke}},
		ask:  "if its owner does not know of that, somebody else has its secret: they or an administrator should revoke it"},
	"user.password": {did: "a new password[ of {what}] was refused", why: "the old one was wrong, or too many tries had failed before",
		next: []Step{{"if they have forgotten it, give them a new one", "husk passwd {name}", PlacePassword}},
		ask:  "they can try again, after a wait where one was told; an administrator can give them a new password"},
}

// Knows tells whether there are words for an action.
func Knows(action string) bool {
	_, ok := done[action]
	_, no := denied[action]
	return ok || no
}

// actOf is what an entry means. Of an action that a newer server knows it is the
// action itself.
func actOf(e *api.AuditEvent) act {
	a := done[e.Action]
	if e.Result == refused {
		a = denied[e.Action]
	}
	if a.did == "" {
		a.did = "{who}: " + e.Action + "[ of {what}]"
	}
	return a
}

// say fills in a text. A name is put in last, and never looked at for a place to
// fill.
func say(text string, e *api.AuditEvent) string {
	what := cmp.Or(e.TargetName, e.Target)
	for before, rest, found := strings.Cut(text, "["); found; before, rest, found = strings.Cut(text, "[") {
		part, after, _ := strings.Cut(rest, "]")
		if what == "" {
			part = ""
		}
		text = before + part + after
	}
	return strings.NewReplacer("{who}", cmp.Or(e.ActorName, e.Actor, "somebody"), "{what}", what).Replace(text)
}

// plainWord is what stands in a command as it is, whatever shell reads it.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@._-]*$`)

// steps fills in the commands. What is no plain word is left for who types it. Who is
// no administrator is told what one can do, and no command.
func (a act) steps(e *api.AuditEvent, administrator bool) (steps []Step) {
	if !administrator && a.ask != "" {
		return []Step{{Words: a.ask}}
	}
	if !administrator {
		return nil
	}
	word := func(text, instead string) string {
		if !plainWord.MatchString(text) {
			return instead
		}
		return text
	}
	fill := strings.NewReplacer("{id}", word(e.Target, "ID"), "{name}", word(cmp.Or(e.TargetName, e.Target), "EMAIL"), "{who}", word(cmp.Or(e.ActorName, e.Actor), "EMAIL"))
	for _, step := range a.next {
		step.Command = fill.Replace(step.Command)
		steps = append(steps, step)
	}
	return steps
}
