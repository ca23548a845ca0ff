package cmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"husk/web/api"
)

type tokenRotateOptions struct {
	id      string
	grace   durationValue
	expires string
	output  string
}

func (a *app) tokenRotateCommand() *cobra.Command {
	var o tokenRotateOptions
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace the secret of an API token, with a time of grace for the old one",
		Long: `Replace the secret of an API token and print the new one, this once. Id, name,
permissions and limits stay. With --grace the old secret stays valid for that
time, so that what uses it can change over; 'husk token list' tells whether it
is still used. A further rotation ends the one before it at once.

The new secret lives as long as the old one did, with --server until the end of
the old one, unless --expires says otherwise.`,
		Example: `  husk token rotate backup --grace 24h
  husk token rotate backup --output /etc/backup/husk.token`,
		Args: one("the id, or a name that only one token has"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return a.tokenRotate(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.Var(&o.grace, "grace", "how long the old secret stays valid")
	f.StringVar(&o.expires, "expires", "", "when the new one ends: 90s, 12h, 365d, 2w, 1y, a date (RFC 3339), or never")
	pathVar(f, &o.output, "output", "write the token into this file (0600) instead of stdout")
	return cmd
}

func (a *app) tokenRotate(ctx context.Context, o tokenRotateOptions) error {
	expires, err := parseExpiry(o.expires, time.Now())
	if err != nil {
		return err
	}
	file, err := openSecret(o.output)
	if err != nil {
		return err
	}
	defer file.close()
	return a.use(ctx, false, func(s *session) error {
		t, err := findToken(ctx, s, o.id)
		if err != nil {
			return err
		}
		in := api.Rotate{ExpireIn: expires}
		if o.grace > 0 {
			in.Grace = time.Duration(o.grace).String()
		}
		out, err := s.RotateToken(ctx, t.ID, in)
		if err != nil {
			return err
		}
		return a.deliver(out, file)
	})
}
