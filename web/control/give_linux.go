package control

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// giveSocket hands the socket at path to uid and gid. The folder belongs to
// that user, who could put a hard link to a file of root's in the socket's
// place before root changes its owner. So the file is opened first, and what
// was opened is checked and changed. (fchown on the listening descriptor would
// not reach the file.)
func giveSocket(path string, uid, gid int) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Uid != 0 || st.Nlink != 1 {
		return fmt.Errorf("%s was replaced while it was made", path)
	}
	return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
}
