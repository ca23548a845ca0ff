package web

import (
	"context"
	"fmt"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/ratelimit"
)

// Quotas are what one user may have and do. 0 is no bound. Who may do
// everything, as the owner of the data file may, is bound by none of it but the
// number of sessions: of those who are far beyond, health warns.
type Quotas struct {
	Tokens   int // API tokens that a user may have
	Sessions int // of a user; the longest unused ends
	Changes  int // in a minute, and as many at once
}

// The most that an operator may set. A sign-in at the bound reads all sessions
// of its user, and more changes than that in a minute no disk takes.
const (
	MaxSessions = 10_000
	MaxChanges  = 1_000_000
)

// quota counts what users do, each user's credentials together. There are two:
// what a credential does is one, what a password does another, so that a thief
// of the one can't keep the owner from signing in and ending it.
type quota struct {
	*ratelimit.Budget
	changes int // in a minute
}

func newQuota(q Quotas, now func() time.Time) quota {
	return quota{ratelimit.NewBudget(q.Changes, now), q.Changes}
}

// spend counts a change of the actor's user, or refuses it.
func (q quota) spend(actor *db.Actor) error { return q.spendAs(actor.ID, actor.Administrator()) }

func (q quota) spendAs(id string, free bool) error {
	if free {
		q.Count(id)
		return nil
	}
	return q.tooManyChanges(q.Spend(id))
}

// tooManyChanges is nil where there is nothing to wait for.
func (q quota) tooManyChanges(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	return tooMany(api.CodeTooManyChanges, fmt.Sprintf("this server takes %d changes in a minute from one user (changes-per-minute): go on more slowly", q.changes), wait)
}

// spendImport counts the users that an import makes, each a change; that it is
// one was counted before. An import is made as a whole, so it must not be of more
// than there can be at once.
func (s *Server) spendImport(actor *db.Actor, users int) error {
	if s.Quotas.Changes > 0 && users > s.Quotas.Changes {
		return tooLarge("too_many_users", fmt.Sprintf("this server takes %d changes in a minute from one user (changes-per-minute), and each user that is made is one: split the import", s.Quotas.Changes))
	}
	return s.changes.tooManyChanges(s.changes.SpendMany(actor.ID, users-1))
}

// spendProof counts what a user proved to be entitled to by a password.
func (s *Server) spendProof(ctx context.Context, u *db.User) error {
	if s.Quotas.Changes == 0 {
		return nil
	}
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return err
	}
	return s.proofs.spendAs(u.ID, roles.Permissions(u.Roles).All())
}

const excessText = "one who is not held to changes-per-minute made far more changes than that; the log names who"

// Excess returns the id of a user who is held to no bound and made far too many
// changes lately, or "".
func (s *Server) Excess() string {
	for _, q := range []quota{s.changes, s.proofs} {
		if e := q.Excess(); !e.At.IsZero() && s.Store.Now().Sub(e.At) < ratelimit.Far {
			return e.Key
		}
	}
	return ""
}

// quotaWarnings tells of those who are far beyond, and names nobody.
func (s *Server) quotaWarnings() []api.Warning {
	all := s.Upkeep.HoardWarnings()
	if s.Excess() != "" {
		all = append(all, api.Warning{Code: "many_changes", Text: excessText})
	}
	return all
}
