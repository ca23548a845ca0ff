package password

import (
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	bcryptLen     = 60 // $2b$, cost, $, 22 characters of salt, 31 of tag
	bcryptSaltAt  = 7
	bcryptTagAt   = 29
	bcryptMaxCost = 13 // more than half a second: more is a way to stop the server

	// bcryptMaxPassword is how many bytes of a password bcrypt looks at.
	bcryptMaxPassword = 72
)

// bcryptPrefixes are of the versions whose hashes are all the same.
var bcryptPrefixes = []string{"$2a$", "$2b$", "$2y$"}

// bcrypt64 is bcrypt's own base64 (Provos and Mazières, "A Future-Adaptable
// Password Scheme", 1999, as in OpenBSD).
var bcrypt64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcryptHash is an imported hash, kept as it came.
type bcryptHash string

// parseBcrypt checks what x/crypto/bcrypt does not: the whole length, every
// character and the ceiling. The salt's spare bits are not looked at, since
// makers of hashes differ there; the tag's must be zero or nothing can match.
func parseBcrypt(encoded string) (bcryptHash, error) {
	if len(encoded) != bcryptLen || encoded[6] != '$' {
		return "", damaged("bcrypt: not 60 characters of the form $2b$10$...")
	}
	cost, ok := bcryptCost(encoded[4:6])
	if !ok {
		return "", damaged("bcrypt: the cost is no number")
	}
	if cost < bcrypt.MinCost || cost > bcryptMaxCost {
		return "", damaged(fmt.Sprintf("bcrypt: the cost %d is not between %d and %d", cost, bcrypt.MinCost, bcryptMaxCost))
	}
	_, saltErr := bcrypt64.DecodeString(encoded[bcryptSaltAt:bcryptTagAt])
	_, tagErr := bcrypt64.Strict().DecodeString(encoded[bcryptTagAt:])
	if saltErr != nil || tagErr != nil || strings.ContainsAny(encoded, "\r\n") {
		return "", damaged("bcrypt: characters that can't be there")
	}
	return bcryptHash(encoded), nil
}

func bcryptCost(s string) (int, bool) {
	tens, ones := int(s[0])-'0', int(s[1])-'0'
	ok := tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9
	return 10*tens + ones, ok
}

// verify refuses what bcrypt would accept beside the password that was set:
// anything after byte 72 is ignored there, and a NUL byte repeats the key, so
// that "a" and "a\x00a" hash alike. The work is done all the same.
func (h bcryptHash) verify(_ deriveFunc, password string) bool {
	exact := len(password) <= bcryptMaxPassword && strings.IndexByte(password, 0) < 0
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil && exact
}

// stale is always true: the next sign-in turns the hash into argon2id.
func (h bcryptHash) stale(Params) bool { return true }

// slots is one: bcrypt takes 4 KiB and one processor.
func (h bcryptHash) slots(Params) int { return 1 }
