package web

import (
	"time"

	"husk/db"
	"husk/web/api"
)

// This file is what openapi.json says beyond what the code says by itself:
// needs come from the table of routes, schemas and their descriptions from the
// types of package api and their comments.

// operation describes one route.
type operation struct {
	id      string // the name of the method of api.Client, or one in withoutClient
	tag     string
	summary string
	about   string // more than fits into the summary

	named   string      // what the :id of the path is
	query   []parameter // words for those that it takes
	example any         // of a body
	also    []int       // statuses beyond those that follow from need, body and path
	ends    bool        // it takes a session where there is one, and needs none

	// What a typed function says by itself, of a raw one.
	answer   any               // of the type that is answered
	media    []string          // of the body; none: application/json
	line     bool              // the body is NDJSON; example is one line of it
	texts    map[string]string // an example of each other media type, which is text
	streamed string            // the answer is no JSON but of this media type
}

type parameter struct {
	name, about string
	schema      map[string]any // nil: what the type says
}

const (
	tagAccount  = "Account"
	tagTokens   = "API tokens"
	tagUsers    = "Users"
	tagRoles    = "Roles and permissions"
	tagSessions = "Sessions and keys"
	tagAudit    = "Audit"
	tagOAuth    = "OAuth"
	tagSystem   = "System"
)

// tags are in the order in which the page shows them.
var tags = []struct{ name, about string }{
	{tagAccount, "Sign in, sign out, and what concerns oneself."},
	{tagTokens, "Credentials for programs. A user sees and changes their own; an administrator everybody's."},
	{tagUsers, "Who can sign in."},
	{tagRoles, "What users may do."},
	{tagSessions, "Everybody's sign-ins, and the keys that sign them."},
	{tagAudit, "Who changed what: a log in which each entry has the hash of the one before it."},
	{tagOAuth, "For applications and API gateways, in the words of RFC 7662, 7009 and 8414."},
	{tagSystem, "Health, backup, and this description."},
}

var exampleUsedPasskey = api.PasskeyAnswer{State: "AAAAAGoN…", Credential: api.UsedPasskey{ID: "lZ1y…", RawID: "lZ1y…", Type: "public-key",
	Response: api.PasskeyAssertion{ClientDataJSON: "eyJ0…", AuthenticatorData: "SZYN…", Signature: "MEUC…", UserHandle: "Y29j…"}}}

const (
	formMedia   = "application/x-www-form-urlencoded"
	ndjsonMedia = "application/x-ndjson"

	tokenID = "The token's id, a UUID."
	userID  = "The user's id or email."
	roleID  = "The role's name."

	ownerAbout = "Whose tokens, by id or email; `*` is everybody's. For administrators. Absent: one's own."

	bearerToo = "An API token of who asks may come as `Authorization: Bearer`, too."

	passkeyID    = "The passkey's id, a UUID."
	passkeysHere = "409 `passkeys_unavailable` where browsers use none: they work at the hosts of https addresses of `--public-url`, and at localhost. "

	wrongCode   = "A wrong code counts like a failed sign-in. "
	proofNeeded = "Needs a fresh proof: see `POST /account/proof`."

	notLimited = "Not with a token that has an end, permissions or addresses of its own (`limited_credential`): what is made would outlive it."
)

// exampleTime is that of a notice.
var exampleTime = time.Date(2026, 5, 4, 7, 30, 0, 0, time.UTC)

// anyToken is an example of a form.
var anyToken = api.OAuthToken{Token: "1f7e5f0c-8d4b-4c1e-9a51-0d6a8f6f2b11_8zJ0aWc1vHkUq2mXn5sY7tRb4LdEo9pGfKi3wQxTjNyVu6ZhC"}

var (
	isTrue = map[string]any{"type": "string", "enum": []string{"true", "false"}}
	isText = map[string]any{"type": "string"}
)

func pointer[T any](v T) *T { return &v }

// search is one of the searches of the desktop program.
func search(what string) operation {
	return operation{id: what + "Search", tag: tagSystem, summary: "What the desktop program searches for (" + what + ")",
		about: "Husk has nothing of it. By the answer the program knows that the server is there, and by 401 that its token is good no more. A body, of at most 64 KiB, is not looked at.",
		query: listParameters[:2]}
}

// operations has an entry for every route that is not in htmlOnly, by method
// and path as the table of routes has them.
var operations = map[string]operation{
	"GET /health": {id: "Health", tag: tagSystem, summary: "How the server is",
		about: "It is 200 also when the server is not well: see `status`."},
	"GET /livez": {id: "live", tag: tagSystem, summary: "Whether the process answers"},
	"GET /readyz": {id: "ready", tag: tagSystem, summary: "Whether the store answers",
		about: "200 means that requests can be sent here.", also: []int{503}},
	"GET /openapi.json":        {id: "openAPI", tag: tagSystem, summary: "This description", answer: map[string]any{}},
	"GET /setting/application": {id: "Application", tag: tagSystem, summary: "What a console reads before anybody has signed in"},
	"GET /provider/_info":      {id: "provider", tag: tagSystem, summary: "What a desktop program reads of a server that it is pointed at"},
	"GET /_info":               {id: "info", tag: tagSystem, summary: "Name and version of what answers"},
	"GET /settings": {id: "settings", tag: tagSystem, summary: "What a console asks for its own settings",
		about: "Husk keeps none for it. The models are named so that it asks nobody for some."},
	"GET /_license/info":       {id: "license", tag: tagSystem, summary: "What a console shows of a licence", about: "There is none, and none is needed."},
	"POST /query/_search":      search("query"),
	"POST /datasource/_search": search("datasource"),
	"POST /mcp_server/_search": search("mcp_server"),
	"POST /assistant/_search":  search("assistant"),
	"GET /connector/_search":   search("connector"),
	"POST /setup/_initialize": {id: "Initialize", tag: tagAccount, summary: "Make the first administrator",
		about:   "With the set-up code that `husk serve` printed when it started. Without an email it is the single user who gets the password.",
		example: api.Setup{Name: "Ann", Email: "ann@example.com", Password: "four unrelated words here", Code: "k7wqm-3htpx-9zrbd"}, media: []string{"application/json", formMedia},
		also: []int{409, 429, 503}},
	"GET /system/health": {id: "HealthDetails", tag: tagSystem, summary: "How the server is, in detail, without naming anybody"},
	"GET /system/statistics": {id: "Statistics", tag: tagSystem, summary: "What was counted, by the hour or by the day",
		about: "For charts: each hour or day (UTC) of the span has all numbers, the last one those so far. They are kept for 48 hours and 400 days, written once a minute, and a server that is killed loses that minute.",
		query: []parameter{{"span", "How far back; 24h by default.", map[string]any{"type": "string", "enum": []string{"24h", "30d", "400d"}}}}},
	"GET /system/check": {id: "Check", tag: tagSystem, summary: "Walk the whole store and tell what does not fit"},
	"GET /system/backup": {id: "Backup", tag: tagSystem, summary: "A backup of the whole store",
		about:    "A tar of `manifest.json`, which tells versions, counts, size and SHA-256, and of `husk.db`. It is whole only where its end is there. The audit log has an entry of it before the first byte leaves.",
		query:    []parameter{{"to", "Where it goes, for the audit log. The command line on the machine itself is believed about it, and nobody else.", isText}},
		streamed: "application/x-tar", also: []int{507}},
	"GET /system/settings": {id: "Configuration", tag: tagSystem, summary: "The settings of the server, and where each comes from",
		about: "As they run: one that was changed in the file and needs a restart is told as before, and `waiting`. No secret is among them: files that hold some are named."},
	"GET /system/backup/_list": {id: "Backups", tag: tagSystem, summary: "The backups that the server keeps of itself",
		about: "Those in `backup-dir`, by schedule or asked for. Of each the manifest alone is read: a whole check is a restore."},
	"GET /system/backup/_file/:id": {id: "KeptBackup", tag: tagSystem, summary: "One of the backups that the server keeps, as it is", named: "The backup's name, as the list has it.",
		about:    "One that is encrypted stays so. The audit log has an entry of it before the first byte leaves.",
		streamed: "application/x-tar", also: []int{503, 507}},
	"POST /system/backup": {id: "MakeBackup", tag: tagSystem, summary: "Have the server make a backup of itself now, and keep it",
		about: "It is answered when that is whole and was read back, and is made to its end where who asked leaves. The newest three that were asked for are kept, beside those that are made by schedule. " +
			"One at a time (503), one a minute (`backup_just_made`); 409 `no_backup_dir` where the server has no folder for them.", also: []int{409, 429, 503}},

	"POST /account/login": {id: "Login", tag: tagAccount, summary: "Sign in with a password",
		about: "Without an email it is the single user, `coco-default-user`, who signs in, and by that name in the place of one. The answer has the JWT of a new session and sets it as a cookie too, " +
			"beside `husk_device`, by which the throttle knows the browser again and which opens nothing; a script of another origin is set none. " +
			"Why a sign-in failed is not told. A form may be sent instead of JSON; where `Accept` names text/html, a browser's form is answered with a redirect. " +
			"Who has a second factor sends its `code` along, or gets 403 `second_factor_required` with `methods` and, where the password was right, a `ticket`: sent with a code, for 5 minutes, it stands for email and password. With a ticket a wrong code is told as such (`wrong_code`, `code_used`, `ticket_ended`), else whatever is wrong is `login_failed`.",
		example: api.Login{Email: "ann@example.com", Password: "four unrelated words here"}, media: []string{"application/json", formMedia},
		answer: api.LoggedIn{}, also: []int{403, 429, 503}},
	"GET /account/logout": {id: "logoutByLink", tag: tagAccount, summary: "Sign out, by a link",
		about: "Like the POST. With a cookie it is refused unless the browser tells, by `Sec-Fetch-Site`, `Origin` or `Referer`, that a page of this server or the person asked.", also: []int{403}, ends: true},
	"POST /account/logout": {id: "Logout", tag: tagAccount, summary: "Sign out",
		about: "The session of each credential that is shown ends at once, everywhere, the cookie's too, and the cookie is cleared. 200 also where nobody was signed in. An API token stays as it is, and the answer says so.", ends: true},
	"GET /account/profile": {id: "Profile", tag: tagAccount, summary: "Who asks, and what they may do",
		about: "`permissions` are those of this credential, as they are now; to a browser, which shows its cookie, without `coco#system/read`, for which a console would offer settings that Husk has none of.", answer: api.Profile{}},
	"PUT /account/password": {id: "ChangePassword", tag: tagAccount, summary: "Change one's own password",
		about:   "All other sessions of the user end; API tokens stay. A wrong old password counts like a failed sign-in.",
		example: api.PasswordChange{OldPassword: "four unrelated words here", NewPassword: "and four quite different ones"},
		also:    []int{409, 429, 503}},
	"POST /account/proof": {id: "Prove", tag: tagAccount, summary: "Show one's password once more, or a code of one's second factor",
		about:   "For the session that asks. A proof is fresh for 10 minutes; a sign-in is one, and so is a change of the password. What changes a second factor needs one (`proof_required`): by the factor, where one is set up (`second_factor_required`). Consoles ask it before all that is grave. A wrong password or code counts like a failed sign-in.",
		example: api.Proof{Password: "four unrelated words here"}, also: []int{409, 429, 503}},
	"GET /account/applications": {id: "Applications", tag: tagAccount, summary: "What one may open behind the gate",
		about: "The hosts that the rules name in full, sorted, of which the gate would let one open the front page now, from where one asks; as a bare array. Scheme and port are those of Husk's own pages. Where a pattern leads is not known."},
	"GET /account/sessions":        {id: "OwnSessions", tag: tagAccount, summary: "One's own sessions"},
	"DELETE /account/sessions":     {id: "EndOtherSessions", tag: tagAccount, summary: "End all of one's own sessions but this one"},
	"DELETE /account/sessions/:id": {id: "EndOwnSession", tag: tagAccount, summary: "End one of one's own sessions", named: "The session's id."},

	"GET /account/second_factor": {id: "SecondFactor", tag: tagAccount, summary: "What one has besides the password"},
	"POST /account/second_factor/_seen": {id: "SeenNotices", tag: tagAccount, summary: "Forget what one was told of one's second factor",
		about: "All that happened up to a time, which is that of the newest that was shown.", example: api.SeenNotices{Until: exampleTime}},
	"POST /account/totp": {id: "BeginTOTP", tag: tagAccount, summary: "Make a secret for a program that shows codes",
		about: "It is seen this once, and waits until PUT confirms it by a code; until then one that was set up before stays good. SHA-1, six digits, 30 s (RFC 6238). " + proofNeeded},
	"PUT /account/totp": {id: "ConfirmTOTP", tag: tagAccount, summary: "Put the secret into use that waits, by its first code",
		about:   "The answer has ten new recovery codes, which are seen this once; those of before end. With the first factor all other sessions of the user end. " + wrongCode + proofNeeded,
		example: api.ConfirmTOTP{Code: "492039"}, also: []int{409, 429, 503}},
	"DELETE /account/totp": {id: "RemoveTOTP", tag: tagAccount, summary: "Remove the secret",
		about: "With the last factor the recovery codes end. " + proofNeeded, also: []int{404}},
	"GET /account/passkeys": {id: "Passkeys", tag: tagAccount, summary: "One's own passkeys",
		about: "As a bare array, the oldest first."},
	"GET /account/passkeys/:id": {id: "Passkey", tag: tagAccount, summary: "One of one's own passkeys", named: passkeyID},
	"PUT /account/passkeys/:id": {id: "RenamePasskey", tag: tagAccount, summary: "Rename a passkey", named: passkeyID,
		about: proofNeeded, example: api.PasskeyName{Name: "the key at home"}},
	"DELETE /account/passkeys/:id": {id: "RemovePasskey", tag: tagAccount, summary: "Remove a passkey", named: passkeyID,
		about: "With the last factor the recovery codes end. " + proofNeeded},
	"POST /account/passkeys/_begin": {id: "BeginPasskey", tag: tagAccount, summary: "Ask for what a browser makes a passkey of",
		about: "`publicKey` is for `PublicKeyCredential.parseCreationOptionsFromJSON` (WebAuthn Level 3). It is good for five minutes, and nothing is kept of it. " + passkeysHere + proofNeeded, also: []int{409}},
	"POST /account/passkeys/_finish": {id: "FinishPasskey", tag: tagAccount, summary: "Set up the passkey that a browser made",
		about:   "`credential` is what its `toJSON` makes. No attestation is looked at. Where no recovery code is left the answer has ten new ones, which are seen this once. With the first factor all other sessions of the user end. " + proofNeeded,
		example: api.PasskeySetUp{State: "AAAAAGoN…", Name: "the key at home", Credential: api.CreatedPasskey{ID: "lZ1y…", RawID: "lZ1y…", Type: "public-key", Response: api.PasskeyAttestation{ClientDataJSON: "eyJ0…", AttestationObject: "o2Nm…", Transports: []string{"usb"}}}}, also: []int{409, 503}},
	"POST /account/login/passkey/_begin": {id: "BeginPasskeyLogin", tag: tagAccount, summary: "Ask what a passkey has to sign for a sign-in",
		about:   "Without a ticket the passkey signs in alone, and its authenticator has to verify who uses it; with one, which a sign-in by a right password answers, it is the second factor. `publicKey` is for `PublicKeyCredential.parseRequestOptionsFromJSON`. 409 `no_passkey` where none is good at this host. " + passkeysHere,
		example: api.PasskeyBegin{}, also: []int{403, 409}},
	"POST /account/login/passkey/_finish": {id: "FinishPasskeyLogin", tag: tagAccount, summary: "Sign in by a passkey",
		about:   "An answer is good once, and a wrong one counts like a failed sign-in. The session and its cookie are those of any sign-in. 403 `passkey_copied` where the passkey's counter went back; its owner is told.",
		example: exampleUsedPasskey, also: []int{403, 429, 503}},
	"POST /account/proof/passkey/_begin": {id: "BeginPasskeyProof", tag: tagAccount, summary: "Ask what a passkey has to sign for a proof",
		about: "409 `no_passkey` where none of one's own is good at this host. " + passkeysHere, also: []int{409}},
	"POST /account/proof/passkey/_finish": {id: "FinishPasskeyProof", tag: tagAccount, summary: "Prove by a passkey that one still is who signed in",
		about: "As `POST /account/proof` does by a code.", example: exampleUsedPasskey, also: []int{409, 429, 503}},
	"POST /account/recovery_codes": {id: "NewRecoveryCodes", tag: tagAccount, summary: "Make ten new recovery codes",
		about: "They are seen this once, and each is good once; those of before end. 409 `no_second_factor` where there is none that they could stand in for. " + proofNeeded, also: []int{409, 503}},

	"POST /auth/access_token": {id: "CreateToken", tag: tagTokens, summary: "Make an API token",
		about:   "The only time that the token is seen. All members are optional, and so is the body. With a token, what it makes has no more rights, no more addresses, no wider reach and no later expiry than itself. A session needs a fresh proof for a token that has no end or lives longer than 366 days, that holds a permission by which one gets others, or that is another user's (`proof_required`; see `POST /account/proof`). With `allowed_hosts`, `allowed_paths` or `allowed_methods` it is good behind the gate alone, and the API refuses it. 429 with the code `too_many_tokens` where the owner has as many as one may.",
		example: api.NewToken{Name: "backup", Permissions: []string{"generic#system/backup"}, AllowedIPs: []string{"10.0.0.0/8"}}, also: []int{404}},
	"GET /auth/access_token/_search": {id: "SearchTokens", tag: tagTokens, summary: "List API tokens",
		about: "With `filter` or `address` no more than 1,000 tokens are looked at for a page: it may have fewer than `size`, or none, and there are more as long as there is `after`; then `total` is what is known of, with the relation `gte`. " +
			"`from` is not for it. `expiring` and `no_expiry` are found by the index by expiry, and sorted by `expire_in`; `unused` is sorted by `created`.",
		query: []parameter{
			{name: "owner", about: ownerAbout},
			{name: "filter", about: "`expiring`: ends within 30 days, the next one first. `unused`: was not used for 90 days; one that never was counts from when it was made. `never`: was never used. `no_expiry`: never ends.",
				schema: map[string]any{"type": "string", "enum": []string{db.TokensExpiring, db.TokensUnused, db.TokensNever, db.TokensNoExpiry}}},
			{name: "address", about: "An address or a CIDR prefix: was used from there, of the last 16 addresses of a token, or is limited to exactly that. Of the addresses of one IPv6 /64 the last one alone is remembered: ask for the /64."},
		}, also: []int{404}},
	"GET /auth/access_token/_ended": {id: "EndedTokens", tag: tagTokens, summary: "List API tokens that are gone, the last one first",
		about: "What was revoked, had expired and made room for another one, or went with its owner, for 90 days, the last thousand of each owner. Who did it is told that one, and those who may read the audit log. Sorted by `ended`; `query` is not looked at.",
		query: []parameter{{name: "owner", about: ownerAbout}}, also: []int{404}},
	"GET /auth/access_token/:id": {id: "GetToken", tag: tagTokens, summary: "Show an API token", named: tokenID},
	"PUT /auth/access_token/:id": {id: "UpdateToken", tag: tagTokens, summary: "Change an API token", named: tokenID,
		about:   "Expiry, owner and secret can't be changed. Of the lists of what it is limited to, one that is absent stays, and an empty one limits nothing.",
		example: api.TokenUpdate{Name: "nightly backup", Description: pointer("runs at 3 o'clock")}},
	"DELETE /auth/access_token/:id": {id: "DeleteToken", tag: tagTokens, summary: "Revoke an API token", named: tokenID,
		about: "It is refused from the next request on."},
	"POST /auth/access_token/_check": {id: "CheckToken", tag: tagTokens, summary: "What an API token is worth, and why it is refused",
		about:   "Of a token that one may see; others are 404 like those that are absent. Always 200 else: see `valid`. An address limit is held against the address that asks. Hosts, paths and methods are told with one that is valid: it is good behind the gate alone.",
		example: api.TokenCheck{AccessToken: "1f7e5f0c-8d4b-4c1e-9a51-0d6a8f6f2b11_8zJ0aWc1vHkUq2mXn5sY7tRb4LdEo9pGfKi3wQxTjNyVu6ZhC"}, also: []int{404}},
	"POST /auth/access_token/:id/_rotate": {id: "RotateToken", tag: tagTokens, summary: "Replace the secret of an API token", named: tokenID,
		about:   "Id, name, permissions and limits stay. The old secret is valid for the time of grace, which is none by default and ends with the token; a further rotation ends it at once. Where no end is asked, a session gives a life as long as the old one was, a token keeps the end. With `hold` both secrets are good until the rotation is settled, so that a new one that could not be kept costs nothing.",
		example: api.Rotate{Grace: "24h"}},
	"POST /auth/access_token/:id/_settle": {id: "SettleToken", tag: tagTokens, summary: "End a rotation that was begun with hold", named: tokenID,
		about:   "Whoever has kept the new secret shows it, and the old one ends, after the time of grace; with `undo` the new one ends instead. To settle what is settled changes nothing; where the rotation was undone, or another took its place, it is 409.",
		example: api.Settle{AccessToken: "1f7e5f0c-8d4b-4c1e-9a51-0d6a8f6f2b11_8zJ0aWc1vHkUq2mXn5sY7tRb4LdEo9pGfKi3wQxTjNyVu6ZhC", Grace: "24h"}, also: []int{409}},
	"GET /auth/access_token/:id/_usage": {id: "TokenUsage", tag: tagTokens, summary: "How often an API token was used, by the day", named: tokenID,
		about: "Of the last thirty days. Requests of the last half minute may be missing."},
	"POST /auth/request_access_token": {id: "requestToken", tag: tagTokens, summary: "Make an API token, as older clients ask",
		about: "Like `POST /auth/access_token`.", example: api.NewToken{Name: "backup"}, also: []int{404}},
	"GET /auth/access_token/_cat": {id: "catTokens", tag: tagTokens, summary: "One's own API tokens, as older clients ask",
		about: "The newest thousand, as a bare array; the others are listed by `_search`."},
	"POST /auth/access_token/:id/_rename": {id: "renameToken", tag: tagTokens, summary: "Rename an API token, as older clients ask", named: tokenID,
		about: "Like the PUT, of the name alone.", example: api.TokenUpdate{Name: "nightly backup"}},

	"GET /security/user/_search": {id: "SearchUsers", tag: tagUsers, summary: "List users",
		about: "With `role` no more than 1,000 users are counted for a page, and with `query` too, no more than 1,000 of those who have the role are looked at: the page may have fewer than `size`, or none, and there are more as long as there is `after`. " +
			"`from` is not for it, and `sort` is by `created`.",
		query: []parameter{{name: "role", about: "The name of a role: those who have it."}}, also: []int{404}},
	"POST /security/user": {id: "CreateUser", tag: tagUsers, summary: "Make a user",
		about:   "Without a password one is generated, shown once, and has to be changed at the first sign-in. With `no_password` the user can't sign in, but may own tokens. " + notLimited,
		example: api.NewUser{Email: "ann@example.com", Name: "Ann", Roles: []string{"user"}}, also: []int{409, 503}},
	"GET /security/user/:id": {id: "GetUser", tag: tagUsers, summary: "Show a user", named: userID},
	"PUT /security/user/:id": {id: "UpdateUser", tag: tagUsers, summary: "Change a user", named: userID,
		about: "Nobody grants what they do not have, changes who may do more than they may, or their own roles. A new password ends the user's sessions and device cookies; no API token sets one. One that is generated is shown once, and has to be changed at the next sign-in. " +
			"A token with an end, permissions or addresses of its own may rename and disable users and take roles from them, and nothing more (`limited_credential`).",
		example: api.UserUpdate{Name: pointer("Ann B."), Disabled: pointer(false)}, also: []int{409, 503}},
	"DELETE /security/user/:id": {id: "DeleteUser", tag: tagUsers, summary: "Remove a user", named: userID,
		about: "Their sessions and tokens end with them. The last administrator can't be removed.", also: []int{409}},
	"POST /security/user/:id/_unlock": {id: "UnlockUser", tag: tagUsers, summary: "Let a throttled user try again at once",
		about: "The user's device cookies end, by which the throttle knows browsers again. The wait of an address that too many wrong passwords came from goes on.", named: userID},
	"DELETE /security/user/:id/second_factor": {id: "ResetSecondFactor", tag: tagUsers, summary: "Take a user all that they have besides the password", named: userID,
		about: "The way back for who lost it; one's own is not reset that way. Their sessions and device cookies end, and they are told at the next sign-in. 409 `no_second_factor` where there is nothing to take.", also: []int{409}},
	"POST /security/user/_import": {id: "ImportUsers", tag: tagUsers, summary: "Make many users",
		about: "NDJSON, an ImportUser a line, or the lines of an htpasswd file, at most 64 MiB. One faulty line changes nothing; its number is in `line` and in the reason. " +
			"Of an htpasswd file hashes of bcrypt and argon2id are taken over; a line with one of another kind is skipped, and told in `unsupported_lines`. " + notLimited,
		query: []parameter{
			{"format", "`ndjson`, as which it is read without this, or `htpasswd`: lines of `NAME:HASH`, sent as `text/plain`.", object{"type": "string", "enum": []string{api.FormatNDJSON, api.FormatHtpasswd}}},
			{"domain", "With `htpasswd`: what makes an email of a name that is none, such as `example.com`.", isText},
			{"role", "With `htpasswd`: a role that all of them get; may be repeated. Without one it is `user`.", object{"type": "array", "items": isText}},
			{"if_missing", "`true`: who is there already is left as they are.", isTrue},
			{"dry_run", "`true`: check and count only.", isTrue},
		},
		example: api.ImportUser{Email: "ann@example.com", Roles: []string{"user"}}, line: true,
		media: []string{ndjsonMedia, "application/jsonl", "application/json"}, texts: map[string]string{"text/plain": "ann:$2y$10$tsq4rj0Dc1E3Audye6AKs.4K0GwIsU42jzW5ahsTB0xB9.Kp3qJG.\n"}, answer: api.Imported{}, also: []int{409, 503}},
	"GET /security/principal/_search": {id: "SearchPrincipals", tag: tagUsers, summary: "List whom rights can be given to"},

	"GET /security/role/_search": {id: "SearchRoles", tag: tagRoles, summary: "List roles"},
	"POST /security/role": {id: "CreateRole", tag: tagRoles, summary: "Make a role",
		about: "Names are unique, whatever their case. In the categories `generic` and `coco` there are Husk's own permissions and those of a Coco Server, and nobody makes up others (`unknown_permission`); " +
			"all other categories are for the applications behind. " + notLimited,
		example: api.RoleChange{Name: "keeper", Description: pointer("makes backups"), Grants: &api.Grants{Permissions: []string{"generic#system/backup"}}}, also: []int{409}},
	"GET /security/role/:id": {id: "GetRole", tag: tagRoles, summary: "Show a role", named: roleID},
	"PUT /security/role/:id": {id: "UpdateRole", tag: tagRoles, summary: "Change a role", named: roleID,
		about: "What is absent stays, and empty permissions leave those that are there: `no_permissions` takes the last. It takes effect at the next request of those who have the role. A built-in role can't be changed. " +
			"A token with an end, permissions or addresses of its own only takes from it (`limited_credential`).",
		example: api.RoleChange{Grants: &api.Grants{Permissions: []string{"generic#system/backup"}}}, also: []int{409}},
	"DELETE /security/role/:id": {id: "DeleteRole", tag: tagRoles, summary: "Remove a role", named: roleID,
		about: "One that nobody has: 409 `role_in_use` else.", also: []int{409}},
	"GET /security/permission": {id: "Permissions", tag: tagRoles, summary: "List permissions",
		about: "All that Husk asks for or a role names, as a bare array."},

	"GET /security/rule": {id: "Rules", tag: tagRoles, summary: "List the access rules of the gate",
		about: "In the order in which they are asked, as a bare array. They stand in the configuration file."},
	"POST /security/rule/_test": {id: "TestRule", tag: tagRoles, summary: "What the gate makes of a request",
		about:   "Without one, by the code that answers a proxy. `user` needs `generic#security:user/read` for others than oneself. Why a token is refused is told its owner and administrators. Nothing is used or noted as used.",
		example: api.RuleTest{URL: "https://wiki.example.com/edit", Method: "POST", User: "ann@example.com", From: "192.0.2.7"}, also: []int{404}},

	"GET /security/session/_search": {id: "SearchSessions", tag: tagSessions, summary: "List everybody's sessions",
		about: "With `address` no more than 1,000 sessions are looked at for a page: it may have fewer than `size`, or none, and there are more as long as there is `after`; then `total` is what is known of, with the relation `gte`.",
		query: []parameter{
			{name: "user", about: "Whose, by id or email."},
			{name: "address", about: "An address or a CIDR prefix: was begun or last used from there."},
		}, also: []int{404}},
	"GET /security/session/:id":    {id: "GetSession", tag: tagSessions, summary: "Show anybody's session, and what it may do", named: "The session's id."},
	"DELETE /security/session/:id": {id: "EndSession", tag: tagSessions, summary: "End anybody's session", named: "The session's id."},
	"DELETE /security/session": {id: "EndSessions", tag: tagSessions, summary: "End all sessions of a user",
		about: "Also the device cookies, by which the throttle knows the user's browsers again.",
		query: []parameter{{name: "user", about: "Whose, by id or email."}}, also: []int{404}},
	"GET /security/key/_search": {id: "SearchKeys", tag: tagSessions, summary: "List the signing keys, without their secrets"},
	"POST /security/key/_rotate": {id: "RotateKey", tag: tagSessions, summary: "Make a new signing key",
		about:   "The keys before it go on verifying until the last session that they signed has ended; with `now` they stop, and every session ends.",
		example: api.RotateKey{Now: true}},

	"POST /oauth/introspect": {id: "introspect", tag: tagOAuth, summary: "What a token is worth that somebody showed",
		about: "RFC 7662, of anybody's API token or session. Whatever is not good, or no token at all, is `{\"active\":false}` and nothing more. So is a token that is good from some addresses or for some requests alone, since who asks does not say where it was shown and what for, " +
			"and a session whose generated password is to be changed first. To ask is no use of the token. " + bearerToo,
		example: anyToken, media: []string{formMedia}, answer: api.OAuthIntrospection{}},
	"POST /oauth/revoke": {id: "revoke", tag: tagOAuth, summary: "End an own token or session that is shown in full",
		about: "RFC 7009. Whoever shows an own token may end it, whatever else they may. It is 200 also where there was nothing to end: what is unknown, another's, or no token at all. " +
			"Of a token that was rotated the old secret, in its time of grace, ends alone; so does the new one of a rotation that is not settled. " + bearerToo,
		example: anyToken, media: []string{formMedia}, answer: api.OAuthRevoked{}},
	"GET /.well-known/oauth-authorization-server": {id: "authorizationServer", tag: tagOAuth, summary: "Where introspection and revocation are",
		about: "RFC 8414. Husk hands out no tokens by OAuth, so there is no authorization and no token endpoint."},

	"GET /security/audit/_search": {id: "SearchAudit", tag: tagAudit, summary: "Read the audit log, the newest entry first",
		about: "An actor or a target is looked for by id, by the email that a user has now, and else by a name that the log knows, of who is gone too: a user's email, a token's name. " +
			"A name that nobody and nothing has or had is 404, an action or a result that there is not 400: an empty list would say that nothing was done. " +
			"With `result` or `address` no more than 1,000 entries are looked at for a page, of those that the other parameters have an index for: it may have fewer than `size`, or none, and there are more as long as there is `after`; then `total` is what is known of, with the relation `gte`. `from` is not for it.",
		query: []parameter{
			{name: "actor", about: "Who did it, by id or email."},
			{name: "action", about: "What was done, such as `token.create`; the refusal of another one lists them."},
			{name: "target", about: "To whom or what, by id, email or name."},
			{name: "request_id", about: "In the request whose answer had this `X-Request-Id`."},
			{name: "result", about: "What became of it.", schema: map[string]any{"type": "string", "enum": []string{db.ResultOK, db.ResultRefused}}},
			{name: "address", about: "An address or a CIDR prefix: came from there. What strangers from one IPv6 /64 were refused is one entry a minute, which has the /64: an address finds it, too. What came from too many to keep apart has `many`, and is found by none."},
			{name: "since", about: "From then on."}, {name: "until", about: "Before then."},
		}, also: []int{404}},
	"GET /security/audit/_export": {id: "ExportAudit", tag: tagAudit, summary: "The whole audit log, the oldest entry first",
		about: "NDJSON, an AuditEvent a line.", answer: api.AuditEvent{}, streamed: ndjsonMedia},
	"GET /security/audit/_verify": {id: "VerifyAudit", tag: tagAudit, summary: "Whether the chain of the audit log holds",
		about: "Always 200: see `ok`.",
		query: []parameter{{name: "head", about: "A hash that was noted earlier, in hex, alone or behind its entry's number and a colon: the log has to have an entry of it, or retention to have removed it."}}},
	"GET /security/audit/_head": {id: "AuditHead", tag: tagAudit, summary: "The newest entry's number and hash"},
}

// htmlOnly are the routes that answer browsers only, and so are not described.
var htmlOnly = map[string]bool{
	"GET /": true, "GET /setup": true, "GET /login": true,
	"GET /password": true, "POST /password": true,
	"GET /second-factor": true, "POST /second-factor": true, "POST /second-factor/totp": true, "POST /second-factor/totp/confirm": true, "POST /second-factor/codes/file": true,
	"POST /login/passkey": true, "POST /second-factor/passkey": true, "POST /second-factor/passkey/add": true, "POST /second-factor/passkey/prove": true,
	"GET /connect": true, "POST /connect": true, "GET /continue": true,
	"GET /assets/:name": true, "GET /favicon.ico": true,
	"GET /docs": true, "GET /docs/:name": true,
}

// withoutClient are the operations that api.Client has no method for, and why.
var withoutClient = map[string]string{
	"live":     "for what watches over the process",
	"ready":    "for what sends requests to the process",
	"openAPI":  "for tools that read OpenAPI",
	"provider": "for the desktop program",
	"info":     "for the desktop program",
	"settings": "for consoles, which read it by JavaScript",
	"license":  "for consoles, which read it by JavaScript",

	"querySearch": "for the desktop program", "datasourceSearch": "for the desktop program", "mcp_serverSearch": "for the desktop program",
	"assistantSearch": "for the desktop program", "connectorSearch": "for the desktop program",

	"logoutByLink":        "for links; Logout is the same",
	"introspect":          "for applications and API gateways",
	"revoke":              "for applications and API gateways",
	"authorizationServer": "for applications and API gateways",

	"requestToken": "for older clients; CreateToken is the same",
	"catTokens":    "for older clients; SearchTokens is the same",
	"renameToken":  "for older clients; UpdateToken is the same",
}

// values are the members of api's types that take one of a few words.
var values = map[string][]string{
	"Health.Status":       {"green", "yellow", "red"},
	"HealthStatus.Status": {"green", "yellow", "red"},
	"Settings.LoginMode":  {"single", "multi"},
	"Status.Status":       {"ok"},
	"Ready.Status":        {"ok"},
	"LoggedIn.Status":     {"ok"},
	"Proved.Status":       {"ok"},
	"TokenCreated.Status": {"ok"},
	"Result.Result":       {"created", "updated", "deleted"},
	"Ended.Result":        {"deleted"},
	"Total.Relation":      {"eq", "gte"},
	"Token.Type":          {"general"},
	"EndedToken.Reason":   {db.EndedRevoked, db.EndedExpired, db.EndedOwnerDeleted},

	"ConfigSetting.Source": {"flag", "env", "file", "default"},
	"ConfigSetting.Group":  {"command", "server", "gate"},
	"BackupFile.Manifest":  {"ok", "sealed", "bad", "unreadable"},

	"OAuthIntrospection.TokenType": {"Bearer"},

	"Introspection.Code":   {"expired", "replaced", "address", "owner_disabled", "owner_deleted"},
	"Principal.Type":       {"user"},
	"FactorNotice.Kind":    {db.NoticeWrongCode, db.NoticeRecoveryUsed, db.NoticeReset, db.NoticePasskeyCopy},
	"AuditEvent.Result":    {"ok", "refused"},
	"AuditFinding.Code":    db.AuditFindings(),
	"AuditEvent.Transport": {"http", "socket", "offline", ""},
}

// listParameters are what all lists take; empty ones count as absent.
var listParameters = []parameter{
	{"from", "How many to leave out at the beginning. `from` and `size` together are at most 10000; go on with `after`.", map[string]any{"type": "integer", "minimum": 0, "default": 0}},
	{"size", "How many at most.", map[string]any{"type": "integer", "minimum": 0, "maximum": 1000, "default": 10}},
	{"query", "Beginnings of words in name and email; case makes no difference.", isText},
	{"sort", "`created`, `name`, `expire_in` or `ended` where the list has it, with `:asc` or `:desc`.", map[string]any{"type": "string", "default": "created:desc"}},
	{"after", "The cursor of the page before this one.", isText},
}

// refusals tell when a status is answered, with an example.
var refusals = map[int]struct{ about, code, reason string }{
	400: {"The request is malformed: the reason tells what, and what is expected.", "bad_json", "the body is not one well-formed JSON object in UTF-8"},
	401: {"No credential, or one that is not valid: mistyped, expired, revoked, or its owner may not sign in.", errNoCredential.code, errNoCredential.reason},
	403: {"The sign-in failed, or who asks is known but may not do that.", "not_permitted", "that needs the permission generic#security:user/create"},
	404: {"There is no such thing, or it is not yours.", "not_found", "there is no such thing, or it is not yours"},
	409: {"That conflicts with what is there.", "email_taken", "another user has that email"},
	413: {"The body is too large: over 64 KiB, or 64 MiB of an import.", "body_too_large", "the body is over 64 KiB"},
	415: {"The body is of another type than is read here.", "content_type", "send the body as application/json, and say so in Content-Type"},
	421: {"The server listens on its own machine alone, and the `Host` that was asked for is not its own: neither an address, nor localhost, nor that of `--public-url`.", errMisdirected.code, errMisdirected.reason},
	429: {"Too many wrong passwords for this account or from this address (`throttled`), more changes in a minute than one user may make (`too_many_changes`), or more API tokens than one may have (`too_many_tokens`). Wait as long as Retry-After says.", "throttled", "too many wrong passwords; wait before the next try"},
	503: {"The server is busy. Try again as Retry-After says.", "busy", "too many passwords are being checked at once; try again in a moment"},
	507: {"The disk is full; nothing was changed.", "disk_full", "the disk is full: nothing was changed; free some space and try again"},
}

const aboutAPI = `Husk answers one question: who is asking, and may they?

**Credentials.** Send an API token as ` + "`X-API-TOKEN`" + `, or the JWT of a session as ` + "`Authorization: Bearer`" + `; a browser sends its session cookie by itself. A header decides where there is one; more than one is 400. An empty header and an ` + "`Authorization`" + ` of another scheme decide nothing. Of several session cookies the good one decides. Nothing is read from the query or the body.

**Errors** are ` + "`{\"status\", \"error\": {\"reason\", \"code\"}}`" + ` with the same HTTP status: the reason is for people, the code is a stable word for programs. Every success is 200. HEAD is GET without the body. An unknown path is 404, an unknown method 405 with ` + "`Allow`" + `; a collection is not listed by itself, and its reason names the ` + "`_search`" + ` that does it. Limits are told with their number.

**Reading and writing.** JSON in UTF-8, at most 64 KiB. Unknown members and parameters are ignored, unless they are like one that is read: then a body is 400 (` + "`unknown_member`" + `), and the reason names the one that is meant. Names are exact, and a member that is there twice is 400 (` + "`duplicate_member`" + `). What a GET shows can be sent back whole, and a role may have the ` + "`permission`" + ` object of the Coco console's form beside its grants. Every answer has an ` + "`X-Request-Id`" + `, which the server's log knows. Paths work with and without a slash at the end.`
