package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

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

type auditListOptions struct {
	actor, action, target, since, until string
	follow                              bool
	last                                uint
}

func (a *app) auditListCommand() *cobra.Command {
	var o auditListOptions
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the audit log, the newest entry first",
		Example: `  husk audit list --since 24h
  husk audit list --target 0f5c… --json
  husk audit list --actor ann@example.com --action token.create
  husk audit list --follow`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.auditList(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.actor, "actor", "", "only what this user did (email or id; 'local' for the command line)")
	f.StringVar(&o.action, "action", "", "only this action, such as session.login or token.create")
	f.StringVar(&o.target, "target", "", "only what was done to this (the id of a user, token or session, or an email)")
	f.StringVar(&o.since, "since", "", "only since this time (RFC 3339), or this long ago, such as 24h or 7d")
	f.StringVar(&o.until, "until", "", "only before this time, or this long ago")
	f.UintVar(&o.last, "last", 0, "only so many of the newest; 0 for all")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with new entries as they come; begins with --last, 10 where it is not given")
	return cmd
}

func (a *app) auditList(ctx context.Context, o auditListOptions) error {
	filter := map[string]string{"actor": o.actor, "action": o.action, "target": o.target}
	for name, value := range map[string]string{"since": o.since, "until": o.until} {
		t, err := parseMoment(value, time.Now())
		if err != nil {
			return err
		}
		filter[name] = t
	}
	list := api.ListOptions{Filter: filter, Size: int(min(o.last, 1000))} // no more than is shown
	if o.follow {
		list.Size = 100
		return a.auditFollow(ctx, list, cmp.Or(o.last, 10))
	}
	return a.use(ctx, false, func(s *session) error {
		hits := limit(api.All(ctx, list, s.SearchAudit), o.last)
		header := []string{"SEQ", "TIME", "ACTION", "RESULT", "ACTOR", "TARGET", "FROM", "TIMES"}
		return printAll(a, hits, header, auditRow)
	})
}

func auditRow(e api.AuditEvent) []string {
	from := e.Address
	if from == "" {
		from = e.Transport
	}
	actor := e.ActorName
	if actor == "" {
		actor = e.Actor
	}
	return []string{strconv.FormatUint(e.Seq, 10), timeText(e.Time), e.Action, e.Result, orDash(actor), orDash(e.Target), orDash(from), strconv.Itoa(e.Count)}
}

// limit ends a list after n hits; 0 is no limit.
func limit[T any](hits iter.Seq2[T, error], n uint) iter.Seq2[T, error] {
	if n == 0 {
		return hits
	}
	return func(yield func(T, error) bool) {
		left := n
		for hit, err := range hits {
			if left--; !yield(hit, err) || left == 0 {
				return
			}
		}
	}
}

// followEvery is how often --follow looks for new entries.
const followEvery = time.Second

// auditFollow prints the newest entries, as many as begin says, and then new
// ones as they come. It connects anew each time: it must not hold the file that
// others want to write.
func (a *app) auditFollow(ctx context.Context, list api.ListOptions, begin uint) error {
	var last uint64
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		var fresh []api.AuditEvent
		err := a.use(ctx, false, func(s *session) error {
			for hit, err := range api.All(ctx, list, s.SearchAudit) {
				if err != nil || hit.Source.Seq <= last || (first && uint(len(fresh)) == begin) {
					return err
				}
				fresh = append(fresh, hit.Source)
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil // the way that a person ends it
		}
		if err != nil {
			return err
		}
		for i := len(fresh) - 1; i >= 0; i-- {
			last = fresh[i].Seq
			if err := a.printEvent(fresh[i]); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *app) printEvent(e api.AuditEvent) error {
	if a.settings.JSON {
		return a.printLine(e)
	}
	row := auditRow(e)
	for i, cell := range row {
		row[i] = printable(cell)
	}
	_, err := fmt.Fprintf(a.stdout, "%s  %s  %-16s %-7s %s  %s  %s  x%s\n", row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7])
	return err
}

// parseMoment returns a time as RFC 3339 from one, or from how long ago it is.
func parseMoment(text string, now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(time.RFC3339), nil
		}
	}
	d, err := parseDuration(text)
	if err != nil || d < 0 {
		return "", usage("the time is not understood", "give one of RFC 3339, such as 2030-12-31T08:00:00Z, or how long ago: 90s, 24h, 7d")
	}
	return now.Add(-d).UTC().Format(time.RFC3339), nil
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

// entryLines passes on the lines of an export and notes whether numbers are left
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
			l.note()
		} else if len(l.begin) < 32 {
			l.begin = append(l.begin, b)
		}
	}
	return l.out.Write(p)
}

func (l *entryLines) note() {
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
