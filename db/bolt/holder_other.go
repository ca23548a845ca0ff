//go:build !linux

package bolt

import "os"

// Holder tells which process holds the lock on the file at path. This system
// does not say: ok is false.
func Holder(string) (pid int, name string, ok bool) { return 0, "", false }

func descriptorPath(*os.File) string { return "" }
