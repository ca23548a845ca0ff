//go:build !linux

package cmd

// claimFolder and claimant need the abstract name space and /proc of Linux; see
// docs/service.md.
func claimFolder(string) (end func()) { return func() {} }

func claimant(string) (pid int, file string, found bool) { return 0, "", false }
