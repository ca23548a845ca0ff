// Package api has the wire types of Husk's HTTP API and its one client, which
// the command line uses for every transport.
package api

import "time"

// Status answers what has nothing else to tell.
type Status struct {
	Status string `json:"status"` // "ok"
}

// SignedOut answers a sign-out.
type SignedOut struct {
	Status string `json:"status"`         // "ok"
	Note   string `json:"note,omitempty"` // where an API token was shown: that it goes on
}

// Profile answers GET /account/profile.
type Profile struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Email       string         `json:"email"`
	Roles       []string       `json:"roles"`
	Permissions []string       `json:"permissions"` // what this credential may do now, expanded
	Preferences map[string]any `json:"preferences"`
	ProvedUntil *time.Time     `json:"proved_until,omitempty"` // of a session whose password was shown lately: when that is fresh no more
	MustChange  bool           `json:"must_change,omitempty"`  // the password was generated, and is good for its change only

	// SecondFactor is of a session: "setup" where it may do nothing but set one up,
	// "proof" where one is set up, and to be proved first; "" else.
	SecondFactor string `json:"second_factor,omitempty"`

	// ProveBy is of a session in which none of the user's second factors was proved: by
	// which that can be done, since the password alone proves nothing there.
	ProveBy []string `json:"prove_by,omitempty"`

	// Notices are of a session: what happened to the second factor, and was not seen yet.
	Notices []FactorNotice `json:"notices,omitempty"`

	Administrator bool `json:"administrator,omitempty"` // this credential may do everything
}

// Result answers a change of one thing.
type Result struct {
	ID     string `json:"_id"`
	Result string `json:"result"` // "created", "updated" or "deleted"

	// KeptOut is what keeps a user from signing in who was just enabled, unlocked
	// or given a password: "disabled", "no_password" or "throttled"; absent where
	// nothing does.
	KeptOut string `json:"kept_out,omitempty"`
}

// Hit is one thing of a list.
type Hit[T any] struct {
	ID     string `json:"_id"`
	Source T      `json:"_source"`
}

// Found answers the read of one thing.
type Found[T any] struct {
	ID     string `json:"_id"`
	Found  bool   `json:"found"`
	Source T      `json:"_source"`
}

// Search is the envelope of a list.
type Search[T any] struct {
	Took int64   `json:"took"` // milliseconds
	Hits Hits[T] `json:"hits"`
}

// Hits is one page of a list.
type Hits[T any] struct {
	Total    Total    `json:"total"`
	MaxScore float64  `json:"max_score"`
	Hits     []Hit[T] `json:"hits"`
	After    string   `json:"after,omitempty"` // cursor of the next page, where this one is full
}

// Total tells how many things are on all pages.
type Total struct {
	Value    int64  `json:"value"`
	Relation string `json:"relation"` // "eq", or "gte" where counting stopped
}

// ListOptions asks for a page of a list; the zero value is the first page.
type ListOptions struct {
	From   int
	Size   int    // 0: the server's default, 10
	Query  string // beginnings of words
	Sort   string // created, name, expire_in or ended, with :asc or :desc
	After  string // the cursor of the page before
	Filter map[string]string
}

// NewToken is the body of POST /auth/access_token; all of it is optional.
type NewToken struct {
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions,omitempty"` // none: the owner's
	ExpireIn    int64    `json:"expire_in,omitempty"`   // Unix seconds, -1 never, 0 the default
	AllowedIPs  []string `json:"allowed_ips,omitempty"` // CIDR
	Owner       string   `json:"owner,omitempty"`       // id or email

	// With any of these the token is good behind the gate alone. *.NAME stands for one
	// label; /a names itself and what is under it, /a/ only that; GET covers HEAD.
	AllowedHosts   []string `json:"allowed_hosts,omitempty"`
	AllowedPaths   []string `json:"allowed_paths,omitempty"`
	AllowedMethods []string `json:"allowed_methods,omitempty"`
}

// TokenCreated answers the making of a token, and is the only time that the
// token is seen.
type TokenCreated struct {
	ID          string `json:"_id"`
	Name        string `json:"name"`
	AccessToken string `json:"access_token"`
	ExpireIn    int64  `json:"expire_in"`      // Unix seconds, -1 never
	Held        bool   `json:"held,omitempty"` // the rotation waits to be settled
	Status      string `json:"status"`
}

// Token is an API token as it is shown.
type Token struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Type        string   `json:"type"`         // "general"
	AccessToken string   `json:"access_token"` // masked; of the id only
	Permissions []string `json:"permissions"`
	ExpireIn    int64    `json:"expire_in"` // Unix seconds, -1 never
	AllowedIPs  []string `json:"allowed_ips"`
	// With any of the next three the token is good behind the gate alone.
	AllowedHosts   []string   `json:"allowed_hosts"`
	AllowedPaths   []string   `json:"allowed_paths"`
	AllowedMethods []string   `json:"allowed_methods"`
	Created        time.Time  `json:"created"`
	Updated        time.Time  `json:"updated"`
	LastUsed       *time.Time `json:"last_used"`
	LastIP         string     `json:"last_ip"`
	Owner          string     `json:"owner"`                    // the user's id
	OwnerName      string     `json:"owner_name"`               // the email, or the single user's id
	OwnerDisabled  bool       `json:"owner_disabled,omitempty"` // the token is refused as long as the user is disabled

	Previous *PreviousSecret `json:"previous,omitempty"` // while a rotation is in its time of grace
	Next     *NextSecret     `json:"next,omitempty"`     // while a rotation was begun and is not settled
}

// TokenUpdate is the body of PUT /auth/access_token/:id.
type TokenUpdate struct {
	Name        string    `json:"name"`
	Description *string   `json:"description,omitempty"`
	Permissions []string  `json:"permissions,omitempty"` // none: as they are
	AllowedIPs  *[]string `json:"allowed_ips,omitempty"`

	// Absent: as they are; empty: all.
	AllowedHosts   *[]string `json:"allowed_hosts,omitempty"`
	AllowedPaths   *[]string `json:"allowed_paths,omitempty"`
	AllowedMethods *[]string `json:"allowed_methods,omitempty"`
}

// TokenCheck is the body of POST /auth/access_token/_check.
type TokenCheck struct {
	AccessToken string `json:"access_token"`
}

// TokenWorth answers POST /auth/access_token/_check.
type TokenWorth struct {
	ID string `json:"_id"`
	Introspection

	// Of a valid one: with any of these it is good behind the gate alone.
	AllowedHosts   []string `json:"allowed_hosts,omitempty"`
	AllowedPaths   []string `json:"allowed_paths,omitempty"`
	AllowedMethods []string `json:"allowed_methods,omitempty"`
}

// Introspection is what a credential is worth now.
type Introspection struct {
	Valid       bool     `json:"valid"`
	Code        string   `json:"code,omitempty"`   // where it is not: "expired", "replaced", "address", "owner_disabled" or "owner_deleted"
	Reason      string   `json:"reason,omitempty"` // the same for people
	Permissions []string `json:"permissions"`      // what it may do, expanded; none where it is refused
}

// NewUser is the body of POST /security/user.
type NewUser struct {
	Name       string   `json:"name,omitempty"`
	Email      string   `json:"email"`
	Roles      []string `json:"roles,omitempty"`
	Password   string   `json:"password,omitempty"`    // absent: one is generated
	NoPassword bool     `json:"no_password,omitempty"` // can't sign in, may own tokens
}

// User is a user as it is shown.
type User struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Email     string     `json:"email"`
	Roles     []string   `json:"roles"`
	Disabled  bool       `json:"disabled"`
	Created   time.Time  `json:"created"`
	Updated   time.Time  `json:"updated"`
	LastLogin *time.Time `json:"last_login"`

	SecondFactor []string `json:"second_factor"` // what is set up: passkey, totp

	// Throttled is until when sign-ins of this account are refused, after too
	// many wrong passwords; absent where they are not.
	Throttled *time.Time `json:"throttled,omitempty"`

	// CodeClockOff is read alone: by how many seconds the program that makes the user's
	// codes seems to be ahead of the server, by a wrong code of the last day that is right
	// for another time; absent where there was none since the last good one.
	CodeClockOff int64 `json:"code_clock_off,omitempty"`

	Above bool `json:"above,omitempty"` // read alone: they may do more than this credential, which can't change them
}

// UserCreated answers the making of a user.
type UserCreated struct {
	Result
	User
	Password string `json:"password,omitempty"` // where one was generated; shown once
}

// UserUpdate is the body of PUT /security/user/:id; what is absent stays.
type UserUpdate struct {
	Name     *string   `json:"name,omitempty"`
	Email    *string   `json:"email,omitempty"`
	Roles    *[]string `json:"roles,omitempty"`
	Password *string   `json:"password,omitempty"`
	Disabled *bool     `json:"disabled,omitempty"`

	// GeneratePassword makes a new password, which has to be changed at the next
	// sign-in; excludes password.
	GeneratePassword bool `json:"generate_password,omitempty"`
}

// UserUpdated answers the change of a user.
type UserUpdated struct {
	Result
	Password string `json:"password,omitempty"` // where one was generated; shown once
}

// Health answers GET /health.
type Health struct {
	Status  string `json:"status"` // "green", "yellow" or "red"
	Version string `json:"version"`
	Uptime  int64  `json:"uptime"` // seconds
}

// HealthDetails answers GET /system/health. It names nobody.
type HealthDetails struct {
	Health
	Warnings       []Warning  `json:"warnings"`
	Writable       string     `json:"writable"` // "yes", "no", or "unknown" where no server runs
	Users          int64      `json:"users"`
	Tokens         int64      `json:"tokens"`
	TokensExpiring int        `json:"tokens_expiring"` // within 30 days
	Sessions       int64      `json:"sessions"`
	StoreBytes     int64      `json:"store_bytes"`
	FreeBytes      int64      `json:"store_free_bytes"`      // of them, for the next writes
	LastBackup     *time.Time `json:"last_backup,omitempty"` // when the newest scheduled backup was made
	CertExpires    *time.Time `json:"certificate_expires,omitempty"`
}

// Warning is something that needs attention.
type Warning struct {
	Code   string            `json:"code"` // a stable word
	Text   string            `json:"text"`
	Values map[string]string `json:"values,omitempty"` // what Text tells besides, by name: times (RFC 3339), numbers, words
}

// Ready answers GET /readyz.
type Ready struct {
	Status   string   `json:"status"` // "ok"
	Warnings []string `json:"warnings"`
}

// Session is a sign-in as it is shown.
type Session struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	UserName  string    `json:"user_name"` // the email, or the single user's id
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	LastSeen  time.Time `json:"last_seen"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent"`
	Current   bool      `json:"current"` // it is the one that asks

	// Methods are how it was made, and what was proved in it since: password, totp,
	// passkey, recovery. Proved is when any of them last was, SecondFactor when one of
	// the last three was.
	Methods      []string   `json:"methods"`
	Proved       *time.Time `json:"proved,omitempty"`
	SecondFactor *time.Time `json:"second_factor,omitempty"`
}

// SessionDetails is a sign-in with what it is worth.
type SessionDetails struct {
	Session
	Introspection
	MustChange bool `json:"must_change"` // the password was generated: until it is changed it may do no more than that

	// WantsFactor is "setup" where it may do nothing but set up a second factor, which a
	// role requires, "proof" where it may do nothing but prove the one that is set up.
	WantsFactor string `json:"wants_second_factor,omitempty"`

	Above bool `json:"above,omitempty"` // its user may do more than the credential that asks, which can't end it
}

// Ended answers the end of several sessions.
type Ended struct {
	Result string `json:"result"` // "deleted"
	Count  int    `json:"count"`
}

// Rotate is the body of POST /auth/access_token/:id/_rotate; all of it is
// optional.
type Rotate struct {
	Grace    string `json:"grace,omitempty"`     // how long the old secret stays valid, such as 24h
	ExpireIn int64  `json:"expire_in,omitempty"` // Unix seconds, -1 never, 0 a life as long as the old one
	Hold     bool   `json:"hold,omitempty"`      // the old secret stays all that it is until the rotation is settled
}

// Settle is the body of POST /auth/access_token/:id/_settle.
type Settle struct {
	AccessToken string `json:"access_token"`    // the new secret: who has it may settle
	Grace       string `json:"grace,omitempty"` // how long the old secret stays valid, such as 24h
	Undo        bool   `json:"undo,omitempty"`  // the new secret ends, not the old one
}

// PreviousSecret tells of a replaced secret that is still valid.
type PreviousSecret struct {
	Ends     int64      `json:"ends"`      // Unix seconds
	LastUsed *time.Time `json:"last_used"` // since the rotation
}

// NextSecret tells of the new secret of a rotation that was begun and is not
// settled: it and the old one are valid.
type NextSecret struct {
	Made time.Time `json:"made"`
	Ends int64     `json:"ends"` // of the token once it is settled: Unix seconds, -1 never
}

// Key is a signing key without its secret.
type Key struct {
	ID      string     `json:"id"` // the kid
	Signing bool       `json:"signing"`
	Created time.Time  `json:"created"`
	Retired *time.Time `json:"retired"` // it signs no more since
	Ends    *time.Time `json:"ends"`    // it verifies nothing any more from
}

// RotateKey is the body of POST /security/key/_rotate.
type RotateKey struct {
	Now bool `json:"now,omitempty"` // the keys before it verify nothing any more: every session ends
}

// Grants are what a role grants.
type Grants struct {
	Permissions []string `json:"permissions"`
}

// Role is a role as it is shown. Its id is its name.
type Role struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Grants      Grants    `json:"grants"`
	Created     time.Time `json:"created"`
	Builtin     bool      `json:"builtin"`

	// RequireSecondFactor has sessions of who holds it do nothing but set up a second
	// factor, while none was proved in them.
	RequireSecondFactor bool `json:"require_second_factor"`
}

// RoleChange is the body of POST /security/role, and of PUT for a role: there
// what is absent stays, and empty permissions do too.
type RoleChange struct {
	Name          string  `json:"name,omitempty"`
	Description   *string `json:"description,omitempty"`
	Grants        *Grants `json:"grants,omitempty"`
	NoPermissions bool    `json:"no_permissions,omitempty"` // it grants nothing any more; excludes permissions

	RequireSecondFactor *bool `json:"require_second_factor,omitempty"` // the one thing that a built-in role may have changed
}

// Rule is an access rule of the gate. The first that fits a request decides; host,
// path, methods and from say which requests those are, and empty ones fit all.
type Rule struct {
	Number       int      `json:"number"`        // from 1, in the order in which they are asked
	Line         int      `json:"line"`          // of the configuration file; 0: of none
	Host         string   `json:"host"`          // a name, an address, *.NAME for one label, or * for any host
	Path         string   `json:"path"`          // itself and what is under it
	Methods      []string `json:"methods"`       // GET is HEAD too
	From         []string `json:"from"`          // addresses and CIDR prefixes of clients
	Require      []string `json:"require"`       // one of them: a permission, role:NAME, user:EMAIL, any or public
	Ungranted    []string `json:"ungranted"`     // permissions of require that no role grants, and roles that there are not
	SecondFactor bool     `json:"second_factor"` // of sessions
	Preflight    bool     `json:"preflight"`     // a CORS preflight needs no credential
	Upstream     string   `json:"upstream"`      // URL of the application, where Husk is its reverse proxy; else empty
}

// RuleTest is the body of POST /security/rule/_test: what is asked for, and by whom.
type RuleTest struct {
	URL         string `json:"url"`                    // with scheme and host
	Method      string `json:"method,omitempty"`       // absent: GET
	User        string `json:"user,omitempty"`         // id or email: as if with a session
	AccessToken string `json:"access_token,omitempty"` // or by this API token; neither: nobody is signed in
	From        string `json:"from,omitempty"`         // address of the client; absent: not known, and no from fits
}

// RuleTested answers POST /security/rule/_test.
type RuleTested struct {
	Status   int    `json:"status"`   // that forward-auth answers a program: 200, 400, 401 or 403
	Decision string `json:"decision"` // "allowed" or "refused"
	Rule     int    `json:"rule"`     // number of the rule that decided; 0: none did
	Line     int    `json:"line"`     // where it stands in the configuration file; 0: nowhere
	Why      string `json:"why"`      // what fits, or what is missing, for people

	Reasons []RuleReason `json:"reasons"` // the same, one by one
}

// RuleReason is one of the reasons why a request is let in or refused.
type RuleReason struct {
	Code string `json:"code"`           // a stable word
	Text string `json:"text"`           // for people
	Word string `json:"word,omitempty"` // of what the rule requires, that it is about
}

// Permission is a permission key and its parts.
type Permission struct {
	ID       string `json:"id"` // category#resource/action
	Category string `json:"category"`
	Resource string `json:"resource"`
	Action   string `json:"action"`

	Description string `json:"description"` // what it allows; empty for those that only a role names
}

// Principal is somebody whom rights can be given to.
type Principal struct {
	ID          string `json:"id"`
	Type        string `json:"type"` // "user"
	Name        string `json:"name"`
	Description string `json:"description"` // the email
}

// AuditEvent is one entry of the audit log.
type AuditEvent struct {
	Seq        uint64    `json:"seq"`
	Time       time.Time `json:"time"`
	Actor      string    `json:"actor"`
	ActorName  string    `json:"actor_name"`
	Transport  string    `json:"transport"` // "http", "socket" or "offline"; empty for the server's own acts
	Address    string    `json:"address"`
	Action     string    `json:"action"`
	Target     string    `json:"target"`
	TargetName string    `json:"target_name,omitempty"` // that it had at the time: a user's email, a token's name, of a session its user's; absent where it is the id
	Result     string    `json:"result"`                // "ok" or "refused"
	RequestID  string    `json:"request_id"`
	Count      int       `json:"count"`       // of acts that were folded into the entry
	PrevChange string    `json:"prev_change"` // hex SHA-256 of the newest entry before that is no refusal of a stranger
	Prev       string    `json:"prev"`        // hex SHA-256 of the entry before
}

// AuditHead answers GET /security/audit/_head.
type AuditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // hex SHA-256 of the newest entry
}

// AuditVerdict answers GET /security/audit/_verify.
type AuditVerdict struct {
	OK       bool           `json:"ok"`
	Entries  int64          `json:"entries"`
	First    uint64         `json:"first"`
	Last     uint64         `json:"last"`
	Head     string         `json:"head"`
	Kept     string         `json:"kept"`     // what became of the entry whose hash was given: "present"; "pruned", by retention; "forgotten", pruned so long ago that its hash can't be compared; "lost", to damage before a repair; "absent", which is a problem; empty where none was given
	Pruned   int64          `json:"pruned"`   // refusals of strangers that retention took out between first and last
	Problems []string       `json:"problems"` // each names a place
	Gaps     []string       `json:"gaps"`     // what damage took before a repair; the rest is whole all the same
	Findings []AuditFinding `json:"findings"` // the problems and gaps, with codes
	Unread   []AuditSpan    `json:"unread"`   // the places of problems and gaps, as far as they are missing or damaged
}

// AuditFinding is a problem or a gap in the audit log.
type AuditFinding struct {
	Code string `json:"code"` // "lost" is a gap, all others are problems
	Text string `json:"text"` // the same in words
	From uint64 `json:"from"` // number of the first entry that it is about; 0: of none
	To   uint64 `json:"to"`   // of the last
}

// AuditSpan is a place in the audit log: the numbers of its first and last entry.
type AuditSpan struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// CheckReport answers GET /system/check.
type CheckReport struct {
	OK       bool     `json:"ok"`
	Records  int      `json:"records"`
	Problems []string `json:"problems"`
	Size     int64    `json:"size"`    // of the file, in bytes
	Free     int64    `json:"free"`    // of them, for the next writes
	Compact  bool     `json:"compact"` // husk compact would give back so much that it is worth a stop
}
