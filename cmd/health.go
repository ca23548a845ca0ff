package cmd

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) healthCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask how husk is; for containers and monitors",
		Long: `Ask the server how it is. It needs no credential. It ends with 0 when the answer is
green, 6 when no server answers, 7 when it is not green. 'husk check' looks at the
store itself, with a server or without.

--verbose tells what needs attention and how much there is of what. Remote, that
needs a token with the permission coco#system/read.`,
		Example: `  husk health
  husk health --verbose`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				if s.offline {
					return &failure{code: exitBusy, what: "no server runs in " + a.settings.Data,
						next: "'husk serve' starts one; 'husk check' looks at the store itself"}
				}
				return a.health(cmd.Context(), s, verbose)
			})
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell details")
	return cmd
}

func (a *app) health(ctx context.Context, s *session, verbose bool) error {
	var status string
	var err error
	if verbose {
		var h api.HealthDetails
		if h, err = s.HealthDetails(ctx); err == nil {
			status, err = h.Status, a.printDetails(h, s.name)
		}
	} else {
		var h api.Health
		if h, err = s.Health(ctx); err == nil {
			status, err = h.Status, a.printHealth(h, s.name)
		}
	}
	if err == nil && status != "green" {
		next := "'husk health --verbose' says why; see the log, and 'husk check'"
		if verbose {
			next = "see the log, and 'husk check'"
		}
		err = &failure{code: exitInvalid, what: "husk is " + status, next: next}
	}
	return err
}

func (a *app) printHealth(h api.Health, answeredBy string) error {
	if a.settings.JSON {
		return a.printJSON(h)
	}
	return a.pairs("status", h.Status, "version", h.Version, "answered by", answeredBy)
}

func (a *app) printDetails(h api.HealthDetails, answeredBy string) error {
	if a.settings.JSON {
		return a.printJSON(h)
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	pairs := []string{"status", h.Status, "version", h.Version, "answered by", answeredBy}
	for _, w := range h.Warnings {
		pairs = append(pairs, "warning", w.Text)
	}
	pairs = append(pairs,
		"writable", h.Writable, "users", number(h.Users), "sessions", number(h.Sessions), "tokens", number(h.Tokens),
		"tokens that end within 30 days", number(int64(h.TokensExpiring)),
		"store", number(h.StoreBytes)+" bytes, "+number(h.FreeBytes)+" of them free")
	if h.LastBackup != nil {
		pairs = append(pairs, "last backup", a.timeText(*h.LastBackup))
	}
	if h.CertExpires != nil {
		pairs = append(pairs, "certificate ends", a.timeText(*h.CertExpires))
	}
	return a.pairs(pairs...)
}
