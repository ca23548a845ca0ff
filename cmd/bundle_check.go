package cmd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// What is the matter with a bundle, by the codes that --json has; docs/contract.md
// lists them. Those of the bundle as a whole come first.
const (
	faultNotSigned    = "not_signed"
	faultBadSignature = "bad_signature"
	faultOtherKey     = "other_key"
	faultOtherRelease = "other_release"
	faultBadList      = "bad_list"
	faultBadArchive   = "bad_archive"
	faultTruncated    = "truncated"
	faultTrailing     = "trailing"
	faultTooLarge     = "too_large"
	faultBadName      = "bad_name"
	faultChanged      = "changed"
	faultMissing      = "missing"
	faultExtra        = "extra"
	faultNotRegular   = "not_regular"
	faultHardLink     = "hard_link"
	faultOpenToOthers = "open_to_others"
	faultTwice        = "twice"
	faultUnreadable   = "unreadable"
)

// Bounds of a bundle. What a list can't say, which is how large files are, can't
// keep a check going for ever.
const (
	maxBundle  = 2 << 30 // bytes
	maxEntries = 3 * maxListed
	maxTold    = 100 // problems that are told
)

// bundleProblem is one thing that is not as it has to be.
type bundleProblem struct {
	Code string `json:"code"`
	File string `json:"file,omitempty"` // in the bundle; "" where it is about all of it
	Text string `json:"text"`
}

// bundleReport is what 'husk bundle verify --json' prints.
type bundleReport struct {
	OK       bool            `json:"ok"`
	Bundle   string          `json:"bundle"`
	Version  string          `json:"version,omitempty"` // as it is signed; of an unsigned one as its programs are called
	Date     string          `json:"date,omitempty"`    // signed
	Signed   bool            `json:"signed"`            // by the key that was given
	Key      string          `json:"key_id,omitempty"`  // of the signature, also of a bad one
	Comment  string          `json:"trusted_comment,omitempty"`
	Files    int             `json:"files"` // that are as listed
	Bytes    int64           `json:"bytes"` // of these
	Problems []bundleProblem `json:"problems"`
	More     int             `json:"more_problems"` // that are not told
}

// bundleCheck is the check of one bundle. The list may come after files that are
// in it, so that a file is judged once both are known.
type bundleCheck struct {
	key      *publicKey // nil: nobody has to have signed
	unsigned bool       // nobody has to have signed
	wanted   string     // the release that it has to be, or ""
	names    []string   // which the bundle has: of its folder, its file, the folder in it
	left     int64      // bytes that may be read yet
	shown    *progress
	buffer   []byte

	list      []byte // SHA256SUMS as it was read, once; nil: not seen
	signature []byte // of it; nil: not seen
	known     bool   // the list was read, and what follows is of it
	sums      map[string]sum
	folders   map[string]bool
	found     map[string]content // files that came before the list, and all that were seen
	open      string             // who may change what was checked, or ""

	whole  []bundleProblem // about all of it
	report bundleReport
}

// content is what a file has.
type content struct {
	hash   [sha256.Size]byte
	size   int64
	judged bool // its problems were told
	folder bool
}

// problem notes what is wrong. Of files no more than maxTold are kept.
func (c *bundleCheck) problem(code, file, format string, args ...any) {
	p := bundleProblem{code, file, fmt.Sprintf(format, args...)}
	switch {
	case file == "" && len(c.whole) < maxTold:
		c.whole = append(c.whole, p)
	case file != "" && len(c.report.Problems) < maxTold:
		c.report.Problems = append(c.report.Problems, p)
	default:
		c.report.More++
	}
}

// called notes a name that the bundle has, which may tell of a release.
func (c *bundleCheck) called(name string) { c.names = append(c.names, name) }

// takeList reads the list, whoever made it: what follows is held against it.
func (c *bundleCheck) takeList(text []byte) {
	c.list, c.known = text, true
	c.sums, c.folders = map[string]sum{}, map[string]bool{}
	all, err := parseSums(text)
	if err != nil {
		c.problem(faultBadList, listName, "%s", err)
		return
	}
	folded := map[string]string{strings.ToLower(listName): listName, strings.ToLower(signatureName): signatureName}
	for _, s := range all {
		if fault := bundleNameFault(s.name); fault != "" {
			c.problem(faultBadName, s.name, "%s, in line %d of %s", fault, s.line, listName)
			continue
		}
		c.sums[s.name] = s
		for part := s.name; part != "."; part = path.Dir(part) {
			c.folders[part] = c.folders[part] || part != s.name
			low := strings.ToLower(part)
			if twin := cmp.Or(folded[low], part); twin != part {
				c.problem(faultBadName, s.name, "its name and %s are one on Windows and macOS, in line %d of %s", twin, s.line, listName)
			}
			folded[low] = part
		}
	}
	for name := range c.sums {
		if c.folders[name] {
			c.problem(faultBadName, name, "it is listed as a file, and so are files in it")
		}
	}
}

// early notes a file whose sum is known and whose line in the list may not be.
func (c *bundleCheck) early(name string, of content) {
	if c.found == nil {
		c.found = map[string]content{}
	}
	c.found[name] = of
}

// settle judges all files that were found, once all was read.
func (c *bundleCheck) settle() {
	c.judgeSignature()
	if len(c.sums) == 0 {
		return // told already; all would be extra
	}
	for name, of := range c.found {
		if !of.judged {
			c.judge(name, of)
		}
	}
	for name, s := range c.sums {
		if _, there := c.found[name]; !there {
			c.problem(faultMissing, name, "it is missing; it is in line %d of %s", s.line, listName)
		}
	}
}

// judge compares what a name has with the list.
func (c *bundleCheck) judge(name string, of content) {
	s, listed := c.sums[name]
	switch {
	case of.folder && c.folders[name]:
	case of.folder && listed:
		c.problem(faultNotRegular, name, "it is a folder, and a file is listed")
	case of.folder:
		c.problem(faultExtra, name+"/", "it is a folder that nothing in the list is in")
	case c.folders[name]:
		c.problem(faultNotRegular, name, "it is a file, and a folder with files is listed")
	case !listed:
		c.problem(faultExtra, name, "it is not in the list")
	case s.hash != of.hash:
		c.problem(faultChanged, name, "it was changed: its SHA-256 is %s, and the list has %s", hex.EncodeToString(of.hash[:]), s.hex())
	default:
		c.report.Files++
		c.report.Bytes += of.size
	}
}

// judgeSignature tells who signed the list, and for which release.
func (c *bundleCheck) judgeSignature() {
	if !c.known {
		return // there is nothing that it could be of, which was told
	}
	if c.signature == nil {
		if !c.unsigned {
			c.problem(faultNotSigned, "", "it is not signed: there is no %s", signatureName)
		}
		c.judgeRelease()
		return
	}
	s, err := parseSignature(c.signature)
	if err == nil {
		c.report.Key = keyID(s.KeyId)
	}
	if err == nil && c.key != nil {
		var r signed
		if r, err = verifySignature(c.list, s, *c.key); err == nil {
			c.report.Signed, c.report.Version, c.report.Date, c.report.Comment = true, r.version, r.date, r.comment
		}
	}
	var bad *signatureError
	if errors.As(err, &bad) {
		c.problem(bad.code, "", "%s", bad.what)
	}
	c.judgeRelease()
}

// judgeRelease holds everything that tells of a release against what is signed.
// An old bundle is as well signed as a new one: under a new name it would take
// whoever installs it back to what was mended since.
func (c *bundleCheck) judgeRelease() {
	first := ""
	for name := range c.sums {
		m := programName.FindStringSubmatch(name)
		switch {
		case m == nil:
		case c.report.Version == "" && first == "":
			first = m[1]
		case m[1] != cmp.Or(c.report.Version, first):
			c.problem(faultOtherRelease, name, "it is called as one of %s, and the release is %s", m[1], cmp.Or(c.report.Version, first))
		}
	}
	if c.report.Version = cmp.Or(c.report.Version, first); c.report.Version != "" {
		for _, name := range c.names {
			if m := folderOfRelease.FindStringSubmatch(name); m != nil && m[1] != c.report.Version {
				c.problem(faultOtherRelease, "", "it is called %s, and is %s", name, c.report.Version)
			}
		}
	}
	if c.wanted != "" && releaseName(c.wanted) != c.report.Version {
		c.problem(faultOtherRelease, "", "--version wants %s, and it is %s", releaseName(c.wanted), cmp.Or(c.report.Version, "of no known release"))
	}
}

// verdict is what the check has found, in an order that does not depend on that
// of a folder.
func (c *bundleCheck) verdict() bundleReport {
	r := c.report
	slices.SortFunc(r.Problems, func(a, b bundleProblem) int {
		return cmp.Or(strings.Compare(a.File, b.File), strings.Compare(a.Code, b.Code), strings.Compare(a.Text, b.Text))
	})
	r.Problems = append(slices.Clip(c.whole), r.Problems...)
	if r.Problems == nil {
		r.Problems = []bundleProblem{}
	}
	if drop := len(r.Problems) - maxTold; drop > 0 {
		r.Problems, r.More = r.Problems[:maxTold], r.More+drop
	}
	r.OK = len(r.Problems) == 0 && r.Files > 0
	return r
}

// errTooMuch says that a bundle has more than any.
var errTooMuch = errors.New("more than a bundle may have")

// sum reads all of a file, as long as the command and the bundle may.
func (c *bundleCheck) sum(ctx context.Context, r io.Reader) (of content, err error) {
	if c.buffer == nil {
		c.buffer = make([]byte, 64<<10)
	}
	hash := sha256.New()
	for {
		n, err := r.Read(c.buffer)
		hash.Write(c.buffer[:n])
		of.size += int64(n)
		c.left -= int64(n)
		c.shown.add(int64(n))
		switch {
		case c.left < 0:
			return of, errTooMuch
		case errors.Is(err, io.EOF):
			hash.Sum(of.hash[:0])
			return of, nil
		case err != nil:
			return of, err
		case ctx.Err() != nil:
			return of, context.Cause(ctx)
		}
	}
}

// small reads the list or its signature.
func (c *bundleCheck) small(name string, r io.Reader) []byte {
	text, err := readList(r)
	var own *sumsError
	switch {
	case errors.As(err, &own):
		c.problem(faultBadList, name, "%s", own.what)
	case err != nil:
		c.problem(faultUnreadable, name, "it can't be read: %s", plainCause(err))
	default:
		return text
	}
	return nil
}

// plainCause is the cause of an error about a file that is named besides.
func plainCause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// isOurs tells whether a name is that of the list or of its signature.
func isOurs(name string) bool { return name == listName || name == signatureName }
