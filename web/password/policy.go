package password

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MinLength of a password, in code points (NIST SP 800-63B-4, 3.1.1.2).
	MinLength = 8
	// MaxLength of a password, in bytes: an upper bound must exist (OWASP
	// Password Storage Cheat Sheet).
	MaxLength = 1024

	// minWord is the least length of a personal word, in code points: a
	// single letter is nobody's name.
	minWord = 2
	// maxTail is how many digits and signs after a word still make no
	// password of it: a whole date.
	maxTail = 8
)

// The codes of a PolicyError.
const (
	CodeTooShort = "password_too_short"
	CodeTooLong  = "password_too_long"
	CodeNotUTF8  = "password_not_utf8"
	CodeCommon   = "password_common"
	CodePersonal = "password_personal"
)

// PolicyError says why a password was refused.
type PolicyError struct {
	Code   string // one of the Code constants, for programs
	Reason string // a sentence for its owner, without the password
}

// Error returns the reason.
func (e *PolicyError) Error() string { return e.Reason }

var (
	errEmpty    = &PolicyError{CodeTooShort, "No password was given. Type one of at least 8 characters."}
	errTooShort = &PolicyError{CodeTooShort, "The password is too short. Use at least 8 characters; 15 or more, for instance a few unrelated words, are better."}
	errTooLong  = &PolicyError{CodeTooLong, "The password is too long. Use at most 1024 bytes, which is 1024 plain letters."}
	errNotUTF8  = &PolicyError{CodeNotUTF8, "The password is not valid UTF-8 text. Set the terminal or program to UTF-8 and type it again."}
	errCommon   = &PolicyError{CodeCommon, "The password is one of those that are tried first. Choose one that nobody else would think of, for instance a few unrelated words."}
	errPersonal = &PolicyError{CodePersonal, "The password is made from the name or the email address of the account. Choose one that has nothing to do with them."}
)

// productWords are guessed first where this product is found.
var productWords = []string{"husk", "coco"}

// commonList is read in place: it is part of the program's read-only data, so
// it costs no memory of its own until the first new password, and no work at
// start. README.md says where it comes from.
//
//go:embed common.txt
var commonList string

// Length returns a *PolicyError for a password that nobody can have: empty,
// over MaxLength bytes or not UTF-8. It is the check before any look-up at
// sign-in; imported passwords may be shorter than MinLength.
//
// U+FFFD counts as not UTF-8. It is what encoding/json makes of every bad byte
// and of every lone surrogate (\ud800), so that with it many passwords would
// be one, however carefully a body was checked before it was decoded.
func Length(password string) error {
	switch {
	case password == "":
		return errEmpty
	case len(password) > MaxLength:
		return errTooLong
	case strings.ContainsRune(password, utf8.RuneError): // bad bytes too
		return errNotUTF8
	}
	return nil
}

// Check returns a *PolicyError for a password that must not be set: what
// Length refuses, fewer than MinLength code points, one of the common ones,
// or one made from the personal words (the email address, the name) or the
// product's. The whole password is compared, case-folded; there are no rules
// of composition (NIST SP 800-63B-4, 3.1.1.2; ASVS 6.2.4, 6.2.5, 6.2.11).
func Check(password string, personal ...string) error {
	if err := Length(password); err != nil {
		return err
	}
	if utf8.RuneCountInString(password) < MinLength {
		return errTooShort
	}
	folded := fold(password)
	if isCommon(folded) || madeFromAny(folded, productWords) {
		return errCommon
	}
	for _, p := range personal {
		if madeFromAny(folded, words(p)) {
			return errPersonal
		}
	}
	return nil
}

// isCommon looks for a whole line of the list: 27 KB are read in microseconds,
// next to a hash of tens of milliseconds.
func isCommon(folded string) bool {
	line := folded + "\n"
	if strings.Count(line, "\n") != 1 {
		return false
	}
	return strings.HasPrefix(commonList, line) || strings.Contains(commonList, "\n"+line)
}

// words returns what can be guessed from a name or an email address: the
// whole, the local part, the pieces of either and the pieces together.
func words(personal string) []string {
	whole := strings.TrimSpace(fold(personal))
	local := whole
	if at := strings.LastIndexByte(whole, '@'); at >= 0 {
		local = whole[:at]
	}
	pieces := strings.FieldsFunc(local, isNoLetter)
	return append(pieces, whole, local, strings.Join(pieces, ""))
}

func madeFromAny(folded string, words []string) bool {
	for _, w := range words {
		if utf8.RuneCountInString(w) >= minWord && madeFrom(folded, w) {
			return true
		}
	}
	return false
}

// madeFrom tells whether a password is the word, once or repeated, followed by
// at most a few digits and signs: husk2026!, annaanna.
func madeFrom(folded, word string) bool {
	tail, found := strings.CutPrefix(folded, word)
	for again := found; again; {
		tail, again = strings.CutPrefix(tail, word)
	}
	return found && utf8.RuneCountInString(tail) <= maxTail && strings.IndexFunc(tail, unicode.IsLetter) < 0
}

func isNoLetter(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }

// fold is simple case folding (Unicode, CaseFolding.txt, status C and S): the
// Kelvin sign is a k, the long s is an s.
func fold(s string) string { return strings.Map(foldRune, s) }

// foldRune takes the least of the runes that differ in case only, in lower
// case: the same one, whichever it began with.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}
