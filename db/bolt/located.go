package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"husk/db"
)

// A file that is open lives on when its name is taken away, its folder moved,
// another one renamed onto it, or a file system mounted over it. A change that
// is made in it then is lost with the process, and whoever comes next finds
// another store or none. So each commit looks, before it writes and before it is
// acknowledged, whether the file has its name still.

// Located tells whether the file is where it was opened. See db.Locator.
func (e *Engine) Located() error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.bolt == nil {
		return nil // it has no file, which others tell
	}
	return e.located(moved)
}

// What becomes of a change where the file is elsewhere.
var (
	moved = db.Error{Kind: db.ErrMoved, Code: "store_moved",
		Reason: "the data file was moved, replaced or deleted under the running server: nothing was changed; the server's log says what to do"}
	movedMeanwhile = db.Error{Kind: errors.Join(db.ErrMoved, db.ErrUnknown), Code: "unknown_outcome",
		Reason: "the data file was moved, replaced or deleted while this was written: it counts only if that file is put back; the server's log says what to do"}
)

// located answers fate, with what happened as its cause, where the file is
// elsewhere. e.mu is held.
func (e *Engine) located(fate db.Error) error {
	mine, err := e.file.Stat()
	if err != nil {
		return nil // of a disk that is gone: the commit will tell
	}
	now, err := os.Stat(e.named)
	switch {
	case err == nil && os.SameFile(mine, now):
		return nil
	case errors.Is(err, fs.ErrPermission) && !nameless(mine):
		return nil // who may not look can't tell, but no data are lost
	}
	fate.Cause = e.whereabouts(mine, err)
	return &fate
}

// whereabouts says what became of the file, for the operator; failed is the
// error of looking for it.
func (e *Engine) whereabouts(mine os.FileInfo, failed error) error {
	what, next := "it was moved, or its file system was unmounted or is mounted over", "put it back there"
	switch {
	case failed == nil:
		what = "another file is in its place"
	case !errors.Is(failed, fs.ErrNotExist):
		what = failed.Error()
	case nameless(mine):
		what = "it was deleted"
	}
	if nameless(mine) {
		next = "all that it holds is lost when this process ends"
	}
	if path := descriptorPath(e.file); path != "" {
		next += "; '" + path + "' is it, and can be copied as long as this process runs"
	}
	return fmt.Errorf("%s: %s; %s", e.named, what, next)
}
