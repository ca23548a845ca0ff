//go:build unix

package cmd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db/dbtest"
)

const testProgram = "bin/husk-v0.2.0-linux-amd64"

// One changed bit anywhere in a tar is found: in a file, its name, its mode, in the
// list, the signature, in what fills a block, and behind the end.
func TestBundleArchiveEveryByte(t *testing.T) {
	dbtest.NoRace(t, "hashes that one goroutine makes, for each byte")
	t.Parallel()
	b := newBundle(t)
	delete(b.files, "docs/html/index.html")
	b.makeList()
	b.sign(t, 1, testComment)
	whole := append(b.packed(t, nil), make([]byte, 4*tarBlock)...) // as a record of tar is filled
	key, err := parseKey(b.public)
	must(t, err)
	if r := checkTar(t, whole, key); !r.OK {
		t.Fatalf("it is not sound: %+v", r)
	}
	for i := range everyByte(len(whole)) {
		whole[i] ^= 0x01
		if r := checkTar(t, whole, key); r.OK && !isUntrustedComment(b, whole, i) {
			t.Errorf("byte %d, %q, in block %d, was changed, and nobody says so", i, whole[i], i/tarBlock)
		}
		whole[i] ^= 0x01
	}
}

// isUntrustedComment tells whether a byte is in the first line of the signature,
// which nothing signs, and minisign says so.
func isUntrustedComment(b *testBundle, whole []byte, i int) bool {
	line, _, _ := strings.Cut(b.signature, "\n")
	_, rest, _ := strings.Cut(b.signature, "\n")
	end := bytes.Index(whole, []byte(rest)) - 1 // its line end has to be there
	return i < end && i >= end-len(line)
}

// checkTar checks one without a command around it.
func checkTar(t testing.TB, text []byte, key publicKey) bundleReport {
	t.Helper()
	c := &bundleCheck{key: &key, left: maxBundle}
	if err := c.archive(t.Context(), bytes.NewReader(text)); err != nil {
		var own *failure
		if !errors.As(err, &own) {
			t.Fatal(err)
		}
		c.problem(faultBadArchive, "", "%s", own.what)
	}
	return c.verdict()
}

// A tar that is cut anywhere is told as such, with what is missing.
func TestBundleArchiveCut(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	whole := b.packed(t, nil)
	key, err := parseKey(b.public)
	must(t, err)
	for size := 0; size < len(whole); size += 64 {
		r := checkTar(t, whole[:size], key)
		if r.OK || size > 0 && !strings.Contains(strings.Join(told(r), " "), faultTruncated) && !strings.Contains(strings.Join(told(r), " "), faultBadArchive) {
			t.Errorf("cut to %d of %d bytes: %q", size, len(whole), told(r))
		}
	}
	r := checkTar(t, whole[:bytes.Index(whole, []byte("a program\n"))+3], key)
	if got := told(r); got[0] != faultTruncated || !slices.Contains(got, "missing docs/html/index.html") {
		t.Errorf("cut in a file: %q", got)
	}
}

// What tars can hold and bundles have not is refused, whatever it would unpack to.
func TestBundleArchiveSpoiled(t *testing.T) {
	t.Parallel()
	only := func(name string, change func(h *tar.Header)) func(*tar.Header) bool {
		return func(h *tar.Header) bool {
			if h.Name == testTop+"/"+name {
				change(h)
			}
			return true
		}
	}
	for name, c := range map[string]struct {
		change func(*tar.Header) bool
		want   string // of the first problem
	}{
		"a file left out":         {func(h *tar.Header) bool { return h.Name != testTop+"/empty" }, "missing empty"},
		"no list":                 {func(h *tar.Header) bool { return h.Name != testTop+"/"+listName }, "absent"},
		"no signature":            {func(h *tar.Header) bool { return h.Name != testTop+"/"+signatureName }, "not_signed"},
		"a link":                  {only("empty", func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/shadow" }), "bad_archive"},
		"a hard link":             {only("empty", func(h *tar.Header) { h.Typeflag, h.Linkname = tar.TypeLink, testTop+"/README.txt" }), "bad_archive"},
		"a device":                {only("empty", func(h *tar.Header) { h.Typeflag = tar.TypeBlock }), "bad_archive"},
		"a pipe":                  {only("empty", func(h *tar.Header) { h.Typeflag = tar.TypeFifo }), "bad_archive"},
		"a name in a pax header":  {only("empty", func(h *tar.Header) { h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"comment": "x"} }), "bad_archive"},
		"a time in a pax header":  {only("empty", func(h *tar.Header) { h.Format, h.ModTime = tar.FormatPAX, time.Unix(1, 5) }), "bad_archive"},
		"a setuid program":        {only(testProgram, func(h *tar.Header) { h.Mode = 0o4755 }), "not_regular " + testProgram},
		"a file for all to write": {only(testProgram, func(h *tar.Header) { h.Mode = 0o777 }), "open_to_others " + testProgram},
		"another owner":           {only(testProgram, func(h *tar.Header) { h.Uid = 1000 }), "open_to_others " + testProgram},
		"another owner by name":   {only(testProgram, func(h *tar.Header) { h.Uname = "mallory" }), "open_to_others " + testProgram},
		"an absolute name":        {only("empty", func(h *tar.Header) { h.Name = "/etc/empty" }), "bad_name /etc/empty"},
		"a name that leads out":   {only("empty", func(h *tar.Header) { h.Name = testTop + "/../empty" }), "bad_name ../empty"},
		"a name that leads on":    {only("empty", func(h *tar.Header) { h.Name = testTop + "/docs/../../../empty" }), "bad_name docs/../../../empty"},
		"a backslash":             {only("empty", func(h *tar.Header) { h.Name = testTop + `/..\empty` }), `bad_name ..\empty`},
		"a control character":     {only("empty", func(h *tar.Header) { h.Name = testTop + "/em\x1b[2Jpty" }), "bad_name em\x1b[2Jpty"},
		"no UTF-8":                {only("empty", func(h *tar.Header) { h.Name = testTop + "/em\xffpty" }), "bad_name em\ufffdpty"},
		"a file that no line has": {only("empty", func(h *tar.Header) { h.Name = testTop + "/more" }), "extra more"},
		"a second folder":         {only("empty", func(h *tar.Header) { h.Name = "other/empty" }), "bad_name other/empty"},
		"the same name again":     {only("empty", func(h *tar.Header) { h.Name = testTop + "/README.txt" }), "twice README.txt"},
		"the list again":          {only("empty", func(h *tar.Header) { h.Name = testTop + "/" + listName }), "twice " + listName},
		"another release outside": {func(h *tar.Header) bool {
			h.Name = strings.Replace(h.Name, testTop, "husk-v0.3.0-airgap", 1)
			return true
		}, "other_release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r, ran := b.check(t, "-", string(b.packed(t, c.change)))
			if c.want == "absent" {
				if ran.code != exitNotFound || !strings.Contains(ran.errors, "there is no SHA256SUMS") {
					t.Errorf("%d: %s", ran.code, ran.errors)
				}
				return
			}
			if got := told(r); len(got) == 0 || !slices.Contains(got, c.want) {
				t.Errorf("it tells %q, want %q\n%s%s", got, c.want, ran.out, ran.errors)
			}
		})
	}
}

// An archive of gigabytes ends when there is more than a bundle has, and is not
// read into memory; nobody waits for what never ends.
func TestBundleArchiveBounded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	key, err := parseKey(b.public)
	must(t, err)
	whole := b.packed(t, nil)
	var big bytes.Buffer
	w := tar.NewWriter(&big)
	must(t, w.WriteHeader(&tar.Header{Name: testTop + "/", Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatGNU}))
	must(t, w.WriteHeader(&tar.Header{Name: testTop + "/huge", Typeflag: tar.TypeReg, Mode: 0o644, Size: 7 << 30, Format: tar.FormatGNU}))
	r := checkStream(t, io.MultiReader(&big, noEnd{}), key)
	if got := told(r); !slices.Contains(got, "too_large huge") {
		t.Errorf("a huge file: %q", got)
	}
	if got := told(checkStream(t, io.MultiReader(bytes.NewReader(whole), noEnd{}), key)); !slices.Contains(got, "trailing") {
		t.Errorf("zeros without an end: %q", got)
	}
	if got := told(checkStream(t, io.MultiReader(bytes.NewReader(whole), strings.NewReader("more")), key)); !slices.Contains(got, "trailing") {
		t.Errorf("trailing garbage: %q", got)
	}
	if got := told(checkStream(t, strings.NewReader(strings.Repeat("no tar at all ", 1000)), key)); !slices.Contains(got, "bad_archive") {
		t.Errorf("no tar: %q", got)
	}
	// Headers without an end: extended ones, each of another.
	var long bytes.Buffer
	header := whole[:tarBlock]
	for range 10_000 {
		h := bytes.Clone(header)
		h[156] = 'x'
		fixSum(h)
		long.Write(h)
	}
	if got := told(checkStream(t, &long, key)); !slices.Contains(got, "bad_archive") {
		t.Errorf("headers without an end: %q", got)
	}
}

// fixSum makes the checksum of a header right.
func fixSum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h[:tarBlock] {
		sum += int(b)
	}
	copy(h[148:156], []byte{'0' + byte(sum>>15&7), '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
}

// noEnd is zeros for ever.
type noEnd struct{}

// Read implements io.Reader.
func (noEnd) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func checkStream(t testing.TB, r io.Reader, key publicKey) bundleReport {
	t.Helper()
	c := &bundleCheck{key: &key, left: maxBundle}
	must(t, c.archive(t.Context(), r))
	return c.verdict()
}

// A header that two programs read in two ways is refused, though its checksum is
// right.
func TestBundleArchiveOneReading(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	key, err := parseKey(b.public)
	must(t, err)
	whole := b.packed(t, nil)
	at := bytes.Index(whole, []byte(testTop+"/empty"))
	for name, change := range map[string]func(h []byte){
		"a name behind its end":         func(h []byte) { copy(h[90:], "evil") },
		"a prefix of ustar":             func(h []byte) { copy(h[257:], "ustar\x0000"); copy(h[345:], "../..") },
		"a size in base 256":            func(h []byte) { copy(h[124:136], "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") },
		"a size with spaces":            func(h []byte) { copy(h[124:136], "          0 ") },
		"a file that names a link":      func(h []byte) { copy(h[157:], "/etc/passwd") },
		"a kind of old tars":            func(h []byte) { h[156] = 0 },
		"a contiguous file":             func(h []byte) { h[156] = '7' },
		"an unknown kind":               func(h []byte) { h[156] = 'Z' },
		"a sparse file":                 func(h []byte) { h[156] = 'S' },
		"an old magic":                  func(h []byte) { clear(h[257:265]) },
		"a time that tar does not read": func(h []byte) { copy(h[136:148], "99999999999\x00") },
		"a group of another form":       func(h []byte) { copy(h[116:124], "0      \x00") },
	} {
		text := bytes.Clone(whole)
		change(text[at : at+tarBlock])
		fixSum(text[at : at+tarBlock])
		if r := checkTar(t, text, key); r.OK || !strings.Contains(strings.Join(told(r), " "), faultBadArchive) {
			t.Errorf("%s: %q", name, told(r))
		}
	}
}

// A compressed one is told as such, with what to do.
func TestBundleArchiveCompressed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(b.packed(t, nil))
	must(t, err)
	must(t, z.Close())
	r := runHere(t, nil, "", "bundle", "verify", writeFile(t, t.TempDir(), testTop+".tar.gz", out.String()), "--key", b.public)
	if r.code != exitUsage || !strings.Contains(r.errors, "gzip -dc ") {
		t.Errorf("%d: %s", r.code, r.errors)
	}
}

// A name of the file that is another release's is told: who renames an old one
// would have it taken for a new one.
func TestBundleArchiveRenamed(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	place := writeFile(t, t.TempDir(), "husk-v0.9.0-airgap.tar", string(b.packed(t, nil)))
	r, ran := b.check(t, place, "")
	wantTold(t, r, ran, "other_release")
	r, ran = b.check(t, filepath.Clean(place), "", "--version", "0.9.0")
	wantTold(t, r, ran, "other_release", "other_release")
}

// FuzzBundleArchive: whatever comes, the check ends without a panic, and what it
// finds sound is what its own list says of all that archive/tar unpacks. Nobody has
// to have signed it: the one who makes it may write any list.
func FuzzBundleArchive(f *testing.F) {
	b := &testBundle{files: map[string]string{"a": "a\n", "d/b": ""}}
	b.makeList()
	f.Add(b.packed(f, nil))
	f.Add(b.packed(f, nil)[:3*tarBlock+1])
	f.Add(b.packed(f, func(h *tar.Header) bool { h.Format = tar.FormatPAX; h.ModTime = time.Unix(1, 5); return true }))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &bundleCheck{unsigned: true, left: maxBundle}
		if err := c.archive(context.Background(), bytes.NewReader(text)); err != nil || !c.verdict().OK {
			return
		}
		files := 0
		for r := tar.NewReader(bytes.NewReader(text)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			content, err := io.ReadAll(r)
			must(t, err)
			_, name, _ := strings.Cut(h.Name, "/")
			switch {
			case h.Typeflag == tar.TypeDir || isOurs(name):
			case h.Typeflag != tar.TypeReg || c.sums[name].hash != sha256.Sum256(content):
				t.Fatalf("%q, %q, is unpacked, and was not checked", h.Name, content)
			default:
				files++
			}
		}
		if files != len(c.sums) || files != c.verdict().Files {
			t.Fatalf("%d files are unpacked, %d are listed", files, len(c.sums))
		}
	})
}
