package cmd

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"husk/web/api"
	"husk/web/story"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain REQUEST_ID",
		Short: "Tell all that is known of one request",
		Long: `Tell all that the audit log knows of one request: who asked, when, by which
transport, from where, and what it did. Every answer has the id of its request,
as X-Request-Id, and so has every line of the server's log; commands on the
machine are requests too, and 'husk audit list --json' has their ids.

It ends with 3 where there is no entry: what changed nothing leaves none. Of
refused sign-ins that were folded into one entry, that has the id of the first.
Why something was refused, and what one can do, is said on stderr.`,
		Example: `  husk explain 4f1c0a9be2d7-1k
  husk explain 4f1c0a9be2d7-1k --json`,
		Args: one("the id of a request"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := strings.TrimSpace(args[0])
			if id == "" { // which the API would take for none asked for
				return usage("the id of the request is empty", "give the X-Request-Id of an answer, or a request_id of 'husk audit list --json'")
			}
			return a.use(cmd.Context(), false, func(s *session) error { return a.explainRequest(cmd.Context(), s, id) })
		},
	}
}

// explanation is what --json prints.
type explanation struct {
	RequestID string           `json:"request_id"`
	Entries   []api.AuditEvent `json:"entries"` // of the audit log, the oldest first
}

func (a *app) explainRequest(ctx context.Context, s *session, id string) error {
	told, err := story.Of(ctx, s.SearchAudit, id, 0, a.administers(ctx, s))
	switch {
	case err != nil:
		return err
	case !told.Known():
		return &failure{code: exitNotFound, what: told.Headline, next: told.Next[0].Words}
	case !a.settings.JSON:
		return a.printStory(told)
	}
	out := explanation{RequestID: id}
	for _, e := range told.Entries {
		out.Entries = append(out.Entries, e.AuditEvent)
	}
	return a.printJSON(out)
}

// administers tells whether who asks is an administrator. Who has the data folder is.
func (a *app) administers(ctx context.Context, s *session) bool {
	if a.settings.Server == "" {
		return true
	}
	who, err := s.Profile(ctx)
	return err == nil && who.Administrator
}

func (a *app) printStory(told *story.Story) error {
	var facts []string
	for _, f := range told.Facts(a.timeText, time.Now()) {
		facts = append(facts, f.Name, f.Value)
	}
	if err := a.pairs(facts...); err != nil {
		return err
	}
	rows := [][]string{}
	for _, e := range told.Entries {
		rows = append(rows, []string{strconv.FormatUint(e.Seq, 10), e.Action, e.Result, a.targetText(e.AuditEvent), strconv.Itoa(e.Count)})
		if e.Note != "" {
			a.say("%s", e.Note)
		}
	}
	if told.Why != "" {
		a.say("%s: %s", told.Headline, told.Why)
	}
	for _, step := range told.Next {
		if step.Command == "" {
			a.say("%s", step.Words)
		} else {
			a.say("%s: %s", step.Words, step.Command)
		}
	}
	return a.table([]column{{name: "SEQ"}, {name: "ACTION"}, {name: "RESULT"}, {name: "TARGET", least: 20}, {name: "TIMES"}}, rows)
}
