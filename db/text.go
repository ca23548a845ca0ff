package db

import (
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

// plain tells whether s is printable text on one line: valid UTF-8, no control
// characters, nothing that reorders or hides text (bidirectional controls,
// zero-width characters, letters that show as nothing), so that a name shows on
// a terminal and on a page as what it is.
func plain(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, notPlain) < 0
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

// checkText refuses text that is too long or not plain; what names it.
func checkText(what, s string, most int) error {
	if utf8.RuneCountInString(s) > most {
		return fail(ErrInvalid, "text_too_long", what+" is over "+strconv.Itoa(most)+" characters")
	}
	if !plain(s) {
		return fail(ErrInvalid, "text_not_plain", what+" has control, invisible or direction-changing characters; use plain text on one line")
	}
	return nil
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
	if !plain(email) || strings.ContainsFunc(email, selector) || strings.ContainsAny(email, " <>\"(),:;\\/?#%") {
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
