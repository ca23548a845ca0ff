package bolt

import (
	"bytes"
	"errors"

	"go.etcd.io/bbolt"

	"husk/db"
)

const (
	fillWrites  = 1 << 17 // writes per commit of Fill
	fillPercent = 0.8     // of a page; what was written in no order is fuller than half and emptier than whole
)

// Fill lets write put very much into a store that nobody has open, best in the
// order of keys. It commits on the way and syncs at the end alone: one that
// fails leaves a store of no use. Where there is no file, it makes one.
func Fill(path string, write func(db.Tx) error) (err error) {
	bolt, err := bbolt.Open(path, 0o600, &bbolt.Options{
		OpenFile: openDirectly,
		Timeout:  defaultTimeout, FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapReserve, NoSync: true, NoFreelistSync: true,
	})
	if err != nil {
		return err
	}
	bolt.AllocSize = 16 << 20
	defer func() {
		if err = errors.Join(err, bolt.Close()); err == nil {
			err = trim(path)
		}
		err = classify(err)
	}()
	f := &filler{bolt: bolt}
	if f.tx, err = bolt.Begin(true); err != nil {
		return err
	}
	if err := write(f); err != nil {
		return errors.Join(err, f.tx.Rollback())
	}
	bolt.NoFreelistSync = false
	return f.tx.Commit()
}

// filler is a transaction that is in truth many.
type filler struct {
	transaction
	bolt *bbolt.DB
}

// Put implements db.Tx.
func (f *filler) Put(bucket string, key, value []byte) error {
	if f.writes++; f.writes%fillWrites == 0 {
		if err := f.tx.Commit(); err != nil {
			return err
		}
		var err error
		if f.tx, err = f.bolt.Begin(true); err != nil {
			return err
		}
	}
	b, err := f.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	b.FillPercent = fillPercent
	return b.Put(bytes.Clone(key), value)
}
