// Package fsys is what Husk asks of a file system beyond reading and writing:
// files that only their owner reads, names that replace nobody's and last, and
// locks; what it does where a file system has none of these; and the words and
// the next step for whatever the system answers instead.
package fsys

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Kind is what sort of trouble it is.
type Kind int

// The kinds of trouble.
const (
	Odd    Kind = iota // with the path, or with the call
	Denied             // somebody may not do that
	Full               // space, quota or size
	Failed             // what is under the file system does not work any more
	Unfit              // the file system can't do what is needed
	Spent              // descriptors or memory
)

// String is a stable word for the kind.
func (k Kind) String() string {
	return [...]string{"odd", "denied", "full", "failed", "unfit", "spent"}[k]
}

// Cause is what the system's answer means.
type Cause struct {
	Code syscall.Errno
	Kind Kind
	Next string // what to do
	what string // with {of} for where
}

// What says what is the matter, without naming a place.
func (c Cause) What() string { return c.Of("") }

// Of says what is the matter with where a path leads.
func (c Cause) Of(path string) string {
	if path != "" {
		path = " of " + path
	}
	return strings.ReplaceAll(c.what, "{of}", path)
}

// The calls whose errors mean something else than the same ones elsewhere. They
// are the names of fs.PathError.Op, os.LinkError.Op and os.SyscallError.Syscall.
const (
	opLock  = "lock"
	opMap   = "mmap"
	opSync  = "sync"
	opChmod = "chmod"
	opChown = "chown"
	opLink  = "link"
	opBind  = "bind"
	opGrow  = "truncate"
)

// cannot is what systems answer to a call that a file system does not have.
var cannot = append([]syscall.Errno{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL}, systemCannot...)

const (
	elsewhere    = "choose a data folder on a file system of this machine (ext4, xfs, btrfs, zfs)"
	freeSpace    = "free some space and try again"
	lookAtDisk   = "look at the log of the machine and at the disk, then try again"
	atFileServer = "look at the file server and at the network, mount it again where needed, then try again"
)

// row is a line of the table: what one of the errnos means, after one of the
// calls or after any.
type row struct {
	op     string // "": any
	errnos []syscall.Errno
	kind   Kind
	what   string
	next   string
}

// causes is the one table. The first row that fits decides.
var causes = append(slices.Clip(systemCauses), []row{
	{opLock, append([]syscall.Errno{syscall.ENOLCK, syscall.EBADF}, cannot...), Unfit, "the file system{of} keeps no locks",
		"husk needs them, or two processes would write one store: on NFS start the lock service (rpc.statd), else see what the mount says of locks, or " + elsewhere},
	{"", []syscall.Errno{syscall.ENOLCK}, Unfit, "the file system{of} keeps no locks",
		"on NFS start the lock service (rpc.statd), or " + elsewhere},
	{opMap, []syscall.Errno{syscall.ENOMEM}, Spent, "there is no address space or memory left to map the store{of}",
		"raise the limit (ulimit -v, MemoryMax= in the unit) or give the machine more memory"},
	{opMap, append([]syscall.Errno{syscall.ENODEV, syscall.EACCES}, cannot...), Unfit, "the file system{of} can't map files into memory",
		"mount it with its cache (FUSE without direct_io, SMB without cache=none), or " + elsewhere},
	{opSync, cannot, Unfit, "the file system{of} can't keep what is written from being lost when the power fails", elsewhere},
	{opChmod, cannot, Unfit, "the file system{of} keeps no file modes, and lets others read what is in it",
		"mount it for the user of husk alone (umask=077 and uid= for vfat, exfat and ntfs, file_mode=0600,dir_mode=0700 for SMB), or " + elsewhere},
	{opChown, cannot, Unfit, "the file system{of} keeps no owners, or husk may not give files away",
		"run the command as the owner of the folder, or " + elsewhere},
	{opLink, append([]syscall.Errno{syscall.EMLINK}, cannot...), Unfit, "the file system{of} knows no hard links, nor any other way to give a file a name that is not taken", elsewhere},
	{opBind, cannot, Unfit, "the file system{of} takes no sockets", elsewhere},
	{opGrow, cannot, Unfit, "the file system{of} can't make a file longer", elsewhere},
	{"", []syscall.Errno{syscall.EACCES}, Denied, "permission denied", "run the command as the owner of the file and its folder, or as root"},
	{"", []syscall.Errno{syscall.EPERM}, Denied, "the system does not permit it, whatever owner and mode say",
		"see whether the file or its folder is marked immutable ('lsattr', then 'chattr -i'), or a sandbox or a security module forbids it (the unit's ReadWritePaths=, SELinux, AppArmor)"},
	{"", []syscall.Errno{syscall.EROFS}, Failed, "the file system{of} is read-only",
		"mount it for writing: also a look at the store locks it; in a unit the folder has to be in ReadWritePaths=, in a container on a volume"},
	{"", []syscall.Errno{syscall.ENOSPC}, Full, "the disk{of} is full", freeSpace},
	{"", []syscall.Errno{syscall.EDQUOT}, Full, "the disk{of} is full for this user: the quota is used up", "free some space, or have the quota raised, and try again"},
	{"", []syscall.Errno{syscall.EFBIG}, Full, "the disk{of} is full for this file: it may not grow any more", "raise the limit (ulimit -f, LimitFSIZE= in the unit), or, on vfat, whose files end at 4 GiB, choose another file system"},
	{"", []syscall.Errno{syscall.EMFILE}, Spent, "this process has too many files open", "raise the limit ('ulimit -n', LimitNOFILE= in the unit)"},
	{"", []syscall.Errno{syscall.ENFILE}, Spent, "the machine has too many files open", "raise the limit (sysctl fs.file-max), or end what holds them"},
	{"", []syscall.Errno{syscall.ENOMEM}, Spent, "the machine is out of memory", "free some memory and try again"},
	{"", []syscall.Errno{syscall.ENAMETOOLONG}, Odd, "the path is longer than the file system takes", "choose a shorter one"},
	{"", []syscall.Errno{syscall.ELOOP}, Odd, "the links on the way{of} lead in a circle, or a link stands where none is followed", "name the place itself"},
	{"", []syscall.Errno{syscall.ENOTDIR}, Odd, "a part of the path is a file, not a folder", "see 'ls -ld' for each part of the path"},
	{"", []syscall.Errno{syscall.EISDIR}, Odd, "it is a folder, not a file", "name a file"},
	{"", []syscall.Errno{syscall.EXDEV}, Odd, "a mount stands in between", "name a place that is on one file system"},
	{"", []syscall.Errno{syscall.EBUSY, syscall.ETXTBSY}, Odd, "something else uses it", "see what is mounted or runs there, then try again"},
	{"", []syscall.Errno{syscall.ENOTCONN}, Failed, "the disk{of} failed: the program behind the mount (FUSE) has ended", "mount it again, then try again"},
	{"", []syscall.Errno{syscall.ESTALE}, Failed, "the disk{of} failed: the file server does not know the file any more", atFileServer},
	{"", []syscall.Errno{syscall.ETIMEDOUT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH}, Failed, "the disk{of} failed: the file server does not answer", atFileServer},
	{"", []syscall.Errno{syscall.ENXIO, syscall.ENODEV}, Failed, "the disk{of} failed: the device is gone", lookAtDisk},
	{"", []syscall.Errno{syscall.EIO}, Failed, "the disk{of} failed: it could not read or write", lookAtDisk},
	{"", []syscall.Errno{syscall.ENOTSUP, syscall.EOPNOTSUPP}, Unfit, "the file system{of} can't do that", elsewhere},
	{"", []syscall.Errno{syscall.ENOSYS}, Unfit, "the system can't do that: an old kernel, a sandbox that forbids the call, or a file system without it", elsewhere},
}...)

// Explain tells what the system's answer in err means; false where there is
// none in it, or an unknown one.
func Explain(err error) (Cause, bool) {
	code := Errno(err)
	if code == 0 {
		return Cause{}, false
	}
	op := opOf(err)
	for _, r := range causes {
		if (r.op == "" || r.op == op) && slices.Contains(r.errnos, code) {
			return Cause{code, r.kind, r.next, r.what}, true
		}
	}
	return Cause{}, false
}

// Errno finds the system's answer in err; 0 where there is none. A library may have flattened it into text: then its
// words at the end are all that is left.
func Errno(err error) (errno syscall.Errno) {
	if err == nil || errors.As(err, &errno) {
		return errno
	}
	text := err.Error()
	for _, r := range causes {
		for _, errno := range r.errnos {
			if strings.HasSuffix(text, ": "+errno.Error()) {
				return errno
			}
		}
	}
	return 0
}

func opOf(err error) string {
	var link *os.LinkError
	var call *os.SyscallError
	var path *fs.PathError
	op := ""
	switch {
	case errors.As(err, &link):
		op = link.Op
	case errors.As(err, &call):
		op = call.Syscall
	case errors.As(err, &path):
		op = path.Op
	}
	return strings.TrimSuffix(op, "at") // of os.Root
}

// lacks tells whether err says that the file system does not have the call.
func lacks(err error) bool {
	return slices.Contains(cannot, Errno(err))
}

// Lacks tells whether err says that a file system does not have what the call
// asks for, and not that somebody may not do it.
func Lacks(err error) bool {
	c, ok := Explain(err)
	return ok && c.Kind == Unfit
}
