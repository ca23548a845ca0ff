package cmd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"husk/web/api"
	"husk/web/folder"
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
	output      string
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

A token with an end, permissions or addresses of its own makes nothing that
outlives it: with it, users are neither made nor enabled, and no roles are made,
widened or granted. A script that does so over the network needs one without:
--expires never, and none of the others.`,
		Example: `  husk token create --name backup --expires 90d
  husk token create --user ann@example.com --permission generic#security:user/read
  husk token create --name ci --output /etc/ci/husk.token`,
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
	pathVar(f, &o.output, "output", "write the token into this file (0600) instead of stdout")
	return cmd
}

func (a *app) tokenCreate(ctx context.Context, o tokenCreateOptions) error {
	expires, err := parseExpiry(o.expires, time.Now())
	if err != nil {
		return err
	}
	in := api.NewToken{Name: o.name, Description: o.description, Permissions: o.permissions, AllowedIPs: o.allowedIPs, ExpireIn: expires, Owner: o.user}
	file, err := openSecret(o.output)
	if err != nil {
		return err
	}
	defer file.close()
	return a.use(ctx, true, func(s *session) error {
		out, err := s.CreateToken(ctx, in)
		if err != nil {
			return absentUser(err, o.user) // nothing else is looked up
		}
		return a.deliver(out, file)
	})
}

// tokenPrinted is what --json prints of a new token.
type tokenPrinted struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	AccessToken string `json:"access_token,omitempty"` // absent where it went into a file
	ExpireIn    int64  `json:"expire_in"`
}

// deliver hands a new token over: into a file, as JSON, or alone on a line.
func (a *app) deliver(out api.TokenCreated, file *secretFile) error {
	printed := tokenPrinted{ID: out.ID, Name: out.Name, AccessToken: out.AccessToken, ExpireIn: out.ExpireIn}
	a.say("Token %s (%s), expires %s. It is shown this once.", out.ID, printable(out.Name), expiryText(out.ExpireIn))
	if file != nil {
		if err := file.write(out.AccessToken + "\n"); err != nil {
			return &failure{code: exitFailure, err: err, what: "the token was made but can't be written: " + plainWriteError(file.path, err),
				next: "revoke it and try again: husk token revoke " + out.ID}
		}
		printed.AccessToken = ""
	}
	switch {
	case a.settings.JSON:
		return a.printJSON(printed)
	case file == nil:
		_, err := fmt.Fprintln(a.stdout, out.AccessToken)
		return err
	}
	return nil
}

// secretFile is where a secret is going to stand, whole or not at all. It is
// opened before the secret is made: one that can't be written would be lost,
// and with it, at a rotation, the one that it replaces.
type secretFile struct {
	path string
	f    *os.File // beside path, until it is written
}

// openSecret returns nil where no file is asked for.
func openSecret(path string) (*secretFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := createPrivate(filepath.Dir(path), ".husk-token-*")
	if info, e := os.Stat(path); err == nil && e == nil && info.IsDir() {
		f.Close()
		os.Remove(f.Name())
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, &failure{code: exitFailure, err: err, what: "the token can't be written: " + plainWriteError(path, err), next: "nothing was changed"}
	}
	return &secretFile{path, f}, nil
}

func (s *secretFile) write(text string) error {
	_, err := s.f.WriteString(text)
	err = errors.Join(err, s.f.Sync(), s.f.Close())
	if err == nil {
		err = folder.AsCaller(func() error { return os.Rename(s.f.Name(), s.path) })
	}
	return err
}

// close removes what was not written.
func (s *secretFile) close() {
	if s != nil {
		s.f.Close()
		os.Remove(s.f.Name())
	}
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
		if t, err := time.Parse(layout, text); err == nil {
			return t.Unix(), nil
		}
	}
	d, err := parseDuration(text)
	if err != nil || d <= 0 {
		return 0, usage("--expires is not understood", "give a duration such as 90s, 12h, 365d, 2w or 1y, a date such as 2030-12-31, or never")
	}
	if d < time.Minute {
		d += time.Second - time.Nanosecond // a token for a second lives a second at least
	}
	// Else rounded down: what asks for just the bound of the server keeps to it.
	return now.Add(d).Unix(), nil
}

type tokenListOptions struct {
	user     string
	owner    string
	expiring durationValue
	unused   durationValue
}

func (a *app) tokenListCommand() *cobra.Command {
	var o tokenListOptions
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List API tokens, the newest first",
		Long: `List API tokens, the newest first. On the machine of the server these are all
tokens; with --server, those of the token's owner.

--expiring 30d lists those that end within 30 days, the first to end first, and
ends with 8 where it found some, for scripts that watch over them. --unused 90d
lists those that were not used for 90 days; one that was never used counts from
its creation. While a rotation is in its time of grace, the last column tells
whether the old secret is still used.`,
		Example: `  husk token list --expiring 30d
  husk token list --owner '*' --unused 90d`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.tokenList(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "only those of this user (email or id)")
	f.StringVar(&o.owner, "owner", "", "like --user; * for everybody's (administrators)")
	f.Var(&o.expiring, "expiring", "only those that end within this time; exit code 8 where there are some")
	f.Var(&o.unused, "unused", "only those that were not used for this time")
	cmd.MarkFlagsMutuallyExclusive("user", "owner")
	return cmd
}

func (a *app) tokenList(ctx context.Context, o tokenListOptions) error {
	found := 0
	err := a.use(ctx, false, func(s *session) error {
		header := []string{"ID", "NAME", "OWNER", "PERMISSIONS", "EXPIRES", "LAST USED", "FROM", "OLD SECRET"}
		hits := func(yield func(api.Hit[api.Token], error) bool) {
			for hit, err := range o.hits(ctx, s) {
				if err == nil {
					found++
				}
				if !yield(hit, err) {
					return
				}
			}
		}
		return absentUser(printColumns(a, hits, header, len(header)-1, func(t api.Token) []string {
			return []string{t.ID, t.Name, t.Owner, permissionsText(t.Permissions), expiryText(t.ExpireIn), optionalTimeText(t.LastUsed), orDash(t.LastIP), oldSecretText(t.Previous)}
		}), o.user+o.owner)
	})
	if err == nil && o.expiring > 0 && found > 0 {
		err = &failure{code: exitAttention, what: fmt.Sprintf("%d API token(s) end within %s", found, o.expiring.String()),
			next: "replace one without an outage: husk token rotate ID --grace 24h"}
	}
	return err
}

// hits pages through the tokens that are wanted. Those that end are read in
// the order of their end, and only as far as needed.
func (o *tokenListOptions) hits(ctx context.Context, s *session) iter.Seq2[api.Hit[api.Token], error] {
	list := api.ListOptions{Filter: map[string]string{"owner": o.user + o.owner}}
	if o.expiring > 0 {
		list.Sort = "expire_in:asc"
	}
	now := time.Now()
	return func(yield func(api.Hit[api.Token], error) bool) {
		for hit, err := range api.All(ctx, list, s.SearchTokens) {
			t := hit.Source
			if err == nil && o.expiring > 0 && (t.ExpireIn < 0 || t.ExpireIn > now.Add(time.Duration(o.expiring)).Unix()) {
				return
			}
			if err == nil && !o.wants(t, now) {
				continue
			}
			if !yield(hit, err) {
				return
			}
		}
	}
}

func (o *tokenListOptions) wants(t api.Token, now time.Time) bool {
	if o.expiring > 0 && t.ExpireIn <= now.Unix() {
		return false // it has ended already
	}
	used := t.Created
	if t.LastUsed != nil {
		used = *t.LastUsed
	}
	return o.unused == 0 || now.Sub(used) >= time.Duration(o.unused)
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
				return a.pairs("id", t.ID, "name", t.Name, "description", orDash(t.Description), "owner", t.Owner,
					"permissions", permissionsText(t.Permissions), "allowed ips", listText(t.AllowedIPs), "expires", expiryText(t.ExpireIn),
					"created", timeText(t.Created), "updated", timeText(t.Updated), "last used", optionalTimeText(t.LastUsed), "from", orDash(t.LastIP), "old secret", oldSecretText(t.Previous))
			})
		},
	}
}

// oldSecretText tells of the secret that a rotation replaced.
func oldSecretText(p *api.PreviousSecret) string {
	switch {
	case p == nil:
		return "-"
	case p.LastUsed == nil:
		return "valid until " + expiryText(p.Ends) + ", not used since the rotation"
	}
	return "valid until " + expiryText(p.Ends) + ", last used " + timeText(*p.LastUsed)
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
}

func (a *app) tokenUpdateCommand() *cobra.Command {
	var o tokenUpdateOptions
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change name, description, permissions or addresses of an API token",
		Long: `Change name, description, permissions or addresses of an API token. What a flag
names is replaced, the rest stays. Its expiry, owner and secret can't be changed.`,
		Example: `  husk token update backup --name nightly-backup
  husk token update 0f… --permission generic#system/backup`,
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
	return cmd
}

func (a *app) tokenUpdate(cmd *cobra.Command, o tokenUpdateOptions) error {
	f, ctx := cmd.Flags(), cmd.Context()
	if !f.Changed("name") && !f.Changed("description") && !f.Changed("permission") && !f.Changed("allowed-ip") {
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

func (a *app) tokenRevokeCommand() *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:     "revoke ID | --user EMAIL --all",
		Aliases: []string{"delete", "remove", "rm"},
		Short:   "Revoke an API token, or all of a user's: refused from the next request on",
		Example: `  husk token revoke backup
  husk token revoke --user ann@example.com --all`,
		Args: atMostOne("the id, or a name that only one token has"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			return a.use(cmd.Context(), false, func(s *session) error { return a.tokenRevoke(cmd.Context(), s, o) })
		},
	}
	o.flags(cmd)
	return cmd
}

func (a *app) tokenRevoke(ctx context.Context, s *session, o revokeOptions) error {
	if o.all {
		list := api.ListOptions{Filter: map[string]string{"owner": o.user}}
		return absentUser(revokeAll(a, api.All(ctx, list, s.SearchTokens), "token", func(id string) error {
			_, err := s.DeleteToken(ctx, id)
			return err
		}), o.user)
	}
	t, err := findToken(ctx, s, o.id)
	if err != nil {
		return err
	}
	out, err := s.DeleteToken(ctx, t.ID)
	if err != nil {
		return err
	}
	return a.done(out, "Token %s is revoked.", t.ID)
}
