//go:build race

package bolt

// The race detector marks every byte of a length that is damaged, gigabytes
// at times, so a few copies have to do.
const uncheckedCopies = 5
