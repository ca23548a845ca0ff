//go:build !race

package bolt

const uncheckedCopies = 100
