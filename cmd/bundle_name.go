package cmd

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of a name in a bundle. Every file system that a stick has takes them.
const (
	maxBundlePath = 240
	maxBundleName = 200 // of one part
)

// bundleNameFault tells why a name is none of a file in a bundle, or "". What a
// release makes is of plain ASCII; so no two systems can take a name for two
// different ones, and none leads elsewhere on any of them.
func bundleNameFault(name string) string {
	switch {
	case name == "":
		return "it has no name"
	case !utf8.ValidString(name):
		return "its name is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "its name has a control character"
	case strings.Contains(name, `\`):
		return "its name has a backslash, which on Windows leads into a folder"
	case strings.HasPrefix(name, "/"):
		return "its name is absolute, and leads outside of the bundle"
	case len(name) > maxBundlePath:
		return fmt.Sprintf("its name has more than %d bytes", maxBundlePath)
	case name == listName || name == signatureName:
		return "the list names itself, or its signature"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "its name leads outside of the bundle, by .."
		case part == "" || part == ".":
			return "its name has an empty part, or one that is a dot"
		case len(part) > maxBundleName:
			return fmt.Sprintf("its name has a part of more than %d bytes", maxBundleName)
		case !bundlePart.MatchString(part) || strings.HasSuffix(part, "."):
			return "its name has another character than a release uses: letters and digits of ASCII, and . _ + @ , = ~ ! % - inside"
		case deviceName.MatchString(part):
			return "its name is that of a device on Windows"
		}
	}
	return ""
}

var (
	bundlePart = regexp.MustCompile(`^[0-9A-Za-z._+@][0-9A-Za-z._+@,=~!%-]*$`)
	deviceName = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)`)
)

// programName finds the release in the name of a program.
var programName = regexp.MustCompile(`^(?:bin/)?husk-(v\d[0-9A-Za-z.-]*?)-(?:linux|darwin|windows)-[0-9a-z]+(?:\.exe|\.gz|\.exe\.gz)?$`)

// folderOfRelease finds it in the name that a bundle has.
var folderOfRelease = regexp.MustCompile(`^husk-(v\d[0-9A-Za-z.-]*)-airgap$`)
