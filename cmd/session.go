package cmd

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "List and end sign-ins",
		RunE:  group,
	}
	cmd.AddCommand(a.sessionListCommand(), a.sessionRevokeCommand())
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
				header := []string{"ID", "USER", "CREATED", "EXPIRES", "LAST SEEN", "FROM", "USER AGENT"}
				return absentUser(printAll(a, sessionsOf(cmd.Context(), s, user), header, func(r api.Session) []string {
					return []string{r.ID, r.UserName, timeText(r.Created), timeText(r.Expires), timeText(r.LastSeen), orDash(r.IP), orDash(r.UserAgent)}
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

func (a *app) sessionRevokeCommand() *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:     "revoke ID | --user EMAIL --all",
		Aliases: []string{"delete", "remove", "rm"},
		Short:   "End a sign-in, or all of a user's, from the next request on",
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
				return absentUser(revokeAll(a, sessionsOf(ctx, s, o.user), "session", func(id string) error {
					_, err := s.EndSession(ctx, id)
					return err
				}), o.user)
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
	if a.settings.JSON {
		return a.printJSON(ended)
	}
	a.say("%d %s(s) revoked.", ended.Count, what)
	return nil
}
