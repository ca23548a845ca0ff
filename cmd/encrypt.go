package cmd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// This file is all that knows age (age-encryption.org/v1), to which backups
// can be encrypted: to public keys, so that what makes a backup can't read it.

// seal begins an encrypted file in w. Only its Close makes the file whole.
type seal func(w io.Writer) (io.WriteCloser, error)

// sealTo encrypts to all of the recipients; to none it is nil. It fails where
// they can't be used together.
func sealTo(texts []string) (seal, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	var all []age.Recipient
	for _, text := range texts {
		r, err := parseRecipient(text)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	s := func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, all...) }
	if _, err := s(io.Discard); err != nil {
		return nil, &failure{code: exitUsage, err: err, what: "the recipients can't be used together",
			next: "a key that resists quantum computers (age1pq1…) and one that does not would make the weaker one decide: take keys of one kind"}
	}
	return s, nil
}

var errRecipient = errors.New("it is the public key of an age key pair, age1…; 'age-keygen' makes one")

// parseRecipient never says what it was given: that may be the other half of
// the pair.
func parseRecipient(text string) (age.Recipient, error) {
	if strings.ContainsAny(text, "\r\n#") {
		return nil, errRecipient
	}
	found, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(found) != 1 {
		return nil, errRecipient
	}
	return found[0], nil
}

// recipientKind is the kind of a recipient as a setting.
const recipientKind = "recipient"

func newRecipients() *list {
	return &list{kind: recipientKind, read: func(text string) (string, error) {
		_, err := parseRecipient(text)
		return text, err
	}}
}

// readRecipients reads a file of recipients: one a line, empty lines and those
// that begin with # aside.
func (a *app) readRecipients(name string) (found []string, err error) {
	text, err := a.readSmall(name, "the recipients of --recipients-file")
	if err != nil {
		return nil, readFailed("the recipients file can't be read", err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, err := parseRecipient(line); err != nil {
			return nil, usage(fmt.Sprintf("the recipients file, line %d: %v", n, err), "")
		}
		found = append(found, line)
	}
	if len(found) == 0 {
		return nil, usage("the recipients file names nobody", "each line is a recipient, age1…")
	}
	return found, nil
}

const (
	ageHeader = "age-encryption.org/" // how an encrypted file begins
	ageArmor  = "-----BEGIN AGE ENCRYPTED FILE-----"
)

// encrypted tells whether a file begins like one that is encrypted.
func encrypted(file io.Reader) bool {
	begins, _ := io.ReadAll(io.LimitReader(file, int64(len(ageArmor))))
	return bytes.HasPrefix(begins, []byte(ageHeader)) || bytes.HasPrefix(begins, []byte(ageArmor))
}

// identities are secret keys.
type identities []age.Identity

// readIdentities reads a file of secret keys, as age-keygen writes it; none
// where no file is named.
func (a *app) readIdentities(name string) (identities, error) {
	if name == "" {
		return nil, nil
	}
	text, err := a.readSecret(name, "the secret key of --identity-file", "Secret key, AGE-SECRET-KEY-…: ")
	if err != nil {
		return nil, readFailed("the identity file can't be read", err)
	}
	if bytes.HasPrefix(text, []byte(ageHeader)) || bytes.HasPrefix(text, []byte(ageArmor)) {
		return nil, &failure{code: exitFailure, what: "the identity file is protected by a passphrase, which husk does not ask for",
			next: "pipe it in: age -d FILE | husk restore … --identity-file -"}
	}
	found, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		return nil, &failure{code: exitFailure, err: err, what: "the identity file holds no age identity, or a line that is none",
			next: "it is the file that 'age-keygen' writes, with AGE-SECRET-KEY-…"}
	}
	return found, nil
}

// unseal returns what a backup file holds, decrypted where it is encrypted.
func unseal(file io.Reader, keys identities) (io.Reader, error) {
	in := bufio.NewReaderSize(file, 1<<16)
	begins, err := in.Peek(len(ageHeader))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(begins) != ageHeader {
		return in, nil
	}
	if len(keys) == 0 {
		return nil, &failure{code: exitInvalid, what: "the backup is encrypted", next: "name the file with the secret key: --identity-file FILE"}
	}
	out, err := age.Decrypt(in, keys...)
	var other *age.NoIdentityMatchError
	switch {
	case errors.As(err, &other):
		return nil, &failure{code: exitInvalid, err: err, what: "the backup is encrypted to other keys than those of the identity file",
			next: "nothing was changed; name the file with the secret key of one of its recipients"}
	case err != nil:
		return nil, errNoBackup("its encryption is cut short or was changed", err)
	}
	return out, nil
}
