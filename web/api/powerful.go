package api

import (
	"slices"
	"time"
)

// A token that is far or powerful is worth more than one's daily work: by a session it
// is made after a fresh proof alone. The server and the pages ask this file which is.

// powers are the permissions by which one gives others more, or oneself, or takes all
// secrets out: one of them is enough to get the rest.
var powers = []string{
	"*",
	"generic#security:user/create", "generic#security:user/update",
	"generic#security:role/create", "generic#security:role/update",
	"generic#system/backup", "generic#system/keys",
}

// Powers are those of the permissions, which may be expanded, that make a token
// powerful.
func Powers(permissions []string) (some []string) {
	for _, key := range permissions {
		if slices.Contains(powers, key) {
			some = append(some, key)
		}
	}
	return some
}

// LongestLife is the longest life of a token that is an ordinary one.
const LongestLife = 365 * 24 * time.Hour

// IsFar tells whether a token that ends at ends, in Unix seconds, lives longer than
// LongestLife; -1 is no end, and 0 the life that one has by itself. A day more is let
// pass: clocks differ, and the day that is named is its last.
func IsFar(ends int64, now time.Time) bool {
	return ends < 0 || ends > now.Add(LongestLife+24*time.Hour).Unix()
}
