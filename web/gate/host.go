package gate

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxHost is the longest name of a host, in bytes (RFC 1035, 2.3.4).
const maxHost = 253

// ErrHost tells a text that is no host, or no pattern of hosts.
var ErrHost = errors.New("a host is a name such as app.example.com, or an address; *.example.com stands for one label")

// FoldHost returns a host as it is compared: without a port, brackets and a final
// dot, in lower case, a name of other letters in its ASCII form (IDNA, RFC 5891).
func FoldHost(text string) (string, error) {
	name, _, err := splitPort(text)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(text, "[") || strings.Contains(name, ":") {
		a, err := netip.ParseAddr(name)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", ErrHost
		}
		return a.String(), nil
	}
	return foldName(strings.TrimSuffix(name, "."))
}

// splitPort cuts the port off a host. What is in brackets is an address.
func splitPort(text string) (name, port string, err error) {
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		name, rest, closed := strings.Cut(inner, "]")
		port, colon := strings.CutPrefix(rest, ":")
		if !closed || rest != "" && (!colon || !isPort(port)) {
			return "", "", ErrHost
		}
		return name, port, nil
	}
	if strings.Count(text, ":") > 1 { // an IPv6 address without brackets
		return text, "", nil
	}
	name, port, colon := strings.Cut(text, ":")
	if colon && !isPort(port) {
		return "", "", ErrHost
	}
	return name, port, nil
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil && len(text) <= 5
}

// foldName folds a name. That of a request is mostly folded already, and costs
// nothing then.
func foldName(name string) (string, error) {
	if isFolded(name) {
		return name, nil
	}
	if len(name) > utf8.UTFMax*maxHost {
		return "", ErrHost // before IDNA, whose work grows with the square of the length
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil { // an underscore, which names of hosts have and IDNA has not
		ascii = strings.ToLower(name)
	}
	if !isFolded(ascii) {
		return "", ErrHost
	}
	return ascii, nil
}

// isFolded tells whether a name is one of letters, digits, hyphens and underscores
// in lower case, in labels that are not empty.
func isFolded(name string) bool {
	if name == "" || len(name) > maxHost {
		return false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = -1
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		label++
	}
	return label > 0
}

// FoldHostPattern is FoldHost for what may begin with "*.", which stands for one
// label. A port has no place in it.
func FoldHostPattern(text string) (string, error) {
	under, wild := strings.CutPrefix(text, "*.")
	folded, err := FoldHost(under)
	switch _, port, _ := splitPort(under); {
	case err != nil, port != "":
		return "", ErrHost
	case !wild:
		return folded, nil
	}
	if _, err := netip.ParseAddr(folded); err == nil {
		return "", ErrHost
	}
	return "*." + folded, nil
}

// HostFits tells whether a folded host is one that a folded pattern names.
func HostFits(pattern, host string) bool {
	if under, wild := strings.CutPrefix(pattern, "*"); wild {
		label, found := strings.CutSuffix(host, under)
		return found && label != "" && !strings.Contains(label, ".")
	}
	return pattern == host
}
