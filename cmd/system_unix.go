//go:build unix

package cmd

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"husk/db/fsys"
)

// descriptorLimit is how many descriptors this process may have. Go has raised
// it as far as it goes when the process began.
func descriptorLimit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 1024
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}

func owners(info fs.FileInfo) (uid, gid int, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// whoRules is who may do everything.
const whoRules = "root"

// asOwner is the next step of who may not.
const (
	asOwner = "run the command as the owner of that folder, or as root"
	asUser  = "run the command as the user of the server, or as root"
)

// defaultData is /var/lib/husk for root, else the user's data folder (XDG Base
// Directory Specification).
func defaultData() string {
	if os.Geteuid() == 0 {
		return "/var/lib/husk"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "husk")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "husk-data"
	}
	return filepath.Join(home, ".local", "share", "husk")
}

// warnOfWideFolder says so where others may look into the data folder. What is
// in it stays 0600; the folder is the operator's to choose.
func (a *app) warnOfWideFolder(log *slog.Logger) {
	info, err := os.Stat(a.dir())
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("others may enter the data folder; 'chmod 700' it", "data", a.settings.Data, "mode", info.Mode().Perm().String())
		if info, err := os.Stat(a.storeFile()); err == nil && fsys.OpenToOthers(a.storeFile(), info) {
			log.Warn("others may read the store, with every password hash and signing key in it; 'chmod 600' it, or, where the file system keeps no modes, mount it with umask=077", "file", a.storePath(), "mode", info.Mode().Perm().String())
		}
	}
}

// exposed tells who else may read or write a file that holds a secret: "others",
// "its group" or, where nobody may, "", and how that comes. What is no regular file
// has been made for its reader.
func exposed(f *os.File) (who, how string) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", ""
	}
	switch mode := info.Mode(); {
	case mode&0o007 != 0:
		who = "others"
	case mode&0o070 != 0:
		who = "its group"
	}
	return who, fmt.Sprintf("has mode %04o; 'chmod 600' it", info.Mode().Perm())
}

// exposedToAll tells whether not only a group, by which keys are shared, may read
// the file at path.
func exposedToAll(_ string, info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode()&0o007 != 0
}

// writable tells whether others may write to f.
func writable(_ *os.File, info fs.FileInfo) bool { return info.Mode()&0o002 != 0 }

// What is done about what others may do.
const (
	keepReaders = "'chmod o-rwx' it"
	keepWriters = "'chmod o-w' it"
)

// links counts the names of a file.
func links(_ *os.File, info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 0
}

// reloading is what is told before a reload; READY=1 follows it. The time is
// how the manager knows that READY is not of an earlier one.
func reloading() []string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return []string{"RELOADING=1"}
	}
	return []string{"RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}
