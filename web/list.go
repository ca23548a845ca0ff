package web

import (
	"net/netip"
	"strconv"
	"time"

	"husk/db"
	"husk/web/api"
)

// named is the :id of a path.
type named struct {
	ID string `path:"id"`
}

// defaultPageSize is the size of a page for which none was asked.
const defaultPageSize = 10

// paged is which part of a list is asked for.
type paged struct {
	From natural  `query:"from"`
	Size *natural `query:"size"`
}

// listed are the parameters that all lists share.
type listed struct {
	paged
	Query string `query:"query"`
	Sort  string `query:"sort"`
	After string `query:"after"`
}

func (l *listed) query() db.ListQuery {
	q := db.ListQuery{Query: l.Query, Sort: l.Sort, After: l.After, From: int(l.From), Size: defaultPageSize}
	if l.Size != nil {
		q.Size = int(*l.Size)
	}
	return q
}

// fromAddress narrows a list to what was used from somewhere.
type fromAddress struct {
	Address string `query:"address"`
}

// network is the zero prefix where none was asked for.
func (f *fromAddress) network() (p netip.Prefix, err error) {
	if f.Address == "" {
		return p, nil
	}
	p, ok := parsePrefix(f.Address)
	if !ok {
		return p, malformed("bad_prefix", "address is an address or a CIDR prefix, such as 192.0.2.7 or 2001:db8::/64")
	}
	return p.Masked(), nil
}

// natural is a number from 0 on.
type natural int

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *natural) UnmarshalText(text []byte) error {
	v, err := strconv.Atoi(string(text))
	if err != nil || v < 0 {
		return malformed("bad_page", "from and size are numbers, and not negative")
	}
	*n = natural(v)
	return nil
}

// listOf is the envelope of a list that was begun to be read at began.
func listOf[T, W any](began time.Time, page db.Page[T], show func(*T) api.Hit[W]) *api.Search[W] {
	out := &api.Search[W]{}
	out.Hits.Total = api.Total{Value: page.Total, Relation: "eq"}
	if page.AtMost {
		out.Hits.Total.Relation = "gte"
	}
	out.Hits.After = page.After
	out.Hits.Hits = make([]api.Hit[W], 0, len(page.Items))
	for _, item := range page.Items {
		out.Hits.Hits = append(out.Hits.Hits, show(item))
	}
	out.Took = time.Since(began).Milliseconds()
	return out
}

// optionalTime is nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
