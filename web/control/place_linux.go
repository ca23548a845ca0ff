package control

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openFolder takes a descriptor that needs no right to read the folder.
func openFolder(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// shorter is the same socket by the descriptor of its folder: a place elsewhere
// could be taken by somebody else.
func (at *place) shorter(dir string) (string, error) {
	folder := fmt.Sprintf("/proc/self/fd/%d", at.dir.Fd())
	here, err := at.dir.Stat()
	if err != nil {
		return "", err
	}
	if there, err := os.Stat(folder); err != nil || !os.SameFile(here, there) {
		return "", fmt.Errorf("the path of %s is too long for a socket, and /proc, by which it would be shorter, is not mounted: mount it, or choose a data folder with a shorter path", filepath.Join(dir, Name))
	}
	return filepath.Join(folder, Name), nil
}

// other is a name in no file system, which depends on the folder alone. Anybody
// on the machine may take such a name, and connect to it: who listens refuses
// strangers, and who connects takes one for nobody.
func (at *place) other() (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(at.dir.Fd()), &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("@husk-%x-%x", st.Dev, st.Ino), nil
}

// make and check are for a socket that is not in its folder.
func (at *place) make() error  { return nil }
func (at *place) check() error { return nil }
