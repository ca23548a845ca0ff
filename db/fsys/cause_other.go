//go:build !linux

package fsys

// systemCauses are rows for what this system alone answers.
var systemCauses []row
