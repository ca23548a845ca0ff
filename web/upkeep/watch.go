package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"husk/db"
)

const (
	// ExpiryWarning is how long before its end an expiry is told.
	ExpiryWarning = 30 * 24 * time.Hour

	tellEvery   = 24 * time.Hour   // how often something that lasts is told
	tellAgain   = time.Hour        // how often something that comes and goes is
	hoardsEvery = 10 * time.Minute // how often tokens are counted by user: it reads a counter of each of them
)

// notice is what the program is told, as JSON.
type notice struct {
	Event   string          `json:"event"`
	Time    time.Time       `json:"time"`
	Server  string          `json:"server,omitempty"` // the public URL
	Message string          `json:"message"`
	Count   int             `json:"count,omitempty"`   // of tokens
	Tokens  []expiringToken `json:"tokens,omitempty"`  // the next few to end
	Expires *time.Time      `json:"expires,omitempty"` // of the certificate
}

type expiringToken struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Owner   string    `json:"owner"` // user id
	Expires time.Time `json:"expires"`
}

// watcher remembers what was told. Only the goroutine that watches uses it.
type watcher struct {
	notify *notifier // nil: nobody to tell but the log
	told   map[string]told

	tokensSeen time.Time // when the tokens were last looked at
	hoardsSeen time.Time // when they were last counted by user
	failures   db.Stats  // of the store at the last look
}

type told struct {
	at   time.Time
	over bool // it has ended since
}

// due tells whether to tell of something: when it begins, and daily as long as
// it lasts.
func (w *watcher) due(kind string, holds bool, now time.Time) bool {
	t, before := w.told[kind]
	if !holds {
		t.over = true
		w.told[kind] = t
		return false
	}
	every := tellEvery
	if t.over {
		every = tellAgain
	}
	if before && within(every, now, t.at) {
		return false
	}
	w.told[kind] = told{at: now}
	return true
}

// watch looks at everything once.
func (u *Upkeep) watch(ctx context.Context) {
	now := u.Store.Now()
	if u.leads(ctx) { // what all nodes keep, and one of them tells
		u.watchTokens(ctx, now)
		u.watchBackups(now)
		u.watchHoards(ctx, now)
	}
	u.watchCertificate(now)
	u.watchClock(now)
	u.watchDisk(now)
	u.watchExcess(now)
}

// tell passes an event to the program, where there is one.
func (u *Upkeep) tell(e notice) {
	if n := u.watcher.notify; n != nil {
		e.Server = u.PublicURL
		n.send(e)
	}
}

// watchTokens looks once a day, so that the log has one line a day at most.
func (u *Upkeep) watchTokens(ctx context.Context, now time.Time) {
	w := &u.watcher
	if within(tellEvery, now, w.tokensSeen) {
		return
	}
	expiring, err := u.Store.ExpiringTokens(ctx, ExpiryWarning)
	if err != nil {
		u.Log.Warn("API tokens that expire soon could not be looked for in the store: it is tried again in a minute", "error", WithCause(err))
		return
	}
	w.tokensSeen = now
	if expiring.Count == 0 {
		return
	}
	u.Log.Warn("API tokens expire within 30 days: 'husk token list --expiring 30d' lists them", "count", expiring.Count, "first", namesOf(expiring.First))
	e := notice{Event: eventTokens, Time: now, Count: expiring.Count, Message: fmt.Sprintf("API tokens that expire within 30 days: %d", expiring.Count)}
	for _, k := range expiring.First {
		e.Tokens = append(e.Tokens, expiringToken{ID: k.ID, Name: k.Name, Owner: k.Owner, Expires: time.Unix(k.Expires, 0).UTC()})
	}
	u.tell(e)
}

func namesOf(tokens []*db.Token) string {
	var names []string
	for _, k := range tokens {
		names = append(names, k.ID+" ("+k.Name+")")
	}
	return strings.Join(names, ", ")
}

func (u *Upkeep) watchCertificate(now time.Time) {
	var ends time.Time
	if u.CertExpiry != nil {
		ends = u.CertExpiry()
	}
	if !u.watcher.due(eventCertificate, !ends.IsZero() && ends.Sub(now) < ExpiryWarning, now) {
		return
	}
	ends = ends.UTC()
	message := "the TLS certificate ends at " + ends.Format(time.RFC3339) + "; renew it"
	u.Log.Warn(message)
	u.tell(notice{Event: eventCertificate, Time: now, Message: message, Expires: &ends})
}

// watchClock has the log told each time: the machine's time is wrong in it.
func (u *Upkeep) watchClock(now time.Time) {
	fault := u.Store.ClockFault()
	if fault > 0 {
		u.Log.Warn(ClockWarning(fault, now).Text)
	}
	if u.watcher.due(eventClock, fault > 0, now) {
		u.tell(notice{Event: eventClock, Time: now, Message: ClockWarning(fault, now).Text})
	}
}

// watchBackups leaves the cause of a failure to who makes them.
func (u *Upkeep) watchBackups(now time.Time) {
	trouble := u.scheduled.trouble(u.Backups.Every, now)
	if u.watcher.due(eventBackup, trouble.Code != "", now) {
		u.Log.Warn(trouble.Text, "dir", u.Backups.Dir)
		u.tell(notice{Event: eventBackup, Time: now, Message: trouble.Text})
	}
}

// watchDisk looks at what went wrong since the last look. It tries nothing:
// what writes and reads in the background meets the fault soon.
func (u *Upkeep) watchDisk(now time.Time) {
	w, stats := &u.watcher, u.Store.Stats()
	if w.due(eventFull, stats.Full > w.failures.Full, now) {
		u.report(db.ErrFull, now)
	}
	if w.due(eventDisk, stats.Disk > w.failures.Disk, now) {
		u.report(db.ErrDisk, now)
	}
	if w.due(eventDamaged, stats.Damaged > w.failures.Damaged, now) {
		u.report(db.ErrDamaged, now)
	}
	if w.due(eventMoved, u.Store.Located() != nil, now) { // the log has it by lookForFile
		u.tell(notice{Event: eventMoved, Time: now, Message: WriteWarning(db.ErrMoved).Text})
	}
	w.failures = stats
}

// report tells of a fault of the store, and the log also what met it last.
func (u *Upkeep) report(kind error, now time.Time) {
	warning := WriteWarning(kind)
	var about []any
	if last := u.Store.Refusal(); errors.Is(last.Err, kind) {
		about = []any{"error", WithCause(last.Err)}
	}
	u.Log.Error(warning.Text, about...)
	u.tell(notice{Event: warning.Code, Time: now, Message: warning.Text})
}

// watchHoards looks for those who have far too many tokens. Nobody is refused
// for it.
func (u *Upkeep) watchHoards(ctx context.Context, now time.Time) {
	w := &u.watcher
	if u.MaxTokens == 0 || within(hoardsEvery, now, w.hoardsSeen) {
		return
	}
	h, err := u.Store.TokenHoards(ctx, far*int64(u.MaxTokens))
	if err != nil {
		u.Log.Warn("the API tokens of each user could not be counted in the store: it is tried again in a minute", "error", WithCause(err))
		return
	}
	w.hoardsSeen = now
	u.hoards.Store(&h)
	if w.due("many_tokens", h.Owners > 0, now) {
		u.Log.Warn(fmt.Sprintf("users with more than %d times the API tokens that max-tokens-per-user allows: 'husk token list --user ID' lists those of the user named here, who has the most", far),
			"users", h.Owners, "user", h.Owner, "tokens", h.Most)
	}
}

// watchExcess looks for those who do far too much.
func (u *Upkeep) watchExcess(now time.Time) {
	user := ""
	if u.Excess != nil {
		user = u.Excess()
	}
	if u.watcher.due("many_changes", user != "", now) {
		u.Log.Warn("a user who is not held to changes-per-minute makes far more changes than that: 'husk audit list --actor ID' lists them", "user", user)
	}
}
