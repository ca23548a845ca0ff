//go:build !linux && !windows

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const runPrefix = "husk-run-"

func runDir(uid int) string {
	return filepath.Join(runBase(), runPrefix+strconv.Itoa(uid))
}

// runDirOwner tells whether path lies in a run folder, and in whose. A data
// folder may bear such a name as well; the socket in it is called Name.
func runDirOwner(path string) (uid int, ok bool) {
	dir := filepath.Dir(path)
	number, found := strings.CutPrefix(filepath.Base(dir), runPrefix)
	uid, err := strconv.Atoi(number)
	ok = found && err == nil && dir == runDir(uid) && filepath.Base(path) != Name
	return uid, ok
}

// makeRunDirOf makes the run folder that path lies in, if it lies in one.
func makeRunDirOf(path string) error {
	uid, ok := runDirOwner(path)
	if !ok {
		return nil
	}
	return makeRunDir(filepath.Dir(path), uid)
}

// checkRunDirOf checks the run folder that path lies in, if it lies in one.
func checkRunDirOf(path string) error {
	uid, ok := runDirOwner(path)
	if !ok {
		return nil
	}
	return checkRunDir(filepath.Dir(path), uid)
}

func makeRunDir(dir string, uid int) error {
	if me := os.Geteuid(); me >= 0 && me != uid {
		// Making it would leave a folder that keeps its rightful owner out.
		return fmt.Errorf("the run folder %s is for uid %d, not %d: %w", dir, uid, me, fs.ErrPermission)
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o700) // whatever the umask
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the run folder: %w", err)
	}
	return checkRunDir(dir, uid)
}

// checkRunDir refuses a folder that anyone but uid (and root) could put a
// socket into. Everyone may make folders in /tmp, so one that is already there
// may be a stranger's, or a link to some other place.
func checkRunDir(dir string, uid int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := ownerOf(info)
	switch {
	case !info.IsDir():
		return fmt.Errorf("the run folder %s is not a folder: %w", dir, fs.ErrPermission)
	case owner != uid:
		return fmt.Errorf("the run folder %s belongs to uid %d, not %d: %w", dir, owner, uid, fs.ErrPermission)
	case openToOthers(info):
		return fmt.Errorf("the run folder %s has mode %04o, not 0700: %w", dir, info.Mode().Perm(), fs.ErrPermission)
	}
	return nil
}
