package web

import (
	"errors"
	"math"
	"strconv"
	"time"
)

var units = map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}

// ErrTooLong says that a duration is out of the range of time.Duration.
var ErrTooLong = errors.New("that is longer than 292 years, the longest duration")

// ParseDuration reads a Go duration, or a number with d, w or y (365 days): the
// same wherever a duration is given, in a setting, on the command line or in a
// body.
func ParseDuration(text string) (time.Duration, error) {
	bad := errors.New("a duration is a number with a unit: 90s, 30m, 24h, 30d, 2w, 1y")
	if text == "" {
		return 0, bad
	}
	if unit, ok := units[text[len(text)-1]]; ok {
		n, err := strconv.ParseFloat(text[:len(text)-1], 64)
		d := n * float64(unit)
		switch {
		case err != nil || math.IsNaN(d):
			return 0, bad
		case math.Abs(d) >= math.MaxInt64:
			return 0, ErrTooLong
		}
		return time.Duration(d), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad
	}
	return d, nil
}
