//go:build race

package bolt

// The race detector marks every byte of a length that is damaged, gigabytes
// at times, so a few copies have to do.
const uncheckedCopies = 5

// long tells that tests take their time. Those of power cuts and failed calls
// have one process at work after the other, in which there is no race to find.
func long() bool { return false }
