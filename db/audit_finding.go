package db

import (
	"fmt"
	"slices"
)

// AuditFinding is something that VerifyAudit found: a problem, or a gap that is known.
type AuditFinding struct {
	Code string // one of AuditFindings
	Text string // the same in words, as Problems and Gaps have it
	From uint64 // number of the first entry that it is about; 0: of none
	To   uint64 // of the last
}

// What VerifyAudit can find. FoundLost is a gap, all others are problems.
const (
	FoundOtherHash      = "other_hash"      // the entry has another hash than the one that was kept
	FoundNoHash         = "no_hash"         // no entry has the hash that was kept
	FoundDamaged        = "damaged"         // the entry can't be read
	FoundMissing        = "missing"         // the entries are not there
	FoundEndMissing     = "end_missing"     // nor are these, the newest
	FoundBehindEnd      = "behind_end"      // the entry stands behind the end of the log
	FoundChanged        = "changed"         // the two do not follow each other: one was changed
	FoundNewestChanged  = "newest_changed"  // the entry, the newest, was changed
	FoundChangeGone     = "change_gone"     // the entry does not follow the change that it names
	FoundPrunedUnsigned = "pruned_unsigned" // what retention removed at the beginning, up to this, is not signed
	FoundRangeUnsigned  = "range_unsigned"  // nor is what it removed in the middle
	FoundRangeFirst     = "range_first"     // what it removed at the beginning is told as if something stood before
	FoundRangeChanged   = "range_changed"   // what it removed does not follow the entry before
	FoundGapsUnreadable = "gaps_unreadable" // the record of what damage took can't be read
	FoundGapUnsigned    = "gap_unsigned"    // the record of a gap is not signed
	FoundLost           = "lost"            // damage took the entries before a repair, as the store signed
)

var auditFindings = []string{
	FoundBehindEnd, FoundChangeGone, FoundChanged, FoundDamaged, FoundEndMissing, FoundGapUnsigned, FoundGapsUnreadable, FoundLost, FoundMissing,
	FoundNewestChanged, FoundNoHash, FoundOtherHash, FoundPrunedUnsigned, FoundRangeChanged, FoundRangeFirst, FoundRangeUnsigned,
}

// AuditFindings returns every code that a finding can have, sorted.
func AuditFindings() []string { return slices.Clone(auditFindings) }

// problem notes what is not as it was written. It is about the entries of two numbers
// and those between them.
func (v *auditVerifier) problem(code string, from, to uint64, format string, args ...any) {
	if len(v.Problems) < maxProblems {
		text := fmt.Sprintf(format, args...)
		v.Problems = append(v.Problems, text)
		v.Findings = append(v.Findings, AuditFinding{code, text, from, to})
	}
}

// gap notes entries that damage took, which is known and no problem of the rest.
func (v *auditVerifier) gap(g *auditGap) {
	v.Gaps = append(v.Gaps, g.String())
	v.Findings = append(v.Findings, AuditFinding{FoundLost, g.String(), g.From, g.To})
}
