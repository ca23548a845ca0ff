package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// The answer that makes a token or a password is the only one that ever holds it.
// Who gives such a request up after it was sent, and before that answer, leaves
// something behind that can't even be taken back.

// doOutlasting is do for what the answer alone tells: c.AnswerWait holds.
func (c *Client) doOutlasting(ctx context.Context, method, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := c.request(ctx, method, path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := c.try(r, c.onceOutlasting)
	if err != nil {
		return err
	}
	return read(answer, out)
}

// onceOutlasting is once, with the whole answer read, for a request that may be
// given up meanwhile.
func (c *Client) onceOutlasting(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, &UnreachableError{context.Cause(r.Context())}
	}
	o, end := outlast(r.Context(), c.AnswerWait)
	defer end()
	answer, err := c.once(r.WithContext(o.context))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, &UnreachableError{err}
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// outlasting is one try of a request. Its context ends with the caller's while
// nothing is sent, and some time after it once something may be.
type outlasting struct {
	caller, context context.Context
	cancel          context.CancelCauseFunc
	wait            time.Duration
	sent            atomic.Bool
}

func outlast(caller context.Context, wait time.Duration) (o *outlasting, end func()) {
	o = &outlasting{caller: caller, wait: wait}
	o.context, o.cancel = context.WithCancelCause(context.WithoutCancel(caller))
	o.context = httptrace.WithClientTrace(o.context, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { o.sent.Store(true) }})
	stop := context.AfterFunc(caller, o.givenUp)
	return o, func() { stop(); o.cancel(nil) }
}

// givenUp ends the context of a try whose caller has left.
func (o *outlasting) givenUp() {
	if o.sent.Load() {
		late := time.NewTimer(o.wait)
		defer late.Stop()
		select {
		case <-late.C:
		case <-o.context.Done():
		}
	}
	o.cancel(context.Cause(o.caller))
}
