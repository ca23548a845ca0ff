package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"husk/db"
	"husk/db/fsys"
	"husk/web/control"
	"husk/web/folder"
)

// This file puts into words what keeps a command from the data folder, and from
// files that it was told to read or write. What the API refuses is in
// api_errors.go.

// failure is an error of the command itself: what happened and why, the next
// step where there is one, and the exit code.
type failure struct {
	code int
	what string
	next string // may be empty
	err  error  // may be nil
}

func (f *failure) Error() string { return f.what }
func (f *failure) Unwrap() error { return f.err }

func usage(what, next string) error { return &failure{code: exitUsage, what: what, next: next} }

// explainStore tells what kept the store from being opened, and the next step.
func (a *app) explainStore(err error) error {
	var own *failure
	var led *folder.LedError
	path := a.storePath()
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &led):
		return &failure{code: exitDenied, err: err, what: whoRules + " does not work in the data folder " + a.settings.Data + ": " + led.What, next: led.Next}
	case errors.Is(err, db.ErrAbsent):
		return &failure{code: exitNotFound, err: err, what: "there is no store in " + a.settings.Data,
			next: "'husk passwd' or 'husk serve' makes one; another folder is named with --data or HUSK_DATA"}
	case errors.Is(err, db.ErrLocked):
		return &failure{code: exitBusy, err: err, what: path + " is in use" + a.holderText(),
			next: "wait for it to end, or stop it"}
	case errors.Is(err, fsys.NoAccess) && !fsys.Lacks(err):
		return a.explainDenied(err)
	case errors.Is(err, db.ErrNewer):
		return &failure{code: exitInvalid, err: err, what: withPath(path, err), next: a.wayBack()}
	case errors.Is(err, db.ErrDamaged):
		return &failure{code: exitInvalid, err: err, what: withPath(path, err),
			next: "nothing was changed; 'husk check' names the places, then restore a backup with 'husk restore', or see what 'husk check --repair' can save"}
	case errors.Is(err, syscall.ENOTDIR):
		return &failure{code: exitFailure, err: err, what: "the data folder " + a.settings.Data + " is no folder, or is in what is none",
			next: "another folder is named with --data or HUSK_DATA"}
	}
	if f, ok := a.explainSystem(err); ok {
		return f
	}
	switch {
	case errors.Is(err, db.ErrDisk):
		return &failure{code: exitFailure, err: err, what: "the disk of " + a.settings.Data + " failed; nothing was changed", next: "look at the log of the machine and at the disk, then try again"}
	case errors.Is(err, db.ErrFull):
		return &failure{code: exitFailure, err: err, what: "the disk of " + a.settings.Data + " is full", next: "free some space and try again"}
	}
	return fmt.Errorf("open the store in %s: %w", a.settings.Data, err)
}

// wayBack is the next step of who has an older husk over a newer store.
func (a *app) wayBack() string {
	kept := fmt.Sprintf(".schema-%d", db.SchemaVersion)
	if info, err := os.Lstat(a.storeFile() + kept); err == nil && info.Mode().IsRegular() {
		return "nothing was changed; take that husk, or go back to the store of before the upgrade, without what was changed since: husk restore " + printable(a.storePath()+kept)
	}
	return "nothing was changed; take that husk, or restore a backup that this one made: husk restore FILE"
}

// withPath is what err says, with the path that it is about, once.
func withPath(path string, err error) string {
	if strings.Contains(err.Error(), path) {
		return err.Error()
	}
	return path + ": " + err.Error()
}

// explainDenied is for EACCES. It looks at owners and modes as they are now.
func (a *app) explainDenied(err error) error {
	why, next := a.whyDenied()
	return &failure{code: exitDenied, err: err, what: fmt.Sprintf("no access to the store in %s: permission denied: %s", a.settings.Data, why), next: next}
}

func (a *app) whyDenied() (why, next string) {
	me := os.Geteuid()
	folder, err := os.Stat(a.dir())
	if err != nil {
		return a.whyNoWay(me)
	}
	uid, gid, known := owners(folder)
	switch {
	case !known:
		return "its owner is somebody else", asOwner
	case uid != me && me != 0:
		return fmt.Sprintf("the folder belongs to uid %d, and this is uid %d", uid, me), asOwner
	case folder.Mode().Perm()&0o300 != 0o300:
		return fmt.Sprintf("its owner, uid %d, may not write there (mode %04o)", uid, folder.Mode().Perm()), "chmod 700 " + shellWord(a.settings.Data)
	}
	for _, name := range []string{embedded.file, control.Name} {
		info, err := os.Lstat(filepath.Join(a.dir(), name))
		if err != nil {
			continue
		}
		path := filepath.Join(a.settings.Data, name)
		if owner, _, _ := owners(info); owner != uid {
			return fmt.Sprintf("%s belongs to uid %d, and its folder to uid %d, as whom husk works there", path, owner, uid),
				fmt.Sprintf("as root: chown %d:%d %s", uid, gid, shellWord(path))
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o600 != 0o600 {
			return fmt.Sprintf("the owner of %s, uid %d, may not read and write it (mode %04o)", path, uid, info.Mode().Perm()), "chmod 600 " + shellWord(path)
		}
	}
	return "owners and modes are as they should be, and something else forbids it",
		"see whether this is root without its powers (a container without CAP_DAC_OVERRIDE, NFS with root_squash), or a security module (SELinux, AppArmor) or an access list forbids it"
}

// whyNoWay names the folder on the way that keeps the caller out.
func (a *app) whyNoWay(me int) (why, next string) {
	for path := filepath.Dir(a.dir()); ; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err == nil {
			uid, _, _ := owners(info)
			return fmt.Sprintf("%s on the way to it belongs to uid %d and has mode %04o, and this is uid %d", path, uid, info.Mode().Perm(), me), asOwner
		}
		if path == filepath.Dir(path) {
			return "a folder on the way to it keeps others out", asOwner
		}
	}
}

// shellWord is a path as one would type it.
func shellWord(path string) string {
	if strings.IndexFunc(path, func(r rune) bool { return !strings.ContainsRune("/._-+,:@%", r) && !isAlnum(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func isAlnum(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// explainSystem is what the system's answer about the data folder means, where
// that is known.
func (a *app) explainSystem(err error) (*failure, bool) {
	c, ok := fsys.Explain(err)
	if !ok {
		return nil, false
	}
	what, next := c.Of(a.settings.Data), c.Next
	if c.Kind == fsys.Failed && c.Code != syscall.EROFS {
		what += "; nothing was changed"
	}
	if !strings.Contains(what, a.settings.Data) {
		what = "the store in " + a.settings.Data + " can't be reached: " + what
	}
	return &failure{code: systemCode(c), err: err, what: what, next: next}, true
}

func systemCode(c fsys.Cause) int {
	if c.Kind == fsys.Denied {
		return exitDenied
	}
	return exitFailure
}

// explainSocket tells what keeps a command from the control socket; nil: not
// the file system.
func (a *app) explainSocket(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		if f, ok := a.explainSystem(err); ok {
			return f
		}
		return nil
	}
	f := &failure{code: exitDenied, err: err, what: "no access to the control socket in " + a.settings.Data + ": permission denied",
		next: asUser}
	var stranger *control.StrangerError
	if errors.As(err, &stranger) {
		f.what += fmt.Sprintf(": its server runs as %s, and the folder belongs to %s", stranger.Server, stranger.Folder)
		f.next = "stop that server; the owner of the folder runs it, and its commands"
		return f
	}
	folder, err1 := os.Stat(a.settings.Data)
	path := filepath.Join(a.settings.Data, control.Name)
	socket, err2 := os.Lstat(path)
	if errors.Is(err1, fs.ErrPermission) || errors.Is(err2, fs.ErrPermission) {
		return a.explainDenied(err) // the folder, or the way to it
	}
	if err1 != nil || err2 != nil {
		return f
	}
	uid, gid, _ := owners(folder)
	if owner, _, known := owners(socket); known && owner != uid {
		f.what += fmt.Sprintf(": %s belongs to uid %d, and its folder to uid %d", path, owner, uid)
		f.next = fmt.Sprintf("stop the server of uid %d, if one runs; then, as root: rm -f %s, and chown -R %d:%d %s", owner, shellWord(path), uid, gid, shellWord(a.settings.Data))
	}
	return f
}

// fileFailure says that a file that was named can't be read or written, why,
// and what to do.
func fileFailure(code int, what string, err error) *failure {
	f := &failure{code: code, err: err, what: what + ": " + plainPathError(err)}
	if c, ok := fsys.Explain(err); ok {
		f.next = c.Next
	}
	return f
}

// readFailed says what could not be read and why, unless err says it already.
func readFailed(what string, err error) error {
	var own *failure
	if errors.As(err, &own) {
		return err
	}
	return fileFailure(exitCode(err), what, err)
}

// plainPathError is the path and the cause, without the name of a system call.
func plainPathError(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Path + ": " + p.Err.Error()
	}
	return err.Error()
}

// plainWriteError is plainPathError for a file that is first written under
// another name: the one that was asked for is told.
func plainWriteError(file string, err error) string {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		err = p.Err
	case errors.As(err, &l):
		err = l.Err
	}
	return file + ": " + err.Error()
}
