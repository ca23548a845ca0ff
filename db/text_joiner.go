package db

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// The two joiners have no shape of their own. Persian, Sinhala and others can't be
// written without them, and emoji of families and professions are made of several: there
// they change what is seen. Anywhere else two names with and without one look alike.

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	emojiVariation     = '\ufe0f'
)

func isJoiner(r rune) bool { return r == zeroWidthNonJoiner || r == zeroWidthJoiner }

// joined returns how many bytes, from the joiner at i on, are joined as they may be; 0:
// the joiner shows nothing there.
func joined(s string, i int) int {
	if joinsEmoji(s, i) {
		return utf8.RuneLen(zeroWidthJoiner)
	}
	return joinsLetters(s, i)
}

// joinsEmoji tells whether the joiner at i stands between two emoji (UTS #51, ED-15a:
// emoji_zwj_element).
func joinsEmoji(s string, i int) bool {
	joiner, n := utf8.DecodeRuneInString(s[i:])
	after, _ := utf8.DecodeRuneInString(s[i+n:])
	before := strings.TrimSuffix(s[:i], string(emojiVariation))
	if tone, n := utf8.DecodeLastRuneInString(before); tone >= 0x1f3fb && tone <= 0x1f3ff {
		before = before[:len(before)-n]
	}
	last, _ := utf8.DecodeLastRuneInString(before)
	return joiner == zeroWidthJoiner && isPictograph(last) && isPictograph(after)
}

// isPictograph tells emoji of which others are made. The standard library has no table of
// Unicode's Extended_Pictographic: these are the symbols of its blocks, and of the
// mathematical ones the arrow by which a head is shaken.
func isPictograph(r rune) bool {
	switch {
	case r == 0x2194:
		return true
	case !unicode.Is(unicode.So, r):
		return false
	}
	return r >= 0x2190 && r <= 0x21ff || r >= 0x2600 && r <= 0x27bf || r >= 0x2b00 && r <= 0x2bff || r >= 0x1f300 && r <= 0x1faff
}

// joinsLetters returns how many bytes are left of the letters around the joiner at i where
// each joiner among them stands as RFC 5892 has it, A.1 and A.2, and before another
// letter; else 0.
func joinsLetters(s string, i int) int {
	begin := strings.LastIndexFunc(s[:i], isNoLetter)
	if begin >= 0 {
		_, n := utf8.DecodeRuneInString(s[begin:])
		begin += n
	}
	end := strings.IndexFunc(s[i:], isNoLetter)
	if end < 0 {
		end = len(s) - i
	}
	letters := s[max(begin, 0) : i+end]
	for rest := letters; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		next, _ := utf8.DecodeRuneInString(rest)
		if isJoiner(r) && !unicode.In(next, unicode.L, unicode.M) || !isJoiner(r) && notPlain(r) {
			return 0
		}
	}
	if _, err := joinedLetters.String(letters); err != nil {
		return 0
	}
	return end
}

// joinedLetters has the rules of RFC 5892 for characters that depend on others.
var joinedLetters = precis.NewFreeform()

func isNoLetter(r rune) bool { return !unicode.In(r, unicode.L, unicode.M) && !isJoiner(r) }
