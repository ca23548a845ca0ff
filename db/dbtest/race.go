//go:build race

package dbtest

// Race tells that the race detector watches this process.
const Race = true
