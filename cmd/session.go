package cmd

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "List, show and end sign-ins",
		RunE:  group,
	}
	cmd.AddCommand(a.sessionListCommand(), a.sessionShowCommand(), a.sessionRevokeCommand())
	return cmd
}

type sessionListOptions struct {
	user    string
	address string
}

func (a *app) sessionListCommand() *cobra.Command {
	var o sessionListOptions
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sign-ins, the newest first",
		Long: `List sign-ins, the newest first. With --address those that were begun or last
used from that address or CIDR prefix. PROVED BY is how a sign-in was made, and what
was proved in it since: password, totp, passkey, recovery.`,
		Example: `  husk session list --user ann@example.com
  husk session list --address 192.0.2.0/24`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.sessionList(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "only those of this user (email or id)")
	f.StringVar(&o.address, "address", "", "only those from this address or CIDR prefix")
	return cmd
}

func (a *app) sessionList(ctx context.Context, o sessionListOptions) error {
	list := api.ListOptions{Filter: map[string]string{"user": o.user, "address": o.address}}
	return a.use(ctx, false, func(s *session) error {
		header := []column{{name: "ID"}, {name: "USER", least: 12}, {name: "CREATED", least: dateWide, rank: 3}, {name: "EXPIRES", least: dateWide, rank: 4},
			{name: "LAST SEEN", least: dateWide, rank: 1}, {name: "FROM", least: 9, rank: 2}, {name: "PROVED BY", least: 8, rank: 5}, {name: "LAST PROVED", least: dateWide, rank: 6}, {name: "USER AGENT", least: 10, rank: 7}}
		return absentUser(printAll(a, api.All(ctx, list, s.SearchSessions), header, func(r api.Session) []string {
			return []string{r.ID, r.UserName, a.timeText(r.Created), a.timeText(r.Expires), a.timeText(r.LastSeen), orDash(r.IP), listText(r.Methods), a.optionalTimeText(r.Proved), orDash(r.UserAgent)}
		}), o.user)
	})
}

func sessionsOf(ctx context.Context, s *session, user string) iter.Seq2[api.Hit[api.Session], error] {
	return api.All(ctx, api.ListOptions{Filter: map[string]string{"user": user}}, s.SearchSessions)
}

func (a *app) sessionShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a sign-in and what it may do, or why it is refused",
		Long: `Show a sign-in and what it may do, or why it is refused: that it ended, who ended
it and when. The id is what 'husk session list' prints, and the target of the
sign-in's entry in the audit log.

It ends with 7 where the sign-in is refused, and with 3 where nothing is known
of it. Of one that is gone there is only what the audit log has, which needs
generic#security:audit/search.`,
		Example: `  husk session show 0f5c…
  husk audit list --action session.login --since 24h`,
		Args: one("the id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.use(cmd.Context(), false, func(s *session) error { return a.sessionShow(cmd.Context(), s, args[0]) })
		},
	}
}

// sessionReport is what show finds out; --json prints it.
type sessionReport struct {
	ID      string              `json:"id"`
	Valid   bool                `json:"valid"`
	Session *api.SessionDetails `json:"session"` // null where it is gone
	why
}

func (a *app) sessionShow(ctx context.Context, s *session, id string) error {
	r := sessionReport{ID: id}
	found, err := s.GetSession(ctx, id)
	h := &historian{Client: s.Client, now: time.Now()} // behind the look: what it saw has happened
	switch {
	case gone(err):
		r.why = h.goneSession(ctx, id)
	case err != nil:
		return err
	default:
		r.Session, r.Valid = &found.Source, found.Source.Valid
		r.why = h.whyRefused(ctx, found.Source.Introspection, id, found.Source.User, found.Source.Expires)
	}
	if a.settings.JSON {
		err = a.printJSON(r)
	} else {
		err = a.pairs(r.pairs(a)...)
	}
	if err != nil || r.Valid {
		return err
	}
	code := exitInvalid
	if r.Code == codeUnknown {
		code = exitNotFound
	}
	return &failure{code: code, what: "the session is not valid: " + r.Reason}
}

func (r *sessionReport) pairs(a *app) []string {
	p := []string{"id", r.ID}
	if d := r.Session; d != nil {
		p = append(p, "user", d.UserName, "created", a.timeText(d.Created), "expires", a.timeText(d.Expires),
			"last seen", a.timeText(d.LastSeen), "from", orDash(d.IP), "user agent", orDash(d.UserAgent),
			"proved by", listText(d.Methods), "last proved", a.optionalTimeText(d.Proved), "second factor", a.optionalTimeText(d.SecondFactor))
		if d.Valid && d.MustChange {
			p = append(p, "limited", "the password was generated: until it is changed it may do no more than that")
		}
		if d.Valid && d.WantsFactor != "" {
			p = append(p, "limited", "a role requires a second factor: until one is set up, and proved, it may do no more than that")
		}
		if d.Valid {
			p = append(p, "may", listText(d.Permissions))
		}
	}
	return append(append(p, "valid", yesNo(r.Valid)), r.why.pairs(a)...)
}
