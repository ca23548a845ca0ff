package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"husk/db"
	"husk/db/fsys"
)

const (
	newPrefix  = ".husk-new-"
	newMaxAge  = time.Hour // a creation that is older was killed
	compactTxn = 16 << 20  // bytes per commit of Compact
)

// Create makes the first store at path. It is written and synced under
// another name, with what init puts in, and then put in place in one step, so
// a store is never seen half made. A file that is there is never touched: the
// error then wraps db.ErrConflict and fs.ErrExist. Its mode is 0600; made by
// root, it belongs to the owner of its folder.
func Create(path string, init func(db.Tx) error) error {
	if _, err := os.Lstat(path); err == nil {
		return exists(path, fs.ErrExist)
	}
	dir := filepath.Dir(path)
	sweep(dir)
	f, err := fsys.CreatePrivate(dir, newPrefix+"*")
	if err != nil {
		return classify(err)
	}
	temp := f.Name()
	defer os.Remove(temp) // gone after it is placed
	if err := giveToOwner(f, dir); err != nil {
		f.Close()
		return classify(err)
	}
	if err := fill(f, func(e *Engine) error { return e.Update(context.Background(), init) }); err != nil {
		return err
	}
	err = fsys.Place(temp, path)
	if errors.Is(err, fs.ErrExist) {
		return exists(path, err)
	}
	return classify(err)
}

func exists(path string, cause error) error {
	return &db.Error{Kind: db.ErrConflict, Code: "store_exists", Reason: fmt.Sprintf("there is a file at %s already", path), Cause: cause}
}

// sweep removes what killed creations left behind. A failure is of no matter.
func sweep(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), newPrefix) {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > newMaxAge {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// fill makes an empty file a bbolt file, has write put the content in, and
// syncs and closes it. It takes f over.
func fill(f *os.File, write func(*Engine) error) (err error) {
	e := newEngine(f.Name(), defaultTimeout)
	taken, err := tryLock(f)
	if err == nil && !taken {
		err = locked("%s is in use by another process", f.Name())
	}
	if err != nil {
		f.Close()
		return err
	}
	if err := e.attach(f); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	e.secured = true // it is new
	if err := write(e); err != nil {
		return err
	}
	return classify(f.Sync()) // bbolt syncs the data, this the mode and the owner too
}

// Compact writes a copy, as of one moment and without its free pages, to a new
// file at dstPath, with the mode and the owner that Create gives. It looks at
// the context before and after, not on the way. See db.Compacter.
func (e *Engine) Compact(ctx context.Context, dstPath string) (err error) {
	f, err := fsys.OpenFile(dstPath, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(dstPath, err)
	case err != nil:
		return classify(err)
	}
	defer func() {
		if err != nil {
			os.Remove(dstPath)
		}
	}()
	dir := filepath.Dir(dstPath)
	if err := errors.Join(fsys.MakePrivate(f), giveToOwner(f, dir)); err != nil {
		f.Close()
		return classify(err)
	}
	err = fill(f, func(dst *Engine) error {
		return e.read(ctx, func(*bbolt.Tx) error {
			err := guard(func() error { return bbolt.Compact(dst.bolt, e.bolt, compactTxn) })
			return classify(errors.Join(err, ctx.Err()))
		})
	})
	if err == nil {
		err = trim(dstPath)
	}
	return classify(errors.Join(err, fsys.SyncFolder(dir)))
}

// Yield prepares a store, whose lock this process holds, for having another file put
// in its place: where what is open can't be replaced, it closes e. The lock is held
// until release, which also closes what is left open.
func Yield(e db.Engine) (release func() error, err error) {
	own, ok := e.(*Engine)
	if !ok {
		return nil, fmt.Errorf("%T is in no file", e)
	}
	return own.yield()
}

// openDirectly follows no link: in the folder of another user it could lead
// anywhere.
func openDirectly(path string, flag int, mode os.FileMode) (*os.File, error) {
	return fsys.OpenFile(path, flag|noFollow, mode)
}

// trim gives back what a closed file has grown by and has no page in, and syncs
// it: a small store would else be larger after Compact than before.
func trim(path string) error {
	f, err := openDirectly(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	m, err := inspect(f)
	if err == nil {
		err = errors.Join(f.Truncate(int64(m.pages)*m.pageSize), f.Sync())
	}
	return errors.Join(err, f.Close())
}
