package bolt

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Holder tells which process holds the lock on the file at path: its id and
// the name of its program. It is for messages; ok is false where the system
// does not tell.
func Holder(path string) (pid int, name string, ok bool) {
	var stat syscall.Stat_t
	locks, err := os.ReadFile("/proc/locks")
	if err != nil || syscall.Stat(path, &stat) != nil {
		return 0, "", false
	}
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 4242 fd:01:393226 0 EOF; the lines of
		// those who wait have "->" before the kind.
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], fmt.Sprintf(":%d", stat.Ino)) {
			continue
		}
		if pid, err = strconv.Atoi(fields[4]); err != nil || pid <= 0 {
			continue // a process of another pid namespace
		}
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
			return pid, strings.TrimSpace(string(comm)), true
		}
	}
	return 0, "", false
}

// descriptorPath is a path to an open file that needs no name of it.
func descriptorPath(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
