package db

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// toSchema3Audit finds the entries of strangers, which have a budget of their
// own, and the newest other one, which the next entry is to name. What is
// damaged stays as it is.
func toSchema3Audit(t *txn) error {
	var budget strangersBudget
	change := ""
	err := t.inSteps(auditBucket, func(key string, value []byte) error {
		var e Event
		if json.Unmarshal(value, &e) != nil {
			return nil
		}
		if e.stranger() {
			budget.Kept++
			return t.put(auditIndex, append(indexPrefix(byStranger, everything), key...), []byte(key))
		}
		sum := sha256.Sum256(value)
		change = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		return err
	}
	var head auditHead
	if _, err := t.getJSON(metaBucket, metaHead, &head); err != nil {
		return err
	}
	head.Change = change
	if err := t.putJSON(metaBucket, metaHead, head); err != nil {
		return err
	}
	return t.putJSON(metaBucket, metaStrangers, budget)
}
