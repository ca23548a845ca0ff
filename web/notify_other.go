//go:build !unix

package web

import "os/exec"

// killGroup has no groups to kill here: the command alone is killed.
func killGroup(*exec.Cmd) {}
