package etcd

import (
	"context"
	"slices"
)

const (
	firstPage = 32      // records that a scan reads first
	maxPage   = 1024    // and later at most
	pageBytes = 1 << 20 // of their values, where those so far are a measure
	maxLast   = 256     // records of a page in reverse

	// Of one question where the last keys of a range are: together less than maxOps.
	maxBytes = 20 // places among the bytes at one depth; 39 at most
	maxDepth = 2
	maxTail  = 10
)

// pager hands out the records of a range in pages.
type pager struct {
	s       *snapshot
	lo, hi  string // what is left: from lo to before hi
	reverse bool
	limit   int
	over    bool
}

// next returns the next page, in the order of the scan; none at the end.
func (p *pager) next(ctx context.Context) (page []record, err error) {
	if p.over || p.lo >= p.hi {
		p.over = true
		return nil, nil
	}
	if p.limit == 0 {
		p.limit = firstPage
	}
	if p.reverse {
		page, err = p.last(ctx)
	} else {
		var more bool
		page, more, err = p.s.page(ctx, p.lo, p.hi, p.limit)
		p.over = !more
		if n := len(page); n > 0 {
			p.lo = page[n-1].key + "\x00"
		}
	}
	p.grow(page)
	return page, err
}

func (p *pager) grow(page []record) {
	bytes := 0
	for _, r := range page {
		bytes += len(r.key) + len(r.value)
	}
	p.limit = min(4*p.limit, maxPage)
	if len(page) > 0 {
		p.limit = max(1, min(p.limit, pageBytes*len(page)/max(1, bytes)))
	}
}

// last returns the last records of the range, the last one first: some of them, and at
// most as many as a page has. etcd answers in reverse, too, but reads the whole range
// for that. So the range is narrowed from below until what is left of it fits in a page:
// places are tried, many in one question, for the last of them that has something
// behind it.
func (p *pager) last(ctx context.Context) ([]record, error) {
	limit := max(2, min(p.limit, maxLast))
	for lo, hi := p.lo, p.hi; ; {
		page, more, err := p.s.page(ctx, lo, hi, limit)
		if err != nil {
			return nil, err
		}
		if !more {
			p.hi, p.over = lo, lo == p.lo
			slices.Reverse(page)
			return page, nil
		}
		lo = page[len(page)-1].key
		cuts := cutsBetween(lo, hi)
		found, err := p.s.firsts(ctx, cuts, hi)
		if err != nil {
			return nil, err
		}
		for i := len(cuts) - 1; i >= 0; i-- {
			if found[i] != "" {
				lo = found[i]
				break
			}
			hi = cuts[i]
		}
	}
}

// cutsBetween returns places between two keys, lo < cut < hi, in order. Where the two
// part, all bytes between are places (a part of them, where there are many); towards hi
// its beginnings are, since who counts upward has its last keys there; and towards lo
// those that share more and more with it, since all of a bucket's keys may begin alike.
func cutsBetween(lo, hi string) (cuts []string) {
	n := 0
	for n < len(lo) && lo[n] == hi[n] {
		n++
	}
	from := 0
	if n < len(lo) {
		from = int(lo[n]) + 1
	}
	for depth := min(n+maxDepth, len(lo)); depth > n; depth-- {
		cuts = between(cuts, lo[:depth], after(lo, depth), 256)
	}
	cuts = between(cuts, hi[:n], from, int(hi[n]))
	for end := n + 1; end < min(len(hi), n+maxTail); end++ {
		cuts = append(cuts, hi[:end])
	}
	for depth := n + maxDepth + 1; len(cuts) == 0; depth++ {
		cuts = between(cuts, lo[:depth], after(lo, depth), 256)
	}
	return cuts
}

// after is the byte that comes after that of a key at a place.
func after(key string, at int) int {
	if at < len(key) {
		return int(key[at]) + 1
	}
	return 0
}

// between adds to cuts some of a beginning with each of the bytes.
func between(cuts []string, beginning string, from, to int) []string {
	step := max(1, (to-from)/maxBytes)
	for b := from; b < to; b += step {
		cuts = append(cuts, beginning+string([]byte{byte(b)}))
	}
	return cuts
}
