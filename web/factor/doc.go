// Package factor has what people prove besides a password that they are who they say:
// codes of a program on a phone (TOTP, RFC 6238), passkeys (WebAuthn Level 3) and
// recovery codes, which are good without either. It keeps nothing, and knows no users:
// what is good once is spent by whoever keeps it (package db), in the transaction that
// it is good for.
//
// A code that somebody types is read by ReadCode, which tells the two kinds apart by
// their form. A TOTP secret is 160 random bits; a Sealer seals it for the store. Check
// finds the time step of a code, which the store has to hold against the newest one
// that was taken.
package factor
