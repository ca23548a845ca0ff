package cmd

import (
	"cmp"
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
is well-formed, known, live, whose it is and what it may do, or why it is
refused: what is the matter with it, who did that and when. Without a store it
still tells whether it is well-formed.

Remote, --token-file is the credential that asks; without one the token asks
about itself, and where it is refused there is nothing more to be told: so also
one that is good behind the gate alone. Who did it and when is in the audit log,
which needs generic#security:audit/search.

To check a token of others is not to use it: its last use stays as it was.

` + exitHelp,
		Example: `  husk token check /etc/ci/husk.token
  pbpaste | husk token check`,
		Args: pathArgs(atMostOne("a FILE, or - for stdin")),
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
	OwnerName   string   `json:"owner_name,omitempty"`
	ExpireIn    int64    `json:"expire_in,omitempty"` // Unix seconds, -1 never
	Expired     bool     `json:"expired"`
	Permissions []string `json:"permissions"`

	// With any of these a valid one is good behind the gate alone.
	AllowedHosts   []string `json:"allowed_hosts,omitempty"`
	AllowedPaths   []string `json:"allowed_paths,omitempty"`
	AllowedMethods []string `json:"allowed_methods,omitempty"`

	why // why it is not valid

	allowed []string // CIDR prefixes that it may be used from; none: everywhere
}

func (a *app) tokenCheck(ctx context.Context, file string) error {
	if _, err := token.Parse(file); err == nil {
		return usage("the token was given as an argument, where others can see it", "pipe it in, or name a file that holds it; revoke this one")
	}
	text, err := a.readSecret(file, "the token to check", "API token: ")
	if err != nil {
		return readFailed("the token can't be read", err)
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

// ask looks the token up. Where somebody else asks, it is only looked at: a use
// would wipe out when and from where it was used last, which one may want to
// know.
func (r *tokenReport) ask(ctx context.Context, s *session, secret string) error {
	own := *s.Client
	alone := s.remote && own.Token == ""
	if alone {
		own.Token = secret
	}
	record, err := own.GetToken(ctx, r.ID)
	switch {
	case err == nil:
		t := record.Source
		r.Known, r.Name, r.Owner, r.OwnerName, r.ExpireIn, r.allowed = ptr(true), t.Name, t.Owner, t.OwnerName, t.ExpireIn, t.AllowedIPs
	case gone(err):
		r.Known = ptr(false)
	case !isStatus(err, http.StatusUnauthorized) && !isStatus(err, http.StatusForbidden):
		return err
	}
	if alone || (s.remote && err != nil) { // who asks may not see it, or there is nobody else
		if err := r.try(ctx, s, secret); err != nil || r.Valid {
			return err
		}
	}
	return r.judge(ctx, &own, secret)
}

// try uses the token.
func (r *tokenReport) try(ctx context.Context, s *session, secret string) error {
	tried := api.Client{Base: s.Base, HTTP: s.HTTP, Token: secret}
	profile, err := tried.Profile(ctx)
	if err != nil {
		if isStatus(err, http.StatusUnauthorized) {
			return nil
		}
		return err
	}
	r.Known, r.Valid, r.Permissions = ptr(true), true, profile.Permissions
	if r.Owner == "" {
		r.Owner, r.OwnerName = profile.ID, cmp.Or(profile.Email, profile.ID)
	}
	return nil
}

// judge asks what a token is worth and why it is refused.
func (r *tokenReport) judge(ctx context.Context, own *api.Client, secret string) error {
	if r.Known == nil {
		r.why = why{Reason: "the server refuses it", Hidden: "why: that is for its owner and for administrators to see, with --token-file; one for the gate alone is refused here"}
		return nil
	}
	var worth api.TokenWorth
	if *r.Known {
		var err error
		if worth, err = own.CheckToken(ctx, api.TokenCheck{AccessToken: secret}); err != nil && !gone(err) {
			return err
		}
		*r.Known = err == nil // it may be gone since
	}
	h := &historian{Client: own, now: time.Now()} // behind the look: what it saw has happened
	if !*r.Known {
		r.why = h.goneToken(ctx, r.ID)
		return nil
	}
	r.Valid, r.Permissions = worth.Valid, worth.Permissions
	r.AllowedHosts, r.AllowedPaths, r.AllowedMethods = worth.AllowedHosts, worth.AllowedPaths, worth.AllowedMethods
	r.Expired = worth.Code == codeExpired
	r.why = h.whyRefused(ctx, worth.Introspection, r.ID, r.Owner, unixTime(r.ExpireIn))
	if r.Code == codeAddress {
		r.Reason += ", only from " + listText(r.allowed)
	}
	return nil
}

// unixTime is an expire_in as a time; zero for never and for none.
func unixTime(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

func (a *app) reportToken(r tokenReport) error {
	var err error
	if a.settings.JSON {
		err = a.printJSON(r)
	} else {
		err = a.pairs(r.pairs(a)...)
	}
	if err == nil && !r.Valid {
		err = &failure{code: exitInvalid, what: "the token is not valid: " + r.Reason}
	}
	return err
}

func (r *tokenReport) pairs(a *app) []string {
	p := []string{"well-formed", yesNo(r.WellFormed)}
	if r.Known != nil {
		p = append(p, "known", yesNo(*r.Known))
	}
	if r.ID != "" {
		p = append(p, "id", r.ID)
	}
	if r.Owner != "" {
		p = append(p, "owner", cmp.Or(r.OwnerName, r.Owner))
	}
	if r.ExpireIn != 0 {
		p = append(p, "expires", a.expiryText(r.ExpireIn), "expired", yesNo(r.Expired))
	}
	if r.Valid {
		p = append(p, "may", listText(r.Permissions))
	}
	if len(r.AllowedHosts)+len(r.AllowedPaths)+len(r.AllowedMethods) > 0 {
		p = append(p, "good", "behind the gate alone", "hosts", listText(r.AllowedHosts), "paths", listText(r.AllowedPaths), "methods", listText(r.AllowedMethods))
	}
	return append(append(p, "valid", yesNo(r.Valid)), r.why.pairs(a)...)
}
