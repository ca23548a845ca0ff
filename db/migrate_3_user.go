package db

// toSchema3User counts users by what their hashes cost, and marks the hashes
// that were imported: until schema 3 husk made all of its own with the same
// parameters. What is damaged stays as it is.
func toSchema3User(t *txn) error {
	const own = "$argon2id$v=19$m=19456,t=2,p=1"
	counts := map[string]int64{}
	var imported []string
	err := t.inSteps(userRecords.bucket, func(id string, value []byte) error {
		u, err := userRecords.decode(id, value)
		if err != nil || u.Password == "" {
			return nil
		}
		counts[hashCounter(u.Password)]++
		if hashCost(u.Password) != own {
			imported = append(imported, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for name, n := range counts {
		if err := t.setCount(name, n); err != nil {
			return err
		}
	}
	return t.markImported(imported)
}

func (t *txn) markImported(ids []string) error {
	for _, id := range ids {
		old, err := userRecords.get(t, id)
		if err != nil {
			return err
		}
		u := *old
		u.Imported = true
		if err := userRecords.put(t, old, &u); err != nil {
			return err
		}
	}
	return nil
}
