package cmd

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"husk/db/fsys"
)

// descriptorLimit is how many descriptors this process may have: the system counts
// handles, sixteen million of them.
func descriptorLimit() int { return math.MaxInt32 }

func owners(fs.FileInfo) (uid, gid int, known bool) { return 0, 0, false }

// whoRules is who may do everything.
const whoRules = "an administrator"

// asOwner is the next step of who may not.
const (
	asOwner = "run the command as the owner of that folder, or as administrator ('Run as administrator')"
	asUser  = "run the command as the user of the server, or as administrator ('Run as administrator')"
)

// defaultData is Husk in the folder for the data of programs: the machine's for the
// system and for whom 'Run as administrator' was chosen, else the user's. It is
// asked of Windows and not of a variable, which who starts an elevated program sets.
func defaultData() string {
	of := windows.FOLDERID_LocalAppData
	if me, err := fsys.Me(); err == nil && me.Elevated {
		of = windows.FOLDERID_ProgramData
	}
	dir, err := windows.KnownFolderPath(of, windows.KF_FLAG_DONT_VERIFY)
	if err != nil {
		return "husk-data"
	}
	return filepath.Join(dir, "Husk")
}

// warnOfWideFolder says so where others may look into the data folder.
func (a *app) warnOfWideFolder(log *slog.Logger) {
	if who := fsys.Visitors(a.dir()); who != "" {
		log.Warn("others may look into the data folder, or change what is in it; take that from them with icacls, or move it to a folder that husk makes itself", "data", a.settings.Data, "who", who)
	}
	if fsys.OpenToOthers(a.storeFile(), nil) {
		log.Warn("others may read the store, with every password hash and signing key in it; take that from them with icacls", "file", a.storePath())
	}
}

// exposed tells who else may read or write a file that holds a secret, or "", and
// how that comes. What is no regular file has been made for its reader.
func exposed(f *os.File) (who, how string) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "", ""
	}
	return fsys.Readers(f), "has them in its access list; see 'icacls', and take that from them"
}

// exposedToAll tells whether others may read the file at path.
func exposedToAll(path string, info fs.FileInfo) bool {
	return info.Mode().IsRegular() && fsys.OpenToOthers(path, info)
}

// writable tells whether others may write to f.
func writable(f *os.File, _ fs.FileInfo) bool { return fsys.Writers(f) != "" }

// What is done about what others may do.
const (
	keepReaders = "take that from them with icacls"
	keepWriters = "take that from them with icacls"
)

// links counts the names of a file, as far as it is open; nil: nothing is known.
func links(f *os.File, _ fs.FileInfo) uint64 {
	if f == nil {
		return 1
	}
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info); err != nil {
		return 0
	}
	return uint64(info.NumberOfLinks)
}

func reloading() []string { return nil }
