//go:build !linux && !windows

package control

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
)

func openFolder(dir string) (*os.File, error) { return os.Open(dir) }

// shorter is a name in the run folder of the data folder's owner,
// /tmp/husk-run-UID: these systems have no path by way of a descriptor.
//
// Both sides must arrive at the same path, also when root asks the server of
// another user. So it depends on the data folder alone, with symbolic links
// resolved (a short link may lead to a long folder), and on nothing that
// differs between callers: not on their uid, nor on TMPDIR or XDG_RUNTIME_DIR.
// For the same reason it is not /run, which only root may write.
func (at *place) shorter(dir string) (string, error) {
	folder, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	info, err := at.dir.Stat()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(folder))
	return filepath.Join(runDir(ownerOf(info)), hex.EncodeToString(sum[:16])+".sock"), nil
}

// other is the same place as that of a folder with a long path.
func (at *place) other() (string, error) { return at.shorter(at.dir.Name()) }

func (at *place) make() error  { return makeRunDirOf(at.socket) }
func (at *place) check() error { return checkRunDirOf(at.socket) }
