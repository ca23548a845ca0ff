package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	bbolterrors "go.etcd.io/bbolt/errors"

	"husk/db"
	"husk/db/fsys"
)

var (
	errClosed = fmt.Errorf("the store is closed: %w", fs.ErrClosed)
	errOver   = errors.New("the transaction is used after its end")
	errGone   = errors.New("a function of the same commit ended its goroutine: nothing was kept")
)

func damaged(cause error, format string, args ...any) error {
	return &db.Error{Kind: db.ErrDamaged, Code: "store_damaged", Reason: fmt.Sprintf(format, args...), Cause: cause}
}

func locked(format string, args ...any) error {
	return &db.Error{Kind: db.ErrLocked, Code: "store_locked", Reason: fmt.Sprintf(format, args...)}
}

// diskFailed says that nothing was changed, and why, where that is known.
func diskFailed(cause error) error {
	reason := "the disk failed: nothing was changed; look at the log of the machine and at the disk, then try again"
	if c, ok := fsys.Explain(cause); ok {
		reason = reasonOf(c)
	}
	return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: reason, Cause: cause}
}

func reasonOf(c fsys.Cause) string { return c.What() + ": nothing was changed; " + c.Next }

// unknown says besides of an error that its change may have been made and may
// not.
func unknown(err *db.Error) error {
	both := *err
	both.Kind = errors.Join(err.Kind, db.ErrUnknown)
	return &both
}

// classify gives an error of bbolt or of the system its kind.
func classify(err error) error {
	if err == nil || errors.Is(err, db.ErrDamaged) || errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrDisk) || errors.Is(err, db.ErrMoved) {
		return err
	}
	err = named(err)
	switch c, _ := fsys.Explain(err); {
	case c.Kind == fsys.Full:
		return &db.Error{Kind: db.ErrFull, Code: "disk_full", Reason: reasonOf(c), Cause: err}
	case c.Kind == fsys.Failed:
		return diskFailed(err)
	case errors.Is(err, bbolterrors.ErrIncompatibleValue): // a bucket that is a record, or the other way round
		return damaged(err, "the store is damaged")
	case errors.Is(err, bbolterrors.ErrKeyTooLarge), errors.Is(err, bbolterrors.ErrValueTooLarge),
		errors.Is(err, bbolterrors.ErrBucketNameRequired), errors.Is(err, bbolterrors.ErrTxNotWritable):
		return &db.Error{Kind: db.ErrInvalid, Code: "store_misuse", Reason: err.Error(), Cause: err}
	}
	return err
}

// named gives an error of bbolt the name of the call that failed: it hands on
// the bare errno of a sync, and of what it does to grow the file only words.
func named(err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return &os.PathError{Op: "sync", Path: "store", Err: errno}
	}
	for words, op := range map[string]string{"file sync error: ": "sync", "file resize error: ": "truncate", "mmap allocate error: ": "mmap"} {
		if errno := fsys.Errno(err); errno != 0 && strings.Contains(err.Error(), words) {
			return &os.PathError{Op: op, Path: "store", Err: errors.Join(errno, err)}
		}
	}
	return err
}

// mapping names the call whose errno bbolt hands on when it opens a file: that
// of the map, or of the sync of a new file.
func mapping(err error, path string) error {
	switch errno, _ := err.(syscall.Errno); errno {
	case syscall.ENODEV, syscall.ENOMEM, syscall.EACCES, syscall.EPERM:
		return &os.PathError{Op: "mmap", Path: path, Err: errno}
	}
	return err
}

// guard runs one step of bbolt. What is damaged in the file shows there as a
// panic or, where an offset leads out of the mapping or the file was cut, as
// a memory fault; both become an error. The fault can be caught only in the
// goroutine that set PanicOnFault, so a step must not start another one.
func guard(step func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case error:
			err = damaged(p, "the store is damaged")
		default:
			err = damaged(fmt.Errorf("%v", p), "the store is damaged")
		}
	}()
	return step()
}

// callerPanic carries the panic of a function to the goroutine of the one who
// passed it in, with the stack of where it happened.
type callerPanic struct {
	value any
	stack []byte
}

func (p *callerPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

// Unwrap gives the value that was passed to panic, where it is an error.
func (p *callerPanic) Unwrap() error {
	err, _ := p.value.(error)
	return err
}
