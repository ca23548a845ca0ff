//go:build (!unix && !windows) || solaris || illumos || aix

package fsys

import (
	"io/fs"
	"os"
	"syscall"
)

const syncsFolders = false

const errUnchanged = syscall.ENOTSUP

// OpenToOthers answers false: modes tell nothing here, or are not looked at.
func OpenToOthers(string, fs.FileInfo) bool { return false }

func lockWhole(*os.File) error { return nil }

// OpenPlain opens a file for reading.
func OpenPlain(path string) (*os.File, error) { return os.Open(path) }

// NoAccess is what the system answers to who may not.
const NoAccess = syscall.EACCES
