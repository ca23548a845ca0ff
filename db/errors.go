package db

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// The kinds of failure that callers branch on. An error of this package or of
// an engine wraps at most one of them; ErrUnknown can have its cause besides.
var (
	ErrInvalid  = errors.New("invalid")             // the request breaks an invariant by itself
	ErrDenied   = errors.New("denied")              // the actor may not do that
	ErrEnded    = errors.New("credential ended")    // what the actor showed is worth less than when it was looked at
	ErrNotFound = errors.New("not found")           // no such record, or not the actor's
	ErrConflict = errors.New("conflict")            // a state of the store forbids it: a duplicate, the last administrator
	ErrQuota    = errors.New("quota spent")         // the user has, or did, as much as one may
	ErrAbsent   = errors.New("no store")            // there is no file
	ErrLocked   = errors.New("store locked")        // another process holds the file
	ErrDamaged  = errors.New("store damaged")       // empty, foreign, truncated or damaged file or record
	ErrNewer    = errors.New("store of newer husk") // the schema is newer than this program
	ErrFull     = errors.New("disk full")           // no space, no quota; reads go on
	ErrDisk     = errors.New("disk failed")         // a read, write or sync of the file failed; nothing was changed
	ErrMoved    = errors.New("store moved")         // the open file is not where it was; reads go on, changes are refused

	ErrUnavailable = errors.New("store unavailable") // it can't be reached, or does not answer in time; nothing was changed
	ErrUnknown     = errors.New("outcome unknown")   // a change may have been made and may not: it must be looked for
)

// Error is a failure that may be told to the one who asked: a kind for
// programs that branch, a stable word for clients, a sentence for people, and
// the cause for the log alone.
type Error struct {
	Kind   error  // one of this package's sentinels, or its cause's joined with ErrUnknown
	Code   string // a stable word such as "email_taken"
	Reason string // what went wrong and what to do, in Husk's own words
	Cause  error  // for the log; may be nil

	Wait time.Duration // of ErrQuota: when it is worth another try
	Line int           // of what was imported, from 1; 0: the failure is about no line

	// Field is which of what was asked for it is about, where the code does not
	// tell: "name" or "description".
	Field string
}

func (e *Error) Error() string { return e.Reason }

// Unwrap makes errors.Is work with the kind and with the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Problems are several things that are wrong with what was asked for, at least two.
// To whoever branches on kinds they are the first of them.
type Problems []*Error

func (p Problems) Error() string { return p[0].Reason }

// Unwrap makes errors.Is and errors.As work with the first.
func (p Problems) Unwrap() error { return p[0] }

// Together is all that is wrong with what was asked for, so that it can be told at
// once: nil, an *Error, or Problems, what is denied first: that is what the audit log
// tells of. An error that is about anything else is all that is told.
func Together(errs ...error) error {
	var all Problems
	for _, err := range errs {
		var several Problems
		var one *Error
		switch {
		case err == nil:
		case errors.As(err, &several):
			all = append(all, several...)
		case errors.As(err, &one) && one.Cause == nil && (one.Kind == ErrInvalid || one.Kind == ErrDenied || one.Kind == ErrNotFound):
			all = append(all, one)
		default:
			return err
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	slices.SortStableFunc(all, func(a, b *Error) int { return cmp.Compare(b.denied(), a.denied()) })
	return all
}

func (e *Error) denied() int {
	if e.Kind == ErrDenied {
		return 1
	}
	return 0
}

// fail is the short form of an Error without a cause.
func fail(kind error, code, reason string) error {
	return &Error{Kind: kind, Code: code, Reason: reason}
}
