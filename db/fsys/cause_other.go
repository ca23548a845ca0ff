//go:build !linux && !windows

package fsys

import "syscall"

// systemCannot is more of cannot.
var systemCannot []syscall.Errno

// systemCauses are rows for what this system alone answers.
var systemCauses []row
