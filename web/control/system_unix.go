//go:build unix

package control

import (
	"io/fs"
	"net"
	"sync"
	"syscall"
)

// runBase is fixed: os.TempDir follows TMPDIR, which differs between callers.
func runBase() string { return "/tmp" }

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

func openToOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

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
