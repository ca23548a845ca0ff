// Package password says which passwords are good enough, hashes them and
// verifies them, without letting a flood of sign-ins eat the machine.
//
// The flow of a sign-in: [Length] first, before any look-up, so that a
// password nobody could have costs nothing. Then [Hasher.Verify] with the
// user's hash, or [Hasher.VerifyNobody] when there is no such user, which does
// the same work. When Verify says stale, [Hasher.Hash] again and write the new
// hash, provided that the record did not change meanwhile.
//
// The flow of a new password: [Check], then Hash. Imported hashes go through
// [Valid] before they are stored.
//
// A password is its exact bytes. Nothing is trimmed, cut, case-folded or
// normalised, neither when it is set nor when it is verified (NIST SP
// 800-63B-4, 3.1.1.2): two passwords that differ after byte 72 are different.
// Unicode normalisation is left out on purpose. Imported hashes were made
// without it, a later version of the Unicode tables could change what a stored
// hash stands for, and the same keyboard sends the same bytes; the price is
// that a character composed by one system and decomposed by another counts as
// two passwords. Text that is not UTF-8 is refused, and so is U+FFFD, which
// decoders put in the place of each bad byte: see [Length].
package password
