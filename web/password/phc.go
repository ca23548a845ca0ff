package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrDamaged means that a stored text is not a hash that this package
// verifies: damaged, of another kind, or above a ceiling. The text around it
// says which and never contains the hash.
var ErrDamaged = errors.New("not a usable password hash")

const (
	saltLen, minSalt, maxSalt = 16, 8, 64
	tagLen, minTag, maxTag    = 32, 16, 64

	phcPrefix  = "$argon2id$"
	phcVersion = "v=19"
)

// b64 is the PHC string format's base64: the standard alphabet, no padding.
// Strict, because spare bits would give one hash several spellings.
var b64 = base64.RawStdEncoding.Strict()

// deriveFunc is argon2.IDKey, or what a test puts in its place.
type deriveFunc func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte

// record is a stored hash of some kind.
type record interface {
	// verify does the whole work, whatever the password.
	verify(derive deriveFunc, password string) bool
	// stale tells whether a hash made with p would be stronger.
	stale(p Params) bool
	// slots is how many hashes with p take as much memory, or as many
	// processors; at least 1.
	slots(p Params) int
}

// phc is an argon2id hash in the PHC string format:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<tag>
type phc struct {
	Params
	salt, tag []byte
}

// Valid returns nil for a hash that Verify can work with: argon2id as a PHC
// string, or bcrypt. Otherwise an error that is ErrDamaged and says, without
// repeating the hash, what is wrong, for instance which other kind it is. For
// imports.
func Valid(encoded string) error {
	_, err := parse(encoded)
	return err
}

// parse reads a stored hash of either kind.
func parse(encoded string) (record, error) {
	switch {
	case strings.HasPrefix(encoded, phcPrefix):
		return parsePHC(encoded)
	case hasAnyPrefix(encoded, bcryptPrefixes...):
		return parseBcrypt(encoded)
	}
	return nil, damaged(notSupported(encoded))
}

// parsePHC accepts exactly one spelling of each hash: the one that String
// gives back.
func parsePHC(encoded string) (*phc, error) {
	rest, found := strings.CutPrefix(encoded, phcPrefix)
	fields := strings.Split(rest, "$")
	if !found || len(fields) != 4 {
		return nil, damaged("argon2id: not of the form $argon2id$v=19$m=,t=,p=$salt$tag")
	}
	if fields[0] != phcVersion {
		return nil, damaged("argon2id: only version 19 is supported")
	}
	params, ok := parseParams(fields[1])
	if !ok {
		return nil, damaged(fmt.Sprintf("argon2id: parameters unreadable or out of range (m to %d, t to %d, p to %d)", maxMemory, maxTime, maxThreads))
	}
	if params.blocks() > maxBlocks {
		return nil, damaged(fmt.Sprintf("argon2id: m=%d,t=%d is too much work (m times t at most %d)", params.Memory, params.Time, maxBlocks))
	}
	salt, ok := decode(fields[2], minSalt, maxSalt)
	if !ok {
		return nil, damaged(fmt.Sprintf("argon2id: the salt is not base64 of %d to %d bytes", minSalt, maxSalt))
	}
	tag, ok := decode(fields[3], minTag, maxTag)
	if !ok {
		return nil, damaged(fmt.Sprintf("argon2id: the tag is not base64 of %d to %d bytes", minTag, maxTag))
	}
	return &phc{Params: params, salt: salt, tag: tag}, nil
}

// parseParams reads m=19456,t=2,p=1, in this order only.
func parseParams(s string) (Params, bool) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return Params{}, false
	}
	m, mok := parseNumber(fields[0], "m=", maxMemory)
	t, tok := parseNumber(fields[1], "t=", maxTime)
	p, pok := parseNumber(fields[2], "p=", maxThreads)
	params := Params{Memory: m, Time: t, Threads: uint8(p)}
	return params, mok && tok && pok && params.inRange()
}

// parseNumber reads key and a decimal number without sign or leading zero.
func parseNumber(s, key string, max uint32) (uint32, bool) {
	digits, found := strings.CutPrefix(s, key)
	n, err := strconv.ParseUint(digits, 10, 32)
	if !found || err != nil || n > uint64(max) || strconv.FormatUint(n, 10) != digits {
		return 0, false
	}
	return uint32(n), true
}

// decode reads base64 of least to most bytes. The lengths are compared first,
// so that nothing large is allocated, and afterwards, because the decoder
// skips line ends.
func decode(s string, least, most int) ([]byte, bool) {
	if len(s) > b64.EncodedLen(most) {
		return nil, false
	}
	out, err := b64.DecodeString(s)
	if err != nil || len(out) < least || len(out) > most || b64.EncodedLen(len(out)) != len(s) {
		return nil, false
	}
	return out, true
}

// String returns the PHC string.
func (h *phc) String() string {
	return fmt.Sprintf("%s%s$m=%d,t=%d,p=%d$%s$%s", phcPrefix, phcVersion,
		h.Memory, h.Time, h.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}

func (h *phc) verify(derive deriveFunc, password string) bool {
	got := derive([]byte(password), h.salt, h.Time, h.Memory, h.Threads, uint32(len(h.tag)))
	return subtle.ConstantTimeCompare(got, h.tag) == 1
}

// stale also tells a salt or a tag shorter than those of new hashes, unless
// the hash is otherwise the stronger one.
func (h *phc) stale(p Params) bool {
	short := len(h.salt) < saltLen || len(h.tag) < tagLen
	return h.weakerThan(p) || short && p.atLeast(h.Params)
}

func (h *phc) slots(p Params) int {
	memory := (h.Memory + p.Memory - 1) / p.Memory
	return max(int(memory), int(h.Threads))
}

func damaged(reason string) error { return fmt.Errorf("%w: %s", ErrDamaged, reason) }

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
