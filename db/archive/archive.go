// Package archive is the form of a backup, and the safe way from one store to
// another. It knows an engine only by the functions that it is handed.
//
// A backup is a tar of two files, in this order: manifest.json, which tells
// what the backup holds (Manifest), and husk.db, the store, a whole file of
// the engine as of one moment. Encrypted, it is that tar inside an age file.
//
// On its way out, Source.Copy makes a copy of a store that is in use, and Prove
// opens and counts it, or reads all of it; then Copy.WriteTar sends it. On its
// way in, Read takes it apart and holds it against its manifest, Prove looks at
// what came out, and SwapIn puts that in the place of the store.
package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Names inside a backup, the manifest first.
const (
	ManifestName = "manifest.json"
	StoreName    = "husk.db"
)

// Manifest tells what a backup holds.
type Manifest struct {
	Version string           `json:"version"` // of the husk that made it
	Schema  int              `json:"schema"`
	Created time.Time        `json:"created"`
	Counts  map[string]int64 `json:"counts"` // users, tokens, sessions, roles, keys
	Size    int64            `json:"size"`   // of husk.db, bytes
	SHA256  string           `json:"sha256"` // of husk.db, hex
}

// maxManifest is how long a manifest may be that is read.
const maxManifest = 1 << 20

func (m Manifest) text() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// tarSize is the size of the tar of two files of such sizes: a header each,
// whole blocks, two empty ones at the end.
func tarSize(manifest, store int64) int64 {
	const block = 512
	blocks := func(n int64) int64 { return (n + block - 1) / block }
	return block * (1 + blocks(manifest) + 1 + blocks(store) + 2)
}

// write writes the tar of a manifest, whose text is given, and of the store.
func write(w io.Writer, m Manifest, text []byte, store io.Reader) error {
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Name: ManifestName, Mode: 0o600, Size: int64(len(text)), ModTime: m.Created}); err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: StoreName, Mode: 0o600, Size: m.Size, ModTime: m.Created}); err != nil {
		return err
	}
	if _, err := io.Copy(out, store); err != nil {
		return err
	}
	return out.Close()
}

// InvalidError says that what was read is no whole backup.
type InvalidError struct {
	Why   string
	Cause error // what the reader answered; nil: nothing unexpected
}

// Error implements error.
func (e *InvalidError) Error() string { return "no whole backup: " + e.Why }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Cause }

// Read reads a backup to its end or until ctx ends, copies the store in it to
// w, and holds it against its manifest. What does not fit is an *InvalidError;
// where w failed, the error is w's own.
func Read(ctx context.Context, r io.Reader, w io.Writer) (m Manifest, err error) {
	r = whileWanted{ctx, r}
	in := tar.NewReader(r)
	if m, err = begin(in); err != nil {
		return m, err
	}
	if err := m.take(w, in); err != nil {
		return m, err
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return m, &InvalidError{"it goes on after " + StoreName, err}
	}
	// The end of an encrypted one proves that nothing was cut off.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return m, &InvalidError{"it is cut short", err}
	}
	return m, nil
}

// Look reads what a backup of so many bytes says of itself, and none of the store
// in it. What can't be a whole backup is an *InvalidError; whether one is, Read
// tells.
func Look(r io.Reader, size int64) (Manifest, error) {
	m, err := begin(tar.NewReader(r))
	if err == nil && size < m.Size {
		err = &InvalidError{"it is cut short", nil}
	}
	return m, err
}

// begin reads the manifest, and comes to the store.
func begin(in *tar.Reader) (m Manifest, err error) {
	h, err := in.Next()
	if err != nil || !isPlain(h, ManifestName) {
		return m, &InvalidError{"it does not begin with " + ManifestName, err}
	}
	if err := json.NewDecoder(io.LimitReader(in, maxManifest)).Decode(&m); err != nil {
		return m, &InvalidError{"its manifest can't be read", err}
	}
	if h, err = in.Next(); err != nil || !isPlain(h, StoreName) || h.Size != m.Size {
		return m, &InvalidError{"it holds no " + StoreName + " of the size that its manifest says", err}
	}
	return m, nil
}

// take copies the store to w and holds it against the manifest.
func (m Manifest) take(w io.Writer, store io.Reader) error {
	sum, out := sha256.New(), &ownError{w: w}
	n, err := io.Copy(io.MultiWriter(out, sum), store)
	switch {
	case out.err != nil:
		return out.err
	case err != nil || n != m.Size:
		return &InvalidError{"it is cut short", err}
	case hex.EncodeToString(sum.Sum(nil)) != m.SHA256:
		return &InvalidError{StoreName + " does not match the SHA-256 of its manifest", nil}
	}
	return nil
}

// isPlain tells whether h is of a regular file of that name, each byte of which is
// there: the holes of a sparse one would fill the disk, however short the tar.
func isPlain(h *tar.Header, name string) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return false
		}
	}
	return h.Typeflag == tar.TypeReg && h.Name == name
}

// ownError keeps the error of a writer apart from that of who reads.
type ownError struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (o *ownError) Write(p []byte) (n int, err error) {
	n, o.err = o.w.Write(p)
	return n, o.err
}

// whileWanted reads until the context ends.
type whileWanted struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r whileWanted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// ReadBack makes what was written to f durable, reads all of it, and compares
// it with the SHA-256 of what was written. It returns the size in bytes.
func ReadBack(f *os.File, written []byte) (size int64, err error) {
	if err := f.Sync(); err != nil {
		return 0, err
	}
	size, read, err := sum(f)
	if err == nil && string(read) != string(written) {
		err = errors.New("what is read back is not what was written: look at the disk")
	}
	if err != nil {
		return 0, fmt.Errorf("read it back: %w", err)
	}
	return size, nil
}

// sum reads all of f.
func sum(f io.ReadSeeker) (size int64, hash []byte, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, nil, err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, h.Sum(nil), err
}
