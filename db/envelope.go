package db

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Every value that the store keeps, of an index too, stands in an envelope:
//
//	1 byte   format, envelopeV1
//	8 bytes  the first bytes of SHA-256 over bucket, key and value
//	n bytes  the value
//
// The sum covers bucket and key, so that a good record under the wrong key is
// refused as well. It tells damage, not tampering: whoever can write the file
// can write the sum.
const (
	envelopeV1   = 1
	envelopeSize = 1 + 8
)

func envelopeSum(bucket string, key, value []byte) []byte {
	h := sha256.New()
	var n [4]byte
	binary.BigEndian.PutUint16(n[:2], uint16(len(bucket)))
	binary.BigEndian.PutUint16(n[2:], uint16(len(key)))
	h.Write(n[:])
	h.Write([]byte(bucket))
	h.Write(key)
	h.Write(value)
	return h.Sum(nil)[:8]
}

// seal puts value in its envelope.
func seal(bucket string, key, value []byte) []byte {
	sealed := make([]byte, 0, envelopeSize+len(value))
	sealed = append(sealed, envelopeV1)
	sealed = append(sealed, envelopeSum(bucket, key, value)...)
	return append(sealed, value...)
}

// unseal takes the value out again, or answers an error that wraps ErrDamaged.
func unseal(bucket string, key, sealed []byte) ([]byte, error) {
	if len(sealed) < envelopeSize || sealed[0] != envelopeV1 {
		return nil, damagedRecord(bucket, key)
	}
	value := sealed[envelopeSize:]
	if !bytes.Equal(sealed[1:envelopeSize], envelopeSum(bucket, key, value)) {
		return nil, damagedRecord(bucket, key)
	}
	return value, nil
}

func damagedRecord(bucket string, key []byte) error {
	return errDamagedStore(placeText(bucket, key) + " does not match its checksum")
}

// lostRecord is for one without which no store is made.
func lostRecord(bucket string, key []byte) error {
	return errDamagedStore(placeText(bucket, key) + " is not there")
}

func errDamagedStore(cause string) error {
	return &Error{
		Kind:   ErrDamaged,
		Code:   "store_damaged",
		Reason: "a record of the store is damaged; run 'husk check' and restore a backup",
		Cause:  errors.New(cause),
	}
}

// placeText names a record for people.
func placeText(bucket string, key []byte) string {
	if bucket == auditBucket && len(key) == 8 {
		return fmt.Sprintf("audit entry %d", binary.BigEndian.Uint64(key))
	}
	return fmt.Sprintf("record %q in bucket %q", key, bucket)
}
