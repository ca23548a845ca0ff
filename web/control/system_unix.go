//go:build unix

package control

import (
	"errors"
	"io/fs"
	"net"
	"sync"
	"syscall"
)

func ownerOf(info fs.FileInfo) (uid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// takesNoSocket tells whether bind failed because the file system has no
// sockets, as SMB and some of FUSE.
func takesNoSocket(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS)
}

var umaskMu sync.Mutex

// bindPrivate runs listen under umask 0177, so that the socket is 0600 from its
// first moment; a chmod afterwards would leave a gap in which anyone connects.
//
// The umask belongs to the process, not to the thread: whatever another
// goroutine creates meanwhile is narrowed too, and a folder loses even its
// owner's x. So folders are made before Listen is called, and two calls take
// turns, else the second would restore the first one's umask for good.
func bindPrivate(listen func() (net.Listener, error)) (net.Listener, error) {
	umaskMu.Lock()
	defer umaskMu.Unlock()
	defer syscall.Umask(syscall.Umask(0o177))
	return listen()
}
