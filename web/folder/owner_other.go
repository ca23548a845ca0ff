//go:build !unix && !windows

package folder

import "io/fs"

// ownerOf answers root: these systems have no uids, and Geteuid is never 0.
func ownerOf(fs.FileInfo) (uid int) { return 0 }
