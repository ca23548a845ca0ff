package factor

import (
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
)

// rfcSecret is that of RFC 4226, Appendix D, and of the SHA-1 rows of RFC 6238,
// Appendix B.
var rfcSecret = []byte("12345678901234567890")

func TestRFC4226(t *testing.T) {
	for step, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if !isCode(rfcSecret, want, int64(step)) {
			t.Errorf("%s is not the code of step %d", want, step)
		}
		if isCode(rfcSecret, want, int64(step)+1) {
			t.Errorf("%s is the code of step %d too", want, step+1)
		}
	}
}

// Of the eight digits of the RFC the last six are those of a code of six.
func TestRFC6238(t *testing.T) {
	for at, eight := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		now := time.Unix(at, 0)
		if step, ok := CheckTOTP(rfcSecret, eight[2:], now); !ok || step != at/30 {
			t.Errorf("at %d: step %d, %v", at, step, ok)
		}
		if _, ok := CheckTOTP(rfcSecret, eight, now); ok {
			t.Errorf("at %d eight digits are a code", at)
		}
	}
}

// The clock of a program may be a step off to either side, and the step that is told
// is the code's, not that of now.
func TestDrift(t *testing.T) {
	const code, of = "005924", 1234567890 / 30 // begins with zeros, which are digits
	for steps, want := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		for _, second := range []int64{0, 29} {
			step, ok := CheckTOTP(rfcSecret, code, time.Unix((of+steps)*30+second, 0))
			if ok != want || ok && step != of {
				t.Errorf("%d steps and %d s later: step %d, %v", steps, second, step, ok)
			}
		}
	}
}

func TestCheckTOTPRefuses(t *testing.T) {
	now := time.Unix(1234567890, 0)
	for name, c := range map[string]struct {
		secret []byte
		code   string
	}{
		"another code":        {rfcSecret, "005925"},
		"nothing":             {rfcSecret, ""},
		"without its zeros":   {rfcSecret, "5924"},
		"another secret":      {[]byte("12345678901234567891"), "005924"},
		"a secret of nothing": {nil, "005924"},
	} {
		t.Run(name, func(t *testing.T) {
			if step, ok := CheckTOTP(c.secret, c.code, now); ok {
				t.Errorf("it is the code of step %d", step)
			}
		})
	}
}

func TestNewTOTPSecret(t *testing.T) {
	one, other := NewTOTPSecret(), NewTOTPSecret()
	if len(one) != 20 || string(one) == string(other) || len(SecretText(one)) != 32 || strings.Contains(SecretText(one), "=") {
		t.Errorf("%d bytes, as text %d", len(one), len(SecretText(one)))
	}
}

// Programs read the address as it was meant, whatever there is in the names.
func TestTOTPURI(t *testing.T) {
	for name, c := range map[string]struct{ issuer, account string }{
		"plain":             {"Husk", "ann@example.com"},
		"a host":            {"Husk husk.example.com", "ann@example.com"},
		"a port":            {"Husk husk.example.com:8443", "ann@example.com"},
		"a colon":           {"Husk", "ann:admin"},
		"colons":            {"a:b:c", "d:e:f"},
		"other letters":     {"帳號", "jürgen@bücher.example"},
		"what URLs mean":    {"a/b?c&d=e#f%20g+h", "i/j?k&l=m#n%20o+p@example.com"},
		"spaces":            {"  a  b  ", "ann smith"},
		"no colon encoded":  {"a%3Ab", "c%3Ad"},
		"the single user":   {"Husk", "coco-default-user"},
		"quotes and a line": {`"Husk"`, "ann\n\"x\"@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := TOTPURI(rfcSecret, c.issuer, c.account)
			if err != nil {
				t.Fatal(err)
			}
			key, err := otp.NewKeyFromURL(text)
			if err != nil || strings.ContainsAny(text, " \n\"") {
				t.Fatalf("%q: %v", text, err)
			}
			if key.Type() != "totp" || key.Secret() != SecretText(rfcSecret) || key.Period() != 30 || key.Digits() != otp.DigitsSix || key.Algorithm() != otp.AlgorithmSHA1 {
				t.Errorf("%s is %s, %s, %d s, %s, %s", text, key.Type(), key.Secret(), key.Period(), key.Digits(), key.Algorithm())
			}
			if key.Issuer() != strings.ReplaceAll(c.issuer, ":", " ") {
				t.Errorf("the issuer is %q in %s", key.Issuer(), text)
			}
			if key.AccountName() != c.account {
				t.Errorf("the account is %q in %s", key.AccountName(), text)
			}
		})
	}
	for name, c := range map[string]struct{ issuer, account string }{"no issuer": {"", "ann@example.com"}, "no account": {"Husk", ""}} {
		if text, err := TOTPURI(rfcSecret, c.issuer, c.account); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}
