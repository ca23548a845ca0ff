package gate

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURI bounds a path with its query, in bytes.
const maxURI = 16 << 10

var errPath = errors.New("the path is not the one that an application would take it for")

// CleanPath returns the path of a raw request target, decoded once (RFC 3986, 2.4),
// without its query. Where an application, or a proxy before it, may take it for
// another path than this, it is an error: rules would then be asked about the one,
// and the other be served.
func CleanPath(uri string) (string, error) {
	raw, _, _ := strings.Cut(uri, "?")
	if len(uri) > maxURI || !strings.HasPrefix(raw, "/") || strings.ContainsAny(raw, `\;#`) {
		return "", errPath
	}
	path := raw
	if strings.Contains(raw, "%") {
		var err error
		if path, err = url.PathUnescape(raw); err != nil || hidesMore(raw, path) {
			return "", errPath
		}
	}
	if !isClean(path) {
		return "", errPath
	}
	return path, nil
}

// hidesMore tells whether a decoded path has what only its raw form was to have,
// or what another decoding would change. A question mark is one: a proxy that writes
// the decoded path anew, and forgets to escape it, ends it there.
func hidesMore(raw, path string) bool {
	return strings.Count(path, "/") != strings.Count(raw, "/") || strings.ContainsAny(path, `\;#?`) || isEncoded(path)
}

// isEncoded tells whether a text has what looks like an escape.
func isEncoded(text string) bool {
	isHex := func(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }
	for i := 0; i+2 < len(text); i++ {
		if text[i] == '%' && isHex(text[i+1]) && isHex(text[i+2]) {
			return true
		}
	}
	return false
}

// isClean tells whether a path has no empty segment but the last, none that leads
// elsewhere, and only characters that are seen.
func isClean(path string) bool {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) || strings.Contains(path, "//") {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// PathFits tells whether a clean path is one that a pattern names: /admin names
// itself and what is under it, /admin/ only what is under it, / all.
func PathFits(pattern, path string) bool {
	rest, found := strings.CutPrefix(path, pattern)
	return found && (rest == "" || pattern == "" || strings.HasSuffix(pattern, "/") || rest[0] == '/')
}
