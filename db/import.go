package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ImportUser is one line of an import.
type ImportUser struct {
	NewUser
	Line     int // in the file, from 1
	Disabled bool
}

// Imported counts what an import did, or with a dry run would do.
type Imported struct {
	Created int
	Skipped int // there already
}

// importStep is how many users one transaction of an import makes.
const importStep = 500

// ImportUsers makes many users. All lines are checked before the first is
// written: one that is faulty is an error that names it, and nothing is
// changed. With ifMissing a user who is there already is left as they are;
// without it that is a fault. It is written in steps: one that is cut short,
// by a full disk for instance, is run again with ifMissing; with an error the
// count is what was made before it.
func (s *Store) ImportUsers(ctx context.Context, actor *Actor, users []ImportUser, ifMissing, dryRun bool) (done Imported, err error) {
	err = s.view(ctx, func(t *txn) error {
		t.actor = actor
		done, err = t.checkImport(users, ifMissing)
		return err
	})
	if err != nil {
		return Imported{}, err
	}
	if dryRun {
		return done, nil
	}
	done = Imported{}
	for len(users) > 0 {
		step := users[:min(len(users), importStep)]
		var made Imported
		err := s.update(ctx, actor, func(t *txn) (err error) {
			made, err = t.importUsers(step, done.Created+done.Skipped, ifMissing)
			return err
		})
		if err != nil {
			return done, err
		}
		done.Created += made.Created
		done.Skipped += made.Skipped
		users = users[made.Created+made.Skipped:]
	}
	return done, nil
}

// atLine names the line of a fault, in words that may be told.
func atLine(line int, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Kind: e.Kind, Code: e.Code, Reason: fmt.Sprintf("line %d: %s", line, e.Reason), Cause: e.Cause, Line: line}
}

func (t *txn) checkImport(users []ImportUser, ifMissing bool) (done Imported, err error) {
	roles, err := t.roleSet()
	if err != nil {
		return done, err
	}
	first := map[string]int{}
	known, err := t.emailsKnown(users)
	if err != nil {
		return done, err
	}
	for i := range users {
		u := &users[i]
		if err := u.check(); err != nil {
			return done, atLine(u.Line, err)
		}
		if err := t.mayGrant(roles, u.Roles); err != nil {
			return done, atLine(u.Line, err)
		}
		email := FoldEmail(u.Email)
		if before := first[email]; before != 0 {
			return done, atLine(u.Line, fail(ErrInvalid, "email_twice", fmt.Sprintf("the email of line %d again", before)))
		}
		first[email] = u.Line
		switch {
		case !known[email]:
			done.Created++
		case ifMissing:
			done.Skipped++
		default:
			return done, atLine(u.Line, userRecords.taken)
		}
	}
	return done, t.mayOutlive() // also where nothing is written, for that to tell what would be
}

// emailsKnown tells which of the emails are taken, folded.
func (t *txn) emailsKnown(users []ImportUser) (known map[string]bool, err error) {
	known = map[string]bool{}
	for some := range slices.Chunk(users, importStep) {
		var keys [][]byte
		for _, u := range some {
			if email := FoldEmail(strings.TrimSpace(u.Email)); len(email) <= maxEmail { // else it is refused
				keys = append(keys, uniqueKey(email))
			}
		}
		values, err := t.GetMany(userRecords.indexBucket(), keys)
		if err != nil {
			return nil, err
		}
		for i, value := range values {
			known[string(keys[i][1:])] = value != nil
		}
	}
	return known, nil
}

// importUsers makes the first of the users, as many as there is room for; behind
// is how many were before them.
func (t *txn) importUsers(users []ImportUser, behind int, ifMissing bool) (done Imported, err error) {
	roles, err := t.roleSet() // which may have changed since all was checked
	if err != nil {
		return done, err
	}
	for i, in := range users {
		if err := t.mayGrant(roles, in.Roles); err != nil {
			return done, atLine(in.Line, err)
		}
		_, err := userRecords.find(t, FoldEmail(in.Email))
		if err == nil && ifMissing {
			done.Skipped++
			continue
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return done, err
		}
		// A moment apart, so that lists keep the order of the file.
		now := t.now.Add(time.Duration(behind+i) * time.Microsecond)
		u := &User{ID: uuid.NewString(), Email: in.Email, Name: in.Name, Roles: in.Roles, Password: in.Password,
			Imported: in.Password != "", Disabled: in.Disabled, Created: now, Updated: now}
		if !t.hasRoom(userRecords.derived(u).writes()) {
			return done, nil
		}
		if err := t.putUser(nil, u); err != nil {
			return done, atLine(in.Line, err)
		}
		if err := t.audit("user.create", u.Target()); err != nil {
			return done, err
		}
		done.Created++
	}
	return done, nil
}
