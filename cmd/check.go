package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Walk the whole store and tell whether it is sound",
		Long: `Walk the whole store and tell whether it is sound: the pages of the file, the
checksum of every record, indexes and counters against the records, the audit
chain. It works beside the running server and without one, changes nothing, and
ends with 7 where something does not fit. Where half of the file and 32 MiB at
least are free, it says that a compaction is worth it.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				r, err := s.Check(cmd.Context())
				if err != nil {
					return err
				}
				if a.settings.JSON {
					err = a.printJSON(r)
				} else {
					for _, problem := range r.Problems {
						fmt.Fprintln(a.stdout, printable(problem))
					}
					err = a.pairs("records", fmt.Sprint(r.Records), "problems", fmt.Sprint(len(r.Problems)), "sound", map[bool]string{true: "yes", false: "no"}[r.OK])
				}
				if r.Compact {
					a.say("%s of the file's %s are free: 'husk compact' gives them back, while the server is stopped.", byteText(r.Free), byteText(r.Size))
				}
				if err == nil && !r.OK {
					err = &failure{code: exitInvalid, what: "the store is damaged", next: "keep a copy of the file, then restore a backup with 'husk restore'"}
				}
				return err
			})
		},
	}
}
