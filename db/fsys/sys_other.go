//go:build !unix || solaris || illumos || aix

package fsys

import (
	"io/fs"
	"os"
	"syscall"
)

const syncsFolders = false

const errUnchanged = syscall.ENOTSUP

// OpenToOthers answers false: modes tell nothing here, or are not looked at.
func OpenToOthers(fs.FileInfo) bool { return false }

func lockWhole(*os.File) error { return nil }
