package upkeep

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"husk/db"
	"husk/db/fsys"
	"husk/web/api"
)

// What is told as an event to the program of Config.NotifyCommand; most are
// codes of warnings, too.
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

// OldHeader says that a store was opened by the older of its two headers.
const OldHeader = "one of the two headers of the store was damaged when it was opened: the last change before that may be missing; compare with 'husk audit list'"

// StoreWarnings tells what needs attention in the store, in words for everybody;
// proved is what Prove answered.
func (u *Upkeep) StoreWarnings(proved error) (all []api.Warning) {
	if proved != nil && !errors.Is(proved, ErrNotProved) {
		all = append(all, WriteWarning(proved))
	}
	if u.Damaged() && !errors.Is(proved, db.ErrDamaged) {
		all = append(all, WriteWarning(db.ErrDamaged))
	}
	if u != nil && u.damage.header.Load() {
		all = append(all, api.Warning{Code: "store_header", Text: OldHeader})
	}
	return all
}

// Damaged tells whether the scrub has found damage that is still there.
func (u *Upkeep) Damaged() bool { return u != nil && u.damage.found() }

// BackupWarnings tells what is wrong with the scheduled backups.
func (u *Upkeep) BackupWarnings() []api.Warning {
	if u == nil {
		return nil
	}
	if w := u.scheduled.trouble(u.Backups.Every, u.Store.Now()); w.Code != "" {
		return []api.Warning{w}
	}
	return nil
}

// far is how many times what others may have is too much for one who may.
const far = 10

// HoardWarnings tells of those who have far too many API tokens, and names
// nobody.
func (u *Upkeep) HoardWarnings() []api.Warning {
	if u == nil {
		return nil
	}
	h := u.hoards.Load()
	if h == nil || h.Owners == 0 {
		return nil
	}
	return []api.Warning{{Code: "many_tokens", Text: fmt.Sprintf(
		"users with more than %d times the API tokens that max-tokens-per-user allows: %d; the one with the most, whom the log names, has %d", far, h.Owners, h.Most),
		Values: map[string]string{"times": strconv.Itoa(far), "owners": strconv.Itoa(h.Owners), "most": strconv.FormatInt(h.Most, 10)}}}
}

// ClockWarning tells what the machine's clock shows and what time it is held to
// be.
func ClockWarning(fault time.Duration, now time.Time) api.Warning {
	by, shows, seen := fault.Round(time.Second).String(), now.Add(-fault).Format(time.RFC3339), now.Format(time.RFC3339)
	return api.Warning{Code: eventClock, Text: "the machine's clock is set back by " + by + ": it shows " + shows + ", and time goes on from what was seen, " + seen + "; set it right",
		Values: map[string]string{"by": by, "shows": shows, "seen": seen}}
}

// WriteWarning says why changes are refused, in words for everybody.
func WriteWarning(err error) api.Warning {
	switch {
	case errors.Is(err, db.ErrFull):
		return api.Warning{Code: eventFull, Text: "the disk is full: changes are refused, credentials are still checked; free some space"}
	case errors.Is(err, db.ErrDisk):
		return api.Warning{Code: eventDisk, Text: "the disk failed: changes are refused; look at the log of the machine and at the disk"}
	case errors.Is(err, db.ErrDamaged):
		return api.Warning{Code: eventDamaged, Text: "the store is damaged: run 'husk check' and restore a backup"}
	case errors.Is(err, db.ErrMoved):
		return api.Warning{Code: eventMoved, Text: "the data file was moved, replaced or deleted under the running server: changes are refused, credentials are still checked; the log says what to do"}
	case errors.Is(err, errSlowWrite):
		return api.Warning{Code: "store_slow", Text: errSlowWrite.Error() + ": look at the disk", Values: map[string]string{"patience": proofPatience.String()}}
	}
	return api.Warning{Code: "write_refused", Text: "changes can't be written; see the log"}
}

// WithCause is the text of an error for the log: what users are told, and what
// they are not, and what the system's answer means.
func WithCause(err error) string {
	text := err.Error()
	var e *db.Error
	if errors.As(err, &e) && e.Cause != nil && !strings.Contains(text, e.Cause.Error()) {
		text += ": " + e.Cause.Error()
	}
	if c, ok := fsys.Explain(err); ok && !strings.Contains(text, c.Next) {
		text += ": " + c.What() + "; " + c.Next
	}
	return text
}
