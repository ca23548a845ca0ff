package bolt

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"
)

// scrubLeaves is how many leaf pages one part of a scrub reads: some
// milliseconds, so that its snapshot keeps hardly any page from being used
// again.
const scrubLeaves = 64

// Scrub walks one part of the pages. See db.Scrubber. What pages are for in
// the whole, that none is lost or used twice, is what Check tells: from one
// part to the next the tree changes.
func (e *Engine) Scrub(ctx context.Context, place []byte, record func(bucket string, key, value []byte), report func(error)) (next []byte, err error) {
	unblock, err := e.pauseWriter(ctx)
	if err != nil {
		return nil, err
	}
	defer unblock()
	err = e.read(ctx, func(*bbolt.Tx) error {
		m, err := newest(e.file, e.pageSize)
		if err != nil {
			return damaged(err, "the store is damaged")
		}
		unblock()
		p := newScrub(newChecker(e.file, m, report), place, record)
		p.visit(subtree{page: m.root})
		next = p.next
		return nil
	})
	return next, err
}

// scrub walks in the order of keys, bucket after bucket, from a place on.
type scrub struct {
	*checker
	bucket string // the place to begin at
	key    []byte
	left   int    // leaves to read yet
	next   []byte // set where it stopped
}

// A place is the name of a bucket, a NUL, and a key.
func newPlace(bucket string, key []byte) []byte {
	return append(append([]byte(bucket), 0), key...)
}

func newScrub(c *checker, place []byte, record func(bucket string, key, value []byte)) *scrub {
	bucket, key, _ := bytes.Cut(place, []byte{0})
	p := &scrub{checker: c, bucket: string(bucket), key: key, left: scrubLeaves}
	c.record = func(bucket string, key, value []byte) {
		if !p.before(bucket, key) {
			record(bucket, key, value)
		}
	}
	c.used.add(0)
	c.used.add(1)
	if len(place) == 0 {
		c.freelist()
	}
	return p
}

func (p *scrub) before(bucket string, key []byte) bool {
	return bucket < p.bucket || bucket == p.bucket && bytes.Compare(key, p.key) < 0
}

// behind tells whether all that a subtree holds comes before the place.
func (p *scrub) behind(s subtree) bool {
	switch {
	case s.bucket == "":
		return s.max != nil && string(s.max) <= p.bucket
	case s.bucket == p.bucket:
		return s.max != nil && bytes.Compare(s.max, p.key) <= 0
	}
	return s.bucket < p.bucket
}

// visit walks a subtree; it answers false where it stopped. A page that is met
// again is damage, so there is no circle.
func (p *scrub) visit(s subtree) (goOn bool) {
	page, err := p.page(s.page)
	p.todo = nil
	if err == nil {
		err = p.elements(page, s)
	}
	if err != nil {
		p.wrong(err)
	}
	if err == nil && page.flags() == flagLeaf && s.bucket != "" {
		p.left--
	}
	children := p.todo
	for _, child := range children {
		if p.behind(child) {
			continue
		}
		if p.left <= 0 {
			p.next = placeOf(child)
			return false
		}
		if !p.visit(child) {
			return false
		}
	}
	return true
}

// placeOf returns the place of the first key that a subtree can hold.
func placeOf(s subtree) []byte {
	if s.bucket == "" {
		return newPlace(string(s.min), nil)
	}
	return newPlace(s.bucket, s.min)
}
