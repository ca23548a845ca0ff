// Package upkeep does what goes on beside requests while a server runs. Run
// starts it and returns when all is written down; what it does, how often, and
// on which node, is the table that Upkeep.jobs returns.
//
//   - What other nodes change is dropped from memory, and one of all is found to do
//     what is done once (nodes.go).
//   - What was noted in memory is written down, and what has ended is removed
//     (sweep.go).
//   - Scheduled backups are made (scheduled.go).
//   - All of the store is read for damage, in small parts (scrub.go).
//   - Secrets of second factors that are not sealed under the newest key are sealed
//     anew (secrets.go).
//   - What needs attention is told: daily to the log (watch.go) and to a program
//     of the operator's (notify.go), and to whoever asks for the server's health
//     (warnings.go).
//   - Whether changes can be written is found out by writing one, for who asks
//     whether the server is ready (proof.go).
//
// It knows no routes. The web server asks it; where no server runs there is no
// Upkeep: a nil one knows of nothing, and writes nothing.
package upkeep

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/web/factor"
	"husk/web/fold"
	"husk/web/listen"
)

// Config is all that an Upkeep needs; it is written out by hand in one place.
type Config struct {
	Store *db.Store
	Log   *slog.Logger
	Folds *fold.Log // is told each minute; nil: nothing is folded

	Backups Backups        // that it makes
	Source  archive.Source // of them

	SessionIdle   time.Duration // how long a session lives unused; 0: as long as its absolute life
	AuditKeep     time.Duration // how long audit entries are kept; 0: for ever
	AuditEntries  int64         // how many of changes, and of what known people did, are kept at most; 0: all
	AuditRefusals int64         // how many of what strangers were refused are kept at most; 0: all
	MaxTokens     int           // that a user may have who is held to it; 0: no bound

	Sealer *factor.Sealer // of the secrets of second factors; nil: they are not looked at

	NotifyCommand string // path of a program that is told of what needs attention; "": none
	PublicURL     string // under which browsers reach the server, for that program; "": not known

	Connections *listen.Pool           // those that strangers may have; nil: they have no limits
	CertExpiry  func() time.Time       // when the certificate that is served ends; zero or nil: there is none
	Excess      func() (userID string) // who makes far too many changes, or ""; nil: nobody can
	HandCounts  func()                 // hands the store what was counted, before it is written down; nil: nothing is
}

// Upkeep does the work. A nil one answers that nothing is known.
type Upkeep struct {
	Config
	running  atomic.Bool // only then anything is written that nobody asked for
	fileGone atomic.Bool // what the log heard last; see lookForFile

	proof     proof
	damage    damage
	watcher   watcher
	hoards    atomic.Pointer[db.Hoards]
	secrets   secrets
	scheduled scheduled
	making    chan struct{}   // holds something while somebody makes a backup
	life      context.Context // of what goes on when who asked for it leaves: it ends with Run
	endLife   context.CancelFunc
	future    string    // the name of a backup that is of the future, which the log was told
	deaf      time.Time // when the log was told last that the feed of changes broke

	proofPatience, scrubRest time.Duration // set by tests
}

// New makes an Upkeep. It starts nothing.
func New(c Config) *Upkeep {
	u := &Upkeep{Config: c, making: make(chan struct{}, 1), proofPatience: proofPatience, scrubRest: scrubRest, watcher: watcher{told: map[string]told{}}, secrets: secrets{told: watcher{told: map[string]told{}}}}
	u.life, u.endLife = context.WithCancel(context.Background())
	if c.NotifyCommand != "" {
		u.watcher.notify = newNotifier(c.NotifyCommand, c.Log)
	}
	return u
}

// Run does all of it until ctx ends. It returns when the last uses are written,
// and the time, behind which no clock that is set back will lead.
func (u *Upkeep) Run(ctx context.Context) {
	u.guard(u.noteHeader)
	u.guard(func() { u.beginBackups(ctx) })
	u.running.Store(true)
	defer u.running.Store(false)
	var working sync.WaitGroup
	for _, j := range u.jobs() {
		working.Go(func() { u.guard(func() { u.repeat(ctx, j) }) })
	}
	working.Wait()
	u.endLife()
	u.making <- struct{}{} // nobody copies the store any more
	<-u.making
}

// job is a line of the table of what is done while the server runs.
type job struct {
	name  string
	pause time.Duration   // from the end of one time to the beginning of the next
	soon  <-chan struct{} // what it delivers ends a pause early; nil: nothing does
	late  bool            // there is a pause before the first time
	once  bool            // one of the nodes over a store does it for all; else each: it is about its own memory, disk or clock
	do    func(context.Context)
	last  func(context.Context) // is done when all ends, with a context that does not; nil: nothing is
}

const (
	flushEvery  = 30 * time.Second // how long a last use may stay in memory only
	locateEvery = 5 * time.Second  // one system call
	lookEvery   = time.Minute      // at what may be due or need attention
	tidyEvery   = 10 * time.Minute
	followAgain = time.Second // after a feed broke
)

// jobs is the table. No job waits for another one.
func (u *Upkeep) jobs() []job {
	all := []job{
		{name: "write down last uses", pause: flushEvery, soon: u.Store.UsesFull(), late: true, do: u.flush, last: u.lastFlush},
		{name: "write down what was counted", pause: lookEvery, late: true, do: u.writeCounts, last: u.writeCounts},
		{name: "look for the data file", pause: locateEvery, late: true, do: func(context.Context) { _ = u.lookForFile() }},
		{name: "scrub the store", pause: u.scrubRest, soon: u.Store.DamageMet(), do: u.scrub},
		{name: "tell what needs attention", pause: lookEvery, do: u.watch},
		{name: "tell what was folded", pause: lookEvery, late: true, do: u.tellFolded, last: u.tellFolded},
		{name: "remove what has ended", pause: lookEvery, late: true, once: true, do: u.sweep},
		{name: "keep the store in bounds", pause: tidyEvery, late: true, once: true, do: u.tidy},
	}
	if u.Store.Shared() {
		all = append(all, job{name: "hear what other nodes change", pause: followAgain, do: u.follow},
			job{name: "look at schema and clock", pause: lookEvery, late: true, do: u.lookAgain})
	}
	if u.Backups.Dir != "" {
		all = append(all, job{name: "back up when due", pause: lookEvery, once: true, do: u.backUpWhenDue})
	}
	if n := u.watcher.notify; n != nil { // it waits for events by itself; after a panic the next one has its turn
		all = append(all, job{name: "run the notify-command", do: n.run})
	}
	if u.Sealer != nil {
		all = append(all, job{name: "look at the secrets of second factors", pause: tidyEvery, do: u.lookAtSecrets})
	}
	return all
}

// repeat does a job again and again until ctx ends, and what it has to do last.
func (u *Upkeep) repeat(ctx context.Context, j job) {
	for first := true; ctx.Err() == nil; first = false {
		if !first || !j.late {
			u.guard(func() { u.do(ctx, j) }, "job", j.name)
		}
		pause := time.NewTimer(j.pause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-j.soon:
		}
		pause.Stop()
	}
	if j.last != nil {
		u.guard(func() { j.last(context.WithoutCancel(ctx)) }, "job", j.name)
	}
}

// do does a job where it is this node's.
func (u *Upkeep) do(ctx context.Context, j job) {
	if !j.once || u.leads(ctx) {
		j.do(ctx)
	}
}

// guard keeps a panic from ending the process; see listen.Guard.
func (u *Upkeep) guard(f func(), about ...any) { listen.Guard(u.Log, f, about...) }

// warn logs what failed and is tried again, but for what the server's stop cut
// short.
func (u *Upkeep) warn(ctx context.Context, text string, err error) {
	if err != nil && ctx.Err() == nil {
		u.Log.Warn(text, "error", WithCause(err))
	}
}

// within tells whether it is less than d since a moment, and not a clock that
// was set back.
func within(d time.Duration, now, moment time.Time) bool {
	since := now.Sub(moment)
	return since >= 0 && since < d
}
