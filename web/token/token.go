// Package token makes and reads API tokens.
//
// A token is 86 ASCII characters, <uuid>_<random><check>:
//
//   - 36 characters, its id: a random UUID (RFC 9562, section 5.4, version 4)
//     in the canonical lower case;
//   - an underscore;
//   - 43 characters base62: 256 random bits as one big-endian number, padded
//     on the left with zeros;
//   - 6 characters base62: the CRC-32 (IEEE 802.3) of the 80 characters
//     before, padded likewise.
//
// The flow: [New] makes one, its owner sees it once, [Hash] is what is kept.
// A request's token goes through [Parse], which gives the id to look up, then
// through [Equal] with the kept hash. The check is no protection: anybody can
// compute it. It tells a typo, or a cut line, without asking the store, and
// lets a scanner of leaked secrets be sure of what it found.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash/crc32"

	"github.com/google/uuid"
)

const (
	idLen     = 36
	randomAt  = idLen + 1
	randomLen = 43
	checkAt   = randomAt + randomLen
	checkLen  = 6

	// Len is the length of every token, in bytes.
	Len = checkAt + checkLen
)

var (
	// ErrMalformed means that the text has not the shape of a token: its
	// length, its id, a character outside base62 or a number of more than
	// 256 bits.
	ErrMalformed = errors.New("not an API token")

	// ErrChecksum means that the shape is right and the check is not: a
	// typo, or a token put together by hand.
	ErrChecksum = errors.New("mistyped API token: its check characters do not match")
)

// New makes a token with a new id. The secret is the whole token, to be shown
// once; the id is its first 36 characters.
func New() (secret, id string) {
	id = uuid.New().String()
	return WithID(id), id
}

// WithID makes a new secret under an id that exists: a rotation. It panics
// unless id is a canonical version 4 UUID as New and Parse return them, since
// such a token could never be presented.
func WithID(id string) string {
	if len(id) != idLen || !isID(id) {
		panic("token: the id is not a canonical version 4 UUID")
	}
	var random [32]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return build(id, random)
}

// Parse reads a token and returns its id, which shares s's memory: keep a
// strings.Clone of it where it must outlive a request. Nothing is trimmed and
// no case is folded, so a token has exactly one spelling. Errors: ErrMalformed,
// ErrChecksum. A token without an error is well-formed, not yet known: see
// Equal.
func Parse(s string) (id string, err error) {
	if len(s) != Len || !isID(s[:idLen]) || s[idLen] != '_' || !isRandom(s[randomAt:checkAt]) || !isBase62(s[checkAt:]) {
		return "", ErrMalformed
	}
	if want := check(s[:checkAt]); s[checkAt:] != string(want[:]) {
		return "", ErrChecksum
	}
	return s[:idLen], nil
}

// Hash returns what is kept of a token: the SHA-256 of all its characters
// (FIPS 180-4). With 256 random bits inside, no slow hash is needed (ASVS
// 6.5.2).
func Hash(s string) [sha256.Size]byte {
	// Not []byte(s), which the compiler would put on the heap: room for a
	// token stays on the stack, only something longer moves.
	return sha256.Sum256(append(make([]byte, 0, Len), s...))
}

// Equal tells whether s is the token whose Hash is kept, in a time that does
// not depend on where they differ.
func Equal(s string, hash [sha256.Size]byte) bool {
	got := Hash(s)
	return subtle.ConstantTimeCompare(got[:], hash[:]) == 1
}

// Mask returns what a list may show of an id: its first 8 characters and three
// stars, a1b2c3d4***. Of a shorter text only the stars.
func Mask(id string) string {
	if len(id) < 8 {
		return "***"
	}
	return id[:8] + "***"
}

// build puts a token together from its id and its 256 random bits.
func build(id string, random [32]byte) string {
	b := make([]byte, 0, Len)
	b = append(b, id...)
	b = append(b, '_')
	digits := encode256(random)
	b = append(b, digits[:]...)
	sum := check(string(b))
	return string(append(b, sum[:]...))
}

// check returns the six characters that end a token beginning with s. The loop
// is by hand because crc32.ChecksumIEEE takes a slice that escapes: it would
// cost every request a copy of the token on the heap.
func check(s string) [checkLen]byte {
	crc := ^uint32(0)
	for i := range len(s) {
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	return encode32(^crc)
}

// isID tells whether s, of 36 bytes, is a version 4 UUID in its canonical
// form. uuid.Parse takes capitals, braces and more: several spellings of one
// id.
func isID(s string) bool {
	for i := range idLen {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		case 14:
			if c != '4' {
				return false
			}
		case 19:
			if c != '8' && c != '9' && c != 'a' && c != 'b' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// IsLike tells whether a text begins as every token does. What is like one and is
// none is a token that was mistyped or cut, and nobody else's credential.
func IsLike(s string) bool { return len(s) > idLen && isID(s[:idLen]) && s[idLen] == '_' }
