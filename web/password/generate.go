package password

import (
	"crypto/rand"
	"strings"
)

const (
	// letters leaves out those that are taken for another one on paper or
	// aloud: 0 and o, 1, i and l.
	letters   = "abcdefghjkmnpqrstuvwxyz23456789"
	groups    = 5
	groupSize = 5
)

// Generate returns a random password of 25 lower-case letters and digits in
// five groups, like k7wqm-3htpx-9zrbd-u4nea-cv8gy: 123 bits. It is meant as a
// first password, to be shown once and then changed (ASVS 6.4.1).
func Generate() string {
	var b strings.Builder
	for i := range groups * groupSize {
		if i > 0 && i%groupSize == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(letter())
	}
	return b.String()
}

// letter draws again instead of taking a remainder, which would favour the
// first letters.
func letter() byte {
	var b [1]byte
	for {
		rand.Read(b[:]) // never fails: crypto/rand ends the program instead
		if n := int(b[0] & 31); n < len(letters) {
			return letters[n]
		}
	}
}
