package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"husk/db"
)

var (
	errClosed = fmt.Errorf("the store is closed: %w", fs.ErrClosed)
	errOver   = errors.New("the transaction is used after its end")
	errGone   = errors.New("a function of the same commit ended its goroutine: nothing was kept")
)

func damaged(cause error) error {
	return &db.Error{Kind: db.ErrDamaged, Code: "store_damaged", Reason: "the store is damaged: " + cause.Error(), Cause: cause}
}

func unavailable(reason string, cause error) error {
	return &db.Error{Kind: db.ErrUnavailable, Code: "store_unavailable", Reason: reason, Cause: cause}
}

// unreachable says which members were asked, and what each of them said.
func unreachable(tried []string, cause error) error {
	return unavailable("the store can't be reached: "+strings.Join(tried, "; ")+"; look at these machines and at the network between, then try again", cause)
}

// unknown says of a commit that it may have been made.
func unknown(cause error) error {
	return &db.Error{Kind: db.ErrUnknown, Code: "unknown_outcome",
		Reason: "the store went away before it answered: the change may have been made and may not; look for it before you try again", Cause: cause}
}

// passing tells whether another member, or the same one later, may answer what was
// asked: the error is about the way or the moment.
func passing(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	code := status.Code(err)
	if e, ok := said(err); ok {
		if e == rpctypes.ErrTooManyRequests {
			return true
		}
		code = e.Code()
	}
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled || code == codes.Aborted
}

// said finds which of etcd's own errors err is.
func said(err error) (e rpctypes.EtcdError, ok bool) {
	ok = errors.As(rpctypes.Error(err), &e)
	return e, ok
}

// classify gives an error of etcd its kind.
func classify(err error) error {
	var known *db.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e, ok := said(err)
	switch {
	case ok && e == rpctypes.ErrNoSpace:
		return &db.Error{Kind: db.ErrFull, Code: "store_full", Cause: err,
			Reason: "etcd is full: nothing was changed, and nothing can be until it has room (NOSPACE); compact and defragment it, or raise --quota-backend-bytes, then disarm the alarm"}
	case ok && (e == rpctypes.ErrAuthFailed || e == rpctypes.ErrPermissionDenied || e == rpctypes.ErrUserEmpty || e == rpctypes.ErrInvalidAuthToken || e == rpctypes.ErrPermissionNotGranted):
		return &db.Error{Kind: db.ErrUnavailable, Code: "store_denied", Cause: err,
			Reason: "etcd refuses these credentials: " + e.Error() + "; look at --etcd-user and --etcd-password-file, or at the name in --etcd-cert, and at what its role may do below the prefix"}
	case ok && (e == rpctypes.ErrTooManyOps || e == rpctypes.ErrRequestTooLarge):
		return &db.Error{Kind: db.ErrInvalid, Code: "store_misuse", Reason: "the change is too large for etcd: " + e.Error(), Cause: err}
	case ok && e == rpctypes.ErrCompacted:
		return unavailable("etcd has compacted the history while it was read: try again", err)
	}
	return unavailable("the store does not answer: "+plain(err), err)
}
