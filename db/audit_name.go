package db

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Who asks the log about somebody or something knows a name, and what had it may
// be gone. So an actor and a target are asked for by id, by the email that a
// user has now, or by a name that the log knows. Names have no index: they are
// looked for in the entries themselves, which costs a walk of the log, and no
// byte with each change.

// named is a name that is looked for in the log, and what has it now.
type named struct {
	folded string   // empty: none is
	ids    []string // of what has the name now, whatever it was called before
}

// is tells whether something of that id and name is what was asked for.
func (n named) is(id, name string) bool {
	if n.folded == "" {
		return true
	}
	if name != "" && fold(name) == n.folded {
		return true
	}
	return slices.Contains(n.ids, id)
}

// isNone tells for certain that an entry's JSON has neither the name nor one of
// the ids. A log is long, and to read an entry costs many times this look at it.
func (n named) isNone(value []byte, idMember, nameMember string) bool {
	if n.folded == "" {
		return false
	}
	name, plain := stringMember(value, nameMember)
	if !plain || strings.EqualFold(string(name), n.folded) || !isASCII(name) && fold(string(name)) == n.folded {
		return false
	}
	if len(n.ids) == 0 {
		return true
	}
	id, plain := stringMember(value, idMember)
	return plain && !slices.Contains(n.ids, string(id))
}

// stringMember returns the text of a member of an entry's JSON, none where it is
// not there; plain is false where it may be written otherwise than it is. What
// stands inside another text has a backslash before its quotes, so that it is
// not taken for a member.
func stringMember(value []byte, start string) (text []byte, plain bool) {
	at := bytes.Index(value, []byte(start))
	if at < 0 {
		return nil, true
	}
	text, _, _ = bytes.Cut(value[at+len(start):], []byte{'"'})
	return text, bytes.IndexByte(text, '\\') < 0
}

func isASCII(text []byte) bool {
	return bytes.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// byName tells whether the query looks for a name.
func (q *AuditQuery) byName() bool { return q.actorName.folded != "" || q.targetName.folded != "" }

// passesOver tells that an entry is none that the query asks for, by its value
// as it stands in the store.
func (q *AuditQuery) passesOver(sealed []byte) bool {
	return q.siftsOut(sealed) || q.actorName.isNone(sealed, `,"actor":"`, `,"actor_name":"`) || q.targetName.isNone(sealed, `,"target":"`, `,"target_name":"`)
}

// check refuses what no entry can match.
func (q *AuditQuery) check() error {
	if err := checkAction(q.Action); err != nil {
		return err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return fail(ErrInvalid, "bad_interval", "since is not before until: nothing lies between them")
	}
	return q.checkSifted()
}

// resolve turns what was given as actor and target into ids, or into names to be
// looked for in the log.
func (t *txn) resolve(q *AuditQuery) (err error) {
	if q.Actor, q.actorName, err = t.who("actor", q.Actor); err != nil {
		return err
	}
	if q.Target, q.targetName, err = t.who("target", q.Target); err != nil || q.Target != "" {
		return err
	}
	if q.targetName.folded != "" {
		q.targetName.ids, err = t.tokensNamed(q.targetName.folded)
	}
	return err
}

// who returns the id of an actor or a target, or else the name that it is looked
// for by.
func (t *txn) who(kind, text string) (id string, name named, err error) {
	if text == "" {
		return "", name, nil
	}
	u, err := t.findUser(text)
	switch {
	case err == nil:
		return u.ID, name, nil
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged): // the log tells of who is damaged, too
		return "", name, err
	}
	is, err := t.isID(kind, text)
	if is || err != nil {
		return text, name, err
	}
	return "", named{folded: fold(text)}, nil
}

// isID tells whether a text has the form of an id, or is one that the log or the
// store knows.
func (t *txn) isID(kind, text string) (is bool, err error) {
	if _, err := uuid.Parse(text); err == nil || text == LocalActor || text == OwnActor {
		return true, nil
	}
	if permissionForm().MatchString(text) {
		return true, nil
	}
	if roleForm.MatchString(text) {
		if is, err = t.isThere(roleRecords.bucket, text); is || err != nil {
			return is, err
		}
	}
	err = t.Scan(auditIndex, indexPrefix(kind, text), nil, false, func(_, _ []byte) bool {
		is = true
		return false
	})
	return is, err
}

func (t *txn) isThere(bucket, key string) (bool, error) {
	value, err := t.Get(bucket, []byte(key))
	return value != nil, err
}

// maxNamesakes bounds the tokens that are looked at for a name.
const maxNamesakes = 10_000

// tokensNamed returns the ids of the tokens that have a name now.
func (t *txn) tokensNamed(name string) (ids []string, err error) {
	var all []string
	prefix := append(append(indexPrefix(everything, byName), textKey(name)...), 0)
	err = t.scan(tokenRecords.indexBucket(), prefix, nil, false, func(_, id []byte) bool {
		all = append(all, string(id))
		return len(all) < maxNamesakes
	})
	for some := range slices.Chunk(all, listStep) {
		if err != nil {
			return nil, err
		}
		var sealed [][]byte
		sealed, err = t.GetMany(tokenRecords.bucket, keysOf(some))
		for i := range sealed {
			if k, err := tokenRecords.open(some[i], sealed[i]); err == nil && fold(k.Name) == name {
				ids = append(ids, k.ID)
			}
		}
	}
	return ids, err
}

// known is an error where nobody and nothing has, or had, a name that is asked
// for and nothing was found of: an empty list would say that they did nothing.
func (t *txn) known(q AuditQuery) error {
	for kind, name := range map[string]named{"actor": q.actorName, "target": q.targetName} {
		if name.folded == "" || len(name.ids) > 0 {
			continue
		}
		is, err := false, error(nil)
		if !q.onlyName() { // else it was looked for just before
			is, err = t.logged(kind, name)
		}
		if err != nil {
			return err
		}
		if !is {
			return fail(ErrNotFound, "unknown_"+kind, "no "+kind+" of that name is known, now or to the audit log: give an email, a name or an id")
		}
	}
	return nil
}

// onlyName tells whether one name is all that the query asks for.
func (q AuditQuery) onlyName() bool {
	both := q.actorName.folded != "" && q.targetName.folded != ""
	q.actorName, q.targetName = named{}, named{}
	return !both && q.unlimited()
}

// logged tells whether an entry has the name.
func (t *txn) logged(kind string, name named) (is bool, err error) {
	one := AuditQuery{actorName: name}
	if kind == "target" {
		one = AuditQuery{targetName: name}
	}
	err = t.Scan(auditBucket, nil, nil, true, func(key, sealed []byte) bool {
		if one.passesOver(sealed) {
			return true
		}
		e := openEvent(key, sealed)
		is = e != nil && one.matches(e)
		return !is
	})
	return is, err
}
