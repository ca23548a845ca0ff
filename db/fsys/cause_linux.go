package fsys

import "syscall"

// systemCannot is more of cannot.
var systemCannot []syscall.Errno

// systemCauses are rows for what this system alone answers.
var systemCauses = []row{
	{"", []syscall.Errno{syscall.EREMOTEIO}, Failed, "the disk{of} failed: the device behind it answers with an error", lookAtDisk},
	{"", []syscall.Errno{syscall.EUCLEAN, syscall.EBADMSG}, Failed, "the disk{of} failed: its file system is damaged", "unmount it and have it checked (fsck), then see 'husk check'"},
	{"", []syscall.Errno{syscall.ESHUTDOWN}, Failed, "the disk{of} failed: the file system was shut down", lookAtDisk},
	{"", []syscall.Errno{syscall.ENOKEY}, Failed, "the folder{of} is encrypted and locked", "unlock it (fscrypt, gocryptfs), then try again"},
}
