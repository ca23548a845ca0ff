package db

import (
	"context"
	"strings"
)

// Users are counted by what their hashes cost, so that the work for an account
// that does not exist can be like that for most that do.
const hashCounters = "user/hash/"

func hashCounter(hash string) string { return hashCounters + hashCost(hash) }

// hashCost is all of a password hash that stands before its salt, with one name
// for the versions of bcrypt; "other" where it is of no known kind.
func hashCost(hash string) string {
	fields := strings.Split(hash, "$")
	switch {
	case len(hash) > maxHash || len(fields) < 4:
	case fields[1] == "argon2id" && len(fields) == 6:
		return strings.Join(fields[:4], "$")
	case len(fields) == 4 && len(fields[1]) == 2 && fields[1][0] == '2':
		return "$2b$" + fields[2]
	}
	return "other"
}

const (
	maxHash      = 512 // bytes; longer ones are none
	maxHashKinds = 256 // that are looked at: who imports could make many
)

// CommonHash returns all that stands before the salt in the password hashes of
// most users: "$argon2id$v=19$m=19456,t=2,p=1" or "$2b$10"; "" where there is
// none.
func (s *Store) CommonHash(ctx context.Context) (common string, err error) {
	most, seen := int64(0), 0
	err = s.view(ctx, func(t *txn) error {
		return t.visit(countBucket, []byte(hashCounters), func(name, value []byte) (more bool, err error) {
			n, err := countOf(name, value)
			if cost := string(name[len(hashCounters):]); n > most && cost != "other" {
				most, common = n, cost
			}
			seen++
			return seen < maxHashKinds, err
		})
	})
	return common, err
}
