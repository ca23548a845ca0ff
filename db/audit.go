package db

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
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
type Event struct {
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"`
	Actor     string    `json:"actor"`
	ActorName string    `json:"actor_name"`
	Transport string    `json:"transport"`
	Address   string    `json:"address"`
	Action    string    `json:"action"`
	Target    string    `json:"target"`
	Result    string    `json:"result"`
	RequestID string    `json:"request_id"`
	Count     int       `json:"count"`
	Prev      string    `json:"prev"` // hex; empty for the first entry
}

func (e *Event) readWritten(w *written) {
	var count int64
	w.natural("seq", &e.Seq)
	w.time("time", &e.Time)
	w.text("actor", &e.Actor)
	w.text("actor_name", &e.ActorName)
	w.text("transport", &e.Transport)
	w.text("address", &e.Address)
	w.text("action", &e.Action)
	w.text("target", &e.Target)
	w.text("result", &e.Result)
	w.text("request_id", &e.RequestID)
	w.integer("count", &count)
	w.text("prev", &e.Prev)
	e.Count = int(count)
	w.other = w.other || int64(e.Count) != count
}

const (
	auditBucket = "audit"
	auditIndex  = "audit.index"
	metaHead    = "audit"

	byRequest = "request"
)

// auditHead is the end of the chain, kept so that an entry is appended without
// reading the one before.
type auditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // hex SHA-256 of the newest entry's JSON
}

// next is the head once an entry of the hash is appended.
func (h auditHead) next(sum [sha256.Size]byte) auditHead {
	return auditHead{Seq: h.Seq + 1, Hash: hex.EncodeToString(sum[:])}
}

// audit appends an entry about the transaction's actor to the log, in the same
// transaction as the change that it tells of.
func (t *txn) audit(action, target string) error {
	return t.append(Event{
		Time: t.now, Actor: t.actor.ID, ActorName: t.actor.Name, Transport: t.actor.Transport,
		Address: t.actor.Address, RequestID: t.actor.RequestID, Action: action, Target: target,
	})
}

// append chains e to the log.
func (t *txn) append(e Event) error {
	var head auditHead
	if _, err := t.getJSON(metaBucket, metaHead, &head); err != nil {
		return err
	}
	e.Seq, e.Prev = head.Seq+1, head.Hash
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
	return t.putJSON(metaBucket, metaHead, head.next(sha256.Sum256(value)))
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// auditIndexKeys are what an entry is found by: actor, action, target, request.
func auditIndexKeys(e *Event) [][]byte {
	var keys [][]byte
	for kind, value := range map[string]string{"actor": e.Actor, "action": e.Action, "target": e.Target, byRequest: e.RequestID} {
		if value != "" {
			keys = append(keys, append(indexPrefix(kind, value), seqKey(e.Seq)...))
		}
	}
	return keys
}
