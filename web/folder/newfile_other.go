//go:build !linux

package folder

import (
	"errors"
	"os"
)

func unnamed(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
func give(_, _ *os.File, _ string) error { return errors.ErrUnsupported }
