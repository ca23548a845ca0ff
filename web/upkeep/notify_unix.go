//go:build unix

package upkeep

import (
	"os/exec"
	"syscall"
)

// killGroup makes the end of the command's context kill what the command
// started too.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The leader is not waited for yet, so its number is still its own.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
