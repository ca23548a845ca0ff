package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links are followed; the kernel follows as many.
const maxLinks = 40

// Open finds the folder at path, which is absolute. What is missing of it is no
// error; see Missing. For root the error is a *LedError where anybody else
// could lead it elsewhere.
func Open(path string) (*Folder, error) {
	if os.Geteuid() != 0 {
		return &Folder{path: path}, nil
	}
	w := &walk{todo: strings.Split(path, "/")}
	defer func() { unix.Close(w.at) }()
	if err := w.run(); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if err := check(w.way, len(w.todo) > 0); err != nil {
		return nil, err
	}
	f := &Folder{path: path, rest: w.todo, uid: w.way[len(w.way)-1].uid}
	if f.uid == 0 {
		return f, nil
	}
	return f, f.hold(w.at)
}

// hold keeps the folder open: under its owner's id its path may lead through
// folders that only root enters.
func (f *Folder) hold(at int) error {
	fd, err := unix.FcntlInt(uintptr(at), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	f.held, f.end = fmt.Sprintf("/proc/self/fd/%d", fd), func() error { return unix.Close(fd) }
	var here, there unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &here), unix.Stat(f.held, &there)); err != nil || here.Ino != there.Ino || here.Dev != there.Dev {
		unix.Close(fd)
		return &LedError{f.path + " belongs to another user, and is worked on through /proc, which is not there", "mount /proc, or run the command as the owner of the folder"}
	}
	return nil
}

// walk goes a path from the root of the file system.
type walk struct {
	at    int      // the folder that it has come to
	todo  []string // names that are left
	way   []step   // all that was passed; the last is at
	gone  []string // names of the folders from the root to at
	links int
}

func (w *walk) run() (err error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	if w.at, err = unix.Open("/", flags, 0); err != nil {
		return err
	}
	if err := w.passed(w.at, false); err != nil {
		return err
	}
	for len(w.todo) > 0 {
		if name := w.todo[0]; name == "" || name == "." {
			w.todo = w.todo[1:]
			continue
		}
		if done, err := w.next(); done || err != nil {
			return err
		}
	}
	return nil
}

// next goes one name on; done tells that it is missing.
func (w *walk) next() (done bool, err error) {
	name := w.todo[0]
	fd, err := unix.Openat(w.at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	w.todo = w.todo[1:]
	before := w.gone
	if name == ".." {
		w.gone = w.gone[:max(0, len(w.gone)-1)]
	} else {
		w.gone = append(w.gone[:len(w.gone):len(w.gone)], name)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return false, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		unix.Close(w.at)
		w.at = fd
		return false, w.passed(fd, false)
	case unix.S_IFLNK:
		err := w.follow(fd)
		unix.Close(fd)
		w.gone = before
		return false, err
	}
	unix.Close(fd)
	return false, unix.ENOTDIR
}

// follow puts where the link leads in its place. What is read is the link that
// was looked at, whatever stands at its name by now.
func (w *walk) follow(link int) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	last := w.way[len(w.way)-1]
	if err := w.passed(link, true); err != nil {
		return err
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", target)
	if err != nil {
		return err
	}
	w.todo = append(strings.Split(string(target[:n]), "/"), w.todo...)
	if target[0] == '/' {
		unix.Close(w.at)
		w.gone = nil
		if w.at, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		return w.passed(w.at, false)
	}
	w.way = append(w.way, last) // it goes on from there
	return nil
}

func (w *walk) passed(fd int, link bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	w.way = append(w.way, step{
		path:   "/" + strings.Join(w.gone, "/"),
		uid:    int(st.Uid),
		shared: st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0,
		sticky: st.Mode&unix.S_ISVTX != 0,
		link:   link,
	})
	return nil
}

// as is the user that the process works as, for a while. Ids belong to the
// process, so there is one.
var as struct {
	mu  sync.Mutex
	uid int // 0: nobody else
}

// Become makes root the owner of the folder, where that is another user, until
// leave is called: the whole process, in all that it asks the kernel for. Root
// stays its real id, so that leave can go back, and nobody else may signal it.
// Two at once are a mistake of the caller.
func (f *Folder) Become() (leave func() error, err error) {
	if os.Geteuid() != 0 || f.uid == 0 {
		return func() error { return nil }, nil
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	before, err := syscall.Getgroups()
	if err != nil {
		return nil, err
	}
	groupBefore := os.Getegid()
	back := func() error {
		return errors.Join(syscall.Setresuid(-1, 0, -1), syscall.Setresgid(-1, groupBefore, -1), syscall.Setgroups(before))
	}
	gid, groups := groupsOf(f.uid)
	err = syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setresgid(-1, gid, -1)
	}
	if err == nil {
		err = syscall.Setresuid(-1, f.uid, -1)
	}
	if err != nil {
		return nil, errors.Join(&LedError{fmt.Sprintf("%s belongs to uid %d, and root may not become that user here (%v)", f.path, f.uid, err), "run the command as that user"}, back())
	}
	as.uid = f.uid
	return func() error {
		as.mu.Lock()
		defer as.mu.Unlock()
		as.uid = 0
		return back()
	}, nil
}

// noGroup is for a user whom the system does not know. All files are 0600, so
// that their group decides nothing; the group of the folder would be one that
// its owner need not be a member of.
const noGroup = 65534

func groupsOf(uid int) (gid int, groups []int) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return noGroup, nil
	}
	if gid, err = strconv.Atoi(u.Gid); err != nil {
		return noGroup, nil
	}
	ids, _ := u.GroupIds()
	for _, id := range ids {
		if group, err := strconv.Atoi(id); err == nil {
			groups = append(groups, group)
		}
	}
	return gid, groups
}

// AsCaller runs what belongs to whoever called the program, not to the owner
// of the folder: their files, their ports, their programs. It is root's again
// in this one thread, and no other goroutine sees it. f must not call it again.
func AsCaller(f func() error) error {
	as.mu.Lock()
	if as.uid == 0 {
		as.mu.Unlock()
		return f()
	}
	defer as.mu.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	keep := ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, 0, keep); errno != 0 {
		return fmt.Errorf("become root again: %w", errno)
	}
	defer func() {
		// In all threads, since only this call takes large ids on all machines.
		if err := syscall.Setresuid(-1, as.uid, -1); err != nil {
			panic(err) // nothing may go on as root
		}
	}()
	return f()
}
