package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/db/archive"
	"husk/db/fsys"
)

func (a *app) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Shrink the store's file to what is in it; the server must not run",
		Long: `Shrink the store's file to what is in it. The file never shrinks by itself: the
place of what is removed is used again, not given back. A whole copy is written
and checked, then it takes the place of the file in one step: killed at any
moment, the old or the new one is whole. It refuses while a server runs, and
needs as much free space as the copy takes.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := onFile(cmd); err != nil {
				return err
			}
			return a.compact(cmd.Context())
		},
	}
}

// compacted is what --json prints.
type compacted struct {
	Before int64 `json:"before"` // bytes
	After  int64 `json:"after"`
}

func (a *app) compact(ctx context.Context) error {
	// The lock of the old file is held until the new one is in its place.
	leave, err := a.enter(false)
	if err != nil {
		return err
	}
	defer leave()
	store, err := a.openStore(ctx, time.Second, false)
	if err != nil {
		return orInterrupted(ctx, err)
	}
	defer store.Close()
	a.removeLeftovers()
	var r compacted
	if r.Before, err = fileSize(a.storeFile()); err != nil {
		return a.explainStore(err)
	}
	copied := filepath.Join(a.dir(), fmt.Sprintf(".husk-compact-%d", os.Getpid()))
	defer os.Remove(copied) // gone after the rename
	if err := a.copyCompact(ctx, store, copied); err != nil {
		return orInterrupted(ctx, err)
	}
	if r.After, err = fileSize(copied); err != nil {
		return a.explainStore(err)
	}
	if err := a.swapCompact(store, copied); err != nil {
		return a.explainCopy(err)
	}
	if a.settings.JSON {
		return a.printJSON(r)
	}
	a.say("%s had %d bytes and has %d.", a.storePath(), r.Before, r.After)
	return nil
}

func (a *app) swapCompact(store *db.Store, copied string) error {
	f, err := fsys.OpenFile(copied, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	release, err := embedded.yield(store.Engine())
	if err != nil {
		return err
	}
	return errors.Join(archive.SwapIn(f, a.storeFile(), "", release), release())
}

// copyCompact writes the copy and reads the whole of it: nothing damaged takes
// the place of a store.
func (a *app) copyCompact(ctx context.Context, store *db.Store, copied string) error {
	stats := store.Stats().Engine
	p := a.progress("copying", stats.Size-stats.FreeBytes(), byteText)
	p.watch(func() int64 { n, _ := fileSize(copied); return n })
	err := embedded.compact(ctx, store.Engine(), copied)
	p.end()
	if err != nil {
		return a.explainCopy(err)
	}
	p = a.progress("checking", 0, countText)
	defer p.end()
	_, err = archive.Prove(ctx, copied, openCopy, true)
	if errors.Is(err, db.ErrDamaged) {
		return &failure{code: exitInvalid, err: err, what: "the store is damaged; nothing was changed", next: "'husk check' names the places; restore a backup"}
	}
	return a.explainCopy(err)
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
