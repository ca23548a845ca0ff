package archive_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"husk/db/archive"
)

func isInvalid(err error) bool {
	var invalid *archive.InvalidError
	return errors.As(err, &invalid)
}

// tarOf is a tar of a manifest and a store.
func tarOf(manifest string, store []byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range map[string][]byte{archive.ManifestName: []byte(manifest)} {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	_ = w.WriteHeader(&tar.Header{Name: archive.StoreName, Mode: 0o600, Size: int64(len(store))})
	_, _ = w.Write(store)
	_ = w.Close()
	return out.Bytes()
}

// sparseTar is a tar of a manifest and a store of which only the first byte is
// there: the rest is said to be a hole (GNU tar, sparse format 0.1).
func sparseTar(manifest string, size int) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	_ = w.WriteHeader(&tar.Header{Name: archive.ManifestName, Mode: 0o600, Size: int64(len(manifest))})
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
		_ = w.WriteHeader(&tar.Header{Name: archive.StoreName, Mode: 0o600, Size: int64(len(part.content))})
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
func TestReadOfAHole(t *testing.T) {
	const size = 1 << 20
	sum := sha256.Sum256(append([]byte("a"), make([]byte, size-1)...))
	text := sparseTar(fmt.Sprintf(`{"size":%d,"sha256":"%x"}`, size, sum), size)
	in := tar.NewReader(bytes.NewReader(text))
	for range 2 {
		h, err := in.Next()
		if err != nil || h.Name == archive.StoreName && h.Size != size {
			t.Fatalf("the tar is none: %v %v", h, err)
		}
	}
	var out bytes.Buffer
	if _, err := archive.Read(t.Context(), bytes.NewReader(text), &out); !isInvalid(err) || out.Len() > 0 {
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
		m, err := archive.Read(t.Context(), bytes.NewReader(text), &out)
		if err != nil {
			if !isInvalid(err) {
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

// Each way not to be a whole backup is told.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	store := []byte("a store, as far as a tar can tell")
	manifest := fmt.Sprintf(`{"size":%d,"sha256":"%x"}`, len(store), sha256.Sum256(store))
	good := tarOf(manifest, store)
	if _, err := archive.Read(t.Context(), bytes.NewReader(good), io.Discard); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	at := bytes.Index(good, store)
	changed := bytes.Clone(good)
	changed[at]++
	longer := tarOf(manifest, store)
	copy(longer[len(longer)-1024:], good[:512]) // the header of one more file
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"nothing":          {nil, "does not begin with manifest.json"},
		"no tar":           {bytes.Repeat([]byte("x"), 2048), "does not begin with manifest.json"},
		"the store first":  {good[1024:], "does not begin with manifest.json"},
		"no JSON":          {tarOf("{", store), "manifest can't be read"},
		"only a manifest":  {good[:1024], "holds no husk.db"},
		"another size":     {tarOf(strings.Replace(manifest, "33", "32", 1), store), "holds no husk.db of the size"},
		"cut in the store": {good[:at+5], "cut short"},
		"another store":    {changed, "does not match the SHA-256"},
		"another file":     {longer, "goes on after husk.db"},
	} {
		_, err := archive.Read(t.Context(), bytes.NewReader(c.text), io.Discard)
		if !isInvalid(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
