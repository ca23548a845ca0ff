//go:build !unix

package upkeep

import "os/exec"

// killGroup has no groups to kill here: the command alone is killed.
func killGroup(*exec.Cmd) {}
