package cmd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"husk/web"
)

// This file has the kinds of values that settings have.

// formed is a setting of text that has to have a form. The form's error says
// what it is, and never what was given, which may hold a password.
type formed struct {
	text string
	form func(string) error
}

func (v *formed) String() string { return v.text }
func (v *formed) Type() string   { return "string" }

// Set implements pflag.Value.
func (v *formed) Set(text string) error {
	if err := v.form(text); err != nil {
		return err
	}
	v.text = text
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		last := len(words) - 1
		return errors.New("it is " + strings.Join(words[:last], ", ") + " or " + words[last])
	}
}

func isAddr(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || !isHost(host) {
		return errors.New("it is HOST:PORT, such as 127.0.0.1:9000, [::1]:9000 or :9000")
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

// isHost takes a name, an address, or nothing, for all addresses.
func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || hostName.MatchString(host)
}

func isOptionalAddr(text string) error {
	if text == "" {
		return nil
	}
	return isAddr(text)
}

// publicURLs are those under which browsers reach the server, all of one scheme.
type publicURLs struct{ list }

// Set implements pflag.Value. Nothing is none.
func (l *publicURLs) Set(text string) error {
	if text == "" {
		return nil
	}
	if err := l.list.Set(text); err != nil {
		return err
	}
	return l.check()
}

// Append implements pflag.SliceValue.
func (l *publicURLs) Append(text string) error {
	if err := l.list.Append(text); err != nil {
		return err
	}
	return l.check()
}

// Replace implements pflag.SliceValue.
func (l *publicURLs) Replace(texts []string) error {
	if err := l.list.Replace(texts); err != nil {
		return err
	}
	return l.check()
}

func (l *publicURLs) check() error {
	for _, one := range l.items {
		if strings.HasPrefix(strings.ToLower(one), "https:") != strings.HasPrefix(strings.ToLower(l.items[0]), "https:") {
			return web.ErrMixedURLs
		}
	}
	return nil
}

func readPublicURL(text string) (string, error) {
	_, err := web.ParseOrigin(text)
	return text, err
}

func isServerURL(text string) error {
	u, err := url.Parse(text)
	if text != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "") {
		return errors.New("it is a URL with scheme and host, such as https://id.example.com")
	}
	return nil
}

// list is a setting of several values: the flag is repeated, or one value holds
// several with commas between, as a variable has to.
type list struct {
	kind  string // of a value, for help
	read  func(text string) (string, error)
	items []string // as read returned them
}

func (l *list) String() string { return strings.Join(l.items, ",") }
func (l *list) Type() string   { return l.kind }

// Set implements pflag.Value.
func (l *list) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if err := l.Append(strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	return nil
}

// Append implements pflag.SliceValue.
func (l *list) Append(text string) error {
	item, err := l.read(text)
	if err != nil {
		return err
	}
	l.items = append(l.items, item)
	return nil
}

// Replace implements pflag.SliceValue.
func (l *list) Replace(texts []string) error {
	l.items = nil
	for _, text := range texts {
		if err := l.Append(text); err != nil {
			return err
		}
	}
	return nil
}

// GetSlice implements pflag.SliceValue.
func (l *list) GetSlice() []string { return append([]string{}, l.items...) }

// readNetwork reads an address or a network, as a prefix.
func readNetwork(text string) (string, error) {
	text = strings.TrimSpace(text)
	prefix, err := netip.ParsePrefix(text)
	if address, e := netip.ParseAddr(text); e == nil && address.Zone() == "" {
		prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	if err != nil || prefix.Addr().Is4In6() {
		return "", errors.New("it is an address or a network: 10.0.0.7, 10.0.0.0/8, fd00::/8")
	}
	if prefix != prefix.Masked() {
		return "", fmt.Errorf("it has bits beyond its mask; did you mean %s?", prefix.Masked())
	}
	return prefix.String(), nil
}

// readOrigin reads an origin (RFC 6454, 6.2).
func readOrigin(text string) (string, error) {
	text = strings.TrimSpace(text)
	origin, err := web.ParseOrigin(text)
	if err != nil || strings.HasSuffix(text, "/") {
		return "", errors.New("it is scheme and host, such as https://app.example.com, and no pattern")
	}
	return origin, nil
}

// durationValue is a flag for a span of time: what Go writes, or a number of
// days, weeks or years.
type durationValue time.Duration

func newDuration(d time.Duration) *durationValue { v := durationValue(d); return &v }

// String is what one would type: whole days as days, no zeros at the end.
func (v *durationValue) String() string {
	d := time.Duration(*v)
	if d > 24*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	s := d.String()
	if cut, ok := strings.CutSuffix(s, "m0s"); ok {
		s = cut + "m"
	}
	if cut, ok := strings.CutSuffix(s, "h0m"); ok {
		s = cut + "h"
	}
	return s
}

func (v *durationValue) Type() string { return "duration" }

// Set implements pflag.Value.
func (v *durationValue) Set(text string) error {
	d, err := web.ParseDuration(text)
	if err == nil && d < 0 {
		err = errors.New("it must not be negative")
	}
	*v = durationValue(d)
	return err
}

// boundedDuration is one that is longer than nothing, at least least, and at
// most most where that is set: what would be taken for another value is
// refused, not corrected.
type boundedDuration struct {
	durationValue
	least, most time.Duration
	optional    bool // 0 is none
}

// newOptional is a duration of at least so long, or none.
func newOptional(least time.Duration) *boundedDuration {
	return &boundedDuration{least: least, optional: true}
}

func newBounded(d, least, most time.Duration) *boundedDuration {
	return &boundedDuration{durationValue: durationValue(d), least: least, most: most}
}

// Set implements pflag.Value.
func (v *boundedDuration) Set(text string) error {
	var d durationValue
	if err := d.Set(text); err != nil {
		return err
	}
	if d == 0 && v.optional {
		v.durationValue = 0
		return nil
	}
	if d <= 0 {
		return errors.New("it must be longer than 0")
	}
	if least := durationValue(v.least); d < least {
		return errors.New("it must be at least " + least.String())
	}
	if most := durationValue(v.most); most > 0 && d > most {
		return errors.New("it must be at most " + most.String())
	}
	v.durationValue = d
	return nil
}

// countValue is a flag for a whole number from least to most.
type countValue struct{ n, least, most int }

func (v *countValue) String() string { return strconv.Itoa(v.n) }
func (v *countValue) Type() string   { return "number" }

// Set implements pflag.Value.
func (v *countValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.least || n > v.most {
		return fmt.Errorf("it is a whole number from %d to %d", v.least, v.most)
	}
	v.n = n
	return nil
}
