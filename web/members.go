package web

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"husk/db"
	"husk/web/api"
)

// Who asks for less than all and mistypes how, {"permission":[…]}, must not get
// all of it with a success. So a member that is none and is like one is refused,
// and named, for every body and form that is read: all of them pass here, and
// none has to ask for it. What is like nothing is ignored: clients send members
// of their own.

// alsoCalled is how other programs call what a member limits or grants: nobody
// who writes these means nothing by it. They are in plain form, see plainName.
var alsoCalled = map[string][]string{
	"permissions":     {"perms", "rights", "privileges", "scope", "scopes", "grant", "grants", "abilities"},
	"expire_in":       {"exp", "expiry", "expiration", "expirationdate", "expiresat", "expireat", "expireson", "ttl", "lifetime", "validuntil", "validfor", "notafter", "maxage"},
	"allowed_ips":     {"ip", "ips", "cidr", "cidrs", "addresses", "networks", "allowedaddresses", "allowedcidrs", "allowednetworks", "allowlist", "whitelist", "ipallowlist", "ipwhitelist"},
	"allowed_hosts":   {"host", "hosts", "hostname", "hostnames", "domain", "domains", "allowedhostnames", "alloweddomains"},
	"allowed_paths":   {"path", "paths", "prefix", "prefixes", "pathprefix", "pathprefixes", "allowedprefixes", "allowedurls"},
	"allowed_methods": {"method", "methods", "verbs", "httpmethods", "allowedverbs"},
	"roles":           {"group", "groups"},
	"disabled":        {"enable", "enabled", "active", "isactive", "inactive", "locked", "blocked"},
	"owner":           {"user", "userid", "username", "ownerid", "owneremail"},
	"email":           {"mail", "user", "username", "account"},
	"password":        {"pass", "pwd"},
	"no_password":     {"passwordless"},
	"password_hash":   {"hash", "password", "passhash"},
	"old_password":    {"password", "currentpassword"},
	"code":            {"codes", "totp", "otp", "mfa", "passcode", "totpcode", "otpcode", "mfacode", "onetimecode", "recoverycode", "secondfactor"},
	"grace":           {"graceperiod"},

	"require_second_factor": {"secondfactor", "secondfactorrequired", "requiremfa", "require2fa", "requiretotp", "mfarequired", "mfa", "2fa"},
}

// clientMembers are those that a known client sends, that are like a member and
// are none, in the form in which it sends them. The console's form of a role
// holds there what it also sends as grants.
var clientMembers = map[reflect.Type]map[string]func(value []byte) bool{
	reflect.TypeFor[api.RoleChange](): {"permission": func(value []byte) bool { return bytes.HasPrefix(value, []byte("{")) }},
}

// members are the names of what an object of a type has.
type members struct {
	types  map[string]reflect.Type            // by name
	names  []string                           // sorted
	inner  map[string]string                  // of members of members, and where they belong
	all    []string                           // names, and behind them those of inner
	client map[string]func(value []byte) bool // see clientMembers
}

var membersOf sync.Map // reflect.Type to *members

// typeMembers returns the members of a struct, or nil for what is none.
func typeMembers(t reflect.Type) *members {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := membersOf.Load(t); ok {
		return known.(*members)
	}
	m := &members{types: map[string]reflect.Type{}, inner: map[string]string{}, client: clientMembers[t]}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		m.types[name], m.names = f.Type, append(m.names, name)
		if within := typeMembers(f.Type); within != nil {
			for _, inner := range within.names {
				m.inner[inner] = name + "." + inner
			}
		}
	}
	slices.Sort(m.names)
	m.all = append(slices.Clip(m.names), slices.Sorted(maps.Keys(m.inner))...)
	membersOf.Store(t, m)
	return m
}

// checkMembers refuses an object for a value of type t that has a member which
// is like one of t's, or one of t's twice. It is well-formed JSON.
func checkMembers(object []byte, t reflect.Type, within string) error {
	known := typeMembers(t)
	if known == nil || !bytes.HasPrefix(object, []byte("{")) {
		return nil
	}
	in := json.NewDecoder(bytes.NewReader(object))
	_, _ = in.Token() // the brace
	seen := map[string]bool{}
	for in.More() {
		key, _ := in.Token()
		name, _ := key.(string)
		var value json.RawMessage
		if in.Decode(&value) != nil {
			return errNotJSON
		}
		inner, member := known.types[name]
		if !member {
			if err := known.refuseNear(name, within, value); err != nil {
				return err
			}
			continue
		}
		if seen[name] {
			return errTwice(within + name)
		}
		seen[name] = true
		if err := checkMembers(value, inner, within+name+"."); err != nil {
			return err
		}
	}
	return nil
}

// refuseNear refuses a name that is no member where it is like one.
func (m *members) refuseNear(name, within string, value []byte) error {
	if ofClient := m.client[name]; ofClient != nil && ofClient(value) {
		return nil
	}
	meant := nearest(name, m.all)
	if meant == "" {
		return nil
	}
	if !slices.Contains(m.names, meant) {
		meant = m.inner[meant]
	}
	return errNear(name, within+meant)
}

// checkFields is checkMembers for forms and query parameters, of which those in many may
// be there several times.
func checkFields(values url.Values, known, many []string) error {
	for name, all := range values {
		if slices.Contains(known, name) {
			if len(all) > 1 && !slices.Contains(many, name) {
				return errTwice(name)
			}
		} else if meant := nearest(name, known); meant != "" {
			return errNear(name, meant)
		}
	}
	return nil
}

// shownName is what of a body is told back: names alone, and of no other form.
var shownName = regexp.MustCompile(`^[A-Za-z_-]{1,40}$`)

func errNear(name, meant string) error {
	if !shownName.MatchString(name) {
		name = "a name like it"
	}
	return malformed("unknown_member", name+" is not known here, and "+meant+" is: write it so, or leave it out")
}

func errTwice(name string) error {
	return malformed("duplicate_member", name+" is there twice: say it once")
}

// maxNearName bounds what is compared, in bytes: no member is near that long.
const maxNearName = 40

// nearest returns the one of known that name is most like, or "".
func nearest(name string, known []string) (best string) {
	least := maxNearName
	for _, one := range known {
		if d := unlike(name, one); d < least {
			best, least = one, d
		}
	}
	return best
}

// unlike is how far a name is from one that is known: 0 where it is the same but
// for its spelling, maxNearName where it is not like it.
func unlike(name, one string) int {
	if strings.EqualFold(name, one) { // as encoding/json takes it
		return 0
	}
	if len(name) > maxNearName {
		return maxNearName
	}
	name, plain := plainName(name), plainName(one)
	const another = 3 // word for it: one letter off is nearer, two are farther
	switch d := distance(name, plain); {
	case d <= 1:
		return 2 * d
	case slices.Contains(alsoCalled[one], name) || shortens(name, plain):
		return another
	case d <= typos(plain):
		return 2 * d
	}
	return maxNearName
}

// distance is db.Distance where it can be small: a stranger's body has thousands
// of names, and most are of another length.
func distance(name, plain string) int {
	if off := max(len(name)-len(plain), len(plain)-len(name)); off > maxTypos {
		return off
	}
	return db.Distance(name, plain)
}

// between is what may stand between the words of a name. It is made once: that
// costs many times what it does.
var between = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// plainName is a name without what spellings differ in: case, and what stands
// between words.
func plainName(name string) string { return between.Replace(strings.ToLower(name)) }

// shortens tells whether name is the beginning of a longer one.
func shortens(name, whole string) bool {
	const enough = 6
	return len(name) >= enough && strings.HasPrefix(whole, name)
}

// maxTypos is how many letters a name may be off and still be like a long one.
const maxTypos = 2

// typos is how many letters a name may be off and still be like this one.
func typos(one string) int {
	const long = 7
	if len(one) < long {
		return 1
	}
	return maxTypos
}
