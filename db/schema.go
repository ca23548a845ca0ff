package db

import (
	"errors"
	"fmt"
)

// PeekSchema returns what a store says about itself. read hands out one record of
// the file as it is kept, which may have been written to meanwhile: its checksum
// tells. The error wraps ErrDamaged where it says nothing, or is that of read.
func PeekSchema(read func(bucket string, key []byte) ([]byte, error)) (schema Schema, err error) {
	sealed, err := read(metaBucket, []byte(metaSchema))
	if err != nil {
		return schema, err
	}
	value, err := unseal(metaBucket, []byte(metaSchema), sealed)
	if err != nil {
		return schema, err
	}
	if err := unmarshal(value, &schema); err != nil {
		return schema, errors.Join(damagedRecord(metaBucket, []byte(metaSchema)), err)
	}
	return schema, schema.known()
}

// known refuses what no husk wrote.
func (s Schema) known() error {
	if s.Version < 1 {
		return fmt.Errorf("%w: it has no schema: it was not written by husk, or its creation was cut short", ErrDamaged)
	}
	return nil
}

// Readable is nil where this program reads a store of this schema; an older one
// it upgrades. Else the error wraps ErrNewer, and names the husk that is needed.
func (s Schema) Readable() error {
	if s.Version > newestSchema() {
		return newer(s)
	}
	return nil
}
