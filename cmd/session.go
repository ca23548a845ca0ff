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

func (a *app) sessionListCommand() *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List sign-ins, the newest first",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				header := []column{{name: "ID"}, {name: "USER", least: 12}, {name: "CREATED", least: dateWide, rank: 3}, {name: "EXPIRES", least: dateWide, rank: 4},
					{name: "LAST SEEN", least: dateWide, rank: 1}, {name: "FROM", least: 9, rank: 2}, {name: "USER AGENT", least: 10, rank: 5}}
				return absentUser(printAll(a, sessionsOf(cmd.Context(), s, user), header, func(r api.Session) []string {
					return []string{r.ID, r.UserName, a.timeText(r.Created), a.timeText(r.Expires), a.timeText(r.LastSeen), orDash(r.IP), orDash(r.UserAgent)}
				}), user)
			})
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "only those of this user (email or id)")
	return cmd
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
		r.why = h.explain(ctx, found.Source.Worth, id, found.Source.User, found.Source.Expires)
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
			"last seen", a.timeText(d.LastSeen), "from", orDash(d.IP), "user agent", orDash(d.UserAgent))
		if d.Valid && d.MustChange {
			p = append(p, "limited", "the password was generated: until it is changed it may do no more than that")
		}
		if d.Valid {
			p = append(p, "may", listText(d.Permissions))
		}
	}
	return append(append(p, "valid", yesNo(r.Valid)), r.why.pairs(a)...)
}

func (a *app) sessionRevokeCommand() *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:     "revoke ID | --user EMAIL --all",
		Aliases: []string{"delete", "remove", "rm"},
		Short:   "End a sign-in, or all of a user's, from the next request on",
		Long: `End a sign-in, or all of a user's, from the next request on.

With --all the user's device cookies end, too, by which Husk knows a browser from
which somebody signed in before, and does not let strangers' wrong passwords
delay it.`,
		Example: `  husk session revoke 0f5c…
  husk session revoke --user ann@example.com --all`,
		Args: atMostOne("the id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			ctx := cmd.Context()
			return a.use(ctx, false, func(s *session) error {
				if o.id != "" {
					out, err := s.EndSession(ctx, o.id)
					if err != nil {
						return absent(err, "session", o.id)
					}
					return a.done(out, "Session %s has ended.", o.id)
				}
				ended, err := s.EndSessions(ctx, o.user)
				if err != nil {
					return absentUser(err, o.user)
				}
				return a.revoked(ended, "session")
			})
		},
	}
	o.flags(cmd)
	return cmd
}

// revokeOptions say what is revoked: one thing, or all of a user's.
type revokeOptions struct {
	id   string
	user string
	all  bool
}

func (o *revokeOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.user, "user", "", "with --all: those of this user (email or id)")
	cmd.Flags().BoolVar(&o.all, "all", false, "all of --user")
}

func (o *revokeOptions) take(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		o.id = args[0]
	}
	// Nobody named is not everybody: an empty variable in a script must not end
	// what all have.
	if (o.id != "") == o.all || (o.user != "") != o.all {
		return usage(cmd.CommandPath()+" takes either one argument or --user EMAIL --all", "see '"+cmd.CommandPath()+" --help'")
	}
	return nil
}

// revokeAll revokes what is listed. The list is read to its end first: a
// cursor over what is being removed would lose its place. What is gone
// meanwhile is what was wanted.
func revokeAll[T any](a *app, hits iter.Seq2[api.Hit[T], error], what string, revoke func(id string) error) error {
	var ids []string
	for hit, err := range hits {
		if err != nil {
			return err
		}
		ids = append(ids, hit.ID)
	}
	ended := api.Ended{Result: "deleted"}
	for _, id := range ids {
		switch err := revoke(id); {
		case err == nil:
			ended.Count++
		case !gone(err):
			return err
		}
	}
	return a.revoked(ended, what)
}

func (a *app) revoked(ended api.Ended, what string) error {
	if a.settings.JSON {
		return a.printJSON(ended)
	}
	a.say("%d %s(s) revoked.", ended.Count, what)
	return nil
}
