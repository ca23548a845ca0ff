package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"syscall"

	bbolterrors "go.etcd.io/bbolt/errors"

	"husk/db"
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

func diskFailed(cause error) error {
	return &db.Error{Kind: db.ErrDisk, Code: "disk_failed", Reason: "the disk failed: nothing was changed; look at the log of the machine and at the disk, then try again", Cause: cause}
}

// classify gives an error of bbolt or of the system its kind.
func classify(err error) error {
	switch {
	case err == nil || errors.Is(err, db.ErrDamaged) || errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrDisk) || errors.Is(err, db.ErrMoved):
		return err
	case full(err):
		return &db.Error{Kind: db.ErrFull, Code: "disk_full", Reason: "the disk is full, or a quota is used up: nothing was changed; free some space and try again", Cause: err}
	case wordOf(err, syscall.EIO, syscall.EROFS, syscall.ENXIO, syscall.ENODEV, syscall.ESTALE):
		return diskFailed(err)
	case errors.Is(err, bbolterrors.ErrIncompatibleValue): // a bucket that is a record, or the other way round
		return damaged(err, "the store is damaged")
	case errors.Is(err, bbolterrors.ErrKeyTooLarge), errors.Is(err, bbolterrors.ErrValueTooLarge),
		errors.Is(err, bbolterrors.ErrBucketNameRequired), errors.Is(err, bbolterrors.ErrTxNotWritable):
		return &db.Error{Kind: db.ErrInvalid, Code: "store_misuse", Reason: err.Error(), Cause: err}
	}
	return err
}

// full tells whether space or quota was missing.
func full(err error) bool { return wordOf(err, syscall.ENOSPC, syscall.EDQUOT) }

// wordOf tells whether one of the errnos is the cause. bbolt hands on the error
// of a write, but flattens that of a failed growth into text: there the words
// of the errno at the end are all that is left of it.
func wordOf(err error, errnos ...syscall.Errno) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) || strings.HasSuffix(err.Error(), ": "+errno.Error()) {
			return true
		}
	}
	return false
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
