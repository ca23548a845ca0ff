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

// address makes one key of all addresses that one subscriber has for the
// asking: IPv6 counts by /64. An IPv4 address written as IPv6 is that IPv4
// address. A port is left out, should one come along: with it each connection
// would have a bucket of its own.
func (h hasher) address(s string) uint64 {
	addr, ok := parseAddress(s)
	if !ok {
		return maphash.String(h.seed, s)
	}
	if addr.Is4() {
		b := addr.As4()
		return maphash.Bytes(h.seed, b[:])
	}
	b := addr.As16()
	return maphash.Bytes(h.seed, b[:8])
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
