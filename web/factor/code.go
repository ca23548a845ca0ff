package factor

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
)

// RecoveryCodes is how many there are of a set.
const RecoveryCodes = 10

const (
	totpDigits    = 6
	recoveryChars = 16 // of 5 bits each: 80 random bits

	// alphabet is that of Douglas Crockford's base32, in lower case: no letter of it
	// can be taken for a digit.
	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// ErrForm is what ReadCode answers to what can be no code.
var ErrForm = errors.New("a code is six digits, or a recovery code as it was shown")

// Code is a code as it was typed: exactly one member is set.
type Code struct {
	TOTP     string // six ASCII digits
	Recovery *RecoveryCode
}

// RecoveryCode is a recovery code. It says which of its set it is, so that only one
// hash has to be compared with it.
type RecoveryCode struct {
	Number int    // from 0
	Secret string // 16 letters and digits, 80 random bits: what is hashed
}

// ReadCode tells what kind of code a text is. Digits of other alphabets, spaces, and
// more or fewer digits than there are in a code are ErrForm: a code has one spelling.
// Of a recovery code the dashes may be left out, and its letters be of either case,
// since it is typed from paper; there o is 0, and i and l are 1.
func ReadCode(text string) (Code, error) {
	if len(text) > 64 {
		return Code{}, ErrForm
	}
	if len(text) == totpDigits {
		for _, c := range []byte(text) {
			if c < '0' || c > '9' {
				return Code{}, ErrForm
			}
		}
		return Code{TOTP: text}, nil
	}
	plain := plainRecovery(text)
	if len(plain) != 1+recoveryChars || plain[0] < '0' || plain[0] > '9' {
		return Code{}, ErrForm
	}
	return Code{Recovery: &RecoveryCode{Number: int(plain[0] - '0'), Secret: plain[1:]}}, nil
}

// plainRecovery is the letters and digits of a recovery code; "" where it has others.
func plainRecovery(text string) string {
	plain := make([]byte, 0, len(text))
	for _, c := range []byte(text) {
		if 'A' <= c && c <= 'Z' { // strings.ToLower makes letters of what is none of ASCII
			c += 'a' - 'A'
		}
		switch c {
		case '-':
			continue
		case 'o':
			c = '0'
		case 'i', 'l':
			c = '1'
		}
		if strings.IndexByte(alphabet, c) < 0 {
			return ""
		}
		plain = append(plain, c)
	}
	return string(plain)
}

// NewRecoveryCodes makes a set of recovery codes, in order.
func NewRecoveryCodes() []RecoveryCode {
	codes := make([]RecoveryCode, RecoveryCodes)
	for i := range codes {
		var random [recoveryChars]byte
		rand.Read(random[:]) // never fails (crypto/rand)
		for j, b := range random {
			random[j] = alphabet[b&31]
		}
		codes[i] = RecoveryCode{i, string(random[:])}
	}
	return codes
}

// String is the code as it is shown: its number, and four groups of four.
func (c RecoveryCode) String() string {
	parts := []string{strconv.Itoa(c.Number)}
	for i := 0; i < len(c.Secret); i += 4 {
		parts = append(parts, c.Secret[i:min(i+4, len(c.Secret))])
	}
	return strings.Join(parts, "-")
}
