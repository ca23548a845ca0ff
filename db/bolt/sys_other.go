//go:build (!unix && !windows) || solaris || illumos || aix || android

package bolt

import "os"

// mapReserve is 0: some of these systems grow the file to what is mapped.
const mapReserve = 0

const noFollow = 0

// tryLock leaves the lock to bbolt, which takes it right after.
func tryLock(*os.File) (taken bool, err error) { return true, nil }

func unlock(*os.File) error { return nil }

func mapHeader(*os.File, int) []byte { return nil }

func unmapHeader([]byte) {}

func giveToOwner(*os.File, string) error { return nil }

func ledAway(*os.File, string) bool { return false }

func nameless(os.FileInfo) bool { return false }
