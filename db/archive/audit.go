package archive

import (
	"strings"
	"unicode"

	"husk/db"
)

// ActBackup is the action of the audit log that tells of a backup: from there on
// somebody has all of the store. The target is where it went.
const ActBackup = "system.backup"

const maxTarget = 300

// Target is where a backup went as the target of an entry of the audit log,
// which is looked up by it.
func Target(where string) db.Target {
	if len(where) > maxTarget {
		where = "…" + where[len(where)-maxTarget:]
	}
	return db.Literal(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, where))
}
