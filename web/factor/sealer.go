package factor

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Sealer seals TOTP secrets for the store: under the first of its keys, and it opens
// those under any of them. The zero value seals nothing: what it makes is the secret
// behind a byte that says so.
type Sealer struct{ keys []sealKey }

type sealKey struct {
	id   [keyIDBytes]byte
	aead cipher.AEAD
}

// The first byte of what the store keeps.
const (
	plainSecret  = 0
	sealedSecret = 1 // the key's id, a nonce, XChaCha20-Poly1305 of the secret
)

const (
	keyBytes   = chacha20poly1305.KeySize
	keyIDBytes = 8
	headBytes  = 1 + keyIDBytes
	sealBytes  = headBytes + chacha20poly1305.NonceSizeX + secretBytes + chacha20poly1305.Overhead
)

// ErrSealed is what Open answers to a secret that it can't read: it is damaged, of
// another user, or sealed under a key that is not known here; see UnknownKeyError.
var ErrSealed = errors.New("the secret is damaged, or sealed for another user")

// UnknownKeyError is an ErrSealed: the secret is sealed under a key that a Sealer does
// not have.
type UnknownKeyError struct {
	Key string // the key's id
}

func (e *UnknownKeyError) Error() string {
	return "the secret is sealed under the key with the id " + e.Key + ", which is not there"
}

// Is makes it an ErrSealed.
func (e *UnknownKeyError) Is(target error) bool { return target == ErrSealed }

// newSealKey takes a key of 32 bytes.
func newSealKey(key []byte) (k sealKey, err error) {
	sum := sha256.Sum256(append([]byte("husk secrets key\n"), key...))
	copy(k.id[:], sum[:])
	k.aead, err = chacha20poly1305.NewX(key)
	return k, err
}

// Keys are the ids of the keys, the one that seals first. They tell nothing of the
// keys.
func (s *Sealer) Keys() (ids []string) {
	for _, k := range s.keys {
		ids = append(ids, hex.EncodeToString(k.id[:]))
	}
	return ids
}

// Seal returns what the store keeps of a user's secret.
func (s *Sealer) Seal(user string, secret []byte) []byte {
	if len(s.keys) == 0 {
		return append([]byte{plainSecret}, secret...)
	}
	k := s.keys[0]
	sealed := append([]byte{sealedSecret}, k.id[:]...)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce) // never fails (crypto/rand)
	return k.aead.Seal(append(sealed, nonce...), nonce, secret, boundTo(user, sealed))
}

// Open returns a user's secret; ErrSealed where it can't be read.
func (s *Sealer) Open(user string, sealed []byte) ([]byte, error) {
	switch {
	case len(sealed) == 1+secretBytes && sealed[0] == plainSecret:
		return sealed[1:], nil
	case len(sealed) != sealBytes || sealed[0] != sealedSecret:
		return nil, ErrSealed
	}
	head, nonce, text := sealed[:headBytes], sealed[headBytes:headBytes+chacha20poly1305.NonceSizeX], sealed[headBytes+chacha20poly1305.NonceSizeX:]
	i := slices.IndexFunc(s.keys, func(k sealKey) bool { return bytes.Equal(k.id[:], head[1:]) })
	if i < 0 {
		return nil, &UnknownKeyError{hex.EncodeToString(head[1:])}
	}
	secret, err := s.keys[i].aead.Open(nil, nonce, text, boundTo(user, head))
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// Reseal returns a user's secret sealed under the first key; nil where it is so
// already, or there is no key.
func (s *Sealer) Reseal(user string, sealed []byte) ([]byte, error) {
	secret, err := s.Open(user, sealed)
	switch {
	case err != nil:
		return nil, err
	case len(s.keys) == 0 || sealed[0] == sealedSecret && bytes.Equal(s.keys[0].id[:], sealed[1:headBytes]):
		return nil, nil
	}
	return s.Seal(user, secret), nil
}

// boundTo is what a sealed secret is good for: put under another user's id it does not
// open, so who can write to the store can't make their own secret another one's.
func boundTo(user string, head []byte) []byte {
	return append(append([]byte("husk totp secret\n"), head...), user...)
}
