package cmd

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"husk/web/api"
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
refused sign-ins that were folded into one entry, that has the id of the first.`,
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
	out := explanation{RequestID: id}
	for hit, err := range api.All(ctx, api.ListOptions{Filter: map[string]string{"request_id": id}}, s.SearchAudit) {
		if err != nil {
			return err
		}
		out.Entries = append(out.Entries, hit.Source)
	}
	if len(out.Entries) == 0 {
		return &failure{code: exitNotFound, what: "the audit log has no entry of that request",
			next: "what changed nothing leaves none, refused sign-ins of a minute share one, and a server writes them down after half a minute; search its log for the id"}
	}
	slices.Reverse(out.Entries)
	if a.settings.JSON {
		return a.printJSON(out)
	}
	return a.printExplanation(out)
}

func (a *app) printExplanation(out explanation) error {
	e := out.Entries[0]
	who := e.ActorName
	if e.Actor != "" && e.Actor != e.ActorName {
		who = strings.TrimSpace(who + " (" + e.Actor + ")")
	}
	err := a.pairs("request", out.RequestID, "time", a.timeText(e.Time)+", "+agoText(time.Now(), e.Time),
		"actor", orDash(who), "transport", orDash(e.Transport), "from", orDash(e.Address))
	if err != nil {
		return err
	}
	rows := [][]string{}
	for _, e := range out.Entries {
		rows = append(rows, []string{strconv.FormatUint(e.Seq, 10), e.Action, e.Result, a.targetText(e), strconv.Itoa(e.Count)})
		if e.Count > 1 {
			a.say("Entry %d stands for %d requests like it within a minute.", e.Seq, e.Count)
		}
	}
	return a.table([]column{{name: "SEQ"}, {name: "ACTION"}, {name: "RESULT"}, {name: "TARGET", least: 20}, {name: "TIMES"}}, rows)
}
