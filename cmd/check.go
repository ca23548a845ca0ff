package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web/api"
)

func (a *app) checkCommand() *cobra.Command {
	var repair, schema bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Walk the whole store and tell whether it is sound",
		Long: `Walk the whole store and tell whether it is sound: the pages of the file, the
checksum of every record, indexes and counters against the records, the audit
chain. It works beside the running server and without one, changes nothing, and
ends with 7 where something does not fit. Without a server it also tells what is
wrong with a file that can't be opened any more. Where half of the file and
32 MiB at least are free, it says that a compaction is worth it.

--repair makes a sound store of what can be read. It works on the file alone,
with the server stopped. What its checksum proves is taken over; indexes and
counters are made anew. A damaged record is lost to the store, and is set aside
as it was found in husk.db.damaged.ndjson; nothing is guessed. An entry that the
audit log has lost stays named in every 'husk audit verify'. The file as it was
stays as husk.db.before-repair. A backup that is sound is better: restore it
where what was changed since can be missed.

--schema tells of which schema the store is, which one this husk writes, and the
least version of husk that reads the store, and ends with 7 where this one does
not: so it answers whether a store can be opened before anything is replaced. It
reads the file beside a server too, waits for nobody, and upgrades nothing.`,
		Example: `  husk check
  husk check --repair
  husk check --schema`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case repair:
				return a.repair(cmd.Context())
			case schema:
				return a.tellSchema()
			}
			return a.check(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "make a sound store of what can be read; the server must not run")
	cmd.Flags().BoolVar(&schema, "schema", false, "tell only whether this husk can open the store")
	cmd.MarkFlagsMutuallyExclusive("repair", "schema")
	a.yesFlag(cmd.Flags())
	return cmd
}

func (a *app) check(ctx context.Context) error {
	r, err := a.verdict(ctx)
	if err != nil {
		return err
	}
	if a.settings.JSON {
		err = a.printJSON(r)
	} else {
		for _, problem := range r.Problems {
			fmt.Fprintln(a.stdout, printable(problem))
		}
		err = a.pairs("records", fmt.Sprint(r.Records), "problems", fmt.Sprint(len(r.Problems)), "sound", yesNo(r.OK))
	}
	if r.Compact {
		a.say("%s of the file's %s are free: 'husk compact' gives them back, while the server is stopped.", byteText(r.Free), byteText(r.Size))
	}
	if err == nil && !r.OK {
		err = &failure{code: exitInvalid, what: "the store is damaged",
			next: "keep a copy of the file, then restore a backup with 'husk restore', or see what 'husk check --repair' can save"}
	}
	return err
}

// verdict asks whoever has the store; a file that nobody can open is looked at
// page by page.
func (a *app) verdict(ctx context.Context) (r api.CheckReport, err error) {
	p := a.progress("checking", 0, countText)
	defer p.end()
	err = a.use(ctx, false, func(s *session) error {
		r, err = s.Check(ctx)
		return err
	})
	if a.settings.Server == "" && errors.Is(err, db.ErrDamaged) {
		return a.examine(ctx, err, p)
	}
	return r, err
}

// maxProblems bounds what a verdict names, as that of the server does.
const maxProblems = 1000

// examine tells what is wrong with a file that can't be opened, for the reason
// refused.
func (a *app) examine(ctx context.Context, refused error, p *progress) (r api.CheckReport, err error) {
	r.Problems = []string{}
	note := func(err error) {
		if len(r.Problems) < maxProblems {
			r.Problems = append(r.Problems, err.Error())
		}
	}
	leave, err := a.enter(false)
	if err != nil {
		return r, err
	}
	defer leave()
	file, err := embedded.look(a.storeFile(), time.Second)
	if errors.Is(err, db.ErrDamaged) { // no file at all
		note(err)
		return r, nil
	}
	if err != nil {
		return r, a.explainStore(err)
	}
	defer file.Close()
	err = file.Walk(ctx, func(bucket string, key, sealed []byte) {
		r.Records++
		p.add(1)
		if err := db.CheckRecord(bucket, key, sealed); err != nil {
			note(err)
		}
	}, note)
	if err == nil && len(r.Problems) == 0 {
		note(refused) // what no single page or record shows
	}
	return r, err
}
