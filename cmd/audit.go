package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who did what, when, from where, and whether the log of it is whole",
		RunE:  group,
	}
	cmd.AddCommand(a.auditListCommand(), a.auditVerifyCommand(), a.auditHeadCommand(), a.auditExportCommand())
	return cmd
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Tell whether the audit log is whole",
		Long: `Tell whether the audit log is whole: whether an entry was removed, changed or
reordered since it was written. Who can write the file can write the whole log
anew; against that, keep what 'husk audit head' prints elsewhere, and give it as
--head later, alone or as NUMBER:HASH. Where the log still holds that entry, all
before it that is there is as it was. Where retention has removed the entry, that
is said: the store signed for it, which proves nothing against one who can write
its file, so keep a new hash every day.

It ends with 7 where the log is not whole, or where the entry was never there or
was removed otherwise. What damage took before a 'husk check --repair' is named
and no fault of the rest.`,
		Example: `  husk audit head | ssh elsewhere 'cat >> husk-heads'
  husk audit verify --head 6f1e…`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if head == "" && cmd.Flags().Changed("head") {
				return usage("--head is empty", "give a hash that 'husk audit head' printed, or leave --head out")
			}
			return a.use(cmd.Context(), false, func(s *session) error {
				v, err := s.VerifyAudit(cmd.Context(), head)
				if err != nil {
					return err
				}
				return a.printVerdict(v)
			})
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "a hash that 'husk audit head' printed before, or its entry's number, a colon and the hash")
	return cmd
}

// keptTexts tell what became of the entry whose hash was kept.
var keptTexts = map[string]string{
	"present":   "present",
	"pruned":    "pruned by retention, as the store signed; keep a newer one",
	"forgotten": "pruned by retention, too long ago to compare it; keep a newer one",
	"lost":      "lost to damage, before a repair",
	"absent":    "absent",
}

func (a *app) printVerdict(v api.AuditVerdict) error {
	var err error
	if a.settings.JSON {
		err = a.printJSON(v)
	} else {
		for _, problem := range v.Problems {
			fmt.Fprintln(a.stdout, printable(problem))
		}
		for _, gap := range v.Gaps {
			fmt.Fprintln(a.stdout, printable(gap))
		}
		pairs := []string{"entries", fmt.Sprintf("%d (%d to %d)", v.Entries, v.First, v.Last), "head", v.Head}
		if v.Pruned > 0 {
			pairs = append(pairs, "pruned", fmt.Sprintf("%d refusals of strangers, by retention", v.Pruned))
		}
		if v.Kept != "" {
			pairs = append(pairs, "kept head", cmp.Or(keptTexts[v.Kept], v.Kept))
		}
		err = a.pairs(append(pairs, "whole", yesNo(v.OK))...)
	}
	if err == nil && !v.OK {
		err = &failure{code: exitInvalid, what: "the audit log is not whole", next: "what it says from the named place on can't be relied on; compare it with a backup"}
	}
	return err
}

func (a *app) auditHeadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "head",
		Short: "Print the hash of the newest entry, to be kept elsewhere",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				h, err := s.AuditHead(cmd.Context())
				if err != nil {
					return err
				}
				if a.settings.JSON {
					return a.printJSON(h)
				}
				_, err = fmt.Fprintln(a.stdout, h.Hash)
				return err
			})
		},
	}
}

func (a *app) auditExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print the whole audit log as NDJSON, the oldest entry first",
		Long: `Print the whole audit log as NDJSON, the oldest entry first. A damaged entry is left
out: then it ends with 7, and says which. What retention removed is no fault.`,
		Example: `  husk audit export >audit.ndjson`,
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				lines := &entryLines{out: wantedWriter{a, a.stdout}}
				if err := s.ExportAudit(cmd.Context(), lines); err != nil || !lines.gaps {
					return err
				}
				v, err := s.VerifyAudit(cmd.Context(), "")
				if err != nil {
					return err
				}
				return complete(v)
			})
		},
	}
}

// entryLines passes on the lines of an export and sees whether numbers are left
// out.
type entryLines struct {
	out   io.Writer
	begin []byte // of the line under way, as far as its number needs
	last  uint64
	gaps  bool
}

// Write implements io.Writer.
func (l *entryLines) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			l.ended()
		} else if len(l.begin) < 32 {
			l.begin = append(l.begin, b)
		}
	}
	return l.out.Write(p)
}

func (l *entryLines) ended() {
	var seq uint64
	_, err := fmt.Sscanf(string(l.begin), `{"seq":%d,`, &seq)
	l.begin = l.begin[:0]
	l.gaps = l.gaps || err != nil || l.last != 0 && seq != l.last+1
	l.last = seq
}

// complete is an error where entries were left out that retention did not
// remove.
func complete(v api.AuditVerdict) error {
	if len(v.Unread) == 0 {
		return nil
	}
	var missing []string
	for _, span := range v.Unread[:min(len(v.Unread), 20)] {
		if span.From == span.To {
			missing = append(missing, strconv.FormatUint(span.From, 10))
		} else {
			missing = append(missing, fmt.Sprintf("%d to %d", span.From, span.To))
		}
	}
	return &failure{code: exitInvalid, what: "entries are left out that can't be read: " + strings.Join(missing, ", "),
		next: "'husk audit verify' tells of all of them; compare the log with a backup"}
}
