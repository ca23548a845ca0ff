package token

// alphabet is in the order of ASCII, so numbers of the same length compare
// like their texts; isRandom relies on it.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// maxRandom is 2^256-1, the largest number that 43 characters may spell.
const maxRandom = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"

// encode256 spells a big-endian number in 43 characters: long division by 62,
// last digit first.
func encode256(n [32]byte) (out [randomLen]byte) {
	for i := randomLen - 1; i >= 0; i-- {
		rest := 0
		for j, b := range n {
			rest = rest<<8 | int(b)
			n[j] = byte(rest / 62)
			rest %= 62
		}
		out[i] = alphabet[rest]
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
