//go:build !race

package bolt

import "husk/db/dbtest"

const uncheckedCopies = 100

const slow = false

// long tells that tests take their time.
func long() bool { return dbtest.Long() }
