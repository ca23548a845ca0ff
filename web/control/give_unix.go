//go:build unix && !linux

package control

import (
	"fmt"
	"io/fs"
	"os"
)

// giveSocket hands the socket at path to uid and gid. The folder belongs to
// that user, so what is there is looked at first. A gap remains between the
// look and the change; these systems can't change a file's owner through a
// descriptor that was opened without following and without reading.
func giveSocket(path string, uid, gid int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if owner, _ := ownerOf(info); info.Mode().Type() != fs.ModeSocket || owner != 0 {
		return fmt.Errorf("%s was replaced while it was made", path)
	}
	return os.Lchown(path, uid, gid)
}
