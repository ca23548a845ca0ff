package db

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Results of an audited act.
const (
	ResultOK      = "ok"
	ResultRefused = "refused"
)

// Event is one entry of the audit log. Entries are chained: Prev is the
// SHA-256 of the stored JSON of the entry before, so that one who keeps the
// newest hash elsewhere can tell a removed, changed or reordered entry.
// PrevChange goes over what strangers were refused: retention takes that out
// of the middle, and the rest must still prove itself.
type Event struct {
	Seq        uint64    `json:"seq"`
	Time       time.Time `json:"time"`
	Actor      string    `json:"actor"`
	ActorName  string    `json:"actor_name"`
	Transport  string    `json:"transport"`
	Address    string    `json:"address"`
	Action     string    `json:"action"`
	Target     string    `json:"target"`
	TargetName string    `json:"target_name,omitempty"` // that it had at the time; empty where it is the id, and of entries from before names were kept
	Result     string    `json:"result"`
	RequestID  string    `json:"request_id"`
	Count      int       `json:"count"`
	PrevChange string    `json:"prev_change"` // hex; of the newest entry before that is no stranger's; empty for the first, and for those of schema 2
	Prev       string    `json:"prev"`        // hex; empty for the first entry
}

// stranger tells whether the entry is of a refusal of nobody known: what
// anybody can have written down, and so has a budget of its own.
func (e *Event) stranger() bool { return e.Actor == "" && e.Result == ResultRefused }

func (e *Event) readFast(j *fastJSON) {
	var count int64
	j.natural("seq", &e.Seq)
	j.time("time", &e.Time)
	j.text("actor", &e.Actor)
	j.text("actor_name", &e.ActorName)
	j.text("transport", &e.Transport)
	j.text("address", &e.Address)
	j.text("action", &e.Action)
	j.text("target", &e.Target)
	j.text("target_name", &e.TargetName)
	j.text("result", &e.Result)
	j.text("request_id", &e.RequestID)
	j.integer("count", &count)
	j.text("prev_change", &e.PrevChange)
	j.text("prev", &e.Prev)
	e.Count = int(count)
	j.other = j.other || int64(e.Count) != count
}

const (
	auditBucket = "audit"
	auditIndex  = "audit.index"
	metaHead    = "audit"

	byRequest  = "request"
	byStranger = "stranger"
)

// auditHead is the end of the chain, kept so that an entry is appended without
// reading the one before.
type auditHead struct {
	Seq    uint64 `json:"seq"`
	Hash   string `json:"hash"`             // hex SHA-256 of the newest entry's JSON
	Change string `json:"change,omitempty"` // of the newest that is no stranger's
}

// chain gives an entry its place behind the head.
func (h auditHead) chain(e *Event) { e.Seq, e.PrevChange, e.Prev = h.Seq+1, h.Change, h.Hash }

// next is the head once the entry is appended, whose JSON is value.
func (h auditHead) next(e *Event, value []byte) auditHead {
	sum := sha256.Sum256(value)
	n := auditHead{Seq: h.Seq + 1, Hash: hex.EncodeToString(sum[:]), Change: h.Change}
	if !e.stranger() {
		n.Change = n.Hash
	}
	return n
}

// audit appends an entry about the transaction's actor to the log, in the same
// transaction as the change that it tells of.
func (t *txn) audit(action string, target Target) error {
	e := eventOf(t.actor, action, target)
	e.Time = t.now
	return t.append(e)
}

// append chains e to the log.
func (t *txn) append(e Event) error {
	var head auditHead
	if _, err := t.getJSON(metaBucket, metaHead, &head); err != nil {
		return err
	}
	head.chain(&e)
	e.Result, e.Count = cmp.Or(e.Result, ResultOK), cmp.Or(e.Count, 1)
	value, err := json.Marshal(&e)
	if err != nil {
		return fmt.Errorf("encode audit entry: %w", err)
	}
	key := seqKey(e.Seq)
	if err := t.put(auditBucket, key, value); err != nil {
		return err
	}
	for _, k := range auditIndexKeys(&e) {
		if err := t.put(auditIndex, k, key); err != nil {
			return err
		}
	}
	return t.putJSON(metaBucket, metaHead, head.next(&e, value))
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// auditIndexKeys are what an entry is found by: actor, action, target, request,
// and that it is a stranger's.
func auditIndexKeys(e *Event) [][]byte {
	var keys [][]byte
	for kind, value := range map[string]string{"actor": e.Actor, "action": e.Action, "target": e.Target, byRequest: e.RequestID} {
		if value != "" {
			keys = append(keys, append(indexPrefix(kind, value), seqKey(e.Seq)...))
		}
	}
	if e.stranger() {
		keys = append(keys, append(indexPrefix(byStranger, everything), seqKey(e.Seq)...))
	}
	return keys
}

// AuditRead writes down that an actor reads what matters, before it is handed
// out: a backup, the log itself. That must not depend on room on the disk, since
// a backup is what a full or failing one calls for: then later tells why the
// entry waits in memory, to be written with the refusals. err is reason to hand
// out nothing.
func (s *Store) AuditRead(ctx context.Context, actor *Actor, action string, target Target) (later, err error) {
	err = s.update(ctx, actor, func(t *txn) error { return t.audit(action, target) })
	if err == nil || errors.Is(err, ErrEnded) || ctx.Err() != nil || s.changeable() != nil {
		return nil, err
	}
	e := eventOf(actor, action, target)
	e.Time, e.Result = s.Now(), ResultOK
	s.refusals.note(e)
	return err, nil
}
