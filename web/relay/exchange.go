package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"husk/web/listen"
)

// Why an exchange ends before its time.
var (
	errEnded    = errors.New("the credential that was asked with has ended")
	errStalled  = errors.New("the client takes nothing any more")
	errNoAnswer = errors.New("the upstream does not begin its answer")
	errClosed   = errors.New("the server stops")
	errPanicked = errors.New("a panic, which the log tells of")
)

// exchange is a request that is passed on, and its context. Several goroutines are
// at it: httputil's, the transport's that reads the body, and look's.
type exchange struct {
	context.Context
	relay    *Relay
	pass     Pass
	in       *http.Request
	cancel   context.CancelCauseFunc
	answer   answer
	upload   upload
	body     source // of the upstream's answer
	upgrades bool   // a WebSocket was asked for

	mu     sync.Mutex
	timer  *time.Timer
	conn   *upgraded // nil: the connection is net/http's
	lifted bool      // the server's time limits are
	broken error     // it ends before its time; why
	over   bool      // the request is handled: nothing may touch the connection any more

	written, asked still
}

type contextKey struct{}

// Value implements context.Context.
func (x *exchange) Value(key any) any {
	if key == (contextKey{}) {
		return x
	}
	return x.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(contextKey{}).(*exchange) }

func (p *Relay) begin(w http.ResponseWriter, r *http.Request, pass Pass) *exchange {
	x := &exchange{relay: p, pass: pass}
	x.Context, x.cancel = context.WithCancelCause(r.Context())
	x.answer.ResponseWriter, x.answer.of = w, x
	x.in = r.WithContext(x)
	if r.Body != nil && r.Body != http.NoBody {
		x.upload.ReadCloser, x.upload.from = r.Body, r
		x.in.Body = &x.upload
		listen.From(r.Context()).PassOn()
		if r.ProtoMajor == 1 {
			// Else an answer that begins before the body has ended would wait
			// for its rest. A connection in memory has no such rule.
			_ = x.control().EnableFullDuplex()
		}
	} else {
		x.upload.ended.Store(true)
	}
	x.mu.Lock()
	x.timer = time.AfterFunc(p.Look, func() { listen.Guard(p.Log.Logger, x.look, "request_id", pass.RequestID) })
	x.mu.Unlock()
	return x
}

func (x *exchange) control() *http.ResponseController {
	return http.NewResponseController(x.answer.ResponseWriter)
}

// unreadGrace is how long a client may go on to send what nobody reads, and how
// long a read of that may last that has begun.
const unreadGrace = time.Second

// end is the last that is done for a request. The limits of the server are put
// back: what is left is a buffer to send, and a body to read on.
func (x *exchange) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	x.timer.Stop()
	x.cancel(nil)
	if x.conn != nil {
		x.relay.forget(x)
		return
	}
	if x.lifted {
		_ = x.control().SetWriteDeadline(time.Now().Add(x.relay.StallTimeout))
	}
	if x.in.ProtoMajor == 1 && !x.upload.ended.Load() {
		_ = x.control().SetReadDeadline(time.Now().Add(unreadGrace))
	}
}

// look is called every now and then as long as the exchange lasts.
func (x *exchange) look() {
	alive := false
	if !listen.Guard(x.relay.Log.Logger, func() { alive = x.pass.Alive == nil || x.pass.Alive() }, "request_id", x.pass.RequestID) {
		x.stop(errPanicked)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	defer x.timer.Reset(x.relay.Look)
	x.lift()
	switch {
	case x.broken != nil:
		x.breakOff(x.broken) // again: an answer may have begun since
	case !alive:
		x.breakOff(errEnded)
	default:
		x.giveUp()
	}
}

// lift takes the server's time limits away, once: they are for all of a request,
// and this is one that takes long. A connection that somebody with a credential uses
// makes no room for others.
func (x *exchange) lift() {
	if x.lifted || x.conn != nil {
		return
	}
	x.lifted = true
	_ = x.control().SetWriteDeadline(time.Time{})
	if !x.upload.ended.Load() {
		_ = x.control().SetReadDeadline(time.Time{})
	}
	x.hold()
}

func (x *exchange) hold() {
	if x.pass.Alive != nil {
		listen.From(x).Hold()
	}
}

// giveUp breaks off where one of the two sides has stood still for too long. A
// client that sends slowly while the answer runs is no such side: it may be waiting
// for what to say.
func (x *exchange) giveUp() {
	p, upload := x.relay, x.upload.turns.Load()
	switch {
	case x.conn != nil:
		if x.written.since(x.conn.half.Load(), x.conn.turns.Load(), p.Look) >= p.StallTimeout {
			x.breakOff(errStalled)
		}
	case x.written.since(isUnderWay(x.answer.turns.Load()), x.answer.turns.Load(), p.Look) >= p.StallTimeout:
		x.breakOff(errStalled)
	case x.answer.begun.Load():
	case isUnderWay(upload):
		if x.asked.since(true, upload, p.Look) >= p.StallTimeout {
			_ = x.control().SetReadDeadline(longAgo)
		}
	case x.asked.since(true, upload, p.Look) >= p.AnswerTimeout:
		x.breakOff(errNoAnswer)
	}
}

// stop ends the exchange before its time.
func (x *exchange) stop(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		x.breakOff(cause)
	}
}

// breakOff is stop with x.mu held. Where nothing was answered yet, fail tells the
// client why.
func (x *exchange) breakOff(cause error) {
	x.broken = cause
	x.cancel(cause)
	switch {
	case x.conn != nil:
		x.conn.Close()
	case x.answer.begun.Load():
		_ = x.control().SetWriteDeadline(longAgo)
	}
}

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)

// still counts for how long something stands still, as seen at each look.
type still struct {
	turn uint32
	time time.Duration
}

func (s *still) since(waits bool, turn uint32, look time.Duration) time.Duration {
	if !waits || turn != s.turn {
		s.turn, s.time = turn, 0
		return 0
	}
	s.time += look
	return s.time
}

// turns counts the beginnings and ends of reads or writes.
type turns struct{ atomic.Uint32 }

func isUnderWay(turn uint32) bool { return turn%2 == 1 }

// upload is the body of a request. The transport may read it until after the
// request is handled; httputil lets no read begin then.
type upload struct {
	io.ReadCloser
	from    *http.Request
	trailer http.Header // which of them are passed on
	turns   turns
	failed  error // why it can't be read; to be looked at when ended is set
	ended   atomic.Bool
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.turns.Add(1)
	n, err := u.ReadCloser.Read(p)
	u.turns.Add(1)
	if err != nil && !u.ended.Load() {
		if err != io.EOF {
			u.failed = err
		}
		for name := range u.trailer {
			u.trailer[name] = u.from.Trailer[name]
		}
		u.ended.Store(true)
	}
	return n, err
}

// answer is where the answer is written.
type answer struct {
	http.ResponseWriter
	of    *exchange
	begun atomic.Bool
	turns turns
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	h := a.Header()
	a.of.relay.dropSetCookies(h)
	if status < 200 {
		if a.of.in.ProtoAtLeast(1, 1) { // HTTP/1.0 takes it for the answer
			a.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if _, told := h["Content-Type"]; !told {
		h["Content-Type"] = nil // else net/http guesses one, and makes a page of a text
	}
	a.begun.Store(true)
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	a.turns.Add(1)
	defer a.turns.Add(1)
	return a.ResponseWriter.Write(p)
}

// FlushError is what an http.ResponseController looks for.
func (a *answer) FlushError() error {
	a.turns.Add(1)
	defer a.turns.Add(1)
	return a.of.control().Flush()
}

// take looks at the head of an answer, and has the log told where its body breaks
// off.
func (x *exchange) take(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols && !x.upgrades:
		return errNotAsked
	case res.StatusCode == http.StatusSwitchingProtocols:
		x.relay.dropSetCookies(res.Header)
		return nil
	case res.StatusCode < 200 || res.StatusCode > 999:
		return errNoStatus
	}
	x.body.ReadCloser, x.body.of = res.Body, x
	res.Body = &x.body
	return nil
}

// source is the body of an answer.
type source struct {
	io.ReadCloser
	of *exchange
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF && s.of.Err() == nil {
		s.of.log("the answer of an application broke off", err)
	}
	return n, err
}
