//go:build !race

package bolt

import "os"

const uncheckedCopies = 100

const slow = false

// long tells that tests take their time.
func long() bool { return os.Getenv("HUSK_LONG") != "" }
