package cmd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"husk/web/api"
)

// This file revokes tokens and ends sessions, one, several, or all of a user's.
// All that is named is found before anything is revoked: who mistyped one of
// three ids has revoked none.

// revokeOptions say what is revoked.
type revokeOptions struct {
	names  []string
	user   string
	all    bool
	dryRun bool
}

func (a *app) revokeFlags(cmd *cobra.Command, o *revokeOptions) {
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "with --all: those of this user (email or id)")
	f.BoolVar(&o.all, "all", false, "all of --user")
	f.BoolVar(&o.dryRun, "dry-run", false, "tell what would be revoked, and revoke nothing")
	a.yesFlag(f)
}

func (o *revokeOptions) take(cmd *cobra.Command, args []string) error {
	o.names = args
	// Nobody named is not everybody: an empty variable in a script must not end
	// what all have.
	if (len(o.names) > 0) == o.all || (o.user != "") != o.all || slices.Contains(o.names, "") {
		return usage(cmd.CommandPath()+" takes either what to revoke, one or several, or --user EMAIL --all", "see '"+cmd.CommandPath()+" --help'")
	}
	return nil
}

// revocation is how one kind of thing is revoked.
type revocation[T any] struct {
	what   string // "token"
	said   string // of one that was: "Token %s is revoked."
	byID   bool   // what names one is its id
	header []column
	row    func(*app, T) []string
	find   func(context.Context, *session, string) (api.Hit[T], error)
	list   func(context.Context, *session, string) iter.Seq2[api.Hit[T], error]
	revoke func(context.Context, *session, string) (api.Result, error)
	// revokeAll ends all of a user's at once; nil: one by one.
	revokeAll func(context.Context, *session, string) (api.Ended, error)
}

// revocationJob is one of them under way.
type revocationJob[T any] struct {
	*app
	revocation[T]
	revokeOptions
}

// run finds what is meant, asks where a person is there to be asked, and
// revokes. Nothing is connected while it asks.
func (j *revocationJob[T]) run(ctx context.Context) error {
	var found []api.Hit[T]
	find := func(s *session) (err error) {
		found, err = j.found(ctx, s)
		return err
	}
	if j.dryRun {
		if err := j.use(ctx, false, find); err != nil {
			return err
		}
		return j.tell(found)
	}
	if !j.asks() {
		return j.use(ctx, false, func(s *session) error {
			if err := find(s); err != nil {
				return err
			}
			return j.revokeFound(ctx, s, found)
		})
	}
	if err := j.use(ctx, false, find); err != nil {
		return err
	}
	if len(found) > 1 {
		if err := j.confirm(j.question(len(found))); err != nil {
			return err
		}
	}
	return j.use(ctx, false, func(s *session) error { return j.revokeFound(ctx, s, found) })
}

func (j *revocationJob[T]) question(n int) string {
	if j.all {
		return fmt.Sprintf("Revoke all %d %ss of %s?", n, j.what, printable(j.user))
	}
	return fmt.Sprintf("Revoke %d %ss?", n, j.what)
}

// found returns what is meant, each once. A list is read to its end: a cursor
// over what is being removed would lose its place.
func (j *revocationJob[T]) found(ctx context.Context, s *session) (all []api.Hit[T], err error) {
	if j.all {
		for hit, err := range j.list(ctx, s, j.user) {
			if err != nil {
				return nil, absentUser(err, j.user)
			}
			all = append(all, hit)
		}
		return all, nil
	}
	if j.byID && len(j.names) == 1 && !j.dryRun {
		return []api.Hit[T]{{ID: j.names[0]}}, nil // revoking it tells whether it is there
	}
	for _, name := range j.names {
		hit, err := j.find(ctx, s, name)
		if err != nil {
			return nil, j.about(name, err)
		}
		if !slices.ContainsFunc(all, func(h api.Hit[T]) bool { return h.ID == hit.ID }) {
			all = append(all, hit)
		}
	}
	return all, nil
}

// about says which of several it is that err is about.
func (j *revocationJob[T]) about(name string, err error) error {
	var own *failure
	if len(j.names) == 1 || !errors.As(err, &own) {
		return err
	}
	return &failure{code: own.code, err: err, what: printable(name) + ": " + own.what, next: "nothing was revoked; " + own.next}
}

// listed is what --json prints of several.
type listed struct {
	Result string   `json:"result"` // "deleted", or "noop" of a dry run
	Count  int      `json:"count"`
	IDs    []string `json:"ids,omitempty"` // of those that were named, or would be revoked
}

func idsOf[T any](found []api.Hit[T]) (ids []string) {
	for _, hit := range found {
		ids = append(ids, hit.ID)
	}
	return ids
}

// tell is the dry run.
func (j *revocationJob[T]) tell(found []api.Hit[T]) error {
	if j.settings.JSON {
		return j.printJSON(listed{Result: "noop", Count: len(found), IDs: idsOf(found)})
	}
	rows := [][]string{}
	for _, hit := range found {
		rows = append(rows, j.row(j.app, hit.Source))
	}
	err := j.table(j.header, rows)
	j.say("%d %s(s) would be revoked.", len(found), j.what)
	return err
}

func (j *revocationJob[T]) revokeFound(ctx context.Context, s *session, found []api.Hit[T]) error {
	switch {
	case j.all && j.revokeAll != nil:
		ended, err := j.revokeAll(ctx, s, j.user)
		if err != nil {
			return absentUser(err, j.user)
		}
		return j.revoked(ended.Count, nil)
	case !j.all && len(found) == 1:
		out, err := j.revoke(ctx, s, found[0].ID)
		if err != nil {
			return err
		}
		return j.done(out, j.said, found[0].ID)
	}
	ended, err := j.revokeEach(ctx, s, found)
	switch {
	case err != nil:
		return brokenRevocation(err, len(ended), len(found))
	case j.all:
		return j.revoked(len(ended), nil)
	}
	return j.revoked(len(ended), ended)
}

// revokeEach returns the ids of those that it revoked. What is gone meanwhile
// is what was wanted.
func (j *revocationJob[T]) revokeEach(ctx context.Context, s *session, found []api.Hit[T]) (ended []string, err error) {
	p := j.progress("revoking", int64(len(found)), countText)
	defer p.end()
	for _, hit := range found {
		switch _, err := j.revoke(ctx, s, hit.ID); {
		case err == nil:
			ended = append(ended, hit.ID)
		case exitCode(err) != exitNotFound:
			return ended, err
		}
		p.add(1)
	}
	return ended, nil
}

// brokenRevocation tells how far it came.
func brokenRevocation(err error, done, of int) error {
	if done == 0 {
		return err
	}
	why := err.Error()
	if errors.Is(err, context.Canceled) {
		why = "interrupted"
	}
	return &failure{code: exitCode(err), err: err, what: fmt.Sprintf("%s, after %d of %d were revoked", why, done, of), next: "run it again for the others"}
}

func (j *revocationJob[T]) revoked(n int, ids []string) error {
	if j.settings.JSON {
		return j.printJSON(listed{Result: "deleted", Count: n, IDs: ids})
	}
	j.say("%d %s(s) revoked.", n, j.what)
	return nil
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	o := &revokeOptions{}
	cmd := &cobra.Command{
		Use:     "revoke ID... | --user EMAIL --all",
		Aliases: []string{"delete", "remove", "rm"},
		Short:   "Revoke API tokens, or all of a user's: refused from the next request on",
		Long: `Revoke API tokens, by id, or by a name that only one token has, or all of a
user's: they are refused from the next request on. Where one of several is not
there, none is revoked. Of more than one it asks on a terminal, unless --yes is
given.`,
		Example: `  husk token revoke backup
  husk token revoke backup ci 0f…
  husk token revoke --user ann@example.com --all --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			return (&revocationJob[api.Token]{a, tokenRevocation, *o}).run(cmd.Context())
		},
	}
	a.revokeFlags(cmd, o)
	return cmd
}

var tokenRevocation = revocation[api.Token]{
	what: "token", said: "Token %s is revoked.",
	header: []column{{name: "ID"}, {name: "NAME", least: 12}, {name: "OWNER", least: 12}, {name: "LAST USED", least: dateWide, rank: 1}},
	row: func(a *app, t api.Token) []string {
		return []string{t.ID, t.Name, ownerText(t), a.optionalTimeText(t.LastUsed)}
	},
	find: func(ctx context.Context, s *session, name string) (api.Hit[api.Token], error) {
		t, err := findToken(ctx, s, name)
		return api.Hit[api.Token]{ID: t.ID, Source: t}, err
	},
	list: func(ctx context.Context, s *session, user string) iter.Seq2[api.Hit[api.Token], error] {
		return api.All(ctx, api.ListOptions{Filter: map[string]string{"owner": user}}, s.SearchTokens)
	},
	revoke: func(ctx context.Context, s *session, id string) (api.Result, error) { return s.DeleteToken(ctx, id) },
}

func (a *app) sessionRevokeCommand() *cobra.Command {
	o := &revokeOptions{}
	cmd := &cobra.Command{
		Use:     "revoke ID... | --user EMAIL --all",
		Aliases: []string{"delete", "remove", "rm"},
		Short:   "End sign-ins, or all of a user's, from the next request on",
		Long: `End sign-ins, by id, or all of a user's, from the next request on. Where one of
several is not there, none is ended. Of more than one it asks on a terminal,
unless --yes is given.

With --all the user's device cookies end, too, by which Husk knows a browser from
which somebody signed in before, and does not let strangers' wrong passwords
delay it.`,
		Example: `  husk session revoke 0f5c…
  husk session revoke --user ann@example.com --all`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			return (&revocationJob[api.Session]{a, sessionRevocation, *o}).run(cmd.Context())
		},
	}
	a.revokeFlags(cmd, o)
	return cmd
}

var sessionRevocation = revocation[api.Session]{
	what: "session", byID: true, said: "Session %s has ended.",
	header: []column{{name: "ID"}, {name: "USER", least: 12}, {name: "LAST SEEN", least: dateWide, rank: 1}, {name: "FROM", least: 8, rank: 2}, {name: "USER AGENT", least: 8, rank: 3}},
	row: func(a *app, r api.Session) []string {
		return []string{r.ID, r.UserName, a.timeText(r.LastSeen), orDash(r.IP), orDash(r.UserAgent)}
	},
	find: func(ctx context.Context, s *session, id string) (api.Hit[api.Session], error) {
		found, err := s.GetSession(ctx, id)
		return api.Hit[api.Session]{ID: found.ID, Source: found.Source.Session}, absent(err, "session", id)
	},
	list: sessionsOf,
	revoke: func(ctx context.Context, s *session, id string) (api.Result, error) {
		out, err := s.EndSession(ctx, id)
		return out, absent(err, "session", id)
	},
	revokeAll: func(ctx context.Context, s *session, user string) (api.Ended, error) { return s.EndSessions(ctx, user) },
}
