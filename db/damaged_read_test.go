package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"husk/db"
)

// reader asks a store for everything and keeps the answers.
type reader struct {
	*db.Store
	ctx     context.Context
	answers map[string]answer
}

// known are the ids that readEverything asks for: those of the sound store,
// since a damaged one may list fewer.
var known struct {
	users, emails, tokens, sessions []string
}

// readEverything reads by all that a route reads by.
func readEverything(s *db.Store) map[string]answer {
	r := &reader{Store: s, ctx: context.Background(), answers: map[string]answer{}}
	r.lists()
	if known.users == nil {
		r.learn()
	}
	r.records()
	r.audit()
	r.rest()
	return r.answers
}

func line(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func (r *reader) keep(name string, a answer) { r.answers[name] = a }

// all pages through a list.
func all[T any](r *reader, name string, q db.ListQuery, list func(context.Context, db.ListQuery) (db.Page[T], error)) {
	var a answer
	q.Size = 50
	for pages := 0; pages < 20; pages++ {
		page, err := list(r.ctx, q)
		if err != nil {
			a.err = err
			break
		}
		a.number = page.Total
		for _, item := range page.Items {
			a.lines = append(a.lines, line(item))
		}
		if q.After = page.After; q.After == "" {
			break
		}
	}
	r.keep(name, a)
}

func (r *reader) lists() {
	all(r, "Users created", db.ListQuery{}, r.Users)
	all(r, "Users name", db.ListQuery{Sort: "name:asc"}, r.Users)
	all(r, "Users query", db.ListQuery{Query: "user"}, r.Users)
	all(r, "Tokens created", db.ListQuery{}, r.Tokens)
	all(r, "Tokens expiry", db.ListQuery{Sort: "expire_in:asc"}, r.Tokens)
	all(r, "Tokens query", db.ListQuery{Query: "tok 3"}, r.Tokens)
	all(r, "Sessions", db.ListQuery{}, r.Sessions)
	all(r, "Roles list", db.ListQuery{}, r.ListRoles)
}

// learn takes the ids out of the lists of the sound store.
func (r *reader) learn() {
	for _, l := range []struct {
		list string
		ids  *[]string
	}{{"Users created", &known.users}, {"Tokens created", &known.tokens}, {"Sessions", &known.sessions}} {
		for _, text := range r.answers[l.list].lines {
			var v struct {
				ID    string `json:"id"`
				Email string `json:"email"`
			}
			_ = json.Unmarshal([]byte(text), &v)
			*l.ids = append(*l.ids, v.ID)
			if v.Email != "" {
				known.emails = append(known.emails, v.Email)
			}
		}
	}
}

// one reads a record by its id.
func one[T any](r *reader, name, id string, get func(context.Context, string) (T, error)) {
	v, err := get(r.ctx, id)
	a := answer{err: err, id: id}
	if err == nil {
		a.lines = []string{line(v)}
	}
	r.keep(name, a)
}

// use reads a last use: zero where there is none.
func (r *reader) use(name, id string, get func(context.Context, string) (db.LastUsed, error)) {
	u, err := get(r.ctx, id)
	a := answer{err: err}
	if err == nil && !u.Time.IsZero() {
		a.lines = []string{line(u)}
	}
	r.keep(name, a)
}

func (r *reader) records() {
	for i, id := range known.users {
		one(r, fmt.Sprint("User ", i), id, r.User)
		one(r, fmt.Sprint("Factors of ", i), id, r.Factors)
		all(r, fmt.Sprint("Tokens of ", i), db.ListQuery{Owner: id}, r.Tokens)
		all(r, fmt.Sprint("Sessions of ", i), db.ListQuery{Owner: id}, r.Sessions)
	}
	for i, email := range known.emails {
		one(r, fmt.Sprint("UserByEmail ", i), email, r.UserByEmail)
	}
	for i, id := range known.tokens {
		one(r, fmt.Sprint("Token ", i), id, r.Token)
		r.use(fmt.Sprint("TokenLastUsed ", i), id, r.TokenLastUsed)
	}
	for i, id := range known.sessions {
		one(r, fmt.Sprint("Session ", i), id, r.Session)
		r.use(fmt.Sprint("SessionLastUsed ", i), id, r.SessionLastUsed)
	}
}

func (r *reader) audit() {
	for name, q := range map[string]db.AuditQuery{
		"all": {}, "actor": {Actor: db.LocalActor}, "action": {Action: "token.create"}, "target": {Target: known.users[0]}, "until": {Until: fixedNow.Add(time.Hour)},
	} {
		all(r, "Audit "+name, db.ListQuery{}, func(ctx context.Context, l db.ListQuery) (db.Page[db.Event], error) {
			q.Size, q.After = l.Size, l.After
			return r.Audit(ctx, q)
		})
	}
	var from answer
	events, err := r.AuditFrom(r.ctx, 1)
	for _, e := range events {
		from.lines = append(from.lines, line(e))
	}
	from.err = err
	r.keep("AuditFrom", from)
	seq, hash, err := r.AuditHead(r.ctx)
	r.keep("AuditHead", answer{lines: []string{fmt.Sprint(seq, " ", hash)}[:one0(err)], err: err})
	// A verdict that names a problem is a refusal, and no other answer.
	v, err := r.VerifyAudit(r.ctx, "")
	a := answer{err: err}
	if err == nil && v.OK {
		a.lines = []string{line(v)}
	}
	r.keep("VerifyAudit", a)
}

// one0 is how many answers there are: none with an error.
func one0(err error) int {
	if err != nil {
		return 0
	}
	return 1
}

func (r *reader) rest() {
	schema, err := r.Schema(r.ctx)
	r.keep("Schema", answer{lines: []string{line(schema)}[:one0(err)], err: err})
	for _, name := range []string{"admin", "user", "reader"} {
		one(r, "Role "+name, name, r.Role)
	}
	roles, err := r.Roles(r.ctx)
	permissions := answer{err: err}
	if err == nil {
		permissions.lines = []string{line(roles.Permissions([]string{"reader", "user"}).Keys())}
	}
	r.keep("Permissions", permissions)
	keys, err := r.Keys(r.ctx)
	r.keep("Keys", answer{lines: []string{line(keys)}[:one0(err)], err: err})
	secret, err := r.Secret(r.ctx, "test")
	r.keep("Secret", answer{lines: []string{line(secret)}[:one0(err)], err: err})
	required, err := r.SetupRequired(r.ctx)
	r.keep("SetupRequired", answer{lines: []string{line(required)}[:one0(err)], err: err})
	n, err := r.CountUsers(r.ctx)
	r.keep("CountUsers", answer{number: n, err: err})
	expiring, err := r.ExpiringTokens(r.ctx, 30*24*time.Hour)
	r.keep("ExpiringTokens", answer{number: int64(expiring.Count), err: err})
	counts, err := r.Counts(r.ctx)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		r.keep("Counts "+name, answer{number: counts[name], err: err})
	}
}
