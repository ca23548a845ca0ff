package cmd

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

func (a *app) tokenCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE|-]",
		Short: "Tell whether an API token is well-formed, known, live, and what it may do",
		Long: `Read an API token from FILE or stdin (never from an argument) and tell whether it
is well-formed, known, live, whose it is and what it may do. Without a store it
still tells whether it is well-formed.

` + exitHelp,
		Example: `  husk token check /etc/ci/husk.token
  pbpaste | husk token check`,
		Args: atMostOne("a FILE, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "-"
			if len(args) == 1 {
				file = args[0]
			}
			return a.tokenCheck(cmd.Context(), file)
		},
	}
}

// tokenReport is what check finds out; --json prints it.
type tokenReport struct {
	WellFormed  bool     `json:"well_formed"`
	Known       *bool    `json:"known"` // null: there is no store to ask
	Valid       bool     `json:"valid"`
	ID          string   `json:"id,omitempty"`
	Name        string   `json:"name,omitempty"`
	Owner       string   `json:"owner,omitempty"`
	ExpireIn    int64    `json:"expire_in,omitempty"` // Unix seconds, -1 never
	Expired     bool     `json:"expired"`
	Permissions []string `json:"permissions"`
	Reason      string   `json:"reason,omitempty"` // why it is not valid
}

func (a *app) tokenCheck(ctx context.Context, file string) error {
	if _, err := token.Parse(file); err == nil {
		return usage("the token was given as an argument, where others can see it", "pipe it in, or name a file that holds it; revoke this one")
	}
	text, err := a.readSmall(file, "the token to check")
	if err != nil {
		return &failure{code: exitFailure, err: err, what: "the token can't be read: " + plainPathError(err)}
	}
	secret := strings.TrimSpace(string(text))
	report := tokenReport{Permissions: []string{}}
	id, err := token.Parse(secret)
	if err != nil {
		report.Reason = "it is no API token of husk"
		if errors.Is(err, token.ErrChecksum) {
			report.Reason = "its checksum is wrong: it is mistyped or cut"
		}
		return a.reportToken(report)
	}
	report.WellFormed, report.ID = true, id
	err = a.use(ctx, false, func(s *session) error { return report.ask(ctx, s, secret) })
	if errors.Is(err, db.ErrAbsent) {
		report.Reason = "there is no store in " + a.settings.Data + " to look it up in"
		a.say("Well-formed; %s.", report.Reason)
		if a.settings.JSON {
			return a.printJSON(report)
		}
		return a.pairs("well-formed", "yes", "id", id)
	}
	if err != nil {
		return err
	}
	return a.reportToken(report)
}

// ask looks the token up, and then tries it.
func (r *tokenReport) ask(ctx context.Context, s *session, secret string) error {
	own := *s.Client
	if own.Token == "" && s.remote {
		own.Token = secret
	}
	record, err := own.GetToken(ctx, r.ID)
	switch {
	case err == nil:
		t := record.Source
		r.Known, r.Name, r.Owner, r.ExpireIn = ptr(true), t.Name, t.Owner, t.ExpireIn
	case gone(err):
		r.Known = ptr(false)
	case !isStatus(err, http.StatusUnauthorized) && !isStatus(err, http.StatusForbidden):
		return err
	}
	tried := api.Client{Base: s.Base, HTTP: s.HTTP, Token: secret}
	profile, err := tried.Profile(ctx)
	switch {
	case err == nil:
		r.Known, r.Valid, r.Permissions = ptr(true), true, profile.Permissions
		if r.Owner == "" {
			r.Owner = profile.ID
		}
		return nil
	case !isStatus(err, http.StatusUnauthorized):
		return err
	}
	// Looked at after the try: it may have expired since the look-up.
	r.Expired = r.ExpireIn > 0 && time.Now().Unix() >= r.ExpireIn
	r.Reason = r.why()
	return nil
}

// why tells why a token that was tried is refused.
func (r *tokenReport) why() string {
	switch {
	case r.Known == nil:
		return "the server refuses it"
	case !*r.Known:
		return "it is not known: revoked, or of another store"
	case r.Expired:
		return "it has expired"
	}
	return "its secret was replaced, its owner may not sign in, or it may not be used from here"
}

func (a *app) reportToken(r tokenReport) error {
	var err error
	if a.settings.JSON {
		err = a.printJSON(r)
	} else {
		err = a.pairs(r.pairs()...)
	}
	if err == nil && !r.Valid {
		err = &failure{code: exitInvalid, what: "the token is not valid: " + r.Reason}
	}
	return err
}

func (r *tokenReport) pairs() []string {
	yes := map[bool]string{true: "yes", false: "no"}
	p := []string{"well-formed", yes[r.WellFormed]}
	if r.Known != nil {
		p = append(p, "known", yes[*r.Known])
	}
	if r.ID != "" {
		p = append(p, "id", r.ID)
	}
	if r.Owner != "" {
		p = append(p, "owner", r.Owner)
	}
	if r.ExpireIn != 0 {
		p = append(p, "expires", expiryText(r.ExpireIn), "expired", yes[r.Expired])
	}
	if r.Valid {
		p = append(p, "may", listText(r.Permissions))
	}
	return append(p, "valid", yes[r.Valid])
}
