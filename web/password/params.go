package password

// Params are the cost of an argon2id hash (RFC 9106, section 3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8  // lanes
}

// DefaultParams are 19 MiB, two passes, one lane: the first choice of the
// OWASP Password Storage Cheat Sheet.
func DefaultParams() Params { return Params{Memory: defaultMemory, Time: defaultTime, Threads: 1} }

// InsecureTestParams cost next to nothing and protect nothing. They are for
// tests of other packages, where hundreds of users are made; a hash made with
// them is stale for every other configuration.
func InsecureTestParams() Params { return Params{Memory: 64, Time: 1, Threads: 1} }

// Ceilings of what a stored hash may ask for. The hash is read on a path that
// anybody can reach without signing in: a damaged or planted record must not
// allocate gigabytes or compute for seconds. What it costs is the product of
// memory and time; eight times the default still takes what others commonly
// make (64 MiB, 3 passes, 4 lanes).
const (
	maxMemory  = 1 << 20 // KiB
	maxTime    = 32
	maxThreads = 16

	maxBlocks = 8 * defaultMemory * defaultTime
)

const (
	defaultMemory = 19456
	defaultTime   = 2
)

// floor lists the weakest settings that count as equal in protection (OWASP
// Password Storage Cheat Sheet, argon2id).
var floor = []Params{{Memory: 47104, Time: 1}, {Memory: 19456, Time: 2}, {Memory: 12288, Time: 3}, {Memory: 9216, Time: 4}, {Memory: 7168, Time: 5}}

// inRange tells whether a stored hash may ask for p. Eight blocks a lane is
// argon2's own least (RFC 9106, section 3.1).
func (p Params) inRange() bool {
	return p.Threads >= 1 && p.Threads <= maxThreads &&
		p.Time >= 1 && p.Time <= maxTime &&
		p.Memory >= 8*uint32(p.Threads) && p.Memory <= maxMemory
}

// allowed tells whether p may be configured for new hashes.
func (p Params) allowed() bool {
	if !p.inRange() || p.blocks() > maxBlocks {
		return false
	}
	for _, f := range floor {
		if p.Memory >= f.Memory && p.Time >= f.Time {
			return true
		}
	}
	return p == InsecureTestParams()
}

// blocks is the work of a hash: how many KiB are written in all.
func (p Params) blocks() uint64 { return uint64(p.Memory) * uint64(p.Time) }

// weakerThan tells whether a hash made with q instead of p is stronger. It
// must lower neither the memory nor the work, so a hash with more of one is
// left alone: replacing it could be a downgrade. Lanes change neither.
func (p Params) weakerThan(q Params) bool {
	return q.atLeast(p) && (q.Memory > p.Memory || q.blocks() > p.blocks())
}

func (p Params) atLeast(q Params) bool {
	return p.Memory >= q.Memory && p.blocks() >= q.blocks()
}
