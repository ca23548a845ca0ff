package archive

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"husk/db"
	"husk/db/fsys"
)

// Source is a store in use, of which copies are made.
type Source struct {
	Store   *db.Store
	Open    Opener // opens a copy
	Dir     string // where copies are made: nobody else may read it
	Version string // of this husk
}

// Copy is a copy of a store that was proved. Its file has no name any more:
// however the process ends, nothing is left.
type Copy struct {
	Manifest
	file *os.File
	text []byte // of the manifest
}

// Copy copies the store, proves the copy (see Prove), and tells what is in it.
// The read transaction lasts as long as the copying, never as long as a receiver
// takes. A disk that is full is db.ErrFull, one that fails db.ErrDisk.
func (s Source) Copy(ctx context.Context, thoroughly bool) (*Copy, error) {
	f, err := Snapshot(ctx, s.Store.Engine(), s.Dir, ".husk-backup-*")
	if err != nil {
		return nil, err
	}
	c := &Copy{file: f}
	err = s.describe(ctx, c, thoroughly)
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		f.Close()
		return nil, err
	}
	return c, nil
}

// Snapshot copies a store as of one moment into a new file in dir, for its owner
// alone, which is not synced; pattern is as in os.CreateTemp.
func Snapshot(ctx context.Context, e db.Engine, dir, pattern string) (*os.File, error) {
	backuper, ok := e.(db.Backuper)
	if !ok {
		return nil, errors.New("this engine makes no copies")
	}
	f, err := fsys.CreatePrivate(dir, pattern)
	if err != nil {
		return nil, fmt.Errorf("make a file for the copy: %w", diskError(err))
	}
	if err := backuper.Backup(ctx, f); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, fmt.Errorf("copy the store: %w", diskError(err))
	}
	return f, nil
}

// describe proves the copy and writes its manifest.
func (s Source) describe(ctx context.Context, c *Copy, thoroughly bool) error {
	found, err := Prove(ctx, c.file.Name(), s.Open, thoroughly)
	if err != nil {
		return err
	}
	c.Manifest = Manifest{Version: s.Version, Created: s.Store.Now().Truncate(time.Second), Schema: found.Schema, Counts: found.Counts}
	size, hash, err := sum(c.file)
	if err != nil {
		return err
	}
	c.Size, c.SHA256 = size, hex.EncodeToString(hash)
	c.text, err = c.Manifest.text()
	return err
}

// TarSize is the size of the backup in bytes, where that of the store is below
// 8 GiB: a larger one has a longer header.
func (c *Copy) TarSize() int64 { return tarSize(int64(len(c.text)), c.Size) }

// WriteTar writes the backup to w, until ctx ends.
func (c *Copy) WriteTar(ctx context.Context, w io.Writer) error {
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return write(w, c.Manifest, c.text, whileWanted{ctx, c.file})
}

// Close gives back what the copy takes on the disk.
func (c *Copy) Close() error { return c.file.Close() }

// diskError gives the error of a disk its kind.
func diskError(err error) error {
	c, ok := fsys.Explain(err)
	switch {
	case !ok || c.Kind == fsys.Spent || c.Kind == fsys.Odd || errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrDisk):
		return err
	case c.Kind == fsys.Full:
		return &db.Error{Kind: db.ErrFull, Code: "disk_full", Reason: c.What() + ": there is no room for a copy of the store; " + c.Next, Cause: err}
	}
	return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: c.What() + ": no copy of the store can be made; " + c.Next, Cause: err}
}
