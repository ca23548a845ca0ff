//go:build unix

package cmd

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jedisct1/go-minisign"

	"husk/db/dbtest"
)

const (
	testRelease = "v0.2.0"
	testTop     = "husk-" + testRelease + "-airgap"
	testComment = "husk " + testRelease + " 2026-11-30T12:00:00Z"
)

// newSigner makes a key that signs, and its public key.
func newSigner(t testing.TB, seed byte) (s minisign.PrivateKey, public string) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	s.SignatureAlgorithm = [2]byte{'E', 'd'}
	s.KeyId = [8]byte{seed, 2, 3, 4, 5, 6, 7, 8}
	copy(s.SecretKey[:], key)
	return s, encodeKey(publicKey{s.PublicKey()})
}

func encodeKey(k publicKey) string {
	return base64.StdEncoding.EncodeToString(slices.Concat(k.SignatureAlgorithm[:], k.KeyId[:], k.PublicKey.PublicKey[:]))
}

// testFiles is what a small bundle holds.
func testFiles() map[string]string {
	return map[string]string{
		"README.txt":                        "read me\n",
		"bin/husk-v0.2.0-linux-amd64":       "a program\n",
		"docs/html/index.html":              strings.Repeat("page ", 200),
		"empty":                             "",
		"licenses/" + longName + "/LICENSE": "may be used\n",
	}
}

const longName = "github.com/somebody/a-module-with-a-name@v0.0.0-20260527172527-a09352b57a22-that-needs-a-header-of-its-own"

// testBundle is a bundle to be spoiled.
type testBundle struct {
	files     map[string]string
	list      string
	signature string
	public    string
}

func newBundle(t testing.TB) *testBundle {
	t.Helper()
	b := &testBundle{files: testFiles()}
	b.makeList()
	b.sign(t, 1, testComment)
	return b
}

// makeList lists what is there.
func (b *testBundle) makeList() {
	b.list = ""
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		b.list += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(b.files[name])), name)
	}
}

func (b *testBundle) sign(t testing.TB, seed byte, comment string) {
	t.Helper()
	signer, public := newSigner(t, seed)
	s, err := signer.Sign([]byte(b.list), minisign.SignOptions{TrustedComment: comment, Hashed: true})
	if err != nil {
		t.Fatal(err)
	}
	b.signature, b.public = string(s.Encode()), public
}

// all is every file of it, with the list and the signature where they are there.
func (b *testBundle) all() map[string]string {
	all := maps.Clone(b.files)
	if b.list != "" {
		all[listName] = b.list
	}
	if b.signature != "" {
		all[signatureName] = b.signature
	}
	return all
}

// unpacked writes it to a folder.
func (b *testBundle) unpacked(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), testTop)
	for name, text := range b.all() {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Dir(path), filepath.Base(path), text)
	}
	return dir
}

// packed makes its tar. Change may alter each header, or leave an entry out.
func (b *testBundle) packed(t testing.TB, change func(*tar.Header) bool) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	all, folders := b.all(), map[string]bool{".": true}
	entries := map[string]string{testTop + "/": ""}
	for name, text := range all {
		entries[testTop+"/"+name] = text
		for dir := filepath.Dir(name); !folders[dir]; dir = filepath.Dir(dir) {
			folders[dir] = true
			entries[testTop+"/"+dir+"/"] = ""
		}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(entries[name])), Typeflag: tar.TypeReg, Format: tar.FormatGNU}
		if strings.HasSuffix(name, "/") {
			h.Mode, h.Typeflag = 0o755, tar.TypeDir
		}
		if change != nil && !change(h) {
			continue
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size == int64(len(entries[name])) {
			if _, err := w.Write([]byte(entries[name])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// check runs the command on a folder, or on a tar by stdin.
func (b *testBundle) check(t testing.TB, place, stdin string, args ...string) (bundleReport, ran) {
	t.Helper()
	if !slices.Contains(args, "--unsigned") && !slices.Contains(args, "--key") {
		args = append(args, "--key", b.public)
	}
	r := runHere(t, nil, stdin, append([]string{"bundle", "verify", place, "--json"}, args...)...)
	var report bundleReport
	if r.out != "" {
		if err := json.Unmarshal([]byte(r.out), &report); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
		if (r.code == exitDone) != report.OK || !report.OK && (r.code != exitInvalid || len(report.Problems) == 0) {
			t.Errorf("exit code %d with %s", r.code, r.out)
		}
	}
	return report, r
}

// told is each problem as CODE FILE.
func told(r bundleReport) (all []string) {
	for _, p := range r.Problems {
		all = append(all, strings.TrimSpace(p.Code+" "+p.File))
	}
	return all
}

func wantTold(t *testing.T, r bundleReport, ran ran, want ...string) {
	t.Helper()
	if got := told(r); !slices.Equal(got, want) {
		t.Errorf("it tells %q, want %q\n%s%s", got, want, ran.out, ran.errors)
	}
}

// A bundle as it was made is sound, as a folder and as a tar.
func TestBundleSound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for place, stdin := range map[string]string{b.unpacked(t): "", "-": string(b.packed(t, nil))} {
		r, ran := b.check(t, place, stdin)
		size := 0
		for _, text := range b.files {
			size += len(text)
		}
		if ran.code != exitDone || !r.OK || !r.Signed || r.Version != testRelease || r.Date != "2026-11-30T12:00:00Z" || r.Comment != testComment || r.Files != len(b.files) || r.Bytes != int64(size) {
			t.Errorf("%s: %d, %+v\n%s", place, ran.code, r, ran.errors)
		}
	}
}

// What is wrong in a folder is told by name, all of it.
func TestBundleFolderSpoiled(t *testing.T) {
	t.Parallel()
	const program = "bin/husk-v0.2.0-linux-amd64"
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		"a changed byte": {func(t *testing.T, dir string) { writeFile(t, dir, program, "a Program\n") }, []string{"changed " + program}},
		"a longer file":  {func(t *testing.T, dir string) { writeFile(t, dir, "empty", "\x00") }, []string{"changed empty"}},
		"missing files": {func(t *testing.T, dir string) {
			removeAll(t, filepath.Join(dir, "bin"))
			removeAll(t, filepath.Join(dir, "empty"))
		},
			[]string{"missing " + program, "missing empty"}},
		"extra files": {func(t *testing.T, dir string) {
			writeFile(t, dir, "bin/evil", "x")
			writeFile(t, dir, "another\nline", "x")
			must(t, os.MkdirAll(filepath.Join(dir, "more", "deep"), 0o755))
		}, []string{"extra another\nline", "extra bin/evil", "extra more/"}},
		"a link to the same bytes": {func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, program), filepath.Join(dir, "..", "kept")))
			must(t, os.Symlink("../../kept", filepath.Join(dir, program)))
		}, []string{"not_regular " + program}},
		"a link for a folder": {func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "bin"), filepath.Join(dir, "..", "kept")))
			must(t, os.Symlink("../kept", filepath.Join(dir, "bin")))
		}, []string{"not_regular bin", "missing " + program}},
		"a link inside for a folder": {func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "bin"), filepath.Join(dir, "docs", "bin")))
			must(t, os.Symlink("docs/bin", filepath.Join(dir, "bin")))
		}, []string{"not_regular bin", "missing " + program, "extra docs/bin/"}},
		"a hard link": {func(t *testing.T, dir string) {
			must(t, os.Link(filepath.Join(dir, program), filepath.Join(dir, "..", "other")))
		}, []string{"hard_link " + program}},
		"a named pipe": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "empty")))
			must(t, syscall.Mkfifo(filepath.Join(dir, "empty"), 0o644))
		}, []string{"not_regular empty"}},
		"a signature that is a pipe": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, signatureName)))
			must(t, syscall.Mkfifo(filepath.Join(dir, signatureName), 0o644))
		}, []string{"bad_signature", "not_regular " + signatureName}},
		"a huge signature": {func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, signatureName), 1<<30)) }, []string{"bad_signature", "bad_list " + signatureName}},
		"a folder for a file": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "empty")))
			must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
		}, []string{"not_regular empty"}},
		"a file for a folder": {func(t *testing.T, dir string) {
			removeAll(t, filepath.Join(dir, "bin"))
			writeFile(t, dir, "bin", "x")
		}, []string{"not_regular bin", "missing " + program}},
		"a mode of another user": {func(t *testing.T, dir string) {
			must(t, os.Chmod(filepath.Join(dir, program), 0o755|fs.ModeSetuid))
		}, []string{"not_regular " + program}},
		"no signature":        {func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, signatureName))) }, []string{"not_signed"}},
		"an empty signature":  {func(t *testing.T, dir string) { writeFile(t, dir, signatureName, "") }, []string{"bad_signature"}},
		"a list that is none": {func(t *testing.T, dir string) { writeFile(t, dir, listName, "hello\n") }, []string{"bad_signature", "bad_list " + listName}},
		"a list with a line more": {func(t *testing.T, dir string) {
			appendTo(t, filepath.Join(dir, listName), strings.Repeat("0", 64)+"  more\n")
		}, []string{"bad_signature", "missing more"}},
		"a list that is a link": {func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, listName), filepath.Join(dir, "..", listName)))
			must(t, os.Symlink("../"+listName, filepath.Join(dir, listName)))
		}, []string{"not_regular " + listName}},
		"a huge list": {func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, listName), 1<<40)) }, []string{"too_large " + listName}},
		"a huge file": {func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, program), 1<<40)) }, []string{"too_large " + program}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			dir := b.unpacked(t)
			c.spoil(t, dir)
			r, ran := b.check(t, dir, "")
			wantTold(t, r, ran, c.want...)
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func removeAll(t testing.TB, path string) { t.Helper(); must(t, os.RemoveAll(path)) }

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
}

// One changed byte in any file of a folder is told with the name of that file; the
// untrusted comment alone is nobody's, and minisign calls it that.
func TestBundleFolderEveryByte(t *testing.T) {
	dbtest.NoRace(t, "hashes that one goroutine makes, for each byte")
	t.Parallel()
	b := newBundle(t)
	dir := b.unpacked(t)
	key, err := parseKey(b.public)
	must(t, err)
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	comment, _, _ := strings.Cut(b.signature, "\n")
	for name, text := range b.all() {
		for i := range everyByte(len(text)) {
			if name == signatureName && i < len(comment) {
				continue
			}
			other := []byte(text)
			other[i] ^= 0x01
			must(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), other, 0o644))
			c := &bundleCheck{key: &key, left: maxBundle}
			must(t, c.folder(t.Context(), root))
			r := c.verdict()
			if r.OK || !isOurs(name) && !slices.Equal(told(r), []string{"changed " + name}) {
				t.Errorf("byte %d of %s: %q", i, name, told(r))
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644))
	}
}

// everyByte are the places in a text of n bytes; without HUSK_LONG=all one in seven of
// them, others in each run.
func everyByte(n int) iter.Seq[int] {
	step := 7
	if dbtest.Whole() {
		step = 1
	}
	return func(yield func(int) bool) {
		for i := rand.IntN(step); i < n; i += step {
			if !yield(i) {
				return
			}
		}
	}
}

// All that is wrong is counted, and a bounded part of it told.
func TestBundleManyProblems(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for i := range 500 {
		b.files[fmt.Sprintf("many/%03d", i)] = "x"
	}
	b.makeList()
	b.sign(t, 9, testComment)
	dir := b.unpacked(t)
	removeAll(t, filepath.Join(dir, "many"))
	_, b.public = newSigner(t, 1)
	r, _ := b.check(t, dir, "")
	if got := told(r); len(got) != maxTold || r.More != 401 || got[0] != "other_key" || got[1] != "missing many/000" && !strings.HasPrefix(got[1], "missing many/") {
		t.Errorf("%d are told, %d not: %.300q", len(got), r.More, got)
	}
}

// A list that names what is none of a file in a bundle is refused by the line.
func TestBundleListedNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"../out": "outside", "a/../../out": "outside", "/etc/passwd": "absolute", `a\\b`: "backslash", "a\x00b": "control", "a\x1b[2Jb": "control", `\na`: "control",
		"a\xffb": "not UTF-8", "ä": "another character", "a b": "another character", "-rf": "another character", "a//b": "empty part", "./a": "empty part", "a/": "empty part",
		"nul": "device", "dir/COM1.txt": "device", "a.": "another character", "a:b": "another character", listName: "itself", signatureName: "itself", "sha256sums": "are one on Windows",
		"readme.TXT": "are one on Windows", "Bin/other": "are one on Windows", "README.txt/in": "files in it", strings.Repeat("a/", 130) + "a": "more than 240 bytes", strings.Repeat("a", 201): "more than 200 bytes",
	} {
		b := newBundle(t)
		before := ""
		if strings.HasPrefix(name, `\`) || strings.Contains(name, `\\`) {
			before = `\` // as sha256sum escapes it
		}
		b.list += before + strings.Repeat("0", 64) + "  " + name + "\n"
		b.sign(t, 1, testComment)
		r, ran := b.check(t, b.unpacked(t), "")
		found := false
		for _, p := range r.Problems {
			found = found || p.Code == faultBadName && strings.Contains(p.Text, want)
		}
		if !found {
			t.Errorf("%q: %s", name, ran.out)
		}
	}
}

// What everybody may change after the check is warned of.
func TestBundleOpenToOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	dir := b.unpacked(t)
	if _, r := b.check(t, dir, ""); r.errors != "" {
		t.Errorf("it warns: %s", r.errors)
	}
	must(t, os.Chmod(filepath.Join(dir, "docs"), 0o777))
	if r, ran := b.check(t, dir, ""); !r.OK || !strings.Contains(ran.errors, "everybody may write to docs (mode 0777)") {
		t.Errorf("%+v, %s", r, ran.errors)
	}
}
