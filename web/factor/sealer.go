package factor

import "errors"

// Sealer seals TOTP secrets for the store. The zero value seals nothing: what it
// makes is the secret behind a byte that says so.
type Sealer struct{}

const plainSecret = 0

// ErrSealed is what Open answers to a secret that it can't read: it is damaged, or
// sealed under a key that is not known here.
var ErrSealed = errors.New("the secret is sealed under another key, or damaged")

// Seal returns what the store keeps of a user's secret.
func (s *Sealer) Seal(user string, secret []byte) []byte {
	return append([]byte{plainSecret}, secret...)
}

// Open returns a user's secret; ErrSealed where it can't be read.
func (s *Sealer) Open(user string, sealed []byte) ([]byte, error) {
	if len(sealed) != 1+secretBytes || sealed[0] != plainSecret {
		return nil, ErrSealed
	}
	return sealed[1:], nil
}
