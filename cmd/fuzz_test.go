package cmd

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"husk/web"
	"husk/web/api"
)

// The parsers of what is typed or read from files. Each takes what it gets or
// refuses it in words of its own.

// FuzzDuration: what is read is written in a form that means the same.
func FuzzDuration(f *testing.F) {
	for _, text := range []string{"", "90s", "1h30m", "365d", "2w", "1y", "0.5d", "-1h", "1e300y", "nand", "infd", "0x1pd", "9223372036854775807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := web.ParseDuration(text)
		if err != nil {
			if d != 0 || strings.Contains(err.Error(), "time:") || strings.Contains(err.Error(), "strconv") {
				t.Fatalf("%q = %v, %v", text, d, err)
			}
			return
		}
		var v durationValue
		if err := v.Set(text); err != nil && d >= 0 {
			t.Fatalf("%q: %v", text, err)
		}
		if again, err := web.ParseDuration(newDuration(d).String()); err != nil || again != d {
			t.Fatalf("%q is %v, written %q, and read again as %v, %v", text, d, newDuration(d), again, err)
		}
	})
}

// FuzzDate: --expires and --since understand what they take, and take nothing
// that is over already for a date to come.
func FuzzDate(f *testing.F) {
	for _, text := range []string{"", "never", "365d", "2030-12-31", "2030-12-31T08:00:00Z", "2030-12-31T08:00:00+14:00", "0000-01-01", "9999-12-31T23:59:59Z", "1ns", "-1s", "292y"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		ends, err := parseExpiry(text, now)
		var own *failure
		if err != nil && (!errors.As(err, &own) || ends != 0) {
			t.Fatalf("--expires %q = %d, %v", text, ends, err)
		}
		if _, failed := web.ParseDuration(text); err == nil && failed == nil && ends <= now.Unix() && ends > 0 {
			t.Fatalf("--expires %q is over: %d", text, ends)
		}
		moment, err := (&app{}).parseMoment(text, now)
		if err != nil && (!errors.As(err, &own) || moment != "") {
			t.Fatalf("--since %q = %q, %v", text, moment, err)
		}
		if err == nil && text != "" {
			if again, err := (&app{}).parseMoment(moment, now); err != nil || again != moment {
				t.Fatalf("--since %q is %q, and that is %q, %v", text, moment, again, err)
			}
		}
	})
}

// FuzzPrefixes: addresses and networks are read as they are written.
func FuzzPrefixes(f *testing.F) {
	for _, text := range []string{"10.0.0.7", "10.0.0.0/8, fd00::/8", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "10.0.0.1/8", "fe80::1%eth0", "0.0.0.0/0", "", ",", "::/129"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, again := list{read: readNetwork}, list{read: readNetwork}
		if err := p.Set(text); err != nil {
			return
		}
		if err := again.Set(p.String()); err != nil || again.String() != p.String() {
			t.Fatalf("%q is %q, and that is %q, %v", text, p.String(), again.String(), err)
		}
		for _, item := range p.items {
			if prefix := netip.MustParsePrefix(item); !prefix.IsValid() || prefix != prefix.Masked() || prefix.Addr().Zone() != "" || prefix.Addr().Is4In6() {
				t.Fatalf("%q is taken as %v", text, prefix)
			}
		}
	})
}

// FuzzHtpasswd: each line of a file is a user, skipped, or refused by its
// number.
func FuzzHtpasswd(f *testing.F) {
	for _, text := range []string{
		"ann:$2y$05$abcdefghijklmnopqrstuuJZ0Qm9Lw1i4p6DdC2xwzvK7a1bcdefg\n", "ann@example.com:$apr1$x$y\r\n# a comment\n\n", "ann", ":x", "ann:", "a:b:c", "ann:{SHA}x", "\x00:\xff",
	} {
		f.Add(text, "example.com")
	}
	f.Fuzz(func(t *testing.T, text, domain string) {
		a := &app{stderr: &bytes.Buffer{}}
		lines, skipped, err := a.readHtpasswd(strings.NewReader(text), userImportOptions{domain: domain})
		if err != nil {
			var own *failure
			if !errors.As(err, &own) || strings.Contains(own.what, "bufio") {
				t.Fatalf("refused by %v", err)
			}
			return
		}
		users := 0
		for line := range strings.SplitSeq(lines.(*bytes.Buffer).String(), "\n") {
			var user api.ImportUser
			if line == "" {
				continue
			}
			if err := json.Unmarshal([]byte(line), &user); err != nil || user.Email == "" || user.PasswordHash == "" {
				t.Fatalf("%q became %q, %v", text, line, err)
			}
			users++
		}
		if users+skipped > strings.Count(text, "\n")+1 {
			t.Fatalf("%q became %d users, %d skipped", text, users, skipped)
		}
	})
}

// tarOf is a tar of a manifest and a store.
func tarOf(manifest string, store []byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range map[string][]byte{api.BackupManifest: []byte(manifest)} {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	_ = w.WriteHeader(&tar.Header{Name: api.BackupStore, Mode: 0o600, Size: int64(len(store))})
	_, _ = w.Write(store)
	_ = w.Close()
	return out.Bytes()
}

// sparseTar is a tar of a manifest and a store of which only the first byte is
// there: the rest is said to be a hole (GNU tar, sparse format 0.1).
func sparseTar(manifest string, size int) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	_ = w.WriteHeader(&tar.Header{Name: api.BackupManifest, Mode: 0o600, Size: int64(len(manifest))})
	_, _ = io.WriteString(w, manifest)
	_ = w.Flush()
	records := ""
	for _, r := range []string{"GNU.sparse.major=0", "GNU.sparse.minor=1", "GNU.sparse.numblocks=1", "GNU.sparse.map=0,1", fmt.Sprint("GNU.sparse.size=", size)} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r) // two digits, a space, a line end
	}
	for _, part := range []struct {
		kind    byte
		content string
	}{{tar.TypeXHeader, records}, {tar.TypeReg, "a"}} {
		at := out.Len()
		_ = w.WriteHeader(&tar.Header{Name: api.BackupStore, Mode: 0o600, Size: int64(len(part.content))})
		_, _ = io.WriteString(w, part.content)
		_ = w.Flush()
		header, sum := out.Bytes()[at:at+512], 0
		header[156] = part.kind
		copy(header[148:156], "        ")
		for _, b := range header {
			sum += int(b)
		}
		copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	}
	_ = w.Close()
	return out.Bytes()
}

// A short tar that says it holds much would fill the disk.
func TestReadBackupOfAHole(t *testing.T) {
	const size = 1 << 20
	sum := sha256.Sum256(append([]byte("a"), make([]byte, size-1)...))
	text := sparseTar(fmt.Sprintf(`{"size":%d,"sha256":"%x"}`, size, sum), size)
	in := tar.NewReader(bytes.NewReader(text))
	for range 2 {
		h, err := in.Next()
		if err != nil || h.Name == api.BackupStore && h.Size != size {
			t.Fatalf("the tar is none: %v %v", h, err)
		}
	}
	var out bytes.Buffer
	if _, err := readBackup(bytes.NewReader(text), &out); exitCode(err) != exitInvalid || out.Len() > 0 {
		t.Errorf("%v, and %d bytes of %d are taken", err, out.Len(), len(text))
	}
}

// FuzzBackup: a backup that is taken holds what its manifest says, to the
// byte; every other one is refused.
func FuzzBackup(f *testing.F) {
	store := []byte("a store, as far as a tar can tell")
	sum := sha256.Sum256(store)
	good := `{"version":"1","schema":1,"size":33,"sha256":"` + hex.EncodeToString(sum[:]) + `","counts":{"users":1}}`
	for _, manifest := range []string{good, strings.Replace(good, "33", "32", 1), strings.Replace(good, "33", "-1", 1), `{}`, `[]`, "", `{"size":1e99}`} {
		f.Add(manifest, store, uint16(0), uint16(0), byte(0))
	}
	f.Add(good, store, uint16(700), uint16(0), byte(0))   // cut
	f.Add(good, store, uint16(0), uint16(156), byte(1))   // another kind of file
	f.Add(good, store, uint16(0), uint16(124), byte(0x8)) // another size
	f.Fuzz(func(t *testing.T, manifest string, store []byte, cut, at uint16, flip byte) {
		text := tarOf(manifest, store)
		text[int(at)%len(text)] ^= flip
		text = text[:max(0, len(text)-int(cut))]
		var out bytes.Buffer
		m, err := readBackup(bytes.NewReader(text), &out)
		if err != nil {
			var own *failure
			if !errors.As(err, &own) || own.code != exitInvalid {
				t.Fatalf("refused by %v", err)
			}
			return
		}
		sum := sha256.Sum256(out.Bytes())
		if int64(out.Len()) != m.Size || hex.EncodeToString(sum[:]) != m.SHA256 {
			t.Fatalf("%d bytes are taken for a backup of %+v", out.Len(), m)
		}
	})
}
