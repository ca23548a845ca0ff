package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web/api"
)

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put the store of a backup in place; the server must not run",
		Long: `Put the store of a backup in place. The copy is verified first; then it takes the
place of the store in one step, and the old one is kept as
husk.db.before-restore. Killed at any moment, either the old or the new one is
whole. It refuses while a server runs.`,
		Example: `  husk restore /var/backups/husk.tar`,
		Args:    one("the FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := onFile(cmd); err != nil {
				return err
			}
			if err := a.confirm("Replace the store in " + a.settings.Data + " by that of " + printable(args[0]) + "?"); err != nil {
				return err
			}
			return a.restore(cmd.Context(), args[0])
		},
	}
}

func (a *app) restore(ctx context.Context, file string) error {
	if err := makeFolder(a.settings.Data); err != nil {
		return a.explainStore(err)
	}
	// The lock of the old store is held until the new one is in its place: no
	// server can start in between.
	release, err := a.holdStore()
	if err != nil {
		return err
	}
	defer release()
	copied, manifest, err := a.unpack(ctx, file)
	if err != nil {
		return err
	}
	defer os.Remove(copied) // gone after the rename
	if err := a.swap(copied); err != nil {
		return err
	}
	if a.settings.JSON {
		return a.printJSON(manifest)
	}
	a.say("%s is in place: %d users and %d tokens, of %s.", a.storePath(), manifest.Counts["users"], manifest.Counts["tokens"], timeText(manifest.Created))
	return nil
}

// holdStore locks the present store, where there is one. A damaged one can't
// be locked by opening it, and is what a restore is for.
func (a *app) holdStore() (release func(), err error) {
	e, err := embedded.open(a.storePath(), time.Second)
	switch {
	case err == nil:
		return func() { e.Close() }, nil
	case errors.Is(err, db.ErrAbsent), errors.Is(err, db.ErrDamaged):
		return func() {}, nil
	case errors.Is(err, db.ErrLocked):
		return nil, &failure{code: exitBusy, err: err, what: a.storePath() + " is in use" + a.holderText(),
			next: "stop the server first: a restore replaces the file under it"}
	}
	return nil, a.explainStore(err)
}

// unpack copies the store out of the backup into the data folder and proves
// it, by its checksum and by opening it.
func (a *app) unpack(ctx context.Context, file string) (copied string, m api.Manifest, err error) {
	in, err := os.Open(file)
	if err != nil {
		return "", m, &failure{code: exitFailure, err: err, what: "the backup can't be read: " + plainPathError(err)}
	}
	defer in.Close()
	f, err := createPrivate(a.settings.Data, ".husk-restore-*")
	if err != nil {
		return "", m, a.explainStore(err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if m, err = readBackup(in, f); err != nil {
		return "", m, err
	}
	if err := f.Sync(); err != nil {
		return "", m, fmt.Errorf("write the copy: %w", err)
	}
	if err := proveCopy(ctx, f.Name(), m); err != nil {
		return "", m, err
	}
	return f.Name(), m, giveToOwner(f, a.settings.Data)
}

// proveCopy opens the copy and counts what is in it.
func proveCopy(ctx context.Context, path string, m api.Manifest) error {
	e, err := embedded.open(path, time.Second)
	if err != nil {
		return errNoBackup("its store can't be opened", err)
	}
	defer e.Close()
	store, err := db.Open(ctx, e, db.Options{})
	if errors.Is(err, db.ErrNewer) {
		return &failure{code: exitInvalid, err: err, what: "the backup is of a newer husk: " + err.Error()}
	}
	if err != nil {
		return errNoBackup("its store can't be opened", err)
	}
	counts, err := store.Counts(ctx)
	if err != nil || counts["users"] != m.Counts["users"] || counts["tokens"] != m.Counts["tokens"] {
		return errNoBackup("its store does not hold what its manifest says", err)
	}
	return nil
}

// giveToOwner gives a file that root made to the owner of its folder, so that
// the service can open it.
func giveToOwner(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// swap puts the copy in the place of the store. The old store gets a second
// name first, so that at every moment the first one leads to a whole file.
func (a *app) swap(copied string) error {
	kept := a.storePath() + ".before-restore"
	if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the store kept before: %w", err)
	}
	if err := os.Link(a.storePath(), kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the old store: %w", err)
	}
	if err := os.Rename(copied, a.storePath()); err != nil {
		return fmt.Errorf("put the store in place: %w", err)
	}
	return syncDir(filepath.Dir(a.storePath()))
}
