package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"husk/db"
)

// The first two pages of a bbolt file each hold a meta: the roots of one of
// the last two commits. bbolt trusts the newer one whose checksum holds. The
// integers of the file are in the machine's own byte order.
const (
	magic         = 0xED0CDAED
	formatVersion = 2
	pageHeader    = 16 // id uint64, flags, count uint16, overflow uint32
	metaSize      = 64
	metaChecksum  = 56         // offset of the checksum, which covers all before it
	noFreelist    = ^uint64(0) // in place of the freelist's page
	minPageSize   = 1 << 10
	maxPageSize   = 1 << 24
	flagMeta      = 0x04
)

var order = binary.NativeEndian

// Why a page is no valid meta, from the least to the most like one.
var (
	errForeign  = errors.New("it does not have the form of a store")
	errVersion  = errors.New("it is of an unknown version of the format")
	errChecksum = errors.New("the checksums of its header do not hold")
)

// errOldHeader tells of a file that is that of the commit before: one of the
// metas does not hold, and nothing tells whether it was the newer one.
var errOldHeader = errors.New("one of the two headers is damaged: the last change may be missing")

type meta struct {
	raw      [metaSize]byte
	pageSize int64
	root     uint64 // page of the root bucket
	freelist uint64 // page of the list of free pages
	pages    uint64 // all page ids are below it
	txid     uint64
}

// metaAt reads and verifies the meta of the page at an offset.
func metaAt(r io.ReaderAt, offset int64) (m meta, err error) {
	if n, err := r.ReadAt(m.raw[:], offset+pageHeader); n < metaSize {
		if err = classify(err); errors.Is(err, db.ErrDisk) {
			return m, err
		}
		return m, errForeign
	}
	sum := fnv.New64a()
	sum.Write(m.raw[:metaChecksum])
	switch {
	case order.Uint32(m.raw[0:]) != magic:
		return m, errForeign
	case order.Uint32(m.raw[4:]) != formatVersion:
		return m, errVersion
	case order.Uint64(m.raw[metaChecksum:]) != sum.Sum64():
		return m, errChecksum
	}
	m.pageSize = int64(order.Uint32(m.raw[8:]))
	m.root = order.Uint64(m.raw[16:])
	m.freelist = order.Uint64(m.raw[32:])
	m.pages = order.Uint64(m.raw[40:])
	m.txid = order.Uint64(m.raw[48:])
	return m, nil
}

// newest answers the meta that bbolt would trust. The page size is 0 where it
// is not yet known: the second meta is then looked for at all possible places.
// One that is torn was never the last commit's; one that can't be read may be.
func newest(r io.ReaderAt, pageSize int64) (meta, error) {
	first, err := metaAt(r, 0)
	if err == nil {
		pageSize = first.pageSize
	}
	second, err2 := secondMeta(r, pageSize)
	switch {
	case errors.Is(err, db.ErrDisk) || errors.Is(err2, db.ErrDisk):
		return meta{}, likeliest(err, err2)
	case err != nil && err2 != nil:
		return meta{}, likeliest(err, err2)
	case err != nil || err2 == nil && second.txid > first.txid:
		return second, nil
	}
	return first, nil
}

// halfHeader tells whether only one of the metas holds.
func halfHeader(r io.ReaderAt, pageSize int64) bool {
	_, err := metaAt(r, 0)
	_, err2 := metaAt(r, pageSize)
	return err != nil || err2 != nil
}

func secondMeta(r io.ReaderAt, pageSize int64) (m meta, err error) {
	if pageSize != 0 {
		return metaAt(r, pageSize)
	}
	reason := errForeign
	for pageSize = minPageSize; pageSize <= maxPageSize; pageSize *= 2 {
		if m, err = metaAt(r, pageSize); err == nil && m.pageSize == pageSize {
			return m, nil
		}
		reason = likeliest(reason, err)
	}
	return meta{}, reason
}

// likeliest chooses the reason that tells most. What can't be read may be
// anything.
func likeliest(a, b error) error {
	for _, err := range []error{a, b} {
		if errors.Is(err, db.ErrDisk) {
			return err
		}
	}
	for _, reason := range []error{errChecksum, errVersion} {
		if errors.Is(a, reason) || errors.Is(b, reason) {
			return reason
		}
	}
	return errForeign
}

// inspect refuses, without a write, a file that bbolt would fill, panic on or
// run into a fault with. It looks at the metas, the size and the freelist.
func inspect(f *os.File) (meta, error) {
	refuse := func(format string, args ...any) error {
		reason := fmt.Sprintf(format, args...)
		return damaged(nil, "%s is refused: %s", f.Name(), reason)
	}
	info, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	if info.Size() == 0 {
		return meta{}, refuse("it is empty")
	}
	m, err := newest(f, 0)
	switch {
	case errors.Is(err, db.ErrDisk):
		return meta{}, err
	case err != nil:
		return meta{}, refuse("%v", err)
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, refuse("its page size of %d bytes is impossible", m.pageSize)
	case m.pages > uint64(info.Size()/m.pageSize):
		return meta{}, refuse("it is truncated: %d bytes, %d pages of %d bytes are needed", info.Size(), m.pages, m.pageSize)
	case m.freelist == noFreelist:
		// bbolt would rebuild the list in a goroutine of its own, where a
		// fault can't be caught.
		return meta{}, refuse("it holds no list of its free pages")
	case m.root < 2 || m.root >= m.pages || m.freelist < 2 || m.freelist >= m.pages:
		return meta{}, refuse("its header points outside of it")
	}
	return m, nil
}
