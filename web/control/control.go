// Package control is the control socket: the door beside the data file
// through which the command line talks to a running server, and the in-memory
// listener that stands in for it when no server runs.
//
// The flow. A server takes the lock of the data file, calls Path and Listen,
// and serves HTTP there as on TCP. A command calls Path and Dial. ErrNoServer
// sends it on to the data file, which it opens itself and serves on a Memory;
// every other error is the answer. On either way the handler asks PeerOf who
// is there: the kernel vouches for the peer's uid, so that no secret is needed.
//
// The lock of the data file is the truth and the socket a signpost: a socket
// may be stale, and nothing here may be taken as proof that no server runs.
package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the control socket's file name in the data folder.
const Name = "husk.sock"

// maxPath is the longest path given to bind and connect. The kernels' limits
// are 108 bytes (Linux) and 104 (BSD, macOS), the closing zero included.
const maxPath = 100

// ErrNoServer says that nobody listens on the socket: it is absent, or it is
// stale and refuses. A socket that may not be opened is another error, for
// which errors.Is(err, fs.ErrPermission) holds.
var ErrNoServer = errors.New("no server listens on the control socket")

// Path returns the control socket's path for the data folder dir: Name in that
// folder or, where this is longer than a socket address may be, a name in the
// run folder of the data folder's owner, /tmp/husk-run-UID.
//
// Both sides must arrive at the same path, also when root asks the server of
// another user. So it depends on the data folder alone, with symbolic links
// resolved (a short link may lead to a long folder), and on nothing that
// differs between callers: not on their uid, nor on TMPDIR or XDG_RUNTIME_DIR.
// For the same reason it is not /run, which only root may write.
//
// The data folder must exist, else errors.Is(err, fs.ErrNotExist) holds.
func Path(dir string) (string, error) {
	folder, err := resolve(dir)
	if err != nil {
		return "", fmt.Errorf("finding the control socket: %w", err)
	}
	path := filepath.Join(folder, Name)
	if len(path) <= maxPath {
		return path, nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", fmt.Errorf("finding the control socket: %w", err)
	}
	uid, _ := ownerOf(info)
	sum := sha256.Sum256([]byte(folder))
	return filepath.Join(runDir(uid), hex.EncodeToString(sum[:16])+".sock"), nil
}

func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// Dial connects to the server that listens on path, which Path gave. Without a
// server the error is ErrNoServer. Where the socket may not be opened, or
// belongs to a stranger, errors.Is(err, fs.ErrPermission) holds: that is an
// answer, not a reason to go on to the data file.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	if err := checkRunDirOf(path); err != nil {
		return nil, dialError(path, err)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, dialError(path, err)
	}
	if err := checkServer(c, path); err != nil {
		_ = c.Close()
		return nil, dialError(path, err)
	}
	return c, nil
}

func dialError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		// The cause is told, not wrapped: an absent socket must not pass for
		// an absent record or store.
		return fmt.Errorf("%w %s: %v", ErrNoServer, path, err)
	}
	return fmt.Errorf("connecting to the control socket %s: %w", path, err)
}

// checkServer refuses a server that is neither root, nor the caller, nor the
// owner of the socket's folder: passwords and tokens go through this
// connection. The folder was looked at before, by name; this looks at the
// process that was reached.
func checkServer(c net.Conn, path string) error {
	peer, ok := lookup(c)
	if !ok || peer.UID == 0 || peer.UID == os.Geteuid() {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if uid, _ := ownerOf(info); uid != peer.UID {
		return fmt.Errorf("its server runs as uid %d, the folder belongs to uid %d: %w", peer.UID, uid, fs.ErrPermission)
	}
	return nil
}
