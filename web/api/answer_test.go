package api_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"husk/web/api"
)

// standIn is a server over pipes, so that time is the test's, and what its client's
// caller does meanwhile.
type standIn struct {
	client    *api.Client
	interrupt context.CancelFunc // the caller gives up
	dial      func() error
	answer    func() string
}

// start has the client ask s.
func (s *standIn) start(t *testing.T) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		if err := s.dial(); err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			r, err := http.ReadRequest(bufio.NewReader(far))
			if err != nil {
				t.Errorf("it was asked: %v", err)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(far, "HTTP/1.1 "+s.answer())
		}()
		return near, nil
	}}
	s.client.HTTP = &http.Client{Transport: transport}
}

const (
	madeAnswer    = "200 OK\r\nConnection: close\r\n\r\n" + `{"access_token":"secret","password":"secret"}`
	tooFastAnswer = "429 Too Many Requests\r\nRetry-After: 10\r\nConnection: close\r\n\r\n" + `{"status":429,"error":{"reason":"slow down","code":"too_many_changes"}}`
)

// The calls whose answer alone holds a secret, and what it is.
var secretCalls = map[string]func(context.Context, *api.Client) (string, error){
	"a new token": func(ctx context.Context, c *api.Client) (string, error) {
		out, err := c.CreateToken(ctx, api.NewToken{})
		return out.AccessToken, err
	},
	"a rotation": func(ctx context.Context, c *api.Client) (string, error) {
		out, err := c.RotateToken(ctx, "x", api.Rotate{})
		return out.AccessToken, err
	},
	"a new user": func(ctx context.Context, c *api.Client) (string, error) {
		out, err := c.CreateUser(ctx, api.NewUser{})
		return out.Password, err
	},
}

// What alone holds a secret is waited for also when nobody does any more, for a
// time, and where it was sent.
func TestAnswerOfInterrupted(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(s *standIn)
		took  time.Duration
		given bool
	}{
		{"answered in time", func(s *standIn) { s.answer = s.late(answerWait - 1) }, answerWait - 1, true},
		{"answered too late", func(s *standIn) { s.answer = s.late(answerWait + 1) }, answerWait, false},
		{"not to be waited for", func(s *standIn) { s.answer, s.client.AnswerWait = s.late(1), 0 }, 0, false},
		{"before it", func(s *standIn) { s.interrupt() }, 0, false},
		{"not sent yet", func(s *standIn) {
			s.dial = func() error { s.interrupt(); time.Sleep(time.Second); return errors.New("refused") }
		}, 0, false},
		{"while it waits for its turn", func(s *standIn) {
			s.client.Patience = time.Minute
			s.client.Waiting = func(time.Duration, *api.Error) { time.AfterFunc(5*time.Second, s.interrupt) }
			s.answer = func() string { return tooFastAnswer }
		}, 5 * time.Second, false},
	} {
		for call, do := range secretCalls {
			t.Run(c.name+": "+call, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, interrupt := context.WithCancel(t.Context())
					defer time.Sleep(time.Minute) // until the server has answered, too
					defer interrupt()
					s := &standIn{client: &api.Client{Base: "http://husk.test", AnswerWait: answerWait}, interrupt: interrupt}
					s.dial = func() error { return nil }
					s.answer = func() string { return madeAnswer }
					s.start(t)
					c.set(s)
					began := time.Now()
					secret, err := do(ctx, s.client)
					if (secret == "secret") != c.given || (err == nil) != c.given || err != nil && !errors.Is(err, context.Canceled) || time.Since(began) != c.took {
						t.Errorf("after %v it is %q, %v", time.Since(began), secret, err)
					}
				})
			})
		}
	}
}

const answerWait = 3 * time.Second

// late answers so long after the caller gave up.
func (s *standIn) late(wait time.Duration) func() string {
	return func() string { s.interrupt(); time.Sleep(wait); return madeAnswer }
}
