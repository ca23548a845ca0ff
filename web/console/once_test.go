package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// acting is a form whose act counts, and may be held.
type acting struct {
	console Console
	done    int
	enter   chan struct{}
	leave   chan struct{}
	err     error
}

func (a *acting) handler() Handler {
	return Handler{Fields: []string{"name"}, answer: func(v *Visit) error {
		a.done++
		if a.enter != nil {
			a.enter <- struct{}{}
			<-a.leave
		}
		if err := v.r.Context().Err(); err != nil {
			return err
		}
		if a.err != nil {
			return a.err
		}
		return v.show(Failure{Title: literal("Made"), Text: literal("secret " + strconv.Itoa(a.done))})
	}}
}

// newActing is such a form, on a console that tells the time by now.
func newActing(now func() time.Time) *acting {
	return &acting{console: Console{Now: now, IsProgram: func(http.Header) bool { return false }}}
}

// send sends the form once, by a session of a user; "" by nobody.
func (a *acting) send(r *http.Request, once, session string) (*httptest.ResponseRecorder, error) {
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	err := a.console.Serve(a.handler(), w, r, Sent{Form: url.Values{"name": {"x"}, fieldOnce: {once}}, By: by(session)}, nil)
	return w, err
}

// by is a session of a user of its own.
func by(session string) Sender {
	if session == "" {
		return Sender{}
	}
	return Sender{User: "user of " + session, Session: session}
}

func post1() *http.Request { return httptest.NewRequest("POST", "/me/tokens", nil) }

func TestFormIsDoneOnce(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	a := newActing(func() time.Time { return now })
	if w, err := a.send(post1(), "one", "s=1"); err != nil || !strings.Contains(w.Body.String(), "secret 1") {
		t.Fatal(err, w.Body)
	}
	w, err := a.send(post1(), "one", "s=1")
	if err != nil || w.Code != http.StatusConflict || strings.Contains(w.Body.String(), "secret") && !strings.Contains(w.Body.String(), "not shown again") || a.done != 1 {
		t.Errorf("sent again: %d %v, done %d times\n%s", w.Code, err, a.done, w.Body)
	}
	for name, send := range map[string]func(){
		"another showing": func() { _, _ = a.send(post1(), "two", "s=1") },
		"another session": func() { _, _ = a.send(post1(), "one", "s=2") },
		"another form":    func() { _, _ = a.send(httptest.NewRequest("POST", "/me/else", nil), "one", "s=1") },
		"without a name":  func() { _, _ = a.send(post1(), "", "s=1") },
		"by nobody":       func() { _, _ = a.send(post1(), "one", "") },
		"nobody again":    func() { _, _ = a.send(post1(), "one", "") },
	} {
		before := a.done
		if send(); a.done != before+1 {
			t.Errorf("%s: not done", name)
		}
	}
	now = now.Add(sentTTL)
	if _, _ = a.send(post1(), "one", "s=1"); a.done != 8 {
		t.Error("a name is known for ever")
	}
}

// A second click comes while the first is being done, and the browser shows the answer
// to the second alone: it is the same, with the secret.
func TestSecondClickGetsTheAnswer(t *testing.T) {
	a := newActing(time.Now)
	a.enter, a.leave = make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 3)
	first, left := post1(), make(chan struct{})
	all.Go(func() { answers[0], _ = a.send(first, "one", "s=1") })
	<-a.enter
	for i := range 2 {
		all.Go(func() {
			if i == 0 {
				close(left)
			}
			answers[1+i], _ = a.send(post1(), "one", "s=1")
		})
	}
	<-left
	close(a.leave)
	all.Wait()
	if a.done != 1 || !strings.Contains(answers[0].Body.String(), "secret 1") {
		t.Errorf("done %d times: %s", a.done, answers[0].Body)
	}
	for _, w := range answers[1:] {
		// Who came after the end is told so instead.
		if body := w.Body.String(); !strings.Contains(body, "secret 1") && w.Code != http.StatusConflict {
			t.Errorf("%d %s", w.Code, body)
		}
	}
}

// What was refused was not done, and may be sent again.
func TestRefusedFormMayBeSentAgain(t *testing.T) {
	for name, err := range map[string]error{"refused": refusal(400, "bad_name", "no"), "failed": errors.New("no")} {
		a := newActing(time.Now)
		a.err = err
		_, _ = a.send(post1(), "one", "s=1")
		a.err = nil
		if w, err := a.send(post1(), "one", "s=1"); err != nil || w.Code != 200 || a.done != 2 {
			t.Errorf("%s: %v %d, done %d times", name, err, w.Code, a.done)
		}
	}
}

// finished has a user send n forms, which are done.
func (s *sent) finished(t *testing.T, user string, n int, now time.Time) {
	t.Helper()
	for i := range n {
		key := sentKey{byte(i), byte(i >> 8), byte(i >> 16), 1}
		one, begun := s.begin(user, key, now)
		if !begun {
			t.Fatal("known already")
		}
		s.finish(user, key, one, &recorded{status: 200}, now)
	}
}

// However many forms a user sends, they push out nobody's but their own; however many
// users do, those with few keep theirs.
func TestFormsThatWereSentAreBounded(t *testing.T) {
	s, now := sent{}, time.Now()
	s.finished(t, "ann", 3, now)
	s.finished(t, "eve", 3*sentMost, now)
	if s.known != sentEach+3 {
		t.Errorf("%d forms are known of two users", s.known)
	}
	for i := range 2 * sentMost / sentEach {
		s.finished(t, "eve"+strconv.Itoa(i), sentEach, now)
	}
	n := 0
	for _, forms := range s.users {
		n += len(forms.order)
		if len(forms.order) != len(forms.known) || len(forms.order) == 0 || forms.doing != 0 {
			t.Errorf("%d in order, %d known, %d being done", len(forms.order), len(forms.known), forms.doing)
		}
	}
	if n != s.known || n > sentMost {
		t.Errorf("%d forms are known, %d counted", n, s.known)
	}
	for i := range 3 {
		if _, begun := s.begin("ann", sentKey{byte(i), 0, 0, 1}, now); begun {
			t.Error("others have pushed a form out")
		}
	}
}

// Forms that stay under way, such as those of a user whose acts have to wait, are no
// reason to keep more of others.
func TestFormsUnderWayPushNothingIn(t *testing.T) {
	s, now := sent{}, time.Now()
	for i := range 2 * sentEach {
		s.begin("slow", sentKey{byte(i), byte(i >> 8)}, now)
	}
	for i := range 2 * sentMost / sentEach {
		s.finished(t, strconv.Itoa(i), sentEach, now)
	}
	if s.known > sentMost {
		t.Errorf("%d forms are known", s.known)
	}
	for i := range 2 * sentEach {
		if _, begun := s.begin("slow", sentKey{byte(i), byte(i >> 8)}, now); begun {
			t.Fatal("one that is being done is forgotten")
		}
	}
}

// Where the session ended while a form was typed, what was typed comes back, without its
// secrets, and only from here.
func TestKeptForm(t *testing.T) {
	now := time.Now()
	c := &Console{MAC: macOf("a key"), Now: func() time.Time { return now }}
	form := url.Values{"name": {"ci <x>"}, "permissions": {"a", "b"}, "password": {"secret"}, "proof": {"secret"}, fieldOnce: {"one"}, fieldBy: {c.markOf("ann")}}
	v := &Visit{console: c, r: post1(), form: form}
	sealed := v.keep()
	page, ok := c.openKept(sealed, "ann")
	want := []Hidden{{"by", c.markOf("ann")}, {"name", "ci <x>"}, {"permissions", "a"}, {"permissions", "b"}, {fieldKept, "yes"}}
	if !ok || page.Path != "/me/tokens" || len(page.Fields) != len(want) {
		t.Fatalf("%v %+v", ok, page)
	}
	for i, f := range page.Fields {
		if f != want[i] {
			t.Errorf("%v, want %v", f, want[i])
		}
	}
	other := &Console{MAC: macOf("another key"), Now: c.Now}
	returns := c.sealReturn("/me/tokens")
	for name, bad := range map[string]string{"nothing": "", "text": "name=x", "cut": sealed[:len(sealed)-2], "a way back": returns} {
		if _, ok := c.openKept(bad, "ann"); ok {
			t.Errorf("%s is a form", name)
		}
	}
	if _, ok := other.openKept(sealed, "ann"); ok {
		t.Error("a form that was kept elsewhere is opened")
	}
	for _, user := range []string{"bob", ""} {
		if _, ok := c.openKept(sealed, user); ok {
			t.Errorf("what ann typed is shown to %q", user)
		}
	}
	if c.openReturn(sealed) != "/" {
		t.Error("a form is a way back")
	}
	now = now.Add(returnTTL)
	if _, ok := c.openKept(sealed, "ann"); ok {
		t.Error("a form is kept for ever")
	}
	v.form = url.Values{"name": {strings.Repeat("x", maxKept)}, fieldBy: {c.markOf("ann")}}
	if v.keep() != "" {
		t.Error("a form of any length is kept")
	}
	v.form = url.Values{"name": {"x"}}
	if v.keep() != "" {
		t.Error("a form of nobody is kept")
	}
}

// What lasts may be a backup of any size: whatever name the form is sent with, the
// answer goes out as it comes.
func TestWhatLastsIsNotKept(t *testing.T) {
	c := &Console{Now: time.Now, IsProgram: func(http.Header) bool { return false }}
	w := httptest.NewRecorder()
	h := Handler{Fields: []string{fieldOnce}, lasts: true, answer: func(v *Visit) error {
		_, err := v.w.Write([]byte("first"))
		if w.Body.String() != "first" {
			t.Error("it is kept")
		}
		return err
	}}
	if err := c.Serve(h, w, post1(), Sent{Form: url.Values{fieldOnce: {"one"}}}, nil); err != nil {
		t.Error(err)
	}
}

// However many others are sent, one that is being done stays known; and one that was
// refused leaves nothing by which its next sending would be forgotten early.
func TestFormsAreForgottenInOrder(t *testing.T) {
	var s sent
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	named := func(i int) sentKey { return sentKey{byte(i >> 16), byte(i >> 8), byte(i)} }
	done, refused := &recorded{status: http.StatusOK}, &recorded{status: http.StatusBadRequest}
	slow, _ := s.begin("ann", named(0), now)
	for range 2 {
		one, _ := s.begin("ann", named(1), now)
		s.finish("ann", named(1), one, refused, now)
	}
	again, _ := s.begin("ann", named(1), now)
	s.finish("ann", named(1), again, done, now)
	for i := range sentEach - 2 {
		one, _ := s.begin("ann", named(2+i), now)
		s.finish("ann", named(2+i), one, done, now)
	}
	if _, begun := s.begin("ann", named(1), now); begun {
		t.Error("it is forgotten before its turn")
	}
	for i := range 10 {
		one, _ := s.begin("ann", named(sentEach+i), now)
		s.finish("ann", named(sentEach+i), one, done, now)
	}
	if one, begun := s.begin("ann", named(0), now); begun || one != slow {
		t.Error("one that is being done is forgotten")
	}
	if _, begun := s.begin("ann", named(1), now); !begun || s.known != sentEach || len(s.users["ann"].order) != sentEach {
		t.Errorf("%d are known, %d in order", s.known, len(s.users["ann"].order))
	}
}
