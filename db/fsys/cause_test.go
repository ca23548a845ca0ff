package fsys

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// One errno means different things after different calls, and each meaning has
// its own words and its own next step.
func TestExplain(t *testing.T) {
	t.Parallel()
	path := func(op string, errno syscall.Errno) error { return &fs.PathError{Op: op, Path: "p", Err: errno} }
	for _, c := range []struct {
		err  error
		kind Kind
		what string
		next string
	}{
		{path("open", syscall.EACCES), Denied, "permission denied", "as the owner"},
		{path("open", syscall.EPERM), Denied, "whatever owner and mode say", "chattr -i"},
		{path("chmod", syscall.EPERM), Unfit, "keeps no file modes", "umask=077"},
		{path("chown", syscall.EPERM), Unfit, "keeps no owners", "as the owner"},
		{&os.LinkError{Op: "link", Err: syscall.EPERM}, Unfit, "no hard links", "file system of this machine"},
		{&os.LinkError{Op: "link", Err: syscall.EMLINK}, Unfit, "no hard links", "file system of this machine"},
		{&os.LinkError{Op: "rename", Err: syscall.EPERM}, Denied, "whatever owner", "lsattr"},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EOPNOTSUPP)}, Unfit, "takes no sockets", "file system of this machine"},
		{path("lock", syscall.ENOLCK), Unfit, "keeps no locks", "rpc.statd"},
		{path("lock", syscall.ENOSYS), Unfit, "keeps no locks", "what the mount says of locks"},
		{path("mmap", syscall.ENODEV), Unfit, "can't map files", "direct_io"},
		{path("mmap", syscall.ENOMEM), Spent, "address space", "ulimit -v"},
		{path("sync", syscall.EINVAL), Unfit, "when the power fails", "file system of this machine"},
		{path("truncate", syscall.EPERM), Unfit, "make a file longer", "file system of this machine"},
		{path("open", syscall.EROFS), Failed, "is read-only", "mount it for writing"},
		{path("write", syscall.ENOSPC), Full, "is full", "free some space"},
		{path("write", syscall.EDQUOT), Full, "quota", "raised"},
		{path("write", syscall.EFBIG), Full, "may not grow", "4 GiB"},
		{path("open", syscall.EMFILE), Spent, "this process has too many files open", "LimitNOFILE"},
		{path("open", syscall.ENFILE), Spent, "the machine has too many files open", "fs.file-max"},
		{path("open", syscall.ENAMETOOLONG), Odd, "longer than", "shorter"},
		{path("open", syscall.ELOOP), Odd, "circle", "the place itself"},
		{path("open", syscall.ENOTDIR), Odd, "a part of the path is a file", "ls -ld"},
		{path("open", syscall.EISDIR), Odd, "it is a folder", "name a file"},
		{path("read", syscall.EIO), Failed, "could not read or write", "log of the machine"},
		{path("read", syscall.ENOTCONN), Failed, "FUSE", "mount it again"},
		{path("read", syscall.ESTALE), Failed, "file server", "look at the file server"},
		{path("write", syscall.ENODEV), Failed, "the device is gone", "log of the machine"},
		{path("ioctl", syscall.ENOTSUP), Unfit, "can't do that", "file system of this machine"},
		{fmt.Errorf("file resize error: %s", path("truncate", syscall.ENOSPC)), Full, "is full", "free some space"}, // only its words are left
		{fmt.Errorf("further up: %w", path("openat", syscall.EIO)), Failed, "could not read or write", "log of the machine"},
	} {
		got, ok := Explain(c.err)
		if !ok || got.Kind != c.kind || !strings.Contains(got.What(), c.what) || !strings.Contains(got.Next, c.next) || strings.Contains(got.What(), "{") {
			t.Errorf("%v: %v, %q, %q", c.err, got.Kind, got.What(), got.Next)
		}
	}
	for _, err := range []error{nil, errors.New("no luck"), fs.ErrPermission, &fs.PathError{Op: "open", Err: syscall.ENOENT}} {
		if c, ok := Explain(err); ok {
			t.Errorf("%v is explained: %q", err, c.What())
		}
	}
	if c, _ := Explain(syscall.ENOSPC); c.Of("/data") != "the disk of /data is full" {
		t.Error(c.Of("/data"))
	}
}

// A row that a row before it hides would never be told, and two that say the
// same are one.
func TestEachRowIsMet(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, r := range causes {
		if said[r.what+r.next] || r.next == "" {
			t.Errorf("%q is there twice, or has no next step", r.what)
		}
		said[r.what+r.next] = true
		met := false
		for _, errno := range r.errnos {
			c, _ := Explain(&fs.PathError{Op: r.op, Err: errno})
			met = met || c.what == r.what && c.Next == r.next
		}
		if !met {
			t.Errorf("nothing leads to %q", r.what)
		}
	}
}
