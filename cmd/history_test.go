//go:build unix

package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/web/api"
)

// A history is what clients did to a store and what they were answered. What
// they know for sure is kept as claims, each of which can be asked of a server
// at any time with yes or no. Each client works on users of its own, one
// operation after the other, and all of them at once: so all commits are
// shared, and yet the history has one meaning.
type history struct {
	seed    uint64
	round   int // from kill to kill
	clients []*historyClient
	admin   string // an API token that may do everything
	acks    atomic.Int64

	mu   sync.Mutex
	ops  []*operation
	head string // hash of an audit entry that a server told
}

// claim is something that a server can be asked.
type claim struct {
	what  string // for people
	ask   func(c *historyClient) (bool, error)
	holds bool
	round int // in which it changed last
}

// change is a claim and what becomes of it by an operation.
type change struct {
	*claim
	to bool
}

// operation is one that was begun.
type operation struct {
	round   int
	action  string // of its audit entry
	id      string // of the request, where it was answered
	changes []change
	took    func() // told when it is known to have taken effect; may be nil
}

// historyClient does operations, one at a time.
type historyClient struct {
	*history
	number int
	rand   *rand.Rand
	name   string
	own    *subject   // signs in, changes its password, mints and rotates
	others []*subject // robots who come and go
	claims []*claim   // all that this client knows
	doubt  *operation // the one that was not answered
	faults []string   // of this round
	made   int        // names given

	base      string
	transport *http.Transport
	id        string // of the request that was answered last
}

// subject is a user with what belongs to it.
type subject struct {
	email    string
	exists   *claim
	enabled  *claim
	password *secret
	tokens   []*secret
	sessions []*secret
}

// secret is a credential: of an API token, a session or a password.
type secret struct {
	*claim
	id, text string
}

func newHistory(seed uint64, clients int, admin string) *history {
	h := &history{seed: seed, admin: admin}
	for i := range clients {
		h.clients = append(h.clients, &historyClient{history: h, number: i, name: fmt.Sprintf("client%d", i)})
	}
	return h
}

// RoundTrip remembers the id of the request, by which the audit log has it.
func (w *historyClient) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.transport.RoundTrip(r)
	if err == nil {
		w.id = answer.Header.Get("X-Request-Id")
	}
	return answer, err
}

func (w *historyClient) client(token, jwt string) *api.Client {
	return &api.Client{Base: w.base, Token: token, JWT: jwt, HTTP: &http.Client{Transport: w, Timeout: patience}}
}

func (w *historyClient) root() *api.Client { return w.client(w.admin, "") }

// connect points the client to a server that has started.
func (w *historyClient) connect(url string) {
	if w.transport != nil {
		w.transport.CloseIdleConnections()
	}
	w.base, w.transport = url, &http.Transport{}
}

func (w *historyClient) fault(format string, args ...any) {
	w.faults = append(w.faults, w.name+": "+fmt.Sprintf(format, args...))
}

// perform does an operation and takes down what came of it: acknowledged, not
// done where the server was busy, or in doubt where no answer came. No
// operation here is one to be refused for another reason.
func (w *historyClient) perform(action string, call func() error, took func(), changes ...change) {
	op := &operation{round: w.round, action: action, changes: changes, took: took}
	err := call()
	var refused *api.Error
	switch {
	case err == nil:
		op.id = w.id
		w.settle(op)
		w.acks.Add(1)
	case busy(err):
		return
	case errors.As(err, &refused):
		w.fault("%s was refused: %d %s: %v", action, refused.Status, refused.Detail.Code, err)
	default:
		w.doubt = op
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops = append(w.ops, op)
}

// busy tells whether the server said to come again: it has too much to do, or
// too many passwords were wrong.
func busy(err error) bool {
	var refused *api.Error
	return errors.As(err, &refused) && (refused.Status == http.StatusServiceUnavailable || refused.Status == http.StatusTooManyRequests)
}

// settle takes down that an operation took effect.
func (w *historyClient) settle(op *operation) {
	for _, c := range op.changes {
		c.claim.holds, c.claim.round = c.to, op.round
	}
	if op.took != nil {
		op.took()
	}
}

func (w *historyClient) claim(what string, ask func(*historyClient) (bool, error)) *claim {
	c := &claim{what: what, ask: ask, round: w.round}
	w.claims = append(w.claims, c)
	return c
}

// answered makes yes or no of an answer: no is a refusal with that status.
func answered(err error, no int) (bool, error) {
	var refused *api.Error
	if errors.As(err, &refused) && refused.Status == no {
		return false, nil
	}
	return err == nil, err
}

func (w *historyClient) tokenSecret(id, text string) *secret {
	return &secret{id: id, text: text, claim: w.claim("the token "+id+" authenticates", func(w *historyClient) (bool, error) {
		_, err := w.client(text, "").Profile(context.Background())
		return answered(err, http.StatusUnauthorized)
	})}
}

func (w *historyClient) sessionSecret(jwt string) *secret {
	return &secret{text: jwt, claim: w.claim("a session authenticates", func(w *historyClient) (bool, error) {
		_, err := w.client("", jwt).Profile(context.Background())
		return answered(err, http.StatusUnauthorized)
	})}
}

func (w *historyClient) passwordSecret(email, text string) *secret {
	return &secret{text: text, claim: w.claim("the password '"+text+"' signs "+email+" in", func(w *historyClient) (bool, error) {
		in, err := w.client("", "").Login(context.Background(), api.Login{Email: email, Password: text})
		for deadline := time.Now().Add(patience); busy(err) && time.Now().Before(deadline); {
			in, err = w.client("", "").Login(context.Background(), api.Login{Email: email, Password: text})
		}
		if ok, err := answered(err, http.StatusForbidden); !ok {
			return false, err
		}
		return true, w.client("", in.AccessToken).Logout(context.Background())
	})}
}

// called makes a name that was never used.
func (w *historyClient) called(kind string) string {
	w.made++
	return fmt.Sprintf("%s-%s-%d", w.name, kind, w.made)
}

func (w *historyClient) createUser(password string) {
	s := &subject{email: w.called("user") + "@example.com"}
	s.exists = w.claim(s.email+" exists", func(w *historyClient) (bool, error) {
		_, err := w.root().GetUser(context.Background(), s.email)
		return answered(err, http.StatusNotFound)
	})
	s.enabled = w.claim(s.email+" is enabled", func(w *historyClient) (bool, error) {
		u, err := w.root().GetUser(context.Background(), s.email)
		yes, err := answered(err, http.StatusNotFound)
		return yes && !u.Source.Disabled, err
	})
	changes := []change{{s.exists, true}, {s.enabled, true}}
	if password != "" {
		s.password = w.passwordSecret(s.email, password)
		changes = append(changes, change{s.password.claim, true})
	}
	w.perform("user.create", func() error {
		_, err := w.root().CreateUser(context.Background(), api.NewUser{Email: s.email, Password: password, NoPassword: password == "", Roles: []string{"user"}})
		return err
	}, func() {
		if password != "" {
			w.own = s
		} else {
			w.others = append(w.others, s)
		}
	}, changes...)
}

func (w *historyClient) mint(s *subject) {
	var made api.TokenCreated
	w.perform("token.create", func() (err error) {
		made, err = w.root().CreateToken(context.Background(), api.NewToken{Name: w.called("token"), Owner: s.email})
		return err
	}, func() {
		if made.AccessToken != "" { // else it is not known, and never will be
			k := w.tokenSecret(made.ID, made.AccessToken)
			k.holds = true
			s.tokens = append(s.tokens, k)
		}
	})
}

// remove takes a credential out of a list.
func remove(all *[]*secret, k *secret) {
	*all = slices.DeleteFunc(*all, func(known *secret) bool { return known == k })
}

func (w *historyClient) pick(all []*secret) *secret { return all[w.rand.IntN(len(all))] }

func (w *historyClient) revoke(s *subject) {
	k := w.pick(s.tokens)
	w.perform("token.delete", func() error {
		_, err := w.root().DeleteToken(context.Background(), k.id)
		return err
	}, func() { remove(&s.tokens, k) }, change{k.claim, false})
}

// rotate replaces a secret. With a grace the old one goes on, and ends with the
// new one or at its next rotation: it is not looked at again.
func (w *historyClient) rotate(s *subject, grace string) {
	k, by := w.pick(s.tokens), w.pick(s.sessions)
	var made api.TokenCreated
	var changes []change
	if grace == "" {
		changes = []change{{k.claim, false}}
	} else {
		w.forget(k.claim)
		remove(&s.tokens, k)
	}
	w.perform("token.rotate", func() (err error) {
		made, err = w.client("", by.text).RotateToken(context.Background(), k.id, api.Rotate{Grace: grace})
		return err
	}, func() {
		remove(&s.tokens, k)
		if made.AccessToken != "" {
			n := w.tokenSecret(made.ID, made.AccessToken)
			n.holds = true
			s.tokens = append(s.tokens, n)
		}
	}, changes...)
}

func (w *historyClient) forget(c *claim) {
	w.claims = slices.DeleteFunc(w.claims, func(known *claim) bool { return known == c })
}

func (w *historyClient) login(s *subject) {
	var in api.LoggedIn
	w.perform("session.login", func() (err error) {
		in, err = w.client("", "").Login(context.Background(), api.Login{Email: s.email, Password: s.password.text})
		return err
	}, func() {
		if in.AccessToken != "" {
			r := w.sessionSecret(in.AccessToken)
			r.holds = true
			s.sessions = append(s.sessions, r)
		}
	})
}

func (w *historyClient) logout(s *subject) {
	r := w.pick(s.sessions)
	w.perform("session.logout", func() error { return w.client("", r.text).Logout(context.Background()) },
		func() { remove(&s.sessions, r) }, change{r.claim, false})
}

func (w *historyClient) changePassword(s *subject) {
	by := w.pick(s.sessions)
	next := w.passwordSecret(s.email, "a long "+w.called("password"))
	changes := []change{{s.password.claim, false}, {next.claim, true}}
	for _, r := range s.sessions {
		if r != by {
			changes = append(changes, change{r.claim, false})
		}
	}
	w.perform("user.password", func() error {
		_, err := w.client("", by.text).ChangePassword(context.Background(), api.PasswordChange{OldPassword: s.password.text, NewPassword: next.text})
		return err
	}, func() { s.password, s.sessions = next, []*secret{by} }, changes...)
}

// credentials are the changes that let all credentials of a robot be good, or
// not.
func (s *subject) credentials(to bool) (changes []change) {
	changes = append(changes, change{s.enabled, to})
	for _, k := range s.tokens {
		changes = append(changes, change{k.claim, to})
	}
	return changes
}

func (w *historyClient) setDisabled(s *subject, disabled bool) {
	action := map[bool]string{true: "user.disable", false: "user.enable"}[disabled]
	w.perform(action, func() error {
		_, err := w.root().UpdateUser(context.Background(), s.email, api.UserUpdate{Disabled: &disabled})
		return err
	}, nil, s.credentials(!disabled)...)
}

func (w *historyClient) deleteUser(i int) {
	s := w.others[i]
	w.perform("user.delete", func() error {
		_, err := w.root().DeleteUser(context.Background(), s.email)
		return err
	}, func() { w.others = slices.DeleteFunc(w.others, func(o *subject) bool { return o == s }) },
		append(s.credentials(false), change{s.exists, false})...)
}

// step does one operation, as chance has it.
func (w *historyClient) step() {
	if w.own == nil {
		w.createUser("a long " + w.called("password"))
		return
	}
	s := w.own
	switch n := w.rand.IntN(100); {
	case n < 2 && len(s.sessions) > 0: // what hashes a password takes a while
		w.changePassword(s)
	case n < 5 || len(s.sessions) == 0:
		w.login(s)
	case n < 8:
		w.logout(s)
	case n < 35:
		w.stepOther()
	case n < 55 && len(s.tokens) > 0:
		w.revoke(s)
	case n < 65 && len(s.tokens) > 0:
		w.rotate(s, []string{"", "", "1h"}[w.rand.IntN(3)])
	default:
		w.mint(s)
	}
}

// stepOther does something to a robot.
func (w *historyClient) stepOther() {
	if len(w.others) == 0 || len(w.others) < 5 && w.rand.IntN(4) == 0 {
		w.createUser("")
		return
	}
	i := w.rand.IntN(len(w.others))
	s := w.others[i]
	switch n := w.rand.IntN(10); {
	case n < 2:
		w.deleteUser(i)
	case !s.enabled.holds:
		w.setDisabled(s, false)
	case n < 5:
		w.setDisabled(s, true)
	default:
		w.mint(s)
	}
}

// work does operations until it is told to end or one of them is in doubt.
func (w *historyClient) work(end *atomic.Bool) {
	for !end.Load() && w.doubt == nil && len(w.faults) == 0 {
		w.step()
	}
}

// look asks the server whether all claims hold: those that changed since a
// round, and of the others so many as chance has it. First it finds out what
// became of the operation in doubt, whose changes hold all, or none.
func (w *historyClient) look(since, others int) {
	w.resolve()
	old := []*claim{}
	for _, c := range w.claims {
		if c.round >= since {
			w.ask(c)
		} else {
			old = append(old, c)
		}
	}
	for range min(others, len(old)) {
		w.ask(old[w.rand.IntN(len(old))])
	}
}

func (w *historyClient) ask(c *claim) {
	yes, err := c.ask(w)
	if err != nil {
		w.fault("%s? %v", c.what, err)
	} else if yes != c.holds {
		w.fault("%s: %t, and %t was acknowledged in round %d", c.what, yes, c.holds, c.round)
	}
}

func (w *historyClient) resolve() {
	op := w.doubt
	if op == nil {
		return
	}
	w.doubt = nil
	var took, not []string
	for _, c := range op.changes {
		if c.to == c.claim.holds {
			continue
		}
		yes, err := c.ask(w)
		if err != nil {
			w.fault("%s? %v", c.what, err)
			return
		}
		if yes == c.to {
			took = append(took, c.what)
		} else {
			not = append(not, c.what)
		}
	}
	if len(took) > 0 && len(not) > 0 {
		w.fault("half of %s took effect: %q did, %q did not", op.action, took, not)
	}
	if len(took) > 0 {
		w.settle(op)
	}
}

// each lets all clients do something at once.
func (h *history) each(f func(*historyClient)) {
	var all sync.WaitGroup
	for _, w := range h.clients {
		all.Go(func() { f(w) })
	}
	all.Wait()
}

// begin prepares a round against a server.
func (h *history) begin(url string) {
	h.round++
	for _, w := range h.clients {
		// What a client does in a round depends on the seed alone, as far as
		// what it may do does.
		w.rand = rand.New(rand.NewPCG(h.seed, uint64(h.round)<<8|uint64(w.number)))
		w.connect(url)
	}
}

// check asks the server of all that is known and returns what does not hold.
func (h *history) check(since, others int) (faults []string) {
	h.each(func(w *historyClient) { w.look(since, others) })
	for _, w := range h.clients {
		faults = append(faults, w.faults...)
		w.faults = nil
	}
	return append(faults, h.checkChain()...)
}

// checkChain has the server verify its audit log against the entry that was
// told last, and takes a new one.
func (h *history) checkChain() (faults []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := h.clients[0].root()
	verdict, err := c.VerifyAudit(ctx, h.head)
	if err != nil || !verdict.OK {
		faults = append(faults, fmt.Sprintf("the audit log: %v %v", verdict.Problems, err))
	}
	head, err := c.AuditHead(ctx)
	if err != nil {
		return append(faults, fmt.Sprintf("the head of the audit log: %v", err))
	}
	h.head = head.Hash
	return faults
}

// followHead asks for the newest audit entry until it is told to end: one that
// a server tells while others write must be there after its end.
func (h *history) followHead(url string, end *atomic.Bool) {
	c := &api.Client{Base: url, Token: h.admin, HTTP: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
	defer c.HTTP.CloseIdleConnections()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !end.Load() {
		head, err := c.AuditHead(context.Background())
		if err != nil {
			return
		}
		h.head = head.Hash
		<-tick.C
	}
}

// counts tells how many operations were acknowledged and how many were never
// answered.
func (h *history) counts() (acknowledged, unknown int) {
	for _, op := range h.ops {
		if op.id != "" {
			acknowledged++
		} else {
			unknown++
		}
	}
	return acknowledged, unknown
}

// checkAudit holds the whole audit log against the history: every acknowledged
// operation has its entry, and what else is in it can only be what was not
// answered.
func (h *history) checkAudit(t testing.TB) (faults []string) {
	t.Helper()
	var log bytes.Buffer
	if err := h.clients[0].root().ExportAudit(context.Background(), &log); err != nil {
		return []string{fmt.Sprintf("export the audit log: %v", err)}
	}
	entries := map[string]string{} // action by request
	others := map[string]int{}     // how many by action
	for line := range strings.Lines(log.String()) {
		var e api.AuditEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return append(faults, fmt.Sprintf("the audit log has the line %q", line))
		}
		if e.Transport == "http" && e.Result == "ok" {
			entries[e.RequestID] = e.Action
			others[e.Action]++
		}
	}
	unknown := map[string]int{}
	for _, op := range h.ops {
		switch got, found := entries[op.id]; {
		case op.id == "":
			unknown[op.action]++
		case !found || got != op.action:
			faults = append(faults, fmt.Sprintf("%s of round %d, request %s, was acknowledged, and the audit log has %q for it", op.action, op.round, op.id, got))
		default:
			others[op.action]--
		}
	}
	// The claims about passwords sign in and out too.
	for _, action := range []string{"token.create", "token.delete", "token.rotate", "user.create", "user.disable", "user.enable", "user.delete", "user.password"} {
		if n := others[action] - unknown[action]; n > 0 {
			faults = append(faults, fmt.Sprintf("the audit log has %d times %s more than was asked for", n, action))
		}
	}
	return faults
}
