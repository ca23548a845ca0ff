package token

import "encoding/binary"

// alphabet is in the order of ASCII, so numbers of the same length compare
// like their texts; isRandom relies on it.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// maxRandom is 2^256-1, the largest number that 43 characters may spell.
const maxRandom = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"

// encode256 spells a big-endian number in 43 characters, last digit first. It
// divides by five digits at once, which is what a word has room for: digit by
// digit and byte by byte it costs as much as a tenth of all that minting does.
func encode256(n [32]byte) (out [randomLen]byte) {
	const fiveDigits = 62 * 62 * 62 * 62 * 62
	var words [8]uint32
	for i := range words {
		words[i] = binary.BigEndian.Uint32(n[4*i:])
	}
	for end := randomLen; end > 0; end -= 5 {
		rest := uint64(0)
		for j, w := range words {
			rest = rest<<32 | uint64(w)
			words[j] = uint32(rest / fiveDigits)
			rest %= fiveDigits
		}
		for i := end - 1; i >= max(0, end-5); i-- {
			out[i] = alphabet[rest%62]
			rest /= 62
		}
	}
	return out
}

// encode32 spells a number in six characters.
func encode32(n uint32) (out [checkLen]byte) {
	for i := checkLen - 1; i >= 0; i-- {
		out[i] = alphabet[n%62]
		n /= 62
	}
	return out
}

// isRandom tells whether s, of 43 bytes, is a number of at most 256 bits.
func isRandom(s string) bool { return isBase62(s) && s <= maxRandom }

func isBase62(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
