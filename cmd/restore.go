package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

An encrypted backup needs the secret key of one of its recipients, in a file as
age-keygen writes it.`,
		Example: `  husk restore /var/backups/husk.tar
  husk restore husk.tar.age --identity-file key.txt`,
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
	manifest, err := a.replaceStore(ctx, in, keys, empty)
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
func (a *app) holdStore() (release func(), absent bool, err error) {
	unlock, err := embedded.lock(a.storeFile(), time.Second)
	switch {
	case err == nil:
		return func() { unlock() }, false, nil
	case errors.Is(err, db.ErrAbsent):
		return func() {}, true, nil
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
func (a *app) replaceStore(ctx context.Context, in *os.File, keys identities, absent bool) (m archive.Manifest, err error) {
	if !absent { // else nothing is held
		a.removeLeftovers()
	}
	f, err := fsys.CreatePrivate(a.dir(), ".husk-restore-*")
	if err != nil {
		return m, a.explainCopy(err)
	}
	defer os.Remove(f.Name()) // gone after the rename
	m, err = a.unpack(ctx, in, f, keys)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return m, a.explainCopy(err)
	}
	if err := a.proveCopy(ctx, f.Name(), m); err != nil {
		return m, orInterrupted(ctx, err)
	}
	return m, a.explainCopy(a.swap(f.Name(), absent))
}

func (a *app) unpack(ctx context.Context, in *os.File, w io.Writer, keys identities) (m archive.Manifest, err error) {
	size := int64(0)
	if info, err := in.Stat(); err == nil {
		size = info.Size()
	}
	p := a.progress("copying", size, byteText)
	defer p.end()
	r, err := unseal(a.wanted(in), keys)
	if err == nil {
		m, err = readBackup(whileWanted{ctx, r}, p.writer(w))
	}
	return m, orInterrupted(ctx, err)
}

// whileWanted reads until the context ends.
type whileWanted struct {
	ctx context.Context
	io.Reader
}

func (r whileWanted) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
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

// proveCopy opens the copy, walks all of it, and counts what is in it. One of
// an older schema is proved on a copy of its own, because opening it brings it
// up to date: the store that is put in place is the one of the backup.
func (a *app) proveCopy(ctx context.Context, path string, m archive.Manifest) error {
	p := a.progress("checking", 0, countText)
	defer p.end()
	var o db.Options
	if m.Schema < db.SchemaVersion {
		o.Keep = func(context.Context, db.Schema) error { return nil } // it is the copy
		own, err := duplicate(path)
		if err != nil {
			return a.explainCopy(err)
		}
		defer removeOld(filepath.Dir(own), filepath.Base(own), 0) // and what was kept beside it
		path = own
	}
	counts, err := walkCopy(ctx, path, o)
	switch {
	case err != nil:
		return err
	case counts["users"] != m.Counts["users"] || counts["tokens"] != m.Counts["tokens"]:
		return errNoBackup("its store does not hold what its manifest says", nil)
	}
	return nil
}

// walkCopy opens a copy of a store, reads every page and record of it, and
// returns how much there is of what.
func walkCopy(ctx context.Context, path string, o db.Options) (counts map[string]int64, err error) {
	e, err := embedded.open(path, time.Second)
	if err != nil {
		return nil, errNoBackup("its store can't be opened", err)
	}
	defer e.Close()
	store, err := db.Open(ctx, e, o)
	switch {
	case errors.Is(err, db.ErrNewer):
		return nil, &failure{code: exitInvalid, err: err, what: "the backup is of a newer husk: " + err.Error()}
	case err != nil:
		return nil, errNoBackup("its store can't be opened", err)
	}
	var first error
	problems := 0
	err = walkWhole(ctx, store, func(problem error) {
		if problems++; first == nil {
			first = problem
		}
	})
	switch {
	case err != nil:
		return nil, errNoBackup("its store is damaged", err)
	case problems > 0:
		return nil, &failure{code: exitInvalid, err: first, what: fmt.Sprintf("the store in the backup is damaged, in %d place(s): %v", problems, first),
			next: "nothing was changed; restore an older backup"}
	}
	return store.Counts(ctx)
}

// walkWhole reads all pages of a store's file and all its records.
func walkWhole(ctx context.Context, store *db.Store, report func(error)) error {
	if c, ok := store.Engine().(db.Checker); ok {
		if err := c.Check(ctx, report); err != nil {
			return err
		}
	}
	_, err := store.Check(ctx, report)
	return err
}

// duplicate copies a file beside itself.
func duplicate(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := fsys.CreatePrivate(filepath.Dir(path), filepath.Base(path)+"-old-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		os.Remove(out.Name())
	}
	return out.Name(), err
}

// swap puts the copy in the place of the store. The old store gets its second
// name first, durably, so that at every moment, also after the power was cut,
// the first one leads to a whole file and the old one is not lost.
func (a *app) swap(copied string, absent bool) error {
	path, dir := a.storeFile(), a.dir()
	if absent {
		// No lock kept others away: a rename would replace what a server made
		// meanwhile.
		if err := fsys.Place(copied, path); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return &failure{code: exitConflict, err: err, what: "a store was made in " + a.settings.Data + " meanwhile", next: "nothing was changed; stop the server and try again"}
			}
			return err
		}
		return fsys.SyncFolder(dir)
	}
	if err := fsys.Keep(path, copied+"-kept", path+".before-restore"); err != nil {
		return err
	}
	if err := os.Rename(copied, path); err != nil {
		return err
	}
	return fsys.SyncFolder(dir)
}
