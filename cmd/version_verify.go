package cmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// selfReport is what 'husk version --verify --json' prints.
type selfReport struct {
	OK       bool         `json:"ok"`
	Program  string       `json:"program"` // where it was started from
	Replaced bool         `json:"replaced,omitempty"`
	SHA256   string       `json:"sha256"`
	Version  string       `json:"version"`
	List     string       `json:"list"`
	Listed   []listedLine `json:"listed"`   // lines with its sum
	Platform []listedLine `json:"platform"` // lines for programs of its platform
	Signed   bool         `json:"signed"`   // the list, by the key that was given
	Key      string       `json:"key_id,omitempty"`
	Comment  string       `json:"trusted_comment,omitempty"`
}

// listedLine is a line of the list.
type listedLine struct {
	Line   int    `json:"line"`
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// verifySelf tells whether the program that runs is in a list.
func (a *app) verifySelf(ctx context.Context, o *versionOptions) error {
	r := selfReport{Version: version(), List: o.verify, Listed: []listedLine{}, Platform: []listedLine{}}
	all, err := a.readSelfList(o, &r)
	if err != nil {
		return err
	}
	if err := r.sumSelf(ctx); err != nil {
		return err
	}
	for _, s := range all {
		line := listedLine{s.line, s.name, s.hex()}
		if line.SHA256 == r.SHA256 {
			r.Listed = append(r.Listed, line)
		}
		if isProgramFor(s.name, runtime.GOOS, runtime.GOARCH) {
			r.Platform = append(r.Platform, line)
		}
	}
	r.OK = len(r.Listed) > 0
	if r.Replaced {
		a.warn("%s is another file now than the one that was started; what was looked for is the program that runs", printable(r.Program))
	}
	if a.settings.JSON {
		err = a.printJSON(r)
	} else if r.OK {
		_, err = fmt.Fprintf(a.stdout, "husk %s is in %s, line %d: %s\n", r.Version, printable(listPlace(r.List)), r.Listed[0].Line, printable(namesOf(r.Listed)))
	}
	if err == nil && !r.OK {
		err = r.failure()
	}
	return err
}

// readSelfList reads the list, and checks its signature where a key is given.
func (a *app) readSelfList(o *versionOptions, r *selfReport) ([]sum, error) {
	if o.key != "" && o.verify == "-" {
		return nil, usage("the signature is looked for beside the list, and stdin has nothing beside it", "name the file: --verify SHA256SUMS")
	}
	in, err := a.openInput(o.verify, "the list")
	if err != nil {
		return nil, readFailed("the list can't be read", err)
	}
	defer in.Close()
	text, err := readList(in)
	var all []sum
	if err == nil {
		all, err = parseSums(text)
	}
	var bad *sumsError
	switch {
	case errors.As(err, &bad):
		return nil, &failure{code: exitInvalid, what: listPlace(o.verify) + " is no list of SHA-256 sums: " + bad.Error(), next: "name the SHA256SUMS of the release, as it was downloaded"}
	case err != nil:
		return nil, readFailed("the list can't be read", err)
	case o.key == "":
		return all, nil
	}
	key, err := a.readKey(o.key, "")
	if err != nil {
		return nil, err
	}
	return all, a.checkListSignature(o.verify, text, key, r)
}

// checkListSignature checks the signature beside a list.
func (a *app) checkListSignature(list string, text []byte, key publicKey, r *selfReport) error {
	signature, err := a.readSmall(list+".minisig", "the signature")
	if err != nil {
		return readFailed("the signature of the list can't be read", err)
	}
	s, err := parseSignature(signature)
	var says signed
	if err == nil {
		r.Key = keyID(s.KeyId)
		says, err = verifySignature(text, s, key)
	}
	if err == nil && says.version != releaseName(version()) {
		err = &signatureError{faultOtherRelease, "it is signed as that of husk " + says.version + ", and this is husk " + version()}
	}
	var bad *signatureError
	if errors.As(err, &bad) {
		return &failure{code: exitInvalid, what: list + ".minisig is no good signature: " + bad.what, next: "believe nothing of the list; get it and its signature anew, and see whether the key is the right one"}
	}
	r.Signed, r.Comment = true, says.comment
	return nil
}

// sumSelf reads the program that runs. Linux still has it under this name where
// its file was replaced or removed since it was started.
func (r *selfReport) sumSelf(ctx context.Context) error {
	where, err := os.Executable()
	if err != nil {
		return fileFailure(exitFailure, "this program can't be found", err)
	}
	r.Program = where
	runs := where
	if runtime.GOOS == "linux" { // elsewhere it could be anybody's file
		runs = "/proc/self/exe"
	}
	f, err := os.Open(runs)
	if err != nil {
		return readFailed("this program can't be read", err)
	}
	defer f.Close()
	if own, err := f.Stat(); err == nil {
		there, err := os.Stat(where)
		r.Replaced = err != nil || !os.SameFile(own, there)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return readFailed("this program can't be read", err)
	}
	r.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return ctx.Err()
}

// failure says what this program is and what the list has instead.
func (r *selfReport) failure() error {
	f := &failure{code: exitInvalid, what: fmt.Sprintf("%s is not in %s: it is husk %s with SHA-256 %s", r.Program, listPlace(r.List), r.Version, r.SHA256)}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	if len(r.Platform) == 0 {
		f.next = "the list has nothing for " + platform + "; see whether it is that of this release"
		return f
	}
	first := r.Platform[0]
	f.next = fmt.Sprintf("for %s it has, in line %d, %s with %s; take that file, or the list of the release that this one is from", platform, first.Line, first.Name, first.SHA256)
	return f
}

// isProgramFor tells whether a file of a release is the program for a platform.
func isProgramFor(name, goos, goarch string) bool {
	if goarch == "arm" {
		goarch = "armv7" // the one that releases have
	}
	base, _ := strings.CutSuffix(path.Base(name), ".exe")
	return programName.MatchString(path.Base(name)) && strings.HasSuffix(base, "-"+goos+"-"+goarch)
}

// listPlace names a list for people.
func listPlace(list string) string {
	if list == "-" {
		return "the list"
	}
	return list
}

func namesOf(lines []listedLine) string {
	names := make([]string, len(lines))
	for i, l := range lines {
		names[i] = l.Name
	}
	return strings.Join(names, ", ")
}
