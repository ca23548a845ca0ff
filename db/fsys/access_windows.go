package fsys

import (
	"errors"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows has neither uids nor modes. In their place stand the users of access
// tokens, by their SID, and the access list of each file. What mode 0600 says
// elsewhere is said here by a list that inherits nothing and names the owner,
// the system and the administrators alone: who administers the machine can't be
// kept out, as root can't be.

// User is who a process, or who is at the other end of a pipe, is by its access
// token.
type User struct {
	SID *windows.SID
	// Elevated says that the administrators' rights are in force: the system and
	// its administrators, but not one whose rights were not asked for (UAC).
	// Such a user is what root is elsewhere.
	Elevated bool
}

// UserOf tells whose a token is; it needs TOKEN_QUERY. member is that token, where
// it is one for impersonation, or 0 for that of the process.
func UserOf(token, member windows.Token) (User, error) {
	info, err := token.GetTokenUser()
	if err != nil {
		return User{}, os.NewSyscallError("GetTokenInformation", err)
	}
	sid, err := info.User.Sid.Copy()
	if err != nil {
		return User{}, err
	}
	elevated, err := member.IsMember(wellKnown(windows.WinBuiltinAdministratorsSid))
	if err != nil {
		return User{}, os.NewSyscallError("CheckTokenMembership", err)
	}
	return User{sid, elevated || sid.IsWellKnown(windows.WinLocalSystemSid)}, nil
}

// Me is who this process is. It does not change while it runs.
var Me = sync.OnceValues(func() (User, error) {
	return UserOf(windows.GetCurrentProcessToken(), 0)
})

// wellKnown is a SID that every Windows has.
func wellKnown(kind windows.WELL_KNOWN_SID_TYPE) *windows.SID {
	sid, err := windows.CreateWellKnownSid(kind)
	if err != nil {
		panic(err) // not without memory, or for a kind that there is not
	}
	return sid
}

// Owner is who is to own what this process makes: its user, or the
// administrators together. Were it the user of an elevated process, whatever else
// that user runs without being asked could change it.
func (u User) Owner() *windows.SID {
	if u.Elevated {
		return wellKnown(windows.WinBuiltinAdministratorsSid)
	}
	return u.SID
}

// PrivateTo is the security descriptor, in SDDL, of what is for the user, the
// system and the administrators alone; flags are for what is made in it later:
// "OICI" in that of a folder.
func (u User) PrivateTo(flags string) string {
	own := u.Owner().String()
	text := "O:" + own + "D:P(A;" + flags + ";FA;;;SY)(A;" + flags + ";FA;;;BA)"
	if !u.Elevated {
		text += "(A;" + flags + ";FA;;;" + own + ")"
	}
	return text
}

// private makes the security attributes of a new file or folder of this process.
func private(flags string) (*windows.SecurityAttributes, error) {
	me, err := Me()
	if err != nil {
		return nil, err
	}
	sd, err := windows.SecurityDescriptorFromString(me.PrivateTo(flags))
	if err != nil {
		return nil, os.NewSyscallError("ConvertStringSecurityDescriptor", err)
	}
	return &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: sd}, nil
}

// Trusts tells whether sid is one of those that can do all this user can: the
// user, the system, the administrators, and Windows' own installer. sid may be
// nil, which is nobody.
func (u User) Trusts(sid *windows.SID) bool {
	return sid != nil && (sid.Equals(u.SID) || IsSystem(sid) || sid.String() == installer)
}

// IsSystem tells whether sid is the system or its administrators.
func IsSystem(sid *windows.SID) bool {
	return sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid)
}

// installer is NT SERVICE\TrustedInstaller, who owns what Windows itself has made.
const installer = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"

// What an access list may let do.
const (
	// ReadOrWrite is what mode 0600 keeps from others.
	ReadOrWrite = windows.FILE_READ_DATA | windows.GENERIC_READ | ChangeIt
	// ChangeIt is to write to a file, or to a folder, and to make oneself the one
	// who may.
	ChangeIt = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | MoveIt
	// MoveIt is to put something else in the place of a folder, or of what is in
	// it. To make something new there is not in it: in the root of a drive
	// everybody may.
	MoveIt = windows.DELETE | fileDeleteChild | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_ALL | windows.GENERIC_WRITE

	fileDeleteChild = 0x40
)

// Access is whose a file or folder is, and whom its list lets do what.
type Access struct {
	Owner *windows.SID
	list  *windows.ACL // nil: everybody may do everything
	sd    *windows.SECURITY_DESCRIPTOR
}

// AccessOf reads the access list of what is open.
func AccessOf(h windows.Handle, kind windows.SE_OBJECT_TYPE) (Access, error) {
	sd, err := windows.GetSecurityInfo(h, kind, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return Access{}, os.NewSyscallError("GetSecurityInfo", err)
	}
	return accessBy(sd)
}

func accessBy(sd *windows.SECURITY_DESCRIPTOR) (a Access, err error) {
	a.sd = sd
	if a.Owner, _, err = sd.Owner(); err != nil {
		return a, os.NewSyscallError("GetSecurityDescriptorOwner", err)
	}
	// A file system without access lists answers with none.
	if a.list, _, err = sd.DACL(); err != nil && !errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) {
		return a, os.NewSyscallError("GetSecurityDescriptorDacl", err)
	}
	return a, nil
}

// Kinds of entries in access lists: those that let do something.
const (
	aceAllowed               = 0
	aceAllowedObject         = 5
	aceAllowedCallback       = 9
	aceAllowedCallbackObject = 11
)

// Open names somebody whom u has no reason to trust, and who may do one of rights;
// nil where there is nobody. What an entry takes away again is not counted, nor
// what a condition is on: so it may name too many, and never too few.
func (a Access) Open(u User, rights windows.ACCESS_MASK) *windows.SID {
	if !u.Trusts(a.Owner) {
		return a.Owner // who may change the list
	}
	everybody := wellKnown(windows.WinWorldSid)
	if a.list == nil {
		return everybody
	}
	for i := range uint32(a.list.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(a.list, i, &entry); err != nil {
			return everybody
		}
		if entry.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || entry.Mask&rights == 0 {
			continue
		}
		switch entry.Header.AceType {
		case aceAllowed, aceAllowedCallback:
			sid := (*windows.SID)(unsafe.Pointer(&entry.SidStart))
			if !u.Trusts(sid) && !sid.IsWellKnown(windows.WinCreatorOwnerRightsSid) {
				return sid
			}
		case aceAllowedObject, aceAllowedCallbackObject:
			return everybody // they have no meaning for files, and nobody makes them
		}
	}
	return nil
}

// openForAccess opens what stands at path itself, link or not, to read its access list.
func openForAccess(path string) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES, shareAll, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return h, nil
}

// AccessAt is AccessOf what stands at path itself, link or not.
func AccessAt(path string) (Access, error) {
	h, err := openForAccess(path)
	if err != nil {
		return Access{}, err
	}
	defer windows.CloseHandle(h)
	a, err := AccessOf(h, windows.SE_FILE_OBJECT)
	if err != nil {
		err = &os.PathError{Op: "open", Path: path, Err: err}
	}
	return a, err
}
