//go:build !windows

package control

import (
	"os"
	"path/filepath"
	"sync"
)

// maxPath is the longest path given to bind and connect. The kernels' limits
// are 108 bytes (Linux) and 104 (BSD, macOS), the closing zero included.
const maxPath = 100

// place is a data folder that is held open, with the address of the socket in
// it.
type place struct {
	dir    *os.File
	socket string
	away   bool // the socket is not in the folder, whose file system takes none
	bound  bool // nothing was at socket when it was tried to listen there
	once   sync.Once
}

// openPlace opens the folder. Where there is none errors.Is(err,
// fs.ErrNotExist) holds.
func openPlace(dir string) (*place, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(abs)
	if err != nil {
		return nil, err
	}
	at := &place{dir: f, socket: filepath.Join(abs, Name)}
	if len(at.socket) > maxPath {
		at.socket, err = at.shorter(abs)
	}
	if err != nil {
		at.close()
		return nil, err
	}
	return at, nil
}

// goAway takes the place of a socket for a folder whose file system takes none.
func (at *place) goAway() (err error) {
	at.away = true
	at.socket, err = at.other()
	return err
}

func (at *place) close() { at.once.Do(func() { _ = at.dir.Close() }) }
