package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// File is the file of a store that is looked at page by page, without bbolt:
// one that may be too damaged to be opened. As long as it is open it holds the
// lock.
type File struct {
	f       *os.File
	size    int64
	meta    meta
	refused error // why no page can be found in it; nil: they can
	half    bool  // only one of the headers holds
}

// OpenFile takes the lock of the file at path, whatever is in it. Its error
// wraps db.ErrAbsent, db.ErrLocked or fs.ErrPermission, or db.ErrDamaged where
// it is no file at all.
func OpenFile(path string, wait time.Duration) (*File, error) {
	f, err := claim(path, wait)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	file := &File{f: f, size: info.Size()}
	file.meta, file.refused = newest(f, 0)
	switch size := file.meta.pageSize; {
	case file.size == 0:
		file.refused = errors.New("it is empty")
	case file.refused == nil && (size < minPageSize || size > maxPageSize || size&(size-1) != 0):
		file.refused = fmt.Errorf("its page size of %d bytes is impossible", size)
	case file.refused == nil:
		file.half = halfHeader(f, size)
	}
	return file, nil
}

// Close gives the lock back.
func (f *File) Close() error { return errors.Join(unlock(f.f), f.f.Close()) }

// Unreadable tells why nothing can be read, nil where something can: which
// pages hold the store is what the header tells, and without it pages that
// were given up long ago would pass for what is in the store.
func (f *File) Unreadable() error { return f.refused }

// Walk reads all pages that are in use, as far as they can be read. It reports
// what is wrong and calls record for what stands in them; the bytes are valid
// as long as it runs. Records of which it is not known in what bucket they are,
// because the way to their page is damaged, come last, with an empty bucket. A
// record may be met twice.
func (f *File) Walk(ctx context.Context, record func(bucket string, key, value []byte), report func(error)) error {
	if f.refused != nil {
		report(f.refused)
		return nil
	}
	if f.half {
		report(errOldHeader)
	}
	m := f.meta
	if there := uint64(f.size / m.pageSize); m.pages > there {
		report(fmt.Errorf("the file is truncated: %d bytes, %d pages of %d bytes are needed", f.size, m.pages, m.pageSize))
		m.pages = max(there, 2)
	}
	c := newChecker(f.f, m, report)
	c.record, c.lenient = record, true
	if m.freelist == noFreelist {
		c.wrong(errors.New("it holds no list of its free pages"))
	}
	if err := c.walk(ctx); err != nil {
		return err
	}
	if !c.damage {
		c.leaks()
		return nil
	}
	return c.strays(ctx)
}

// strays looks at the pages that are neither free nor reached: what lies
// behind a damaged page is among them. A page is in use where its own number,
// which stands in it, is that of such a page; so a copy of a page that was
// given up before is not taken for one. Without the list of free pages there
// is no telling, and nothing is looked at: what was revoked must not be back. Nor
// where the list is in doubt, as a page that is in use shows that stands in it.
func (c *checker) strays(ctx context.Context) error {
	c.astray = true
	if !c.listed {
		c.report(errors.New("what lies behind a damaged page is not looked for: without a list of the free pages that holds, it can't be told from what was given up"))
		return nil
	}
	missing := make(pageSet, len(c.used))
	for i := range missing {
		missing[i] = ^(c.used[i] | c.free[i])
	}
	for at := uint64(2); at < c.meta.pages; at++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if missing.has(at) {
			c.stray(at, missing)
		}
	}
	return nil
}

// stray reads one page that nothing leads to.
func (c *checker) stray(at uint64, missing pageSet) {
	size := c.meta.pageSize
	p := make(page, size)
	if _, err := c.r.ReadAt(p, int64(at)*size); err != nil {
		return
	}
	more := uint64(p.overflow())
	if id := p.id(); p.flags() != flagLeaf || id >= c.meta.pages || !missing.has(id) || at+more >= c.meta.pages {
		return
	}
	if more > 0 {
		p = append(p, make(page, int64(more)*size)...)
		if _, err := c.r.ReadAt(p[size:], int64(at+1)*size); err != nil {
			return
		}
	}
	missing.remove(p.id()) // once
	for i := range more {
		missing.remove(at + 1 + i) // no page begins there
	}
	before := c.todo
	if err := c.elements(p, subtree{page: at}); err != nil {
		c.wrong(err)
	}
	c.todo = before // the pages that it leads to are strays themselves
}
