package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// This file reads lists of SHA-256 sums, in each form that sha256sum and shasum
// write and check. What a program takes for a line and another one does not is a
// way to hide a file, so that a line of any other form is an error.

// A list that is larger is none: a release has some hundred files.
const (
	maxList     = 4 << 20 // bytes
	maxListed   = 20_000  // lines
	maxSumsName = 4096    // bytes of a name
)

// sum is a line of a list: what a file's content has to be.
type sum struct {
	name string
	hash [sha256.Size]byte
	line int // from 1
}

// hex is the sum as lists have it.
func (s sum) hex() string { return hex.EncodeToString(s.hash[:]) }

// sumsError says which line of a list is none, and why.
type sumsError struct {
	line int // 0: the list as a whole
	what string
}

// Error implements error.
func (e *sumsError) Error() string {
	if e.line == 0 {
		return e.what
	}
	return fmt.Sprintf("line %d: %s", e.line, e.what)
}

// readList reads a list whole, no more than a list may have.
func readList(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err == nil && len(text) > maxList {
		err = &sumsError{what: fmt.Sprintf("it has more than %d MiB, which no list of a release has", maxList>>20)}
	}
	return text, err
}

// parseSums reads all lines of a list. No name is there twice.
func parseSums(text []byte) ([]sum, error) {
	lines := bytes.Split(text, []byte("\n"))
	if last := len(lines) - 1; len(lines[last]) == 0 {
		lines = lines[:last]
	}
	switch {
	case len(lines) == 0:
		return nil, &sumsError{what: "it lists nothing"}
	case len(lines) > maxListed:
		return nil, &sumsError{what: fmt.Sprintf("it has more than %d lines, which no list of a release has", maxListed)}
	}
	all, at := make([]sum, 0, len(lines)), map[string]int{}
	for i, line := range lines {
		s, fault := parseSum(string(line))
		s.line = i + 1
		if fault == "" && at[s.name] > 0 {
			fault = fmt.Sprintf("%s is there already, in line %d", s.name, at[s.name])
		}
		if fault != "" {
			return nil, &sumsError{s.line, fault}
		}
		at[s.name] = s.line
		all = append(all, s)
	}
	return all, nil
}

// The forms of a line; tagged is that of 'sha256sum --tag' and BSD's sha256.
var (
	plainSum  = regexp.MustCompile(`(?s)^([0-9A-Fa-f]+) [ *](.+)$`)
	taggedSum = regexp.MustCompile(`(?s)^([0-9A-Za-z/-]+) ?\((.+)\) ?= ([0-9A-Fa-f]+)$`)
)

// parseSum reads a line, or says why it is none.
func parseSum(line string) (s sum, fault string) {
	rest, escaped := strings.CutPrefix(line, `\`)
	digits, name := "", ""
	plain, tagged := plainSum.FindStringSubmatch(rest), taggedSum.FindStringSubmatch(rest)
	switch {
	case strings.HasSuffix(line, "\r"):
		return s, "it ends with CR LF, as a list that went through Windows; the list has to be as it was made, for its signature too"
	case line == "":
		return s, "it is empty"
	case plain != nil:
		digits, name = plain[1], plain[2]
	case tagged != nil && tagged[1] != "SHA256":
		return s, "it has a sum of another kind than SHA-256: " + tagged[1]
	case tagged != nil:
		digits, name = tagged[3], tagged[2]
	default:
		return s, "it is no line of a list of SHA-256 sums, which is 64 hexadecimal digits, two spaces and a name"
	}
	if len(digits) != hex.EncodedLen(len(s.hash)) {
		return s, fmt.Sprintf("its sum has %d hexadecimal digits; one of SHA-256 has 64", len(digits))
	}
	if _, err := hex.Decode(s.hash[:], []byte(digits)); err != nil {
		return s, "its sum is none"
	}
	if escaped {
		if name, fault = unescapeSum(name); fault != "" {
			return s, fault
		}
	}
	if len(name) > maxSumsName {
		return s, fmt.Sprintf("its name has more than %d bytes", maxSumsName)
	}
	s.name = name
	return s, ""
}

// unescapeSum reads a name of a line that begins with a backslash, as that of a
// file with a line end in its name does.
func unescapeSum(name string) (plain, fault string) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '\\' {
			b.WriteByte(name[i])
			continue
		}
		i++
		switch {
		case i < len(name) && name[i] == '\\':
			b.WriteByte('\\')
		case i < len(name) && name[i] == 'n':
			b.WriteByte('\n')
		case i < len(name) && name[i] == 'r':
			b.WriteByte('\r')
		default:
			return "", `its name has a backslash that is none of \\, \n and \r, in a line that begins with one`
		}
	}
	return b.String(), ""
}
