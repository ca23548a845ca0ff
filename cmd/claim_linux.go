package cmd

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A server holds the lock of its data file. Where the file, or its folder, was
// deleted, moved or replaced, that lock is on a file that nobody finds by its
// path, and whoever comes next would make a second store beside a living server.
// So a server also holds a name in the abstract name space of sockets, which no
// file system knows, made from the path of its data folder. Nobody listens there:
// the name alone is the sign, and /proc leads from it to the process.

const claimPrefix = "@husk-data-"

// claimFolder takes the names of a data folder until end, or the end of the process.
// Where that fails there is no sign, and no harm else.
func claimFolder(data string) (end func()) {
	var fds []int
	for _, name := range claimNames(data) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			continue
		}
		fds = append(fds, fd)
		// Behind the name of the folder stands what nobody can guess, and take first.
		_ = unix.Bind(fd, &unix.SockaddrUnix{Name: name + "-" + rand.Text()[:16]})
	}
	return sync.OnceFunc(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
}

// claimNames are the names for a data folder by its path as it was named, and as
// links lead there.
func claimNames(data string) (names []string) {
	abs, err := filepath.Abs(data)
	if err != nil {
		return nil
	}
	for _, path := range slices.Compact([]string{abs, withoutLinks(abs)}) {
		sum := sha256.Sum256([]byte(path))
		names = append(names, claimPrefix+hex.EncodeToString(sum[:16]))
	}
	return names
}

// withoutLinks is a path without links, as far as it is there.
func withoutLinks(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(withoutLinks(parent), filepath.Base(path))
	}
	return path
}

// claimant finds another process that serves the data folder, and that this one
// has reason to believe, but does not have the file open that is there; file is
// the one that it has, or "".
func claimant(data string) (pid int, file string, found bool) {
	names := claimNames(data)
	for inode := range claimInodes(names) {
		pid, found := holderOfSocket(inode)
		if !found || !believed(pid, data) || hasOpen(pid, filepath.Join(data, embedded.file)) {
			continue
		}
		if again, held := holderOfSocket(inode); held && again == pid { // it did not just stop
			return pid, dataFileOf(pid), true
		}
	}
	return 0, "", false
}

// hasOpen tells whether a process has the file open that stands at path.
func hasOpen(pid int, path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	for fd := range descriptors(pid) {
		if theirs, err := os.Stat(fd); err == nil && os.SameFile(there, theirs) {
			return true
		}
	}
	return false
}

// dataFileOf is the path by way of a process to the store that it has open.
func dataFileOf(pid int) string {
	for fd, target := range descriptors(pid) {
		if filepath.Base(strings.TrimSuffix(target, deletedMark)) == embedded.file {
			return fd
		}
	}
	return ""
}

// deletedMark is what the system puts behind the path of an open file that has
// none any more.
const deletedMark = " (deleted)"

// claimInodes are the sockets with one of the names, those of this process
// included; nil where that can't be read.
func claimInodes(names []string) map[string]bool {
	inodes := map[string]bool{}
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// Num RefCount Protocol Flags Type St Inode Path
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
			continue
		}
		if end := strings.LastIndexByte(fields[7], '-'); end > 0 && slices.Contains(names, fields[7][:end]) {
			inodes[fields[6]] = true
		}
	}
	if lines.Err() != nil {
		return nil
	}
	return inodes
}

// holderOfSocket looks through the descriptors of all processes that this one may
// look into: its user's own, and for root all.
func holderOfSocket(inode string) (pid int, found bool) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, target := range descriptors(pid) {
			if target == "socket:["+inode+"]" {
				return pid, true
			}
		}
	}
	return 0, false
}

// descriptors are the paths of a process's descriptors, with what they lead to.
func descriptors(pid int) map[string]string {
	dir, targets := fmt.Sprintf("/proc/%d/fd/", pid), map[string]string{}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if target, err := os.Readlink(dir + entry.Name()); err == nil {
			targets[dir+entry.Name()] = target
		}
	}
	return targets
}

// believed tells whether a process with the name of a folder may be taken at its
// word: everybody can take a name, and nobody is to keep root from its own folder
// by that. It has to see the same files, and be of the same user, of root, or of
// the owner of what is left of the folder; or the system says that it has a file
// open that was deleted there.
func believed(pid int, data string) bool {
	process := fmt.Sprintf("/proc/%d", pid)
	mine, err := os.Stat("/")
	theirs, err2 := os.Stat(process + "/root")
	if err != nil || err2 != nil || !os.SameFile(mine, theirs) {
		return false // of a container, where the path is another's
	}
	uid, ok := uidAt(process)
	if !ok {
		return false
	}
	if uid == 0 || uid == os.Geteuid() {
		return true
	}
	if owner, ok := uidAt(nearestFolder(data)); ok && uid == owner {
		return true
	}
	deleted := filepath.Join(withoutLinks(data), embedded.file) + deletedMark
	for _, target := range descriptors(pid) {
		if target == deleted {
			return true
		}
	}
	return false
}

// nearestFolder is the folder, or the first one above it that is there.
func nearestFolder(path string) string {
	path, _ = filepath.Abs(path)
	for parent := filepath.Dir(path); parent != path; path, parent = parent, filepath.Dir(parent) {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
	}
	return path
}

func uidAt(path string) (uid int, ok bool) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, false
	}
	return int(stat.Uid), true
}
