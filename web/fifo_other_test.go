//go:build !unix

package web_test

import "testing"

// mkfifo makes nothing: there are no pipes in folders here.
func mkfifo(*testing.T, string) {}
