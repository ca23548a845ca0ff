//go:build !unix

package relay

import (
	"testing"
	"time"
)

func cpuTime(b *testing.B) time.Duration {
	b.Skip("the time of the processor is not asked for here")
	return 0
}
