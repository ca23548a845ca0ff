package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
)

func (a *app) restoreCommand() *cobra.Command {
	var identityFile string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the store of a backup in place; the server must not run",
		Long: `Put the store of a backup in place. The copy is verified first, every record of
it; then it takes the place of the store in one step, and the old one is kept as
husk.db.before-restore. Killed at any moment, either the old or the new one is
whole. It refuses while a server runs.

FILE may also be a store that Husk keeps aside: husk.db.schema-N, of before an upgrade,
husk.db.before-restore or husk.db.before-repair. It is put in place as it is, so an
older husk can go on with it.

An encrypted backup needs the secret key of one of its recipients, in a file as
age-keygen writes it.`,
		Example: `  husk restore /var/backups/husk.tar
  husk restore husk.tar.age --identity-file key.txt
  husk restore /var/lib/husk/husk.db.schema-3`,
		Args: pathArgs(one("the FILE")),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := onFile(cmd); err != nil {
				return err
			}
			if err := a.confirm("Replace the store in " + a.settings.Data + " by that of " + printable(args[0]) + "?"); err != nil {
				return err
			}
			return a.restore(cmd.Context(), args[0], identityFile)
		},
	}
	pathVar(cmd.Flags(), &identityFile, "identity-file", "file with the age identity that decrypts FILE (- for stdin)")
	a.yesFlag(cmd.Flags())
	return cmd
}

func (a *app) restore(ctx context.Context, file, identityFile string) (err error) {
	keys, err := a.readIdentities(identityFile)
	if err != nil {
		return err
	}
	in, err := a.open(file)
	if err != nil {
		return readFailed("the backup can't be read", err)
	}
	defer in.Close()
	if begins := io.NewSectionReader(in, 0, 1<<10); !encrypted(begins) {
		a.warnExposed("the backup", file, in)
	}
	_, absent := os.Lstat(a.settings.Data)
	leave, err := a.enter(true)
	if err != nil {
		return err
	}
	defer leave()
	if err := makeFolder(a.dir()); err != nil {
		return a.explainStore(err)
	}
	defer func() {
		if err != nil && absent != nil {
			os.Remove(a.settings.Data) // it was made, and holds nothing
		}
	}()
	// The lock of the old store is held until the new one is in its place: no
	// server can start in between.
	release, empty, err := a.holdStore()
	if err != nil {
		return err
	}
	defer release()
	manifest, err := a.replaceStore(ctx, in, keys, empty, release)
	if err != nil {
		return err
	}
	if a.settings.JSON {
		return a.printJSON(manifest)
	}
	a.say("%s is in place: %d users and %d tokens, of %s.", a.storePath(), manifest.Counts["users"], manifest.Counts["tokens"], a.timeText(manifest.Created))
	return nil
}

// holdStore locks the present store, where there is one, whatever is in it: a
// damaged one is what a restore is for, and a server may serve it yet.
func (a *app) holdStore() (release func() error, absent bool, err error) {
	unlock, err := embedded.lock(a.storeFile(), time.Second)
	switch {
	case err == nil:
		return sync.OnceValue(unlock), false, nil
	case errors.Is(err, db.ErrAbsent):
		return func() error { return nil }, true, nil
	case errors.Is(err, db.ErrLocked):
		return nil, false, &failure{code: exitBusy, err: err, what: a.storePath() + " is in use" + a.holderText(),
			next: "stop the server first: a restore replaces the file under it"}
	case errors.Is(err, db.ErrDamaged): // no file at all
		return nil, false, &failure{code: exitInvalid, err: err, what: err.Error(), next: "nothing was changed; move it away"}
	}
	return nil, false, a.explainStore(err)
}

// replaceStore copies the store out of the backup into the data folder, proves
// it, and puts it in place.
func (a *app) replaceStore(ctx context.Context, in *os.File, keys identities, absent bool, letGo func() error) (m archive.Manifest, err error) {
	if !absent { // else nothing is held
		a.removeLeftovers()
	}
	f, err := fsys.CreatePrivate(a.dir(), ".husk-restore-*")
	if err != nil {
		return m, a.explainCopy(err)
	}
	defer f.Close()
	defer os.Remove(f.Name()) // gone after the rename
	if m, err = a.unpack(ctx, in, f, keys); err != nil {
		return m, a.explainCopy(err)
	}
	found, err := a.proveCopy(ctx, f.Name(), m)
	if err != nil {
		return m, orInterrupted(ctx, err)
	}
	if m.SHA256 == "" { // a store alone, which no manifest told of
		m.Schema, m.Counts = found.Schema, found.Counts
	}
	return m, a.explainCopy(a.swap(f, absent, letGo))
}

func (a *app) unpack(ctx context.Context, in *os.File, w io.Writer, keys identities) (m archive.Manifest, err error) {
	info, err := in.Stat()
	if err != nil {
		return m, err
	}
	isStore, err := a.holdKept(in, info)
	if err != nil {
		return m, err
	}
	p := a.progress("copying", info.Size(), byteText)
	defer p.end()
	if isStore {
		m.Created = info.ModTime().UTC()
		m.Size, err = io.Copy(p.writer(w), a.wanted(in))
		return m, orInterrupted(ctx, err)
	}
	r, err := unseal(a.wanted(in), keys)
	if err == nil {
		m, err = readBackup(ctx, r, p.writer(w))
	}
	return m, orInterrupted(ctx, err)
}

// holdKept tells whether a file is a store that was kept aside, not a backup. Then nobody
// changes it while it is copied.
func (a *app) holdKept(in *os.File, info fs.FileInfo) (isStore bool, err error) {
	if there, err := os.Stat(a.storeFile()); err == nil && os.SameFile(there, info) {
		return false, usage(a.storePath()+" is the store that is to be replaced", "name a backup, or a store that was kept aside")
	}
	if !info.Mode().IsRegular() {
		return false, nil
	}
	isStore, err = embedded.hold(in)
	if errors.Is(err, db.ErrLocked) {
		return false, &failure{code: exitBusy, err: err, what: "that store is in use by another process", next: "'husk backup' makes a copy of it"}
	}
	return isStore, err
}

// orInterrupted is err, or that of an interruption, which explains it.
func orInterrupted(ctx context.Context, err error) error {
	if cause := interrupted(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

// interrupted is the error of work on the file that a signal ended before
// anything was changed.
func interrupted(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &failure{code: exitFailure, err: ctx.Err(), what: "interrupted; nothing was changed"}
}

// explainCopy explains what kept a copy of the store from being written.
func (a *app) explainCopy(err error) error {
	var own *failure
	if err == nil || errors.As(err, &own) {
		return err
	}
	if _, known := fsys.Explain(err); known || errors.Is(err, db.ErrFull) {
		return a.explainStore(err)
	}
	return &failure{code: exitFailure, err: err, what: "the store in " + a.settings.Data + " was not replaced: " + plainPathError(err)}
}

// openCopy opens a copy of a store that nobody else has.
func openCopy(path string) (db.Engine, error) { return embedded.open(path, time.Second) }

// proveCopy reads all of the copy, and holds it against the manifest, where there is one.
func (a *app) proveCopy(ctx context.Context, path string, m archive.Manifest) (archive.Contents, error) {
	p := a.progress("checking", 0, countText)
	defer p.end()
	found, err := archive.Prove(ctx, path, openCopy, true)
	var damaged *archive.DamagedError
	system, _ := fsys.Explain(err)
	switch {
	case errors.As(err, &damaged):
		return found, &failure{code: exitInvalid, err: err, what: fmt.Sprintf("the store in the backup is damaged, in %d place(s): %v", damaged.Places, damaged.First),
			next: "nothing was changed; restore an older backup"}
	case errors.Is(err, db.ErrNewer):
		return found, &failure{code: exitInvalid, err: err, what: "the backup is of a newer husk: " + err.Error(), next: "nothing was changed; restore it with that husk"}
	case system.Kind == fsys.Full || system.Kind == fsys.Failed:
		return found, a.explainCopy(err)
	case err != nil:
		return found, errNoBackup("its store can't be opened", err)
	case m.SHA256 != "" && (found.Counts["users"] != m.Counts["users"] || found.Counts["tokens"] != m.Counts["tokens"]):
		return found, errNoBackup("its store does not hold what its manifest says", nil)
	}
	return found, nil
}

// swap puts the copy in the place of the store, which is kept; where there was
// none, no lock kept others away, and what a server made meanwhile stays.
func (a *app) swap(copied *os.File, absent bool, letGo func() error) error {
	if !absent {
		return archive.SwapIn(copied, a.storeFile(), a.storeFile()+".before-restore", letGo)
	}
	err := archive.PutIn(copied, a.storeFile())
	if errors.Is(err, fs.ErrExist) {
		return &failure{code: exitConflict, err: err, what: "a store was made in " + a.settings.Data + " meanwhile", next: "nothing was changed; stop the server and try again"}
	}
	return err
}
