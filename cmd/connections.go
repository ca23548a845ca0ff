package cmd

import (
	"log/slog"
	"net/netip"
	"slices"

	"husk/web/listen"
)

// connectionLimits are settings; 0 is no bound.
type connectionLimits struct{ total, perAddress int }

const (
	defaultConnections = 1024
	maxConnections     = 1_000_000 // the largest bound that can be set
)

const (
	metricsConnections = 16
	otherDescriptors   = 48 // the store, its copies, the log, the TLS files, the program that is told of events
)

// controlConnections is how many the owner's door has.
func controlConnections(descriptors int) int { return min(256, max(2, descriptors/8)) }

// kept is what is kept back of the descriptors, for what must go on whatever
// strangers do.
func kept(descriptors int) int {
	return controlConnections(descriptors) + metricsConnections + otherDescriptors
}

// heldMemory is what half-read headers and bodies may hold by estimate, beyond
// what each connection costs: 20 KiB, or 50 with TLS.
const heldMemory = 32 << 20

// connections makes the limits of those that strangers may have, and warns
// where there are too few descriptors for them.
func (s *service) connections() *listen.Pool {
	limits := listen.Limits{
		Door: "address", Total: s.settings.Connections.total, PerNetwork: s.settings.Connections.perAddress, Memory: heldMemory, Log: s.log.Logger,
		Trusted: func(a netip.Addr) bool {
			return slices.ContainsFunc(s.settings.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}
	descriptors := descriptorLimit()
	room := roomFor(descriptors)
	wanted := limits.Total
	if wanted == 0 {
		wanted = defaultConnections
	}
	if room < wanted {
		s.log.Warn("the limit of open files is low: connections are closed sooner than they need be; raise it, with LimitNOFILE= in the unit or 'ulimit -n'",
			"limit", descriptors, "connections", room, "needed", wanted+kept(defaultConnections))
	}
	if limits.Total == 0 || room < limits.Total {
		limits.Total = room
	}
	return listen.NewPool(limits)
}

// ownConnections makes the limits of a door that is not for strangers.
func ownConnections(door string, most int, log *slog.Logger) *listen.Pool {
	return listen.NewPool(listen.Limits{Door: door, Total: most, Log: log})
}

// roomFor is how many connections fit beside what is kept back. Where that
// alone is too much, some have to be served all the same.
func roomFor(descriptors int) int { return max(descriptors-kept(descriptors), descriptors/4, 1) }
