//go:build race

package bolt

// The race detector marks every byte of a length that is damaged, gigabytes
// at times, so a few copies have to do.
const uncheckedCopies = 5

// slow tells that replaying power cuts takes ten times as long: there the
// detector minds every byte of every image, of what one goroutine does alone. The
// processes whose calls fail have it, too.
const slow = true

// long tells that tests take their time.
func long() bool { return false }
