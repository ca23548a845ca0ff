package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"husk/db"
	"husk/web"
	"husk/web/api"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Mint, list, change, check and revoke API tokens",
		RunE:  group,
	}
	cmd.AddCommand(a.tokenCreateCommand(), a.tokenListCommand(), a.tokenShowCommand(), a.tokenUpdateCommand(), a.tokenRotateCommand(), a.tokenRevokeCommand(), a.tokenCheckCommand())
	return cmd
}

type tokenCreateOptions struct {
	user        string
	name        string
	description string
	expires     string
	permissions []string
	allowedIPs  []string
	reachOptions
	secretOutput
}

func (a *app) tokenCreateCommand() *cobra.Command {
	var o tokenCreateOptions
	cmd := &cobra.Command{
		Use:     "create",
		Aliases: []string{"add"},
		Short:   "Mint an API token and print it, this once",
		Long: `Mint an API token and print it, this once: only its SHA-256 is kept. On stdout
there is the token and a line end, nothing else.

Without --permission the token may do what its owner may, at each use. It lives
365 days unless --expires says otherwise.

With --host, --path or --method it is good behind the gate alone, for what these
name, and for nothing here: a token for one application is of no use elsewhere.

With --output it is written into a file of mode 0600; one that is there is
replaced with --force alone, what is no regular file never. A token that could
not be printed or written is revoked again.

A token with an end, permissions or addresses of its own makes nothing that
outlives it: with it, users are neither made nor enabled, and no roles are made,
widened or granted. A script that does so over the network needs one without:
--expires never, and none of the others.`,
		Example: `  husk token create --name backup --expires 90d
  husk token create --user ann@example.com --permission generic#security:user/read
  husk token create --name ci --output /etc/ci/husk.token
  husk token create --name charts --host grafana.example.com --path /api/ --method GET`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.tokenCreate(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "email or id of the owner (default: the single user, or whose token asks)")
	f.StringVar(&o.name, "name", "", "a name to know it by (default: one is made)")
	f.StringVar(&o.description, "description", "", "what it is for")
	f.StringVar(&o.expires, "expires", "", "when it ends: 90s, 12h, 365d, 2w, 1y, a date (RFC 3339), or never")
	f.StringArrayVar(&o.permissions, "permission", nil, "limit it to this permission; may be repeated")
	f.StringArrayVar(&o.allowedIPs, "allowed-ip", nil, "limit its use to this address or CIDR prefix; may be repeated")
	o.reachOptions.flags(f, "")
	o.secretOutput.flags(f)
	return cmd
}

func (a *app) tokenCreate(ctx context.Context, o tokenCreateOptions) error {
	expires, err := parseExpiry(o.expires, time.Now())
	if err != nil {
		return err
	}
	in := api.NewToken{Name: o.name, Description: o.description, Permissions: o.permissions, AllowedIPs: o.allowedIPs,
		AllowedHosts: o.hosts, AllowedPaths: o.paths, AllowedMethods: o.methods, ExpireIn: expires, Owner: o.user}
	file, err := o.open()
	if err != nil {
		return err
	}
	defer file.discard()
	return a.use(ctx, true, func(s *session) error {
		out, err := s.CreateToken(ctx, in)
		if err != nil {
			return absentUser(err, o.user) // nothing else is looked up
		}
		return a.deliverNew(ctx, s, out, file)
	})
}

// parseExpiry returns the expire_in of the API: Unix seconds, -1 for never, 0
// for nothing said.
func parseExpiry(text string, now time.Time) (int64, error) {
	switch text {
	case "":
		return 0, nil
	case "never":
		return -1, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Unix() > db.MaxExpiry {
			return 0, usage("--expires is too far away: a token ends in the year 2262 at the latest", "give an earlier date, or never")
		} else if err == nil {
			return t.Unix(), nil
		}
	}
	d, err := web.ParseDuration(text)
	if errors.Is(err, web.ErrTooLong) {
		return 0, usage("--expires is too far away: at most 292y", "give a shorter time, or never")
	}
	if err != nil || d <= 0 {
		return 0, usage("--expires is not understood", "give a duration such as 90s, 12h, 365d, 2w or 1y, a date such as 2030-12-31, or never")
	}
	if d < time.Minute {
		d += time.Second - time.Nanosecond // a token for a second lives a second at least
	}
	// Else rounded down: what asks for just the bound of the server keeps to it.
	return now.Add(d).Unix(), nil
}

func permissionsText(keys []string) string {
	if len(keys) == 0 {
		return "owner's"
	}
	return listText(keys)
}

func (a *app) tokenShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show an API token, without its secret",
		Args:  one("the id, or a name that only one token has"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				t, err := findToken(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				if a.settings.JSON {
					return a.printJSON(t)
				}
				return a.pairs("id", t.ID, "name", t.Name, "description", orDash(t.Description), "owner", ownerText(t),
					"permissions", permissionsText(t.Permissions), "allowed ips", listText(t.AllowedIPs),
					"allowed hosts", listText(t.AllowedHosts), "allowed paths", listText(t.AllowedPaths), "allowed methods", listText(t.AllowedMethods), "expires", a.expiryText(t.ExpireIn),
					"created", a.timeText(t.Created), "updated", a.timeText(t.Updated), "last used", a.optionalTimeText(t.LastUsed), "from", orDash(t.LastIP), "old secret", a.oldSecretText(t))
			})
		},
	}
}

// ownerText is whose a token is, as people know them; the id from an older
// server. The tokens of one who is disabled are refused.
func ownerText(t api.Token) string {
	owner := cmp.Or(t.OwnerName, t.Owner)
	if t.OwnerDisabled {
		return owner + " (disabled)"
	}
	return owner
}

// oldSecretText tells of the secret that a rotation replaced.
func (a *app) oldSecretText(t api.Token) string {
	replaced := a.replacedText(t.Previous)
	if t.Next == nil {
		return replaced
	}
	begun := "valid: a rotation of " + a.timeText(t.Next.Made) + " was not finished, rotate again"
	if t.Previous != nil {
		begun += "; one before it: " + replaced
	}
	return begun
}

func (a *app) replacedText(p *api.PreviousSecret) string {
	switch {
	case p == nil:
		return "-"
	case p.LastUsed == nil:
		return "valid until " + a.expiryText(p.Ends) + ", not used since the rotation"
	}
	return "valid until " + a.expiryText(p.Ends) + ", last used " + a.timeText(*p.LastUsed)
}

var errNoToken = &failure{code: exitNotFound, what: "there is no API token of that id or name", next: "see 'husk token list'"}

// findToken returns the token of an id, or of a name that only one has.
func findToken(ctx context.Context, s *session, idOrName string) (api.Token, error) {
	if _, err := uuid.Parse(idOrName); err == nil {
		out, err := s.GetToken(ctx, idOrName)
		if gone(err) {
			err = errNoToken
		}
		return out.Source, err
	}
	var found []api.Token
	for hit, err := range api.All(ctx, api.ListOptions{Query: idOrName}, s.SearchTokens) {
		if err != nil {
			return api.Token{}, err
		}
		if hit.Source.Name == idOrName {
			found = append(found, hit.Source)
		}
	}
	switch len(found) {
	case 0:
		return api.Token{}, errNoToken
	case 1:
		return found[0], nil
	}
	return api.Token{}, usage(fmt.Sprintf("%d API tokens have that name", len(found)), "give the id; see 'husk token list'")
}

type tokenUpdateOptions struct {
	id          string
	name        string
	description string
	permissions []string
	allowedIPs  []string
	reachOptions
}

func (a *app) tokenUpdateCommand() *cobra.Command {
	var o tokenUpdateOptions
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change name, description, permissions or limits of an API token",
		Long: `Change name, description, permissions or limits of an API token. What a flag
names is replaced, the rest stays. Its expiry, owner and secret can't be changed.

With --host, --path or --method it is good behind the gate alone from then on.`,
		Example: `  husk token update backup --name nightly-backup
  husk token update 0f… --permission generic#system/backup
  husk token update charts --host grafana.example.com --method ''`,
		Args: one("the id, or a name that only one token has"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return a.tokenUpdate(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "the new name")
	f.StringVar(&o.description, "description", "", "the new description")
	f.StringArrayVar(&o.permissions, "permission", nil, "limit it to this permission; may be repeated")
	f.StringArrayVar(&o.allowedIPs, "allowed-ip", nil, "limit its use to this address or CIDR prefix; may be repeated; '' for none")
	o.reachOptions.flags(f, "; '' for all")
	return cmd
}

func (a *app) tokenUpdate(cmd *cobra.Command, o tokenUpdateOptions) error {
	f, ctx := cmd.Flags(), cmd.Context()
	if !slices.ContainsFunc(append([]string{"name", "description", "permission", "allowed-ip"}, reachFlags...), f.Changed) {
		return usage("nothing to change was given", "see 'husk token update --help'")
	}
	return a.use(ctx, false, func(s *session) error {
		t, err := findToken(ctx, s, o.id)
		if err != nil {
			return err
		}
		in := api.TokenUpdate{Name: t.Name, Permissions: o.permissions}
		if f.Changed("name") {
			in.Name = o.name
		}
		if f.Changed("description") {
			in.Description = &o.description
		}
		if f.Changed("allowed-ip") {
			in.AllowedIPs = ptr(withoutEmpty(o.allowedIPs))
		}
		o.change(f, &in)
		out, err := s.UpdateToken(ctx, t.ID, in)
		if err != nil {
			return err
		}
		return a.done(out, "Token %s is changed.", t.ID)
	})
}

func ptr[T any](v T) *T { return &v }

func withoutEmpty(items []string) []string {
	kept := []string{}
	for _, item := range items {
		if item != "" {
			kept = append(kept, item)
		}
	}
	return kept
}
