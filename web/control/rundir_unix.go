//go:build unix && !linux

package control

import "io/fs"

// runBase is fixed: os.TempDir follows TMPDIR, which differs between callers.
func runBase() string { return "/tmp" }

func openToOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
