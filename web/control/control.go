// Package control is the control socket: the door beside the data file
// through which the command line talks to a running server, and the in-memory
// listener that stands in for it when no server runs.
//
// The flow. A server takes the lock of the data file, calls Listen, and serves
// HTTP there as on TCP, after a line that says that a husk command speaks
// (preface.go). A command calls Dial. ErrNoServer sends it on to the data file,
// which it opens itself and serves on a Memory; every other error is the answer.
// On either way the handler asks PeerOf who is there: the kernel vouches for the
// peer's uid, so that no secret is needed.
//
// The lock of the data file is the truth and the socket a signpost: a socket
// may be stale, and nothing here may be taken as proof that no server runs.
//
// On Windows the socket is a named pipe, and the file in the data folder has its
// name: see listen_windows.go.
package control

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Name is the control socket's file name in the data folder.
const Name = "husk.sock"

// ErrNoServer says that nobody listens on the socket: it is absent, or it is
// stale and refuses. A socket that may not be opened is another error, for
// which errors.Is(err, fs.ErrPermission) holds.
var ErrNoServer = errors.New("no server listens on the control socket")

func dialError(dir string, err error) error {
	path := filepath.Join(dir, Name)
	switch {
	case errors.Is(err, ErrNoServer) || isAbsent(err):
		// The cause is told, not wrapped: an absent socket must not pass for
		// an absent record or store.
		return fmt.Errorf("%w %s: %v", ErrNoServer, path, err)
	}
	return fmt.Errorf("connecting to the control socket %s: %w", path, err)
}

// StrangerError says that who listens on the socket is not who the folder
// belongs to. errors.Is(err, fs.ErrPermission) holds.
type StrangerError struct{ Server, Folder string } // "uid 1000"; on Windows SIDs

func (e *StrangerError) Error() string {
	return fmt.Sprintf("its server runs as %s, the folder belongs to %s: %v", e.Server, e.Folder, fs.ErrPermission)
}

// Unwrap gives fs.ErrPermission.
func (e *StrangerError) Unwrap() error { return fs.ErrPermission }
