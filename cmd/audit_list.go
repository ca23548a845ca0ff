package cmd

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

type auditListOptions struct {
	actor, action, target, address, since, until string
	result                                       formed
	follow                                       bool
	last                                         uint
}

// auditResults are what may have become of an act.
var auditResults = []string{db.ResultOK, db.ResultRefused}

func (a *app) auditListCommand() *cobra.Command {
	o := auditListOptions{result: formed{"", oneOf(auditResults...)}}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the audit log, the newest entry first",
		Long: `List the audit log, the newest entry first. ACTOR and TARGET are told by the name
that they had at the time: a user's email, a token's name, of a session its
user's. Behind the name of a token or a session stands its id: on a terminal the
beginning, with --wide and elsewhere all of it.

--actor and --target take an id, the email that a user has now, or a name that
the log knows, also of who is gone. A name of nobody and nothing is an error (3),
and so is an action that there is not (2): an empty list says that it was not
done.

--result and --address have no index: the log is looked through for them, along
that of an actor, an action or a target where one is given. What strangers from
one IPv6 /64 were refused is one entry a minute, which has the /64; an address
finds it, too. What came from too many addresses to keep apart is found by none.`,
		Example: `  husk audit list --since 24h
  husk audit list --target backup --wide
  husk audit list --actor ann@example.com --action token.create
  husk audit list --result refused --address 192.0.2.0/24 --since 7d
  husk audit list --follow`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := refuseEmpty(cmd, "actor", "action", "target", "address", "since", "until"); err != nil {
				return err
			}
			return a.auditList(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.actor, "actor", "", "only what this user did (email or id, also of who is gone; 'local' for the command line)")
	f.StringVar(&o.action, "action", "", "only this action, such as session.login or token.create")
	f.StringVar(&o.target, "target", "", "only what was done to this (an email, the name or id of a token, the id of a session, a role, …)")
	f.Var(&o.result, "result", "only what became of it: ok or refused")
	f.StringVar(&o.address, "address", "", "only from this address or CIDR prefix")
	f.StringVar(&o.since, "since", "", "only since this time (RFC 3339), or this long ago, such as 24h or 7d")
	f.StringVar(&o.until, "until", "", "only before this time, or this long ago")
	f.UintVar(&o.last, "last", 0, "only so many of the newest; 0 for all")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with new entries as they come; begins with --last, 10 where it is not given")
	return cmd
}

func (a *app) auditList(ctx context.Context, o auditListOptions) error {
	filter := map[string]string{"actor": o.actor, "action": o.action, "target": o.target, "result": o.result.text, "address": o.address}
	for name, value := range map[string]string{"since": o.since, "until": o.until} {
		t, err := a.parseMoment(value, time.Now())
		if err != nil {
			return err
		}
		filter[name] = t
	}
	list := api.ListOptions{Filter: filter, Size: int(min(o.last, 1000))} // no more than is shown
	if o.follow {
		list.Size = 100
		return impossible(a.auditFollow(ctx, list, cmp.Or(o.last, 10)), o)
	}
	return a.use(ctx, false, func(s *session) error {
		hits := limit(api.All(ctx, list, s.SearchAudit), o.last)
		return impossible(printAll(a, hits, auditColumns, a.auditRow), o)
	})
}

// refuseEmpty refuses flags that were given as empty: a variable that is not set
// would ask for all there is.
func refuseEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return usage("--"+name+" is empty", "leave it out to ask for all")
		}
	}
	return nil
}

// impossible makes of the server's refusal to list what can't be a misuse, or
// says what is not there.
func impossible(err error, o auditListOptions) error {
	var answer *api.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch what, next, _ := strings.Cut(answer.Detail.Reason, " The actions are "); answer.Detail.Code {
	case "unknown_action":
		return &failure{code: exitUsage, err: err, what: strings.TrimSuffix(what, "."), next: "the actions are " + next}
	case "bad_interval":
		return &failure{code: exitUsage, err: err, what: "--since is not before --until: nothing lies between them", next: "give --since the earlier time"}
	case "unknown_actor":
		return &failure{code: exitNotFound, err: err, what: "nobody is called " + printable(o.actor) + ", and the audit log knows no such actor",
			next: "see 'husk user list', and 'husk audit list' for who is in the log"}
	case "unknown_target":
		return &failure{code: exitNotFound, err: err, what: "nothing is called " + printable(o.target) + ", and the audit log knows no such target",
			next: "see 'husk user list' and 'husk token list', and 'husk audit list' for what is in the log"}
	}
	return err
}

var auditColumns = []column{{name: "SEQ"}, {name: "TIME", least: 17}, {name: "ACTION"}, {name: "RESULT"}, {name: "ACTOR", least: 10},
	{name: "TARGET", least: 12}, {name: "FROM", least: 9, rank: 2}, {name: "TIMES", rank: 1}}

func (a *app) auditRow(e api.AuditEvent) []string {
	return []string{strconv.FormatUint(e.Seq, 10), a.timeText(e.Time), e.Action, e.Result, orDash(cmp.Or(e.ActorName, e.Actor)),
		a.targetText(e), orDash(cmp.Or(e.Address, e.Transport)), strconv.Itoa(e.Count)}
}

// targetText names the target of an entry. An email is one user's at a time;
// names of tokens are not, and a session is told by its user's.
func (a *app) targetText(e api.AuditEvent) string {
	id := e.Target
	if noun, _, _ := strings.Cut(e.Action, "."); e.TargetName != "" && noun == "user" || id == "" {
		return orDash(e.TargetName)
	}
	if e.TargetName == "" {
		return id
	}
	if a.room() > 0 && len(id) > 8 {
		id = id[:8]
	}
	return e.TargetName + " (" + id + ")"
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

// parseMoment returns a time as RFC 3339 from one, or from how long ago it is. A
// day begins where times are told.
func (a *app) parseMoment(text string, now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, a.zone()); err == nil {
			return t.UTC().Format(time.RFC3339), nil
		}
	}
	d, err := web.ParseDuration(text)
	if err != nil || d < 0 {
		return "", usage("the time is not understood", "give one of RFC 3339, such as 2030-12-31T08:00:00Z, or how long ago: 90s, 24h, 7d")
	}
	return now.Add(-d).UTC().Format(time.RFC3339), nil
}
