package fsys

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shareAll lets others also rename, replace and remove what is open, as other
// systems do always. os.OpenFile does not ask for it.
const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// OpenFile is os.OpenFile for what may be renamed, replaced or removed while it is
// open. What it makes is for its owner alone.
func OpenFile(path string, flag int, _ fs.FileMode) (*os.File, error) {
	access := uint32(windows.GENERIC_READ)
	if flag&(os.O_RDWR|os.O_WRONLY) != 0 {
		access |= windows.GENERIC_WRITE
	}
	how := uint32(windows.OPEN_EXISTING)
	var made *windows.SecurityAttributes
	if flag&os.O_CREATE != 0 {
		var err error
		if made, err = private(""); err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		switch {
		case flag&os.O_EXCL != 0:
			how = windows.CREATE_NEW
		case flag&os.O_TRUNC != 0:
			how = windows.CREATE_ALWAYS
		default:
			how = windows.OPEN_ALWAYS
		}
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, access, shareAll, made, how, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// OpenPlain opens a file for reading, and follows no link at the end of the path:
// what it opens is the link itself, which is no regular file.
func OpenPlain(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// CreatePrivate makes a temporary file that its owner alone may read and write;
// see os.CreateTemp.
func CreatePrivate(dir, pattern string) (*os.File, error) {
	before, after, found := strings.Cut(pattern, "*")
	if !found {
		before, after = pattern, ""
	}
	for {
		name := before + strconv.FormatUint(rand.Uint64(), 36) + after
		f, err := OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := Private(f); err != nil { // a file system without access lists
			f.Close()
			os.Remove(f.Name())
			return nil, err
		}
		return f, nil
	}
}

// CreateIn makes the file name in an open folder, for its owner alone.
func CreateIn(dir *os.Root, name string) (*os.File, error) {
	return OpenFile(filepath.Join(dir.Name(), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// RemoveIn removes the file name in an open folder.
func RemoveIn(dir *os.Root, name string) error { return os.Remove(filepath.Join(dir.Name(), name)) }

// MakePrivate lets nobody but the owner, the system and the administrators read
// and write f. What counts is what its access list then is.
func MakePrivate(f *os.File) error {
	if Private(f) == nil {
		return nil
	}
	made, err := private("")
	if err != nil {
		return err
	}
	list, _, err := made.SecurityDescriptor.DACL()
	if err != nil {
		return err
	}
	err = windows.SetNamedSecurityInfo(f.Name(), windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if err != nil && !lacks(err) {
		return &fs.PathError{Op: opChmod, Path: f.Name(), Err: err}
	}
	return Private(f)
}

// Private tells that others may read or write f.
func Private(f *os.File) error {
	open, err := openTo(f, ReadOrWrite)
	if err == nil && open {
		return &fs.PathError{Op: opChmod, Path: f.Name(), Err: errUnchanged}
	}
	return err
}

// errUnchanged stands for a list that changed nothing.
const errUnchanged = windows.ERROR_NOT_SUPPORTED

func openTo(f *os.File, rights windows.ACCESS_MASK) (bool, error) {
	me, err := Me()
	if err != nil {
		return false, err
	}
	a, err := AccessOf(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT)
	if err != nil {
		return false, err
	}
	return a.Open(me, rights) != nil, nil
}

// OpenToOthers tells whether anybody but the owner may read or write what stands at path.
func OpenToOthers(path string, _ fs.FileInfo) bool { return whoAt(path, ReadOrWrite) != "" }

// Readers names somebody who may read or write f, beside its owner, the system and
// the administrators; "" where that is nobody, or f is no file.
func Readers(f *os.File) string { return who(f, ReadOrWrite) }

// Writers is Readers for who may write to it.
func Writers(f *os.File) string { return who(f, ChangeIt) }

func who(f *os.File, rights windows.ACCESS_MASK) string {
	me, err := Me()
	if err != nil {
		return ""
	}
	a, err := AccessOf(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT)
	if err != nil {
		return ""
	}
	return sidText(a.Open(me, rights))
}

// Visitors names somebody who may look into the folder at path, or write there.
func Visitors(path string) string { return whoAt(path, ReadOrWrite) }

func whoAt(path string, rights windows.ACCESS_MASK) string {
	me, err := Me()
	if err != nil {
		return ""
	}
	a, err := AccessAt(path)
	if err != nil {
		return ""
	}
	return sidText(a.Open(me, rights))
}

// sidText is what Windows' own commands take for a SID. Its name may have to be
// asked for in the network, so it is told for those that every Windows has.
func sidText(sid *windows.SID) string {
	if sid == nil {
		return ""
	}
	for kind, name := range map[windows.WELL_KNOWN_SID_TYPE]string{
		windows.WinWorldSid: "Everyone", windows.WinBuiltinUsersSid: "Users", windows.WinAuthenticatedUserSid: "Authenticated Users",
		windows.WinBuiltinGuestsSid: "Guests", windows.WinInteractiveSid: "INTERACTIVE",
	} {
		if sid.IsWellKnown(kind) {
			return name + " (" + sid.String() + ")"
		}
	}
	return sid.String()
}

// MakeFolder makes a folder, for its owner alone, with all that is made in it later.
func MakeFolder(path string) error {
	made, err := private("OICI")
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		err = windows.CreateDirectory(name, made)
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// busyPatience is how long a name is waited for that somebody else holds: a
// scanner or an indexer opens what has just been made, for a moment, and lets it
// neither be renamed nor removed.
const busyPatience = 2 * time.Second

// patiently tries again what failed because somebody else has the file open.
func patiently(try func() error) error {
	pause := time.Millisecond
	for end := time.Now().Add(busyPatience); ; pause = min(2*pause, 100*time.Millisecond) {
		err := try()
		var errno syscall.Errno
		busy := errors.As(err, &errno) && (errno == windows.ERROR_SHARING_VIOLATION || errno == windows.ERROR_ACCESS_DENIED || errno == windows.ERROR_LOCK_VIOLATION)
		if !busy || time.Now().After(end) {
			return err
		}
		time.Sleep(pause)
	}
}

// rename replaces also what is open, where the file system can: NTFS. Elsewhere it
// is like renameUnused.
func rename(from, to string) error {
	return patiently(func() error {
		err := renameBy(fileRenameInfoEx, replaceIfExists|posixSemantics, from, to)
		if err != nil && (lacks(err) || Errno(err) == windows.ERROR_INVALID_PARAMETER) {
			err = renameBy(fileRenameInfo, replaceIfExists, from, to)
		}
		return err
	})
}

// ReplaceUnused is Replace where nobody has open what loses its name; else it
// fails, and InUse tells so.
func ReplaceUnused(temp, path string) error {
	if err := patiently(func() error { return renameBy(fileRenameInfo, replaceIfExists, temp, path) }); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// InUse tells whether err says that somebody has the file open.
func InUse(err error) bool {
	errno := Errno(err)
	return errno == windows.ERROR_ACCESS_DENIED || errno == windows.ERROR_SHARING_VIOLATION || errno == windows.ERROR_USER_MAPPED_FILE
}

// What SetFileInformationByHandle is told. FILE_RENAME_INFO and its flags are in
// winbase.h.
const (
	fileRenameInfo   = 3
	fileRenameInfoEx = 22
	replaceIfExists  = 1
	posixSemantics   = 2
)

func renameBy(class, flags uint32, from, to string) error {
	failed := func(err error) error { return &os.LinkError{Op: "rename", Old: from, New: to, Err: err} }
	to, err := filepath.Abs(to)
	if err != nil {
		return failed(err)
	}
	name, err := windows.UTF16FromString(to)
	old, err2 := windows.UTF16PtrFromString(from)
	if err = errors.Join(err, err2); err != nil {
		return failed(err)
	}
	h, err := windows.CreateFile(old, windows.DELETE|windows.SYNCHRONIZE, shareAll, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return failed(err)
	}
	defer windows.CloseHandle(h)
	type info struct {
		flags  uint32 // or ReplaceIfExists, a byte
		root   windows.Handle
		length uint32 // of name, in bytes, without the zero
		name   [1]uint16
	}
	const at = unsafe.Offsetof(info{}.name)
	text := make([]uint64, (int(at)+2*len(name)+7)/8) // aligned
	i := (*info)(unsafe.Pointer(&text[0]))
	i.flags, i.length = flags, uint32(2*(len(name)-1))
	copy(unsafe.Slice((*uint16)(unsafe.Add(unsafe.Pointer(i), at)), len(name)), name)
	err = windows.SetFileInformationByHandle(h, class, (*byte)(unsafe.Pointer(i)), uint32(int(at)+2*len(name)))
	if err != nil {
		return failed(err)
	}
	return nil
}

// RenameNew is a rename in a folder that replaces nothing: where there is
// something at to, it is fs.ErrExist.
func RenameNew(dir *os.Root, from, to string) error {
	old, err := windows.UTF16PtrFromString(filepath.Join(dir.Name(), from))
	fresh, err2 := windows.UTF16PtrFromString(filepath.Join(dir.Name(), to))
	if err = errors.Join(err, err2); err == nil {
		err = patiently(func() error { return windows.MoveFile(old, fresh) })
	}
	if err != nil {
		return &os.LinkError{Op: opLink, Old: from, New: to, Err: err}
	}
	return nil
}

// SyncFolder makes names that were given or taken in a folder durable: it writes
// down what the file system has noted of them. One that flushes no folders keeps
// names as it does.
func SyncFolder(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer windows.CloseHandle(h)
	err = windows.FlushFileBuffers(h)
	if err != nil && !lacks(err) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("sync the folder: %w", os.NewSyscallError(opSync, err))
	}
	return nil
}

// SyncOpenFolder is SyncFolder for one that is open.
func SyncOpenFolder(d *os.File) error { return SyncFolder(d.Name()) }
