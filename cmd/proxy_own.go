package cmd

import (
	"slices"
	"strconv"
	"strings"
)

// An application gets none of Husk's credentials: whoever writes it, or breaks into
// it, could use them. A proxy knows them by their form alone, so what tells them
// from an application's own is here: regular expressions that PCRE and RE2 read
// alike.

// ownAuthorization are patterns of an Authorization that is Husk's: an API token,
// a JWT of this issuer, and Basic with an API token as its password.
func ownAuthorization() []string {
	patterns := []string{
		`^(?i:bearer)\s+[0-9a-f-]{36}_[0-9A-Za-z]{49}\s*$`,
		// Claims begin with the issuer: {"iss":"husk", in base64url.
		`^(?i:bearer)\s+eyJ[\w-]*\.eyJpc3MiOiJodXNrIiw[\w-]*\.`,
	}
	for length := range 3 {
		patterns = append(patterns, `^(?i:basic)\s+[A-Za-z0-9+/]*`+basicEnd(length)+`\s*$`)
	}
	return patterns
}

// tokenForm is how an API token looks behind the colon of Basic: x is a letter or
// a digit.
const tokenForm = ":xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// basicEnd is a pattern of the base64 of what ends with a token, whose length has
// this rest to 3. A digit of it is held to what it can be where a separator lies
// beneath; the others to being one. That and the length are enough: five separators
// stand where no password has them by chance.
func basicEnd(rest int) string {
	before := (rest - len(tokenForm)%3 + 3) % 3 // bytes that are anything, to where three begin
	total := before + len(tokenForm)
	var out strings.Builder
	free := 0
	flush := func() {
		if free > 0 {
			out.WriteString("[A-Za-z0-9+/]{" + strconv.Itoa(free) + "}")
		}
		free = 0
	}
	for digit := range (total*8 + 5) / 6 {
		if class := digitClass(digit, before, total); class != "" {
			flush()
			out.WriteString(class)
		} else {
			free++
		}
	}
	flush()
	return out.String() + strings.Repeat("=", (3-total%3)%3)
}

// digitClass is the class of a digit of base64 that has bits of a separator, else
// empty.
func digitClass(digit, before, total int) string {
	first, separator := digit*6/8, false
	candidates := func(at int) []byte {
		switch {
		case at >= total:
			return []byte{0}
		case at < before:
			return nil // anything
		case tokenForm[at-before] == 'x':
			return []byte(base64Digits[:62])
		}
		separator = true
		return []byte{tokenForm[at-before]}
	}
	one, two := candidates(first), candidates(first+1)
	if digit*6%8 <= 2 { // all six bits are of the first
		separator = first >= before && first < total && tokenForm[first-before] != 'x'
		two = []byte{0}
	}
	if !separator || one == nil || two == nil {
		return ""
	}
	var all []byte
	for _, a := range one {
		for _, b := range two {
			bits := (int(a)<<8 | int(b)) >> (10 - digit*6%8) & 63
			if !slices.Contains(all, base64Digits[bits]) {
				all = append(all, base64Digits[bits])
			}
		}
	}
	slices.Sort(all)
	if len(all) == 1 {
		return strings.ReplaceAll(string(all), "+", `\+`)
	}
	return "[" + string(all) + "]"
}
