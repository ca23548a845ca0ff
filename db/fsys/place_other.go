//go:build !linux && !windows

package fsys

import "os"

func renameWithoutLinks(dir *os.Root, from, to string, cause error) error {
	return renameLocked(dir, from, to, cause)
}
