//go:build unix

package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const aHash = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"

func TestSums(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		aHash + "  a\n":                     "a",
		aHash + " *a\n":                     "a",
		strings.ToUpper(aHash) + "  a":      "a",
		aHash + "   a b \n":                 " a b ",
		aHash + "  *a\n":                    "*a",
		`\` + aHash + `  a\nb\\c\r` + "\n":  "a\nb\\c\r",
		aHash + `  a\nb` + "\n":             `a\nb`,
		"SHA256 (a) = " + aHash + "\n":      "a",
		"SHA256 (a) = b) = " + aHash + "\n": "a) = b",
		`\SHA256 (a\\b) = ` + aHash + "\n":  `a\b`,
		"SHA256(a)= " + aHash + "\n":        "a", // openssl
		aHash + "  SHA256 (x) = y\n":        "SHA256 (x) = y",
	} {
		all, err := parseSums([]byte(text))
		if err != nil || len(all) != 1 || all[0].name != want || all[0].hex() != aHash || all[0].line != 1 {
			t.Errorf("%q: %+v, %v", text, all, err)
		}
	}
	good := aHash + "  a\n"
	for text, want := range map[string]string{
		"":                             "it lists nothing",
		"\n":                           "line 1: it is empty",
		good + "\n" + aHash + "  b\n":  "line 2: it is empty",
		good + "\n":                    "line 2: it is empty",
		good + "# a remark\n":          "line 2: it is no line",
		aHash + "  a\r\n":              "line 1: it ends with CR LF",
		good + good:                    "line 2: a is there already, in line 1",
		aHash + " a\n":                 "line 1: it is no line",
		aHash + "  \n":                 "line 1: it is no line",
		aHash[1:] + "  a\n":            "line 1: its sum has 63 hexadecimal digits",
		aHash + aHash + "  a\n":        "line 1: its sum has 128 hexadecimal digits",
		"SHA512 (a) = " + aHash + "\n": "another kind than SHA-256: SHA512",
		`\` + aHash + `  a\tb` + "\n":  "line 1: its name has a backslash",
		`\` + aHash + `  a\` + "\n":    "line 1: its name has a backslash",
		"g" + aHash[1:] + "  a\n":      "line 1: it is no line",
		aHash + "  " + strings.Repeat("a", maxSumsName+1): "more than 4096 bytes",
		strings.Repeat("\n", maxListed+2):                 "more than 20000 lines",
		"\xef\xbb\xbf" + good:                             "line 1: it is no line",
	} {
		if all, err := parseSums([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %+v, %v, want %s", text, all, err, want)
		}
	}
	if _, err := readList(noEnd{}); err == nil || !strings.Contains(err.Error(), "4 MiB") {
		t.Errorf("a list without an end: %v", err)
	}
}

// TestSumsOfSha256sum: the names that sha256sum writes, in each of its forms, are
// those of the files.
func TestSumsOfSha256sum(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("sha256sum")
	if err != nil {
		prerequisite(t, "there is no sha256sum")
	}
	dir := t.TempDir()
	names := []string{"plain", "with space", " *odd", `back\slash`, "line\nend", "cr\rend", "paren) = (x", "ünïcode", "\xff"}
	for _, name := range names {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600))
	}
	for _, flag := range []string{"--text", "--binary", "--tag"} {
		cmd := exec.Command(program, append([]string{flag, "--"}, names...)...)
		cmd.Dir = dir
		out, err := cmd.Output()
		must(t, err)
		all, err := parseSums(out)
		if err != nil || len(all) != len(names) {
			t.Fatalf("%s: %+v, %v", flag, all, err)
		}
		for i, s := range all {
			if s.name != names[i] {
				t.Errorf("%s: %q is %q", flag, names[i], s.name)
			}
		}
	}
}

// FuzzSums: a list is read or refused as a whole; what is read means the same when
// it is written anew.
func FuzzSums(f *testing.F) {
	for _, text := range []string{"", "\n", aHash + "  a\n", aHash + " *a\n" + aHash + "  b", `\` + aHash + `  a\nb` + "\n", "SHA256 (a) = " + aHash, aHash + "  a\r\n", `\SHA256 (\\) = ` + aHash} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseSums([]byte(text))
		if err != nil {
			if all != nil {
				t.Fatalf("%q: %+v, %v", text, all, err)
			}
			return
		}
		escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)
		written := ""
		for _, s := range all {
			written += fmt.Sprintf(`\%s  %s`+"\n", s.hex(), escape.Replace(s.name))
		}
		again, err := parseSums([]byte(written))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%q is %q, and that is %+v, %v", text, written, again, err)
		}
		for i := range all {
			if again[i] != all[i] {
				t.Fatalf("%q has %+v, written %+v", text, all[i], again[i])
			}
		}
	})
}

// FuzzBundleName: a name that is taken leads to one place below the folder, on every
// system, and to no other name's place.
func FuzzBundleName(f *testing.F) {
	for _, name := range []string{"", "a", "a/b", "../a", "a/../b", "/a", `a\b`, "a\x00", "a//b", "a/.", ".a", "a.", "nul", "NUL.txt", "a:b", "\xff", "ä", "-a", "a b", "~a", listName} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if bundleNameFault(name) != "" {
			return
		}
		switch {
		case !filepath.IsLocal(name) || filepath.Clean(name) != name || filepath.ToSlash(name) != name:
			t.Fatalf("%q leads elsewhere", name)
		case strings.ContainsAny(name, "\\:*?\"<>|$`'& \x7f") || strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }):
			t.Fatalf("%q has a letter that some system takes for another thing", name)
		case printable(name) != name || shellWord("/"+name) != "/"+name && !strings.ContainsAny(name, "=~!"):
			t.Fatalf("%q is not told as it is", name)
		}
	})
}
