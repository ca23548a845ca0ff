package cmd

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web/api"
)

type tokenListOptions struct {
	user     string
	owner    string
	filter   formed
	address  string
	expiring durationValue
	unused   durationValue
	ended    bool
}

// tokenFilters are those of the API, spelled as a command line is.
var tokenFilters = []string{db.TokensExpiring, db.TokensUnused, db.TokensNever, noExpiry}

const noExpiry = "no-expiry"

func (a *app) tokenListCommand() *cobra.Command {
	o := tokenListOptions{filter: formed{"", oneOf(tokenFilters...)}}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List API tokens, the newest first",
		Long: `List API tokens, the newest first. On the machine of the server these are all
tokens; with --server, those of the token's owner.

--filter expiring lists those that end within 30 days, the first to end first;
unused, those that were not used for 90 days; never, those that never were;
no-expiry, those that never end. --expiring 7d and --unused 30d do so for other
times. One that was never used counts as unused from its creation. Where some end
soon, it ends with 8, for scripts that watch over them.

--address lists those that were used from that address or CIDR prefix, of the
last 16 addresses of each, and those that are limited to exactly that.

--ended lists those that are gone, the last one first: what was revoked, had
expired and made room for another one, or went with its owner, for 90 days, the
last thousand of each owner.

Behind an owner who is disabled stands (disabled): those tokens are refused.

A column GATE tells of tokens that are good behind the gate alone for
which methods, hosts and paths they are. While a rotation is in its time of grace,
the last column tells whether the old secret is still used.`,
		Example: `  husk token list --expiring 30d
  husk token list --owner '*' --filter unused
  husk token list --owner '*' --address 192.0.2.0/24
  husk token list --user ann@example.com --ended`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.ended {
				return a.endedTokenList(cmd.Context(), o)
			}
			return a.tokenList(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "only those of this user (email or id)")
	f.StringVar(&o.owner, "owner", "", "like --user; * for everybody's (administrators)")
	f.Var(&o.filter, "filter", "expiring, unused, never or no-expiry")
	f.StringVar(&o.address, "address", "", "only those from this address or CIDR prefix")
	f.Var(&o.expiring, "expiring", "only those that end within this time; exit code 8 where there are some")
	f.Var(&o.unused, "unused", "only those that were not used for this time")
	f.BoolVar(&o.ended, "ended", false, "those that are gone")
	cmd.MarkFlagsMutuallyExclusive("user", "owner")
	for _, other := range []string{"expiring", "unused"} {
		cmd.MarkFlagsMutuallyExclusive("filter", other)
		cmd.MarkFlagsMutuallyExclusive("ended", other)
	}
	cmd.MarkFlagsMutuallyExclusive("ended", "filter")
	cmd.MarkFlagsMutuallyExclusive("ended", "address")
	return cmd
}

func (a *app) tokenList(ctx context.Context, o tokenListOptions) error {
	found := 0
	err := a.use(ctx, false, func(s *session) error {
		header := []column{{name: "ID"}, {name: "NAME", least: 10}, {name: "OWNER", least: 12, rank: 1}, {name: "PERMISSIONS", least: 11, rank: 4}, {name: "EXPIRES", least: dateWide, rank: 2},
			{name: "LAST USED", least: dateWide, rank: 3}, {name: "FROM", least: 9, rank: 6}, {name: "GATE", least: 11, rank: 7}, {name: "OLD SECRET", least: 11, rank: 5}}
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
		return absentUser(printColumns(a, hits, header, len(header)-2, func(t api.Token) []string {
			return []string{t.ID, t.Name, ownerText(t), permissionsText(t.Permissions), a.expiryText(t.ExpireIn), a.optionalTimeText(t.LastUsed), orDash(t.LastIP), reachText(t), a.oldSecretText(t)}
		}), o.user+o.owner)
	})
	if within := o.within(); err == nil && within > 0 && found > 0 {
		err = &failure{code: exitAttention, what: fmt.Sprintf("%d API token(s) end within %s", found, within.String()),
			next: "replace one without an outage: husk token rotate ID --grace 24h"}
	}
	return err
}

// within is how soon those end that are asked for; 0: they may end whenever they
// like.
func (o *tokenListOptions) within() durationValue {
	if o.filter.text == db.TokensExpiring {
		return durationValue(db.ExpiringWithin)
	}
	return o.expiring
}

func (o *tokenListOptions) filters() map[string]string {
	filter := strings.ReplaceAll(o.filter.text, "-", "_")
	return map[string]string{"owner": o.user + o.owner, "filter": filter, "address": o.address}
}

// hits pages through the tokens that are wanted. Those that end are read in
// the order of their end, and only as far as needed.
func (o *tokenListOptions) hits(ctx context.Context, s *session) iter.Seq2[api.Hit[api.Token], error] {
	list := api.ListOptions{Filter: o.filters()}
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

// wants tells whether a token is asked for. It looks at the filter, too: a server
// that does not know it lists all, and who revokes what is listed loses them.
func (o *tokenListOptions) wants(t api.Token, now time.Time) bool {
	within, unused := o.within(), time.Duration(o.unused)
	if within > 0 && (t.ExpireIn <= now.Unix() || t.ExpireIn > now.Add(time.Duration(within)).Unix()) {
		return false
	}
	switch o.filter.text {
	case db.TokensNever:
		return t.LastUsed == nil
	case noExpiry:
		return t.ExpireIn < 0
	case db.TokensUnused:
		unused = db.UnusedFor
	}
	used := t.Created
	if t.LastUsed != nil {
		used = *t.LastUsed
	}
	return unused == 0 || now.Sub(used) >= unused
}

func (a *app) endedTokenList(ctx context.Context, o tokenListOptions) error {
	return a.use(ctx, false, func(s *session) error {
		header := []column{{name: "ID"}, {name: "NAME", least: 10}, {name: "OWNER", least: 12, rank: 1}, {name: "CREATED", least: dateWide, rank: 6}, {name: "LAST USED", least: dateWide, rank: 4},
			{name: "FROM", least: 9, rank: 5}, {name: "ENDED", least: dateWide, rank: 2}, {name: "REASON", least: 7}, {name: "BY", least: 10, rank: 3}}
		hits := api.All(ctx, api.ListOptions{Filter: o.filters()}, s.EndedTokens)
		return absentUser(printAll(a, hits, header, func(t api.EndedToken) []string {
			return []string{t.ID, t.Name, cmp.Or(t.OwnerName, t.Owner), a.timeText(t.Created), a.optionalTimeText(t.LastUsed), orDash(t.LastIP), a.timeText(t.Ended), t.Reason, orDash(cmp.Or(t.ByName, t.By))}
		}), o.user+o.owner)
	})
}
