package ratelimit

import (
	"hash/maphash"
	"net/netip"
)

// hasher makes keys of a fixed size, so that a long account name costs one pass
// over it and no memory. The seed is random and stays in the process: nobody
// outside can look for two names that share a bucket, and by chance two of
// 100,000 do once in some billion runs.
type hasher struct{ seed maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed()} }

func (h hasher) account(name string) uint64 { return maphash.String(h.seed, name) }

// network is a kind of network that an address belongs to. A wide one may have
// factor times as many failures as an address, and is forgiven them as much
// faster.
type network struct {
	v4, v6 int // the length of its prefix; 0: there is none of the kind
	factor int
}

// networks are those that count. What one subscriber has for the asking is one
// address: IPv6 counts by /64. Providers hand out /56 and /48 as well, and a /24
// of IPv4 costs little: without a count for these an attacker with a /48 had
// 65,536 times the allowance of an address.
var networks = [...]network{{32, 64, 1}, {0, 56, 4}, {24, 48, 16}}

// address makes a key of each of the networks that an address is in, in their
// order; 0 where there is none of the kind. An IPv4 address written as IPv6 is
// that IPv4 address. A port is left out, should one come along: with it each
// connection would have a bucket of its own. What is no address is one by
// itself, in no wider network.
func (h hasher) address(s string) (keys [len(networks)]uint64) {
	addr, ok := parseAddress(s)
	if !ok {
		keys[0] = maphash.String(h.seed, s)
		return keys
	}
	for i, n := range networks {
		bits := n.v6
		if addr.Is4() {
			bits = n.v4
		}
		if bits > 0 {
			b := addr.AsSlice()
			keys[i] = maphash.Bytes(h.seed, b[:bits/8])
		}
	}
	return keys
}

func parseAddress(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}
