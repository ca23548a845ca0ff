package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"husk/db"
	"husk/db/bolt"
	"husk/db/fsys"
	"husk/web/folder"
)

// engine is the one table of the engine in use: all that a command may know of
// one. Another engine is another value of it.
type engine struct {
	file string // name in the data folder
	open func(path string, wait time.Duration) (db.Engine, error)
	// openNamed opens by one path what others find by another.
	openNamed func(path, named string, wait time.Duration) (db.Engine, error)
	create    func(path string, init func(db.Tx) error) error
	holder    func(path string) (pid int, name string, ok bool)
	// lock locks the file, whatever is in it.
	lock func(path string, wait time.Duration) (release func() error, err error)
	// compact writes a copy without free pages.
	compact func(ctx context.Context, e db.Engine, path string) error
	// look takes the lock of a file that may be too damaged to be opened.
	look func(path string, wait time.Duration) (damagedFile, error)
	// fill makes a file of what write puts in.
	fill func(path string, write func(db.Tx) error) error
}

// damagedFile is a store's file without its engine.
type damagedFile interface {
	Unreadable() error // why nothing can be read; nil: something can
	Walk(ctx context.Context, record func(bucket string, key, value []byte), report func(error)) error
	Close() error
}

var embedded = engine{
	file: "husk.db",
	open: func(path string, wait time.Duration) (db.Engine, error) {
		return openBolt(path, bolt.Options{Timeout: wait})
	},
	openNamed: func(path, named string, wait time.Duration) (db.Engine, error) {
		return openBolt(path, bolt.Options{Timeout: wait, Named: named})
	},
	create: bolt.Create,
	holder: bolt.Holder,
	lock:   bolt.Lock,
	compact: func(ctx context.Context, e db.Engine, path string) error {
		c, ok := e.(db.Compacter)
		if !ok {
			return errors.New("the store is in no file that could be made smaller")
		}
		return c.Compact(ctx, path)
	},
	look: func(path string, wait time.Duration) (damagedFile, error) {
		f, err := bolt.OpenFile(path, wait)
		if err != nil {
			return nil, err
		}
		return f, nil
	},
	fill: bolt.Fill,
}

func openBolt(path string, o bolt.Options) (db.Engine, error) {
	e, err := bolt.Open(path, o)
	if err != nil {
		return nil, err // not a nil *bolt.Engine in an interface
	}
	return e, nil
}

func (a *app) storePath() string { return filepath.Join(a.settings.Data, embedded.file) }

// openStore opens the store, waiting for its lock at most so long. An absent
// one is made where create says so.
func (a *app) openStore(ctx context.Context, wait time.Duration, create bool) (*db.Store, error) {
	if create {
		if err := a.makeStore(); err != nil {
			return nil, err
		}
	}
	e, err := embedded.openNamed(a.storeFile(), a.storePath(), wait)
	if err != nil {
		return nil, a.explainStore(err)
	}
	options := db.Options{Keep: func(ctx context.Context, schema db.Schema) error { return a.keepSchema(ctx, e, schema) }}
	if a.completing { // a look at it upgrades nothing
		options.Keep = nil
	}
	store, err := db.Open(ctx, e, options)
	if err != nil {
		e.Close()
		return nil, a.explainStore(err)
	}
	return store, nil
}

// makeStore makes folder and store where they are absent. Of several processes
// at once one makes the store and the others find it.
func (a *app) makeStore() error {
	if err := makeFolder(a.dir()); err != nil {
		return a.explainStore(err)
	}
	_, err := os.Lstat(a.storeFile())
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // there; what it is, opening it will tell
	}
	err = embedded.create(a.storeFile(), db.Init)
	switch {
	case err == nil:
		a.tellMade()
	case !errors.Is(err, fs.ErrExist):
		return a.explainStore(err)
	}
	return nil
}

// tellMade says where a store was made that nobody named a folder for: the
// default is another one for each user, and a server may serve that of another.
func (a *app) tellMade() {
	if a.resolved != nil && a.resolved.sourceOf("data") == fromDefault {
		a.say("A new store was made in %s.", a.settings.Data)
	}
}

// makeFolder makes a folder, and those above it that are missing, for their
// owner alone. Whatever the umask: one that takes rights from the owner would
// leave folders which only root can enter. Their names are made durable: a
// store is no safer than the name of its folder.
func makeFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err // nil: it is there
	}
	if parent := filepath.Dir(path); parent != path {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(path, 0o700); {
	case errors.Is(err, fs.ErrExist):
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil // made meanwhile
		}
		return err // a link to nowhere
	case err != nil:
		return err
	}
	if err := fsys.MakePrivateFolder(path); err != nil {
		return err
	}
	return keepName(path)
}

// keepName makes the name of a new folder durable, or takes the folder away
// again: who comes next would take it for safe.
func keepName(path string) error {
	parent := filepath.Dir(path)
	err := fsys.SyncFolder(parent)
	if err == nil || errors.Is(err, fs.ErrPermission) { // one that can be written but not read can't be synced
		return nil
	}
	os.Remove(path)
	if c, ok := fsys.Explain(err); ok {
		return &failure{code: systemCode(c), err: err, what: c.Of(parent) + "; nothing was changed", next: c.Next}
	}
	return err
}

// removeLeftovers removes the temporary files of commands that were killed:
// whole copies of the store, some of them. The lock of the store has to be
// held: whoever makes such a file holds it, so none of them is in use.
func (a *app) removeLeftovers() {
	for _, kind := range []string{"backup", "compact", "repair", "restore", "schema"} {
		removeOld(a.dir(), ".husk-"+kind+"-", 0)
	}
}

// removeOld removes the files of a folder whose names begin with prefix and
// that nobody wrote to for so long. A failure is of no matter: the next one
// tries again.
func removeOld(dir, prefix string, age time.Duration) {
	in, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer in.Close()
	entries, _ := fs.ReadDir(in.FS(), ".")
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if info, err := entry.Info(); err == nil && (age == 0 || time.Since(info.ModTime()) > age) {
			in.Remove(entry.Name())
		}
	}
}

// explainStore tells what kept the store from being opened, and the next step.
func (a *app) explainStore(err error) error {
	var own *failure
	var led *folder.LedError
	path := a.storePath()
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &led):
		return &failure{code: exitDenied, err: err, what: "root does not work in the data folder " + a.settings.Data + ": " + led.What, next: led.Next}
	case errors.Is(err, db.ErrAbsent):
		return &failure{code: exitNotFound, err: err, what: "there is no store in " + a.settings.Data,
			next: "'husk passwd' or 'husk serve' makes one; another folder is named with --data or HUSK_DATA"}
	case errors.Is(err, db.ErrLocked):
		return &failure{code: exitBusy, err: err, what: path + " is in use" + a.holderText(),
			next: "wait for it to end, or stop it"}
	case errors.Is(err, syscall.EACCES) && !fsys.Lacks(err):
		return a.explainDenied(err)
	case errors.Is(err, db.ErrNewer):
		return &failure{code: exitInvalid, err: err, what: withPath(path, err)}
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

// withPath is what err says, with the path that it is about, once.
func withPath(path string, err error) string {
	if strings.Contains(err.Error(), path) {
		return err.Error()
	}
	return path + ": " + err.Error()
}

func (a *app) holderText() string {
	if pid, name, ok := embedded.holder(a.storeFile()); ok {
		return fmt.Sprintf(" by process %d (%s)", pid, printable(name))
	}
	return " by another process"
}
