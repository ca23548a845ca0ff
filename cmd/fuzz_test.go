package cmd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"husk/web"
)

// The parsers of what is typed or read from files. Each takes what it gets or
// refuses it in words of its own.

// FuzzDuration: what is read is written in a form that means the same.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"", "90s", "1h30m", "365d", "2w", "1y", "0.5d", "-1h", "1e300y", "nand", "infd", "0x1pd", "9223372036854775807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := web.ParseDuration(text)
		if err != nil {
			if d != 0 || strings.Contains(err.Error(), "time:") || strings.Contains(err.Error(), "strconv") {
				t.Fatalf("%q = %v, %v", text, d, err)
			}
			return
		}
		var v durationValue
		if err := v.Set(text); err != nil && d >= 0 {
			t.Fatalf("%q: %v", text, err)
		}
		if again, err := web.ParseDuration(newDuration(d).String()); err != nil || again != d {
			t.Fatalf("%q is %v, written %q, and read again as %v, %v", text, d, newDuration(d), again, err)
		}
	})
}

// FuzzDate: --expires and --since understand what they take, and take nothing
// that is over already for a date to come.
func FuzzDate(f *testing.F) {
	for _, text := range []string{"", "never", "365d", "2030-12-31", "2030-12-31T08:00:00Z", "2030-12-31T08:00:00+14:00", "0000-01-01", "9999-12-31T23:59:59Z", "1ns", "-1s", "292y"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		ends, err := parseExpiry(text, now)
		var own *failure
		if err != nil && (!errors.As(err, &own) || ends != 0) {
			t.Fatalf("--expires %q = %d, %v", text, ends, err)
		}
		if _, failed := web.ParseDuration(text); err == nil && failed == nil && ends <= now.Unix() && ends > 0 {
			t.Fatalf("--expires %q is over: %d", text, ends)
		}
		moment, err := (&app{}).parseMoment(text, now)
		if err != nil && (!errors.As(err, &own) || moment != "") {
			t.Fatalf("--since %q = %q, %v", text, moment, err)
		}
		if err == nil && text != "" {
			if again, err := (&app{}).parseMoment(moment, now); err != nil || again != moment {
				t.Fatalf("--since %q is %q, and that is %q, %v", text, moment, again, err)
			}
		}
	})
}

// FuzzPrefixes: addresses and networks are read as they are written.
func FuzzPrefixes(f *testing.F) {
	for _, text := range []string{"10.0.0.7", "10.0.0.0/8, fd00::/8", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "10.0.0.1/8", "fe80::1%eth0", "0.0.0.0/0", "", ",", "::/129"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, again := list{read: readNetwork}, list{read: readNetwork}
		if err := p.Set(text); err != nil {
			return
		}
		if err := again.Set(p.String()); err != nil || again.String() != p.String() {
			t.Fatalf("%q is %q, and that is %q, %v", text, p.String(), again.String(), err)
		}
		for _, item := range p.items {
			if prefix := netip.MustParsePrefix(item); !prefix.IsValid() || prefix != prefix.Masked() || prefix.Addr().Zone() != "" || prefix.Addr().Is4In6() {
				t.Fatalf("%q is taken as %v", text, prefix)
			}
		}
	})
}
