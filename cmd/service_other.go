//go:build !windows

package cmd

// runUntilTold runs a command until a signal ends it.
func (a *app) runUntilTold(args []string) int { return a.run(a.untilSignal(), args) }
