//go:build unix

package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// signatureFile is one that Debian's minisign made.
func signatureFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/signature", name))
	must(t, err)
	return text
}

// TestSignatures: what minisign signs is read, in its form of today and the one
// before, and what was changed in either is refused.
func TestSignatures(t *testing.T) {
	t.Parallel()
	key, err := parseKey(string(signatureFile(t, "minisign.pub")))
	must(t, err)
	list := signatureFile(t, listName)
	verify := func(list, signature []byte, key publicKey) (signed, error) {
		s, err := parseSignature(signature)
		if err != nil {
			return signed{}, err
		}
		return verifySignature(list, s, key)
	}
	for name, date := range map[string]string{"prehashed": "2026-11-30T12:00:00Z", "legacy": "2026-11-30T12:00:00Z"} {
		signature := signatureFile(t, name+".minisig")
		r, err := verify(list, signature, key)
		if err != nil || r.version != "v0.2.0" || r.date != date || !strings.HasPrefix(r.comment, "husk v0.2.0 ") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if _, err := verify(append(list, '\n'), signature, key); codeOf(err) != faultBadSignature {
			t.Errorf("%s, of another list: %v", name, err)
		}
		// The trusted comment is signed, too.
		for _, change := range [][2]string{{"husk v0.2.0", "husk v0.3.0"}, {"husk ", "husk  "}, {"RUT7", "RWT7"}, {"RWT7", "RUT7"}} {
			other := strings.Replace(string(signature), change[0], change[1], 1)
			if _, err := verify(list, []byte(other), key); other != string(signature) && err == nil {
				t.Errorf("%s with %s for %s is good", name, change[1], change[0])
			}
		}
		stranger := key
		stranger.KeyId[0]++
		if _, err := verify(list, signature, stranger); codeOf(err) != faultOtherKey || !strings.Contains(err.Error(), "signed by key ID "+key.id()+", not by "+stranger.id()) {
			t.Errorf("%s, by another key: %v", name, err)
		}
		stranger = key
		stranger.PublicKey.PublicKey[0]++ // under the ID of the right one
		if _, err := verify(list, signature, stranger); codeOf(err) != faultBadSignature {
			t.Errorf("%s, by another key of the same ID: %v", name, err)
		}
	}
	if _, err := verify(list, signatureFile(t, "other.minisig"), key); codeOf(err) != faultOtherRelease {
		t.Errorf("signed for something else: %v", err)
	}
}

// The date of a release is what its trusted comment says first.
func TestDateOfWord(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"2026-11-30": "2026-11-30", "2026-11-30T12:00:00Z": "2026-11-30T12:00:00Z", "2026-11-30T13:00:00+01:00": "2026-11-30T12:00:00Z",
		"timestamp:1796040000": "2026-11-30T12:00:00Z", "timestamp:-1": "", "timestamp:99999999999999": "", "timestamp:": "", "2026-13-01": "", "SHA256SUMS": "", "": "",
	} {
		if got := dateOfWord(word); got != want {
			t.Errorf("%q is %q, want %q", word, got, want)
		}
	}
}

func codeOf(err error) string {
	var bad *signatureError
	if errors.As(err, &bad) {
		return bad.code
	}
	return ""
}

// TestKeys: --key is the key itself or a file of it; what is something else is told
// as what it is, and a secret key is shown to nobody.
func TestKeys(t *testing.T) {
	t.Parallel()
	public := string(signatureFile(t, "minisign.pub"))
	_, line, _ := strings.Cut(strings.TrimSpace(public), "\n")
	b := newBundle(t)
	dir := b.unpacked(t)
	secret, err := os.ReadFile("../dist/testdata/husk-test.key")
	must(t, err)
	inside := writeFile(t, filepath.Join(dir, "docs"), "minisign.pub", public)
	elsewhere := t.TempDir()
	for name, c := range map[string]struct {
		key, stdin string
		code       int
		says       string
	}{
		"the key":               {line, "", exitInvalid, "not what it has to be"}, // it did not sign
		"a file":                {writeFile(t, elsewhere, "pub", public), "", exitInvalid, "not what it has to be"},
		"a file of the line":    {writeFile(t, elsewhere, "line", line+"\r\n"), "", exitInvalid, "not what it has to be"},
		"stdin":                 {"-", public, exitInvalid, "not what it has to be"},
		"a file in the bundle":  {inside, "", exitUsage, "part of what it is to prove"},
		"no file":               {filepath.Join(elsewhere, "none"), "", exitNotFound, "can't be read"},
		"a mistyped key":        {line[:len(line)-1] + "!", "", exitUsage, "is no base64"},
		"a key of another kind": {"RW" + strings.Repeat("x", 54), "", exitUsage, "another kind"},
		"a secret key":          {writeFile(t, elsewhere, "secret", string(secret)), "", exitUsage, "SECRET"},
		"a signature":           {"testdata/signature/legacy.minisig", "", exitUsage, "one line"},
		"a list":                {"testdata/signature/" + listName, "", exitUsage, "no base64"},
		"an empty file":         {writeFile(t, elsewhere, "empty", ""), "", exitUsage, "0 bytes"},
		"nothing":               {"", "", exitUsage, "--key"},
		"a folder":              {elsewhere, "", exitFailure, "can't be read"},
		"more than one key":     {writeFile(t, elsewhere, "two", line+"\n"+line+"\n"), "", exitUsage, "one line"},
	} {
		r := runHere(t, nil, c.stdin, "bundle", "verify", dir, "--key", c.key)
		if r.code != c.code || !strings.Contains(r.errors, c.says) {
			t.Errorf("%s: %d, %s", name, r.code, r.errors)
		}
		for hidden := range strings.SplitSeq(strings.TrimSpace(string(secret)), "\n") {
			if strings.Contains(r.errors+r.out, hidden) {
				t.Errorf("%s: the secret key is shown", name)
			}
		}
	}
	if r := runHere(t, nil, "", "bundle", "verify", dir); r.code != exitUsage || !strings.Contains(r.errors, "on paper, never from what it is to prove") {
		t.Errorf("no key: %d, %s", r.code, r.errors)
	}
	if r := runHere(t, nil, "", "bundle", "verify", "-", "--key", "-"); r.code != exitUsage || !strings.Contains(r.errors, "stdin") {
		t.Errorf("both from stdin: %d, %s", r.code, r.errors)
	}
}

// A bundle is as good as its signature, whatever else is as it has to be.
func TestBundleSignatures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(b *testBundle)
		args   []string
		want   []string
	}{
		"another key":                        {func(b *testBundle) { own := b.public; b.sign(t, 9, testComment); b.public = own }, nil, []string{"other_key"}},
		"the key that signs other things":    {func(b *testBundle) { b.sign(t, 1, "timestamp:1796040000\tfile:SHA256SUMS") }, nil, []string{"other_release"}},
		"another program's release":          {func(b *testBundle) { b.sign(t, 1, "hask v0.2.0") }, nil, []string{"other_release"}},
		"the signature of another release":   {func(b *testBundle) { b.sign(t, 1, "husk v0.1.0") }, nil, []string{"other_release", "other_release " + testProgram}},
		"the signature of another list":      {func(b *testBundle) { b.list += strings.Repeat("0", 64) + "  more\n" }, nil, []string{"bad_signature", "missing more"}},
		"the release that is wanted":         {func(*testBundle) {}, []string{"--version", "v0.2.0"}, nil},
		"another one than is wanted":         {func(*testBundle) {}, []string{"--version", "0.2.1"}, []string{"other_release"}},
		"unsigned":                           {func(b *testBundle) { b.signature = "" }, []string{"--unsigned"}, nil},
		"unsigned, and wanted":               {func(b *testBundle) { b.signature = "" }, []string{"--unsigned", "--version", "v0.2.0"}, nil},
		"unsigned, with a signature":         {func(*testBundle) {}, []string{"--unsigned"}, nil},
		"unsigned, with a bad signature":     {func(b *testBundle) { b.signature = "untrusted comment: x\n" }, []string{"--unsigned"}, []string{"bad_signature"}},
		"unsigned, changed, and with a key":  {func(b *testBundle) { b.list += strings.Repeat("0", 64) + "  more\n" }, []string{"--unsigned", "--key", newBundle(t).public}, []string{"bad_signature", "missing more"}},
		"unsigned, by another key than that": {func(b *testBundle) { b.sign(t, 9, testComment) }, []string{"--unsigned", "--key", newBundle(t).public}, []string{"other_key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			c.change(b)
			for place, stdin := range map[string]string{b.unpacked(t): "", "-": string(b.packed(t, nil))} {
				r, ran := b.check(t, place, stdin, c.args...)
				wantTold(t, r, ran, c.want...)
				if r.Signed && b.signature == "" || !r.Signed && r.OK && !strings.Contains(ran.errors, "may have changed the list") {
					t.Errorf("signed %t, and it says %s", r.Signed, ran.errors)
				}
			}
		})
	}
}

// An older bundle is told as such: its signature is as good as it was.
func TestBundleOlder(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.files = map[string]string{"bin/husk-v0.1.0-linux-amd64": "x"}
	b.makeList()
	b.sign(t, 1, "husk v0.1.0")
	dir := filepath.Join(t.TempDir(), "carried")
	must(t, os.Rename(b.unpacked(t), dir))
	if r, ran := b.check(t, dir, ""); !r.OK || r.Version != "v0.1.0" || !strings.Contains(ran.errors, "older than this husk") {
		t.Errorf("%+v, %s", r, ran.errors)
	}
	for one, others := range map[string][]string{
		"v0.2.0":     {"v0.2.1", "v0.3.0", "v1.0.0", "v0.10.0"},
		"v0.2.0-dev": {"v0.2.0", "v0.2.1"},
	} {
		for _, other := range others {
			if !olderRelease(one, other) || olderRelease(other, one) || olderRelease(one, one) {
				t.Errorf("%s and %s", one, other)
			}
		}
	}
	if olderRelease("none", "v0.2.0") || olderRelease("v0.2.0", "v0.2") {
		t.Error("what is no release is older than one")
	}
}

// FuzzMinisign: a key is read as it is written, and a signature says nothing that
// its key did not sign.
func FuzzMinisign(f *testing.F) {
	public := string(signatureFile(f, "minisign.pub"))
	good := string(signatureFile(f, "prehashed.minisig"))
	list := signatureFile(f, listName)
	key, err := parseKey(public)
	must(f, err)
	f.Add(public, good)
	f.Add(strings.ReplaceAll(public, "\n", "\r\n"), string(signatureFile(f, "legacy.minisig")))
	f.Add("RW", "untrusted comment:\n\ntrusted comment: \n")
	f.Fuzz(func(t *testing.T, text, signature string) {
		if k, err := parseKey(text); err == nil {
			if again, err := parseKey(encodeKey(k)); err != nil || again != k {
				t.Fatalf("%q is %s, and that is %s, %v", text, k.id(), again.id(), err)
			}
		}
		s, err := parseSignature([]byte(signature))
		if err != nil {
			return
		}
		r, err := verifySignature(list, s, key)
		if err != nil && codeOf(err) == "" || !utf8.ValidString(keyID(s.KeyId)) {
			t.Fatalf("%q: %v", signature, err)
		}
		if err == nil && r.comment != testComment && r.comment != "husk v0.2.0 timestamp:1796040000" {
			t.Fatalf("%q says %q, which nobody signed", signature, r.comment)
		}
	})
}
