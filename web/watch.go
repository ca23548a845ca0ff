package web

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"husk/db"
)

// What is watched while the server runs, and told by log and by the program of
// Config.NotifyCommand.
const (
	eventTokens      = "token_expiring"
	eventCertificate = "certificate_expiring"
	eventClock       = "clock_set_back"
	eventDamaged     = "store_damaged"
	eventFull        = "disk_full"
	eventDisk        = "disk_failed"
	eventMoved       = "store_moved"
	eventBackup      = "backup_failed"
)

const (
	expiryWarning = 30 * 24 * time.Hour // how long before its end an expiry is told
	tellEvery     = 24 * time.Hour      // how often something that lasts is told
	tellAgain     = time.Hour           // how often something that comes and goes is
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

// watcher remembers what was told. Only the goroutine of Run uses it.
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
	since := now.Sub(t.at)
	if before && since >= 0 && since < tellEvery && !(t.over && since >= tellAgain) {
		return false
	}
	w.told[kind] = told{at: now}
	return true
}

// startWatch begins to watch. stop waits for a program that runs, which the
// end of ctx kills.
func (s *Server) startWatch(ctx context.Context) (stop func()) {
	s.running.Store(true)
	s.watcher = watcher{told: map[string]told{}}
	var working sync.WaitGroup
	if s.NotifyCommand != "" {
		n := newNotifier(s.NotifyCommand, s.log)
		s.watcher.notify = n
		working.Go(func() {
			for ctx.Err() == nil { // after a panic the next event has its turn
				s.background(func() { n.run(ctx) })
			}
		})
	}
	working.Go(func() { s.background(func() { s.patrol(ctx) }) })
	s.noteHeader()
	s.background(func() { s.watch(ctx) })
	return func() {
		s.running.Store(false)
		working.Wait()
	}
}

// watch looks at everything once.
func (s *Server) watch(ctx context.Context) {
	now := s.Store.Now()
	s.watchTokens(ctx, now)
	s.watchCertificate(now)
	s.watchClock(now)
	s.watchStore(now)
	s.watchBackups(now)
	s.watchHoards(ctx, now)
	s.watchExcess(now)
}

// tell passes an event to the program, where there is one.
func (s *Server) tell(e notice) {
	if n := s.watcher.notify; n != nil {
		e.Server = s.PublicURL
		n.send(e)
	}
}

// watchTokens looks once a day, so that the log has one line a day at most.
func (s *Server) watchTokens(ctx context.Context, now time.Time) {
	w := &s.watcher
	if since := now.Sub(w.tokensSeen); !w.tokensSeen.IsZero() && since >= 0 && since < tellEvery {
		return
	}
	expiring, err := s.Store.ExpiringTokens(ctx, expiryWarning)
	if err != nil {
		s.log.Warn("the tokens that expire soon could not be counted", "error", err)
		return
	}
	w.tokensSeen = now
	if expiring.Count == 0 {
		return
	}
	s.log.Warn("API tokens expire within 30 days: 'husk token list --expiring 30d' lists them", "count", expiring.Count, "first", namesOf(expiring.First))
	e := notice{Event: eventTokens, Time: now, Count: expiring.Count, Message: fmt.Sprintf("API tokens that expire within 30 days: %d", expiring.Count)}
	for _, k := range expiring.First {
		e.Tokens = append(e.Tokens, expiringToken{ID: k.ID, Name: k.Name, Owner: k.Owner, Expires: time.Unix(k.Expires, 0).UTC()})
	}
	s.tell(e)
}

func namesOf(tokens []*db.Token) string {
	var names []string
	for _, k := range tokens {
		names = append(names, k.ID+" ("+k.Name+")")
	}
	return strings.Join(names, ", ")
}

func (s *Server) watchCertificate(now time.Time) {
	ends := s.certExpiry()
	if !s.watcher.due(eventCertificate, !ends.IsZero() && ends.Sub(now) < expiryWarning, now) {
		return
	}
	ends = ends.UTC()
	message := "the TLS certificate ends at " + ends.Format(time.RFC3339) + "; renew it"
	s.log.Warn(message)
	s.tell(notice{Event: eventCertificate, Time: now, Message: message, Expires: &ends})
}

// watchClock leaves the log to the sweep, which minds the clock too.
func (s *Server) watchClock(now time.Time) {
	fault := s.Store.ClockFault()
	if s.watcher.due(eventClock, fault > 0, now) {
		s.tell(notice{Event: eventClock, Time: now, Message: clockText(fault, now)})
	}
}

// watchBackups leaves the log of failures to who makes them.
func (s *Server) watchBackups(now time.Time) {
	trouble := s.regular.trouble(s.Backups.Every, now)
	if s.watcher.due(eventBackup, trouble != "", now) {
		s.log.Warn(trouble)
		s.tell(notice{Event: eventBackup, Time: now, Message: trouble})
	}
}

// watchStore looks at what went wrong since the last look. It tries nothing:
// what writes and reads in the background meets the fault soon.
func (s *Server) watchStore(now time.Time) {
	w, stats := &s.watcher, s.Store.Stats()
	if w.due(eventFull, stats.Full > w.failures.Full, now) {
		s.report(eventFull, db.ErrFull, now)
	}
	if w.due(eventDisk, stats.Disk > w.failures.Disk, now) {
		s.report(eventDisk, db.ErrDisk, now)
	}
	if w.due(eventDamaged, stats.Damaged > w.failures.Damaged, now) {
		s.report(eventDamaged, db.ErrDamaged, now)
	}
	if w.due(eventMoved, s.Store.Located() != nil, now) { // the log has it by lookForFile
		s.tell(notice{Event: eventMoved, Time: now, Message: writeWarning(db.ErrMoved).Text})
	}
	w.failures = stats
}

func (s *Server) report(kind string, err error, now time.Time) {
	text := writeWarning(err).Text
	s.log.Error(text)
	s.tell(notice{Event: kind, Time: now, Message: text})
}
