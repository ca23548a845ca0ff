package factor

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

const (
	// Period is how long a code is shown: a time step of RFC 6238, 4.1.
	Period = 30 * time.Second

	// Drift is how many steps the clock of the program may be off, to either side.
	Drift = 1

	secretBytes = 20 // 160 bits, as RFC 4226, 4 R6, recommends
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTPSecret makes a secret of 20 random bytes.
func NewTOTPSecret() []byte {
	secret := make([]byte, secretBytes)
	rand.Read(secret) // never fails (crypto/rand)
	return secret
}

// SecretText is a secret as programs take it that can't read the picture: base32
// (RFC 4648, 6) in upper case, without padding.
func SecretText(secret []byte) string { return base32Text.EncodeToString(secret) }

// TOTPURI is the otpauth: address by which programs take a secret, with SHA-1, six
// digits and 30 s, which all of them know.
func TOTPURI(secret []byte, issuer, account string) (string, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: account, Secret: secret,
		Period: uint(Period / time.Second), Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return "", err
	}
	return key.URL(), nil
}

// Step is the number of the time step of a moment (RFC 6238, 4.2).
func Step(now time.Time) int64 { return now.Unix() / int64(Period/time.Second) }

// CheckTOTP tells whether six digits are the code of a secret now, or a step before or
// after, and of which step. It compares with all of them, whatever it finds. That the
// code was not used before is for the caller to see to: RFC 6238, 5.2.
func CheckTOTP(secret []byte, digits string, now time.Time) (step int64, ok bool) {
	for s := Step(now) - Drift; s <= Step(now)+Drift; s++ {
		if isCode(secret, digits, s) && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// FarDrift is how many steps off FindTOTP looks, to either side: 20 minutes.
const FarDrift = 40

// FindTOTP looks further for a code that CheckTOTP has refused, and returns the nearest
// step that it is of. It is good for nothing: it tells by how much a clock seems off. It
// compares with all of them, whatever it finds.
func FindTOTP(secret []byte, digits string, now time.Time) (step int64, ok bool) {
	present := Step(now)
	for away := int64(Drift + 1); away <= FarDrift; away++ {
		for _, s := range []int64{present - away, present + away} {
			if isCode(secret, digits, s) && !ok {
				step, ok = s, true
			}
		}
	}
	return step, ok
}

func isCode(secret []byte, digits string, step int64) bool {
	code, err := hotp.GenerateCodeCustom(SecretText(secret), uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	return err == nil && subtle.ConstantTimeCompare([]byte(code), []byte(digits)) == 1
}
