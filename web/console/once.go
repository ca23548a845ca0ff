package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"husk/web/api"
)

// A form that is sent twice, by a second click or by going back, is done once: each
// showing of a form has a name of its own. Who sends it again while it is being done
// gets the same answer, which may have a secret: a browser shows the answer to its
// last click alone. Later it is told that it was done; the answer is not kept.

const (
	sentTTL  = 15 * time.Minute // how long a form that was done is known
	sentEach = 128              // forms of one user that are known; the oldest go first
	sentMost = 8192             // of all users; those of who has the most go first
	doTime   = 2 * time.Minute  // that an act has, whose browser may have left
)

type sentKey [sha256.Size]byte

// sent is what is known of forms that were sent. Whoever sends many has the server
// forget their own: else they could have another one's form be done twice. Its zero
// value is ready.
type sent struct {
	mu    sync.Mutex
	users map[string]*sentForms // by id; none is empty
	known int                   // of all users
}

// sentForms are those of one user.
type sentForms struct {
	known map[sentKey]*sending
	order []sentKey // the oldest first
	doing int       // of them, those that are being done
}

func (f *sentForms) done() int { return len(f.order) - f.doing }

// sending is a form that is being done, or was done.
type sending struct {
	ended  time.Time     // zero while it is being done
	done   chan struct{} // closed at its end
	answer *recorded     // for who waits; the last one to wait has it
}

// begin returns the sending of a user's key, and whether it is new. After the end of a
// new one the caller calls finish.
func (s *sent) begin(user string, key sentKey, now time.Time) (one *sending, begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	forms := s.users[user]
	if forms != nil {
		if one = forms.known[key]; one != nil && (one.ended.IsZero() || now.Sub(one.ended) < sentTTL) {
			return one, false
		}
		s.drop(user, key)
	}
	if forms = s.users[user]; forms == nil {
		forms = &sentForms{known: map[sentKey]*sending{}}
		if s.users == nil {
			s.users = map[string]*sentForms{}
		}
		s.users[user] = forms
	}
	one = &sending{done: make(chan struct{})}
	forms.known[key], forms.order = one, append(forms.order, key)
	forms.doing++
	s.known++
	if len(forms.order) > sentEach {
		s.forget(user)
	}
	if s.known > sentMost {
		s.forget(s.most(user))
	}
	return one, true
}

// most is who has the most forms that were done; where nobody has more than user, user.
func (s *sent) most(user string) string {
	for other, forms := range s.users {
		if forms.done() > s.users[user].done() {
			user = other
		}
	}
	return user
}

// forget leaves out the oldest of a user's that is done: of one that is not, a second
// click would do it twice. How many are being done is bounded by the connections that
// wait, and by what the API does at once.
func (s *sent) forget(user string) {
	forms := s.users[user]
	for _, key := range forms.order {
		if !forms.known[key].ended.IsZero() {
			s.drop(user, key)
			return
		}
	}
}

// drop takes out what is known of a key that is not being done, if anything.
func (s *sent) drop(user string, key sentKey) {
	forms := s.users[user]
	if forms.known[key] == nil {
		return
	}
	delete(forms.known, key)
	forms.order = slices.DeleteFunc(forms.order, func(k sentKey) bool { return k == key })
	if s.known--; len(forms.order) == 0 {
		delete(s.users, user)
	}
}

// finish hands the answer to who waits. What was refused, or not done, may be sent again.
func (s *sent) finish(user string, key sentKey, one *sending, answer *recorded, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.answer, one.ended = answer, now
	close(one.done)
	s.users[user].doing--
	if answer.refused() {
		s.drop(user, key)
		return
	}
	s.users[user].known[key] = &sending{ended: now, done: one.done}
}

// recorded is an answer that is kept until it is sent.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
	err    error
	asks   bool // it shows the form again, for the password, and nothing was done
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) WriteHeader(status int)      { r.status = status }
func (r *recorded) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorded) refused() bool {
	return r.err != nil || r.status >= http.StatusBadRequest || r.asks
}

func (r *recorded) sendTo(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	if r.status == 0 {
		return
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()) // who asked may have left
}

// answerBy answers by h. No id begins with an underscore: beside ids the API has what
// does, and that would be shown as a record.
func (v *Visit) answerBy(h Handler) error {
	if strings.HasPrefix(v.param("id"), "_") {
		return &api.Error{Status: http.StatusNotFound, Detail: api.ErrorDetail{Code: codeNotFound, Reason: "there is no such thing, or it is not yours"}}
	}
	if v.isOthers() {
		return v.showAs(http.StatusConflict, Failure{Title: say("form.others.title"), Text: say("form.others")})
	}
	return v.serveOnce(h)
}

// serveOnce answers by h; a form that has a name of its own, once.
func (v *Visit) serveOnce(h Handler) error {
	name := v.form.Get(fieldOnce)
	// A file comes as it is read: a second click ends the first, and what was made by
	// then is not made again, since an import is refused who is there. What lasts may be
	// a backup: its answer would be kept in memory, whole.
	// Of who is not signed in nothing is known: strangers would fill it.
	if name == "" || v.by.Session == "" || IsSafeMethod(v.r) || v.form.Get(fieldKept) != "" || h.Uploads || h.lasts {
		return v.guarded(h)
	}
	key := v.sentKey(name)
	one, begun := v.console.sent.begin(v.by.User, key, v.console.Now())
	if !begun {
		return v.sentBefore(one)
	}
	w, answer := v.w, &recorded{header: http.Header{}}
	// The browser may leave for its own second click: the act goes on, and tells.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), doTime)
	defer cancel()
	v.w, v.r = answer, v.r.WithContext(ctx)
	answer.status = http.StatusInternalServerError // of a panic, which goes on
	defer func() { v.console.sent.finish(v.by.User, key, one, answer, v.console.Now()) }()
	answer.err = v.guarded(h)
	v.w, answer.asks = w, v.wantsProof
	if answer.err == nil {
		answer.sendTo(w)
	}
	return answer.err
}

// sentKey names a showing of a form, and the session that sends it.
func (v *Visit) sentKey(name string) sentKey {
	return sha256.Sum256([]byte(v.by.Session + "\n" + v.r.URL.Path + "\n" + name))
}

// sentBefore answers who sent a form again.
func (v *Visit) sentBefore(one *sending) error {
	select {
	case <-one.done:
	case <-v.r.Context().Done():
		return v.r.Context().Err()
	}
	if one.answer == nil {
		return v.showAs(http.StatusConflict, Failure{Title: say("once.title"), Text: say("once.text"), Back: roomAt(v.r.URL.Path).Path})
	}
	if one.answer.err == nil {
		one.answer.sendTo(v.w)
	}
	return one.answer.err
}

// guarded answers by h where nothing has to be shown first.
func (v *Visit) guarded(h Handler) error {
	if h.form == nil || IsSafeMethod(v.r) {
		return h.answer(v)
	}
	if v.form.Get(fieldKept) != "" {
		return h.form(v)
	}
	if h.sensitive == nil || !h.sensitive(v) {
		return h.answer(v)
	}
	ok, err := v.proven()
	if err != nil {
		return err
	}
	if !ok {
		v.wantsProof = true
		return h.form(v)
	}
	return h.answer(v)
}
