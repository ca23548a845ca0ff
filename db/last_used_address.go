package db

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A token that is used from an address that it was not used from lately is
// told of in the audit log. Whoever has the token chooses from where it is
// used, so what that can write is bounded: all addresses of one IPv6 network
// count as one, and a flush tells so many of one owner and the number of the
// rest.

// maxNewAddresses is how many new addresses of the tokens of one owner a flush
// tells one by one.
const maxNewAddresses = 16

// sameNetwork tells whether two addresses are one subscriber's: the same, or of
// one IPv6 /64, of which everybody has 2^64 for the asking.
func sameNetwork(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.Contains(a, ":") || !strings.Contains(b, ":") {
		return false
	}
	network := network64(a)
	return network.IsValid() && network == network64(b)
}

// network64 is the /64 of an IPv6 address; the zero prefix, which is none, for
// what is none.
func network64(text string) netip.Prefix {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Unmap().Is4() {
		return netip.Prefix{}
	}
	p, _ := a.WithZone("").Prefix(64)
	return p
}

// newAddresses is what a flush tells of new addresses.
type newAddresses struct {
	told map[string]int    // by owner, over the whole flush
	more map[string]*Event // by owner, in this step: the rest, in one entry
}

// step begins a step, whose function may run again: what the steps before told
// stays as it is.
func (n newAddresses) step() newAddresses {
	told := maps.Clone(n.told)
	if told == nil {
		told = map[string]int{}
	}
	return newAddresses{told, map[string]*Event{}}
}

// auditNewAddress tells of a use from a new address, or counts it where its
// owner's tokens were used from many others.
func (t *txn) auditNewAddress(n newAddresses, e Event) error {
	k, err := tokenRecords.get(t, e.Target)
	switch {
	case err == nil:
		e.Actor = k.Owner
		e.setTarget(k.Target())
	case !errors.Is(err, ErrDamaged): // of a damaged one nobody knows whose it was
		return err
	}
	if owner, err := userRecords.get(t, e.Actor); err == nil {
		e.ActorName = owner.Username()
	}
	if n.told[e.Actor]++; n.told[e.Actor] <= maxNewAddresses {
		return t.append(e)
	}
	if more := n.more[e.Actor]; more != nil {
		more.Count++
		return nil
	}
	e.ofMany()
	e.Count = 1
	n.more[e.Actor] = &e
	return nil
}

// auditMoreAddresses tells how many were not told one by one.
func (t *txn) auditMoreAddresses(n newAddresses) error {
	for _, owner := range slices.Sorted(maps.Keys(n.more)) {
		if err := t.append(*n.more[owner]); err != nil {
			return err
		}
	}
	return nil
}
