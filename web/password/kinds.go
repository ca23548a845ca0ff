package password

import (
	"regexp"
	"strings"
)

// otherKinds are the hashes that people have and that are not supported, by how they
// begin.
var otherKinds = []struct{ name, prefixes string }{
	{"MD5 (apr1)", "$apr1$"}, {"MD5 crypt", "$1$"}, {"MD5", "{MD5}"},
	{"SHA-1", "{SHA} sha1$"}, {"salted SHA-1", "{SSHA}"},
	{"SHA-256 crypt", "$5$"}, {"SHA-512 crypt", "$6$"},
	{"argon2i", "$argon2i$"}, {"argon2d", "$argon2d$"},
	{"bcrypt of a faulty version", "$2$ $2x$"},
	{"yescrypt", "$y$"}, {"gost-yescrypt", "$gy$"}, {"scrypt", "$7$ $s0$ $scrypt$ scrypt$"},
	{"PBKDF2", "$pbkdf2 pbkdf2_ {PBKDF2"},
}

// named is how a hash begins that says of which kind it is.
var named = regexp.MustCompile(`^(\$[A-Za-z0-9-]{1,20}\$|\{[A-Za-z0-9-]{1,20}\})`)

// OtherKind names the kind of what a file of passwords has for a hash and Valid refuses
// for its kind, for the person who imports it: by its name or, where that is not known,
// by how the hash begins, as {CRYPT} or $sha1$; "" where it is argon2id or bcrypt, well
// formed or not, or nothing that is known.
func OtherKind(encoded string) string {
	if kind := knownKind(encoded); kind != "" {
		return kind
	}
	switch kind := named.FindString(encoded); {
	case kind == phcPrefix, hasAnyPrefix(kind, bcryptPrefixes...):
		return ""
	case kind != "":
		return kind
	case len(encoded) == 13 && !strings.ContainsAny(encoded, "${}"):
		return "DES crypt"
	}
	return ""
}

// knownKind names one of otherKinds, or "".
func knownKind(encoded string) string {
	for _, k := range otherKinds {
		if hasAnyPrefix(encoded, strings.Fields(k.prefixes)...) {
			return k.name
		}
	}
	return ""
}

func notSupported(encoded string) string {
	if kind := knownKind(encoded); kind != "" {
		return kind + " is not supported, only argon2id and bcrypt are"
	}
	return "of no known kind, only argon2id and bcrypt are supported"
}
