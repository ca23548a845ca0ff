package db

import (
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Bounds of texts, in bytes for emails (RFC 5321, 4.5.3.1.3 less the angle
// brackets) and in code points for the rest.
const (
	maxEmail       = 254
	maxName        = 200
	maxDescription = 1000
	maxWords       = 16
)

// fold makes texts comparable: Unicode's full case folding of the text without
// surrounding space.
func fold(s string) string { return cases.Fold().String(strings.TrimSpace(s)) }

// FoldEmail is the one form of an email under which it is looked up, unique
// and throttled.
func FoldEmail(email string) string { return fold(email) }

// words returns the folded words of the texts: runs of letters and digits,
// sorted, unique, at most maxWords of up to 64 bytes.
func words(texts ...string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, strings.FieldsFunc(fold(text), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
		})...)
	}
	all = all[:min(len(all), maxWords)]
	for i, w := range all {
		all[i] = w[:min(len(w), 64)]
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// IsPlain tells whether s is printable text on one line: valid UTF-8, no control
// characters, nothing that reorders or hides text (bidirectional controls,
// zero-width characters, letters that show as nothing), so that a name shows on
// a terminal and on a page as what it is. A joiner is plain where it shows: between
// letters that it keeps apart or joins, and between emoji.
func IsPlain(s string) bool { return firstNotPlain(s) < 0 }

// firstNotPlain returns the byte at which the first character that is not plain
// begins; -1: there is none.
func firstNotPlain(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case isJoiner(r):
			if n = joined(s, i); n == 0 {
				return i
			}
		case notPlain(r):
			return i
		}
		i += n
	}
	return -1
}

func notPlain(r rune) bool {
	// U+FFFD is what decoders make of all that they can't read.
	return (r != ' ' && !unicode.IsPrint(r)) || r == utf8.RuneError || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// inPlainText is for what strangers write and nobody can be asked to write
// anew: a question mark stands for each character that is not plain.
func inPlainText(s string) string {
	return strings.Map(func(r rune) rune {
		if notPlain(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// checkText refuses text of a field that is too long or not plain.
func checkText(field, s string, most int) error {
	if utf8.RuneCountInString(s) > most {
		return &Error{Kind: ErrInvalid, Field: field, Code: "text_too_long", Reason: "the " + field + " is over " + strconv.Itoa(most) + " characters"}
	}
	if at := firstNotPlain(s); at >= 0 {
		return &Error{Kind: ErrInvalid, Field: field, Code: "text_not_plain", Reason: "the " + field + " has control, invisible or direction-changing characters, the first of them " + characterText(s, at) + "; use plain text on one line"}
	}
	return nil
}

// characterText says which character stands at a byte, and where that is.
func characterText(s string, at int) string {
	r, n := utf8.DecodeRuneInString(s[at:])
	what := fmt.Sprintf("%U", r)
	if r == utf8.RuneError && n == 1 {
		what = "a byte that is no UTF-8"
	}
	return what + " as character " + strconv.Itoa(utf8.RuneCountInString(s[:at])+1)
}

// checkEmail refuses what is no address of the form local@domain.
func checkEmail(email string) error {
	bad := fail(ErrInvalid, "bad_email", "that is no email address; use the form name@example.com")
	// A variation selector shows as nothing behind a letter: in a name it belongs
	// to an emoji, in an email it makes two that look the same.
	selector := func(r rune) bool { return unicode.Is(unicode.Variation_Selector, r) }
	if len(email) > maxEmail {
		return fail(ErrInvalid, "bad_email", "an email address is at most "+strconv.Itoa(maxEmail)+" bytes")
	}
	if strings.ContainsFunc(email, notPlain) || strings.ContainsFunc(email, selector) || strings.ContainsAny(email, " <>\"(),:;\\/?#%") {
		return bad
	}
	// So do the two spellings of a letter with a mark.
	if !norm.NFC.IsNormalString(email) {
		return fail(ErrInvalid, "bad_email", "that email has a letter and its mark as two characters, which looks like another email; use the one character for both (Unicode's NFC)")
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || strings.Count(email, "@") != 1 {
		return bad
	}
	return nil
}

// CheckDomain refuses what makes no email of a name before its @.
func CheckDomain(domain string) error {
	if checkEmail("x@"+domain) != nil {
		return fail(ErrInvalid, "bad_domain", "that is no domain; give what stands behind the @ of an email, such as example.com")
	}
	return nil
}
