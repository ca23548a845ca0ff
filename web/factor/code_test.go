package factor

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestReadCode(t *testing.T) {
	recovery := func(number int, secret string) Code { return Code{Recovery: &RecoveryCode{number, secret}} }
	for name, c := range map[string]struct {
		text string
		want Code
	}{
		"six digits":              {"123456", Code{TOTP: "123456"}},
		"zeros before them":       {"000007", Code{TOTP: "000007"}},
		"all zeros":               {"000000", Code{TOTP: "000000"}},
		"as it is shown":          {"3-0123-4567-89ab-cdef", recovery(3, "0123456789abcdef")},
		"without dashes":          {"30123456789abcdef", recovery(3, "0123456789abcdef")},
		"in capitals":             {"9-GHJK-MNPQ-RSTV-WXYZ", recovery(9, "ghjkmnpqrstvwxyz")},
		"o for zero":              {"O-oOoO-0000-0000-000o", recovery(0, "0000000000000000")},
		"i and l for one":         {"L-iIlL-1111-1111-111l", recovery(1, "1111111111111111")},
		"dashes where they fell":  {"--3--0123-456789abcd-ef-", recovery(3, "0123456789abcdef")},
		"digits alone, seventeen": {"30123456789012345", recovery(3, "0123456789012345")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadCode(c.text)
			if err != nil || got.TOTP != c.want.TOTP || (got.Recovery == nil) != (c.want.Recovery == nil) || got.Recovery != nil && *got.Recovery != *c.want.Recovery {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What can be no code: each by itself.
func TestReadCodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                    "",
		"five digits":                "12345",
		"seven digits":               "1234567",
		"eight digits":               "12345678",
		"a space between":            "123 456",
		"a space before":             " 12345",
		"a space after":              "123456 ",
		"a line end":                 "123456\n",
		"a dash between":             "123-456",
		"a sign":                     "+12345",
		"below zero":                 "-12345",
		"a point":                    "1234.5",
		"hexadecimal":                "0x1234",
		"full-width digits":          "１２３４５６",
		"Arabic digits":              "١٢٣٤٥٦",
		"two full-width digits":      "１２",  // six bytes
		"three Arabic digits":        "١٢٣", // six bytes
		"letters":                    "abcdef",
		"o for zero":                 "o00000",
		"a NUL":                      "12345\x00",
		"no UTF-8":                   "12345\xff",
		"recovery: no number":        "0123-4567-89ab-cdef",
		"recovery: a letter first":   "a-0123-4567-89ab-cdef",
		"recovery: short":            "3-0123-4567-89ab-cde",
		"recovery: long":             "3-0123-4567-89ab-cdef0",
		"recovery: two numbers":      "10-0123-4567-89ab-cdef",
		"recovery: with u":           "3-0123-4567-89ab-cdeu",
		"recovery: with spaces":      "3 0123 4567 89ab cdef",
		"recovery: another dash":     "3–0123–4567–89ab–cdef",
		"recovery: full-width":       "３-0123-4567-89ab-cdef",
		"recovery: Kelvin sign":      "3-0123-4567-89ab-cde\u212a",
		"dashes alone":               strings.Repeat("-", 17),
		"far too long":               "3-0123-4567-89ab-cdef" + strings.Repeat("-", 50),
		"six digits and many dashes": "123456" + strings.Repeat("-", 12),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ReadCode(text); !errors.Is(err, ErrForm) || got != (Code{}) {
				t.Errorf("%q is %+v, %v", text, got, err)
			}
		})
	}
}

// Ten, which say which they are, in the form of the docs; no two of many are the same,
// and each letter comes.
func TestNewRecoveryCodes(t *testing.T) {
	form := regexp.MustCompile(`^[0-9](-[0-9a-hjkmnp-tv-z]{4}){4}$`)
	seen, letters := map[string]bool{}, map[rune]bool{}
	for range 100 {
		codes := NewRecoveryCodes()
		if len(codes) != 10 {
			t.Fatalf("%d codes", len(codes))
		}
		for i, c := range codes {
			if c.Number != i || !form.MatchString(c.String()) || seen[c.Secret] {
				t.Errorf("code %d is %s", i, c)
			}
			seen[c.Secret] = true
			for _, letter := range c.Secret {
				letters[letter] = true
			}
			if got, err := ReadCode(c.String()); err != nil || got.Recovery == nil || *got.Recovery != c {
				t.Errorf("%s is read as %+v, %v", c, got, err)
			}
		}
	}
	if len(letters) != 32 {
		t.Errorf("%d letters of 32", len(letters))
	}
}

// What is read and written again is the same code, or nothing was read.
func FuzzReadCode(f *testing.F) {
	for _, text := range []string{"", "123456", "000000", "１２３４５６", "3-0123-4567-89ab-cdef", "30123456789ABCDEF", "o-iLiL-0000-0000-oooo", "-", "\xff23456", "3-0123-4567-89ab-cdeu"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, err := ReadCode(text)
		switch {
		case err != nil:
			if !errors.Is(err, ErrForm) || code != (Code{}) {
				t.Errorf("%q: %+v, %v", text, code, err)
			}
		case code.Recovery == nil:
			if code.TOTP != text || len(text) != totpDigits || strings.Trim(text, "0123456789") != "" {
				t.Errorf("%q is read as %q", text, code.TOTP)
			}
		default:
			again, err := ReadCode(code.Recovery.String())
			if code.TOTP != "" || err != nil || again.Recovery == nil || *again.Recovery != *code.Recovery || strings.Trim(code.Recovery.Secret, alphabet) != "" {
				t.Errorf("%q is %+v, and again %+v, %v", text, code.Recovery, again, err)
			}
		}
	})
}
