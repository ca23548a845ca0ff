package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"husk/db"
)

const (
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf's element: its value is a bucket
	elementSize  = 16
	bucketHeader = 16 // root uint64, sequence uint64
	longFreelist = 0xFFFF
)

// Check walks all pages of one snapshot, while others read and write, and
// reports what is wrong with them. It stops with the context's error when that
// ends.
//
// bbolt's own check is not used: it works in a goroutine of its own, where a
// fault ends the process, allocates by lengths that may be damaged, and must
// not run beside a writer. This one reads the file, not the mapping.
func (e *Engine) Check(ctx context.Context, report func(error)) error {
	unblock, err := e.pauseWriter(ctx)
	if err != nil {
		return err
	}
	defer unblock()
	return e.read(ctx, func(tx *bbolt.Tx) error {
		m, err := newest(e.file, e.pageSize)
		if err != nil {
			return damaged(err, "the store is damaged")
		}
		// The open transaction keeps the pages of this commit from being
		// used again, so the writer may go on.
		unblock()
		c := newChecker(e.file, m, report)
		if err := c.walk(ctx); err != nil {
			return err
		}
		c.leaks()
		return nil
	})
}

// pauseWriter keeps commits away until unblock is called, once or more.
func (e *Engine) pauseWriter(ctx context.Context) (unblock func(), err error) {
	select {
	case e.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	held := true
	return func() {
		if held {
			held = false
			<-e.writer
		}
	}, nil
}

// inspectPages is the check of a file that is not yet open, for a limited
// time. Beyond the pages it came to, damage is met when it is read.
func inspectPages(f *os.File, m meta, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var first error
	c := newChecker(f, m, func(err error) {
		if first == nil {
			first = err
			cancel()
		}
	})
	err := c.walk(ctx)
	if first != nil {
		return damaged(first, "%s is refused: %v", f.Name(), first)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// checker walks the tree of buckets and pages in breadth, so that what all
// paths go through is looked at first. Each page is read once: a page that is
// met again, which would send bbolt round in a circle for ever, is reported.
type checker struct {
	r        io.ReaderAt
	meta     meta
	report   func(error)
	record   func(bucket string, key, value []byte) // nil, or what is called for each record that is met
	lenient  bool                                   // what is wrong in a page does not end the look at it
	damage   bool                                   // something was reported
	listed   bool                                   // the list of free pages was read, and nothing speaks against it
	astray   bool                                   // the page that is looked at is reached by no way, and its bucket not known
	used     pageSet
	free     pageSet
	todo     []subtree
	siblings int // where in todo the children of the branch begin that is looked at
}

// subtree is a page whose keys are in [min, max); a nil bound is none. Where
// bucket is empty the keys are those of buckets.
type subtree struct {
	page     uint64
	bucket   string
	min, max []byte
}

type pageSet []uint64

func (s pageSet) has(page uint64) bool { return s[page/64]&(1<<(page%64)) != 0 }

// add answers false where the page was in the set.
func (s pageSet) add(page uint64) bool {
	had := s.has(page)
	s[page/64] |= 1 << (page % 64)
	return !had
}

func (s pageSet) remove(page uint64) { s[page/64] &^= 1 << (page % 64) }

func newChecker(r io.ReaderAt, m meta, report func(error)) *checker {
	words := m.pages/64 + 1
	return &checker{r: r, meta: m, report: report, used: make(pageSet, words), free: make(pageSet, words)}
}

func (c *checker) wrong(err error) {
	c.damage = true
	c.report(err)
}

func (c *checker) walk(ctx context.Context) error {
	c.used.add(0)
	c.used.add(1)
	c.freelist()
	c.todo = []subtree{{page: c.meta.root}}
	for len(c.todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		next := c.todo[0]
		c.todo = c.todo[1:]
		c.subtree(next)
	}
	return nil
}

// leaks reports the pages that are neither used nor free. They are lost space,
// and a sign that something else went wrong. Behind a damaged page they say
// nothing.
func (c *checker) leaks() {
	if c.damage {
		return
	}
	n := 0
	for i := range c.used {
		n += bits.OnesCount64(c.used[i] | c.free[i])
	}
	if n = int(c.meta.pages) - n; n > 0 {
		c.report(fmt.Errorf("%d pages are neither used nor free", n))
	}
}

// page reads a page with its overflow and claims it.
func (c *checker) page(id uint64) (page, error) {
	size := c.meta.pageSize
	if id < 2 || id >= c.meta.pages {
		return nil, fmt.Errorf("page %d is outside of the store", id)
	}
	p := make(page, size)
	if _, err := c.r.ReadAt(p, int64(id)*size); err != nil {
		return nil, unreadable(id, err)
	}
	more := uint64(p.overflow())
	if p.id() != id || id+more >= c.meta.pages {
		return nil, fmt.Errorf("page %d is damaged: its header says page %d and %d more", id, p.id(), more)
	}
	for i := id; i <= id+more; i++ {
		if !c.used.add(i) {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		if c.free.has(i) {
			c.listed = false
			return nil, fmt.Errorf("page %d is used and free", i)
		}
	}
	if more > 0 {
		p = append(p, make(page, int64(more)*size)...)
		if _, err := c.r.ReadAt(p[size:], int64(id+1)*size); err != nil {
			return nil, unreadable(id, err)
		}
	}
	return p, nil
}

// unreadable keeps the words of the system for the log.
func unreadable(page uint64, cause error) error {
	return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: fmt.Sprintf("page %d can't be read: the disk fails there", page), Cause: cause}
}

func (c *checker) freelist() {
	p, err := c.page(c.meta.freelist)
	if err != nil {
		c.wrong(fmt.Errorf("list of free pages: %w", err))
		return
	}
	ids, n := p[pageHeader:], uint64(p.count())
	if n == longFreelist {
		n, ids = order.Uint64(ids), ids[8:]
	}
	if p.flags() != flagFreelist || n > uint64(len(ids)/8) {
		c.wrong(errors.New("the list of free pages is damaged"))
		return
	}
	before := uint64(1)
	for i := range n {
		id := order.Uint64(ids[8*i:])
		if id <= before || id >= c.meta.pages {
			c.wrong(fmt.Errorf("the list of free pages is damaged: page %d", id))
			return
		}
		c.free.add(id)
		before = id
	}
	// It has no checksum. That it is in order and ends where it says is what can
	// be told of it.
	if c.listed = len(bytes.Trim(ids[8*n:], "\x00")) == 0; !c.listed {
		c.wrong(errors.New("the list of free pages is damaged: it goes on behind its end"))
	}
}

func (c *checker) subtree(s subtree) {
	p, err := c.page(s.page)
	if err == nil {
		err = c.elements(p, s)
	}
	if err != nil {
		c.wrong(err)
	}
}

func (c *checker) elements(p page, s subtree) error {
	wrong := func(what string) error { return fmt.Errorf("page %d is damaged: %s", s.page, what) }
	branch := p.flags() == flagBranch
	if !branch && p.flags() != flagLeaf || branch && p.count() == 0 {
		return wrong("it is neither branch nor leaf")
	}
	c.siblings = len(c.todo)
	var before []byte
	for i := range p.count() {
		key, value, bucket, ok := p.element(i, branch)
		var err error
		switch {
		case !ok:
			err = wrong("an element points outside of it")
		case i > 0 && bytes.Compare(before, key) >= 0,
			s.min != nil && bytes.Compare(key, s.min) < 0,
			s.max != nil && bytes.Compare(key, s.max) >= 0:
			err = wrong("its keys are out of order")
		}
		if err != nil && !c.lenient {
			return err
		} else if err != nil {
			c.wrong(err)
		}
		if !ok {
			continue
		}
		if err := c.element(s, key, value, branch, bucket); err != nil && !c.lenient {
			return err
		} else if err != nil {
			c.wrong(err)
		}
		before = key
	}
	return nil
}

// element follows what one element of a page holds.
func (c *checker) element(s subtree, key, value []byte, branch, bucket bool) error {
	switch {
	case branch:
		// Its upper bound is the next key, which is set below.
		if len(c.todo) > c.siblings {
			c.todo[len(c.todo)-1].max = key
		}
		c.todo = append(c.todo, subtree{page: order.Uint64(value), bucket: s.bucket, min: key, max: s.max})
	case !bucket && s.bucket == "" && !c.astray:
		return fmt.Errorf("page %d is damaged: %q, which is no bucket, stands among them", s.page, key)
	case bucket && s.bucket != "":
		return fmt.Errorf("page %d is damaged: a bucket stands in a bucket", s.page)
	case bucket:
		return c.bucket(string(key), value, s)
	case c.record != nil:
		c.record(s.bucket, key, value)
	}
	return nil
}

// bucket looks into the value of a bucket: the page of its root, or the root
// itself, where that is small.
func (c *checker) bucket(name string, value []byte, s subtree) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("page %d is damaged: a bucket is cut", s.page)
	}
	if root := order.Uint64(value); root != 0 {
		c.todo = append(c.todo, subtree{page: root, bucket: name})
		return nil
	}
	inline := page(value[bucketHeader:])
	if len(inline) < pageHeader || inline.flags() != flagLeaf {
		return fmt.Errorf("page %d is damaged: a bucket in it is", s.page)
	}
	return c.elements(inline, subtree{page: s.page, bucket: name})
}

// page is the bytes of one page, with its overflow.
type page []byte

func (p page) id() uint64       { return order.Uint64(p) }
func (p page) flags() uint16    { return order.Uint16(p[8:]) }
func (p page) count() int       { return int(order.Uint16(p[10:])) }
func (p page) overflow() uint32 { return order.Uint32(p[12:]) }

// element answers the key and value of the i-th element; the value of a
// branch's is the page id of its child. ok is false where it is not all inside
// the page.
func (p page) element(i int, branch bool) (key, value []byte, bucket, ok bool) {
	at := pageHeader + i*elementSize
	if at+elementSize > len(p) {
		return nil, nil, false, false
	}
	e := p[at : at+elementSize]
	pos, ksize, vsize := order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])
	if branch { // pos, ksize uint32, page uint64
		pos, ksize, vsize = order.Uint32(e), order.Uint32(e[4:]), 0
	} else { // flags, pos, ksize, vsize uint32
		bucket = order.Uint32(e)&flagBucket != 0
	}
	start := uint64(at) + uint64(pos)
	end := start + uint64(ksize)
	if end+uint64(vsize) > uint64(len(p)) {
		return nil, nil, false, false
	}
	key, value = p[start:end], p[end:end+uint64(vsize)]
	if branch {
		value = e[8:]
	}
	return key, value, bucket, true
}
