package ratelimit

import "slices"

// familiar keeps, for accounts, from which addresses somebody signed in to them
// last, in memory that is bounded: what was not used for longest is forgotten
// in halves.
type familiar struct {
	limit      int // of accounts
	young, old map[uint64][]uint64
}

// maxFamiliar is how many addresses of an account are kept.
const maxFamiliar = 4

func newFamiliar(limit int) *familiar {
	return &familiar{limit: limit, young: map[uint64][]uint64{}}
}

func (f *familiar) of(account uint64) []uint64 {
	if addresses, ok := f.young[account]; ok {
		return addresses
	}
	return f.old[account]
}

func (f *familiar) has(account, address uint64) bool {
	return slices.Contains(f.of(account), address)
}

// add puts address before the others of account.
func (f *familiar) add(account, address uint64) {
	addresses := []uint64{address}
	for _, other := range f.of(account) {
		if other != address && len(addresses) < maxFamiliar {
			addresses = append(addresses, other)
		}
	}
	if _, there := f.young[account]; !there && len(f.young) >= f.limit/2 {
		f.young, f.old = map[uint64][]uint64{}, f.young
	}
	f.young[account] = addresses
}

func (f *familiar) forget(account uint64) {
	delete(f.young, account)
	delete(f.old, account)
}
