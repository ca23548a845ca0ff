package cmd

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jedisct1/go-minisign"
)

// This file knows the signatures of releases, which are minisign's: who signed,
// and what the signature says of what was signed.

// Names in a release.
const (
	listName      = "SHA256SUMS"
	signatureName = listName + ".minisig"
)

// Lengths of what minisign writes in base64, by which one is told from another.
const (
	keyBytes       = 2 + 8 + 32
	signatureBytes = 2 + 8 + 64
	secretBytes    = 158 // of a secret key, encrypted or not
)

const whereKeysAre = "it is the line that begins with RW in a file like minisign.pub; take it from whom you trust for it, from their own page or on paper, never from what it is to prove"

// publicKey is the key that a release has to be signed with.
type publicKey struct{ minisign.PublicKey }

// id is what minisign calls the key.
func (k publicKey) id() string { return keyID(k.KeyId) }

func keyID(id [8]byte) string { return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(id[:])) }

// parseKey reads a public key: the line of base64, or a file with a comment
// before it.
func parseKey(text string) (k publicKey, err error) {
	line := strings.TrimSpace(text)
	if first, rest, more := strings.Cut(line, "\n"); more && strings.HasPrefix(first, "untrusted comment:") {
		line = strings.TrimSpace(rest)
	}
	if strings.Contains(line, "\n") {
		// A signature has four lines, and is what one takes for its key.
		return k, errors.New("a public key is one line, with one of a comment before it at most")
	}
	bytes, err := base64.StdEncoding.Strict().DecodeString(line)
	switch {
	case err != nil:
		return k, errors.New("it is no base64")
	case len(bytes) == secretBytes:
		return k, errors.New("it is a SECRET key, which signs and must not be where something is checked")
	case len(bytes) == signatureBytes:
		return k, errors.New("it is a signature, and no key")
	case len(bytes) != keyBytes:
		return k, fmt.Errorf("it has %d bytes, and a key has %d", len(bytes), keyBytes)
	case string(bytes[:2]) != "Ed":
		return k, errors.New("it is a key of another kind than minisign's Ed25519")
	}
	k.PublicKey, err = minisign.NewPublicKey(line)
	return k, err
}

// looksLikeKey tells whether a value of --key is meant to be the key itself. A
// path is not: none is so long and of these letters alone by chance.
func looksLikeKey(text string) bool {
	return len(text) == base64.StdEncoding.EncodedLen(keyBytes) && strings.HasPrefix(text, "RW") && !strings.ContainsAny(text, `.\`)
}

// readKey reads what --key names: a key, a file of one, or - for stdin. About is
// what it is to prove; a key from in there proves nothing.
func (a *app) readKey(value, about string) (k publicKey, err error) {
	if looksLikeKey(value) {
		if k, err = parseKey(value); err != nil {
			return k, usage("--key is no public key: "+err.Error(), whereKeysAre)
		}
		return k, nil
	}
	if value != "-" && within(about, value) {
		return k, usage("the key "+value+" is a part of what it is to prove, and proves nothing: whoever made it anew would put a key of their own there", "take the key from whom you trust for it, from their own page or on paper")
	}
	text, err := a.readSmall(value, "the public key")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f := fileFailure(exitNotFound, "the public key can't be read", err)
		f.next = "--key is the key itself, or a file of it; " + whereKeysAre
		return k, f
	case err != nil:
		return k, readFailed("the public key can't be read", err)
	}
	if k, err = parseKey(string(text)); err != nil {
		return k, &failure{code: exitUsage, what: keyPlace(value) + " is no public key: " + err.Error(), next: whereKeysAre}
	}
	return k, nil
}

func keyPlace(value string) string {
	if value == "-" {
		return "what stdin has"
	}
	return value
}

// within tells whether a file is in a folder.
func within(folder, file string) bool {
	real := func(path string) string {
		if full, err := filepath.Abs(path); err == nil {
			path = full
		}
		if found, err := filepath.EvalSymlinks(path); err == nil {
			return found
		}
		return path
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return false
	}
	rel, err := filepath.Rel(real(folder), real(file))
	return err == nil && filepath.IsLocal(rel)
}

// signed is what a good signature says.
type signed struct {
	comment string // which is signed too
	version string // v0.2.0
	date    string // of RFC 3339, with a time in UTC or without one; "" where it has none
}

// signatureError says what is wrong with a signature, with a code of a problem.
type signatureError struct{ code, what string }

// Error implements error.
func (e *signatureError) Error() string { return e.what }

// parseSignature reads a signature, of which nothing is believed yet.
func parseSignature(text []byte) (minisign.Signature, error) {
	s, err := minisign.DecodeSignature(string(text))
	for i, line := range strings.Split(string(text), "\n") {
		if i%2 == 1 && err == nil { // of the library's base64 several texts are the same bytes
			_, err = base64.StdEncoding.Strict().DecodeString(line)
		}
	}
	if err != nil {
		return s, &signatureError{faultBadSignature, "it is no signature in minisign's form"}
	}
	return s, nil
}

// verifySignature tells what the signature says of the text that it is of, or
// why it is no good.
func verifySignature(text []byte, s minisign.Signature, key publicKey) (r signed, err error) {
	if s.KeyId != key.KeyId {
		return r, &signatureError{faultOtherKey, fmt.Sprintf("it is signed by key ID %s, not by %s, the key that was given", keyID(s.KeyId), key.id())}
	}
	if good, err := key.Verify(text, s); err != nil || !good {
		return r, &signatureError{faultBadSignature, "it is not what the key " + key.id() + " signed: the list or its signature was changed"}
	}
	r.comment = strings.TrimPrefix(s.TrustedComment, "trusted comment: ")
	words := strings.Fields(r.comment)
	if len(words) < 2 || words[0] != "husk" || !versionForm.MatchString(words[1]) {
		return r, &signatureError{faultOtherRelease, fmt.Sprintf("the key signed it, but for no release of husk: its trusted comment is %q, and would begin with 'husk v', as 'minisign -S -t' makes it", printable(r.comment))}
	}
	r.version = words[1]
	for _, word := range words[2:] {
		if r.date = dateOfWord(word); r.date != "" {
			break
		}
	}
	return r, nil
}

// versionForm is how releases are called (semver.org).
var versionForm = regexp.MustCompile(`^v(\d{1,9})\.(\d{1,9})\.(\d{1,9})(-[0-9A-Za-z.-]{1,100})?$`)

// dateOfWord reads a date, a time, or minisign's own timestamp:SECONDS; "": it is
// none.
func dateOfWord(word string) string {
	if seconds, ok := strings.CutPrefix(word, "timestamp:"); ok {
		if n, err := strconv.ParseInt(seconds, 10, 64); err == nil && n >= 0 && n < 1<<37 {
			return time.Unix(n, 0).UTC().Format(time.RFC3339)
		}
	}
	if when, err := time.Parse(time.RFC3339, word); err == nil {
		return when.UTC().Format(time.RFC3339)
	}
	if _, err := time.Parse(time.DateOnly, word); err == nil {
		return word
	}
	return ""
}

// olderRelease tells whether one release came before another; what is no release
// did not.
func olderRelease(one, other string) bool {
	a, b := versionForm.FindStringSubmatch(one), versionForm.FindStringSubmatch(other)
	if a == nil || b == nil {
		return false
	}
	for i := 1; i <= 3; i++ {
		n, _ := strconv.Atoi(a[i]) // nine digits at most
		if m, _ := strconv.Atoi(b[i]); n != m {
			return n < m
		}
	}
	return a[4] != "" && b[4] == ""
}
