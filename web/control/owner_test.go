//go:build !windows

package control

import (
	"os"
	"testing"
)

// TestOwner: this process's user and root are the owner of the store, and nobody else.
func TestOwner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		peer Peer
		want bool
	}{
		{Peer{UID: os.Geteuid()}, true},
		{Peer{UID: 0}, true},
		{Peer{UID: 4711, Offline: true}, true},
		{Peer{UID: os.Geteuid() + 4711}, false},
		{Peer{UID: -1}, false},
	} {
		if got := c.peer.Owner(); got != c.want {
			t.Errorf("%+v is the owner: %v", c.peer, got)
		}
	}
}
