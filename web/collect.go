package web

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"husk/db"
	"husk/web/gate"
	"husk/web/listen"
	"husk/web/upkeep"
)

// collectTimeout bounds the reading of the store for one scrape.
const collectTimeout = 5 * time.Second

// serverCollector reads the figures that others keep anyway, when they are
// asked for. Nothing of it costs a request anything.
type serverCollector struct{ *Server }

// descriptors are all that describe made.
var descriptors []*prometheus.Desc

func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("husk_"+name, help, labels, nil)
	descriptors = append(descriptors, d)
	return d
}

var (
	descHashesQueued  = describe("password_hashes_queued", "Passwords that wait for their turn.")
	descHashesRunning = describe("password_hashes_running", "Passwords that are hashed now.")
	descHashes        = describe("password_hashes_total", "Passwords that were hashed.")
	descHashesBusy    = describe("password_hashes_refused_total", "Passwords that were turned away because the queue was full or slow.")
	descHashWait      = describe("password_hash_wait_seconds_total", "Time that passwords waited for their turn.")
	descHashTime      = describe("password_hash_seconds_total", "Time that was spent hashing.")

	descLogins    = describe("logins_total", "Sign-ins with a password, by result.", "result")
	descFactors   = describe("second_factor_total", "Second factors that were shown, at a sign-in or as a proof, by method and result.", "method", "result")
	descThrottled = describe("throttled_total", "Tries at a password that were refused unseen, because too many before were wrong.")
	descGate      = describe("gate_decisions_total", "Requests for applications that the gate decided about, by rule and outcome.", "rule", "outcome")

	descConnections = describe("connections", "Connections that are open, but for those of the control socket and of the metrics.")
	descConnClosed  = describe("connections_closed_total", "Connections that were closed to make room for others, by the bound that was reached.", "reason")

	descUsers    = describe("users", "Users, the single user included.")
	descTokens   = describe("tokens", "API tokens, expired ones included.")
	descSessions = describe("sessions", "Sessions; expired ones until they are removed.")
	descExpiring = describe("tokens_expiring", "API tokens that end within 30 days; 10000 means that or more.")
	descAudit    = describe("audit_entries_total", "Entries ever written to the audit log.")
	descCert     = describe("certificate_expiry_timestamp_seconds", "When the TLS certificate that is served ends, in Unix time.")
	descClock    = describe("clock_behind_seconds", "By how much the machine's clock is behind the latest time that was seen; 0 is well.")

	descBackupPeriod = describe("backup_period_seconds", "How old the newest scheduled backup may become; another one is then made.")
	descBackupNewest = describe("backup_last_success_timestamp_seconds", "When the newest scheduled backup was made, in Unix time; 0 where there is none.")
	descBackupSize   = describe("backup_last_size_bytes", "Size of the last scheduled backup that was made since the start.")
	descBackupTime   = describe("backup_last_duration_seconds", "How long it took.")
	descBackupKept   = describe("backups_kept", "Scheduled backups that are there.")
	descBackupRuns   = describe("backup_runs_total", "Scheduled backups since the start, by result.", "result")

	descStoreUp      = describe("store_up", "1 while the store can be read, else 0.")
	descStoreWrites  = describe("store_writable", "1 while a change can be written, which is proved by writing one at most every 10 seconds, else 0.")
	descStoreSize    = describe("store_size_bytes", "Size of the store's file.")
	descPageSize     = describe("store_page_size_bytes", "Size of a page of the store's file.")
	descFreePages    = describe("store_free_pages", "Pages of the store's file that the next writes can use.")
	descCommits      = describe("store_commits_total", "Commits in the life of the store's file; one commit may hold many changes.")
	descUpdates      = describe("store_update_duration_seconds", "Time until a change was durable or refused, waiting included.")
	descStoreFailure = describe("store_failures_total", "Calls into the store that failed, by reason.", "reason")
	descWorth        = describe("store_compaction_worth", "1 where 'husk compact' would give back half of the file, and 32 MiB at least.")
	descHits         = describe("cache_hits_total", "Records that were found in memory, by noun.", "cache")
	descMisses       = describe("cache_misses_total", "Records that were not, and were read from the file.", "cache")
)

// Describe implements prometheus.Collector.
func (c *serverCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptors {
		out <- d
	}
}

// samples takes what a scrape collects.
type samples chan<- prometheus.Metric

func (s samples) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s samples) counter(d *prometheus.Desc, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

// Collect implements prometheus.Collector. What can't be read is left out,
// which a graph shows as a gap; store_up tells why. The registry calls it in a
// goroutine of its own.
func (c *serverCollector) Collect(out chan<- prometheus.Metric) {
	listen.Guard(c.log, func() { c.collect(out) })
}

func (c *serverCollector) collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	c.collectTally(out)
	c.collectHashing(out)
	c.collectConnections(out)
	c.collectStore(out, c.Store.Stats())
	c.collectBackups(out)
	up := 1.0
	if err := c.collectRecords(ctx, out); err != nil {
		up = 0
	}
	samples(out).gauge(descStoreUp, up)
	if proved := c.Upkeep.Prove(ctx); !errors.Is(proved, upkeep.ErrNotProved) {
		samples(out).gauge(descStoreWrites, oneIf(proved == nil))
	}
	samples(out).gauge(descClock, c.Store.ClockFault().Seconds())
	if ends := c.certExpiry(); !ends.IsZero() {
		samples(out).gauge(descCert, float64(ends.Unix()))
	}
}

// collectTally tells what a tally counted; of rules that are gone nothing.
func (c *serverCollector) collectTally(out samples) {
	for _, result := range loginResults {
		out.counter(descLogins, float64(c.tally.logins[result].Load()), result)
	}
	for of, n := range c.tally.factors {
		out.counter(descFactors, float64(n.Load()), of.method, of.result)
	}
	out.counter(descThrottled, float64(c.tally.throttled.Load()))
	now := c.tally.gate.Load()
	decided := map[string][outcomes]float64{}
	for i, label := range now.labels {
		sum := decided[label]
		for outcome := range sum {
			sum[outcome] += float64(now.counts[i][outcome].Load())
		}
		decided[label] = sum
	}
	for label, sum := range decided {
		for outcome, n := range sum {
			out.counter(descGate, n, label, gate.Outcome(outcome).String())
		}
	}
}

func (c *serverCollector) collectHashing(out samples) {
	s := c.Passwords.Stats()
	out.gauge(descHashesQueued, float64(s.Queued))
	out.gauge(descHashesRunning, float64(s.Running))
	out.counter(descHashes, float64(s.Total))
	out.counter(descHashesBusy, float64(s.Busy))
	out.counter(descHashWait, s.WaitTotal.Seconds())
	out.counter(descHashTime, s.HashTotal.Seconds())
}

func (c *serverCollector) collectConnections(out samples) {
	if c.Connections == nil {
		return
	}
	s := c.Connections.Stats()
	out.gauge(descConnections, float64(s.Open))
	for reason, n := range s.Closed {
		out.counter(descConnClosed, float64(n), reason)
	}
}

// collectBackups leaves out what there is none of: a server without scheduled
// backups is not one whose backups fail.
func (c *serverCollector) collectBackups(out samples) {
	every, b := c.Upkeep.LastBackups()
	if every == 0 {
		return
	}
	out.gauge(descBackupPeriod, every.Seconds())
	newest := 0.0
	if !b.Newest.IsZero() {
		newest = float64(b.Newest.Unix())
	}
	out.gauge(descBackupNewest, newest)
	out.gauge(descBackupSize, float64(b.Size))
	out.gauge(descBackupTime, b.Took.Seconds())
	out.gauge(descBackupKept, float64(b.Kept))
	out.counter(descBackupRuns, float64(b.Made), "ok")
	out.counter(descBackupRuns, float64(b.Failed), "failed")
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *serverCollector) collectStore(out samples, s db.Stats) {
	if s.Engine != (db.EngineStats{}) {
		out.gauge(descStoreSize, float64(s.Engine.Size))
		out.gauge(descPageSize, float64(s.Engine.PageSize))
		out.gauge(descFreePages, float64(s.Engine.FreePages))
		out.gauge(descWorth, oneIf(s.Engine.WorthCompacting()))
		out.counter(descCommits, float64(s.Engine.Commits))
	}
	out <- prometheus.MustNewConstHistogram(descUpdates, s.Updates.Count, s.Updates.Sum.Seconds(), s.Updates.Buckets)
	out.counter(descStoreFailure, float64(s.Full), "full")
	out.counter(descStoreFailure, float64(s.Disk), "disk")
	out.counter(descStoreFailure, float64(s.Damaged), "damaged")
	out.counter(descStoreFailure, float64(s.Moved), "moved")
	for name, cache := range s.Caches {
		out.counter(descHits, float64(cache.Hits), name)
		out.counter(descMisses, float64(cache.Misses), name)
	}
}

func (c *serverCollector) collectRecords(ctx context.Context, out samples) error {
	counts, err := c.Store.Counts(ctx)
	if err != nil {
		return err
	}
	out.gauge(descUsers, float64(counts["users"]))
	out.gauge(descTokens, float64(counts["tokens"]))
	out.gauge(descSessions, float64(counts["sessions"]))
	expiring, err := c.Store.ExpiringTokens(ctx, upkeep.ExpiryWarning)
	if err != nil {
		return err
	}
	out.gauge(descExpiring, float64(expiring.Count))
	entries, _, err := c.Store.AuditHead(ctx)
	if err != nil {
		return err
	}
	out.counter(descAudit, float64(entries))
	return nil
}
