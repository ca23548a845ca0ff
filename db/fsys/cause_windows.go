package fsys

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// systemCannot is what Windows answers to a call that a file system does not have.
var systemCannot = []syscall.Errno{windows.ERROR_INVALID_FUNCTION, windows.ERROR_NOT_SUPPORTED, windows.ERROR_CALL_NOT_IMPLEMENTED}

const (
	ntfs         = "choose a data folder on a drive of this machine with NTFS"
	atServer     = "look at the file server and at the network, then try again"
	lookAtEvents = "look at the system's event log and at the disk, then try again"
	whoUsesIt    = "see what has it open (a scanner, a backup, an editor, another husk), and try again"
)

// systemCauses are rows for what this system alone answers. It has numbers of its
// own for all errors of files, so the rows of other systems don't fit here.
var systemCauses = []row{
	{opChmod, []syscall.Errno{windows.ERROR_ACCESS_DENIED}, Denied, "the access list may not be changed", "run the command as the owner of the file"},
	{opChmod, systemCannot, Unfit, "the file system{of} keeps no access lists, and lets others read what is in it", ntfs},
	{opLock, systemCannot, Unfit, "the file system{of} keeps no locks", "husk needs them, or two processes would write one store: " + ntfs},
	{opLink, append([]syscall.Errno{windows.ERROR_TOO_MANY_LINKS}, systemCannot...), Unfit, "the file system{of} knows no hard links, nor any other way to give a file a name that is not taken", ntfs},
	{opSync, systemCannot, Unfit, "the file system{of} can't keep what is written from being lost when the power fails", ntfs},
	{opGrow, systemCannot, Unfit, "the file system{of} can't make a file longer", ntfs},
	{"", []syscall.Errno{windows.ERROR_NOT_ENOUGH_MEMORY, windows.ERROR_OUTOFMEMORY, windows.ERROR_COMMITMENT_LIMIT, windows.ERROR_NO_SYSTEM_RESOURCES}, Spent,
		"the machine is out of memory", "free some memory, or give it a larger page file, and try again"},
	{"", []syscall.Errno{windows.ERROR_TOO_MANY_OPEN_FILES}, Spent, "this process has too many files open", "end what holds them"},
	{"", []syscall.Errno{windows.ERROR_ACCESS_DENIED, windows.ERROR_PRIVILEGE_NOT_HELD}, Denied, "permission denied",
		"run the command as the owner of the file and its folder, or as administrator ('Run as administrator'); where that is so already, see whether something has the file open, or its access list ('icacls') or the protection of folders forbids it"},
	{"", []syscall.Errno{windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_USER_MAPPED_FILE, windows.ERROR_BUSY, windows.ERROR_DELETE_PENDING}, Odd,
		"something else uses it", whoUsesIt},
	{"", []syscall.Errno{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}, Full, "the drive{of} is full", freeSpace},
	{"", []syscall.Errno{windows.ERROR_DISK_QUOTA_EXCEEDED}, Full, "the drive{of} is full for this user: the quota is used up", "free some space, or have the quota raised, and try again"},
	{"", []syscall.Errno{windows.ERROR_FILE_SYSTEM_LIMITATION, windows.ERROR_FILE_TOO_LARGE}, Full, "the drive{of} is full for this file: it may not grow any more", "choose a drive with NTFS that is neither compressed nor in many pieces"},
	{"", []syscall.Errno{windows.ERROR_WRITE_PROTECT}, Failed, "the file system{of} is read-only", "make it writable: also a look at the store locks it"},
	{"", []syscall.Errno{windows.ERROR_BAD_NETPATH, windows.ERROR_NETNAME_DELETED, windows.ERROR_BAD_NET_NAME, windows.ERROR_UNEXP_NET_ERR, windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_SEM_TIMEOUT, windows.ERROR_NETWORK_ACCESS_DENIED}, Failed,
		"the disk{of} failed: the file server does not answer", atServer},
	{"", []syscall.Errno{windows.ERROR_NOT_READY, windows.ERROR_BAD_UNIT, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_DEVICE_NOT_CONNECTED, windows.ERROR_NO_SUCH_DEVICE, windows.ERROR_FILE_INVALID}, Failed,
		"the disk{of} failed: the device is gone", lookAtEvents},
	{"", []syscall.Errno{windows.ERROR_FILE_CORRUPT, windows.ERROR_DISK_CORRUPT}, Failed, "the disk{of} failed: its file system is damaged", "have it checked (chkdsk), then see 'husk check'"},
	{"", []syscall.Errno{windows.ERROR_CRC, windows.ERROR_IO_DEVICE, windows.ERROR_SECTOR_NOT_FOUND, windows.ERROR_READ_FAULT, windows.ERROR_WRITE_FAULT, windows.ERROR_SEEK, windows.ERROR_GEN_FAILURE, windows.ERROR_DISK_OPERATION_FAILED}, Failed,
		"the disk{of} failed: it could not read or write", lookAtEvents},
	{"", []syscall.Errno{windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_BUFFER_OVERFLOW}, Odd, "the path is longer than Windows takes", "choose a shorter one"},
	{"", []syscall.Errno{windows.ERROR_INVALID_NAME, windows.ERROR_BAD_PATHNAME}, Odd, "that is no name of a file here", `leave out what Windows keeps for itself (< > : " | ? *)`},
	{"", []syscall.Errno{windows.ERROR_DIRECTORY}, Odd, "a part of the path is a file, not a folder", "look at each part of the path"},
	{"", []syscall.Errno{windows.ERROR_CANT_RESOLVE_FILENAME, windows.ERROR_STOPPED_ON_SYMLINK}, Odd, "the links on the way{of} lead in a circle, or to where none may lead", "name the place itself"},
	{"", []syscall.Errno{windows.ERROR_NOT_SAME_DEVICE}, Odd, "another drive stands in between", "name a place that is on one drive"},
	{"", systemCannot, Unfit, "the file system{of} can't do that", ntfs},
}
