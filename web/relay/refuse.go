package relay

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"husk/web/api"
	"husk/web/fold"
)

func refusal(status int, code, reason string) *api.Error {
	return &api.Error{Status: status, Detail: api.ErrorDetail{Code: code, Reason: reason}}
}

// What is answered in the place of an application.
var (
	refusedMethod   = refusal(http.StatusNotImplemented, "not_implemented", "that method is not passed on to applications")
	refusedTarget   = refusal(http.StatusBadRequest, "bad_path", "what was asked for has no path: ask for one that begins with a slash")
	refusedProtocol = refusal(http.StatusBadRequest, "bad_upgrade", "the protocol that is asked for is none: leave out Upgrade, or ask for websocket")
	refusedLoop     = refusal(http.StatusLoopDetected, "loop", "the request came back to where it was sent from: the address of the application leads to husk itself; whoever runs it has to correct the upstream")
	refusedEnded    = refusal(http.StatusForbidden, "ended", "the sign-in or the token has ended while this was asked: sign in, and ask again")
	refusedSlow     = refusal(http.StatusRequestTimeout, "request_timeout", "the request was not sent to its end in time: send it again")
	refusedBody     = refusal(http.StatusBadRequest, "bad_body", "the body of the request can't be read to its end: send it again")
	refusedUnsure   = refusal(http.StatusServiceUnavailable, "unsure", "husk can't tell whether the sign-in or the token is still good: try again in a moment")
	refusedUpstream = refusal(http.StatusBadGateway, "upstream_failed", "the application can't be reached just now: try again in a moment; whoever runs it finds the cause in husk's log")
	refusedTimeout  = refusal(http.StatusGatewayTimeout, "upstream_timeout", "the application did not answer in time: try again in a moment; whoever runs it finds the cause in husk's log")
)

// refusal is what no application is to see; nil: it may.
//
// TRACE answers with what was asked, which is more than the client may know: Husk
// has added to it. CONNECT asks for a connection to anywhere.
func (p *Relay) refusal(r *http.Request) *api.Error {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return refusedMethod
	case r.URL.Opaque != "" || r.URL.Path != "" && r.URL.Path[0] != '/':
		return refusedTarget
	}
	for _, protocol := range r.Header["Upgrade"] {
		if strings.ContainsFunc(protocol, func(c rune) bool { return c < ' ' || c > '~' }) {
			return refusedProtocol
		}
	}
	for _, via := range r.Header["Via"] {
		if strings.Contains(via, p.via.name) {
			p.Log.Line(slog.LevelError, "a request for an application came back: its upstream leads to husk itself", "", fold.Source{Transport: "upstream"}, "host", r.Host)
			return refusedLoop
		}
	}
	return nil
}

// fail answers where no answer came from the upstream, and tells the log why. The
// client learns no address and no word of a library.
func (x *exchange) fail(err error) {
	switch cause := context.Cause(x); {
	case x.conn != nil:
		return // there is nobody to answer
	case cause == errEnded:
		x.refuse(refusedEnded)
	case cause == errNoAnswer:
		x.log("an application does not answer", cause)
		x.refuse(refusedTimeout)
	case cause == errPanicked:
		x.refuse(refusedUnsure)
	case x.upload.ended.Load() && x.upload.failed != nil && errors.Is(x.upload.failed, os.ErrDeadlineExceeded):
		x.refuse(refusedSlow)
	case x.upload.ended.Load() && x.upload.failed != nil:
		x.refuse(refusedBody)
	case cause != nil: // the client has left
		panic(http.ErrAbortHandler)
	default:
		x.log("an application can't be reached", err)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			x.refuse(refusedTimeout)
			return
		}
		x.refuse(refusedUpstream)
	}
}

func (x *exchange) refuse(e *api.Error) {
	x.relay.refuse(x.answer.ResponseWriter, x.in, x.pass.RequestID, e)
}

func (p *Relay) refuse(w http.ResponseWriter, r *http.Request, id string, e *api.Error) {
	w.Header().Set("X-Request-Id", id) // by which the log has the cause
	Refuse(w, e, p.WantsPage != nil && p.WantsPage(r), Link{})
}

// maxCause is how much of a cause is logged: an upstream may have a part in it.
const maxCause = 300

// log has a line about an upstream. What is wrong with one is folded whoever asks:
// clients are many, and what they meet is one thing.
func (x *exchange) log(what string, err error) {
	cause := err.Error()
	x.relay.Log.Line(slog.LevelWarn, what, x.pass.Upstream.Host, fold.Source{Transport: "upstream"},
		"upstream", x.pass.Upstream.Scheme+"://"+x.pass.Upstream.Host, "error", cause[:min(len(cause), maxCause)],
		"host", x.in.Host, "address", x.pass.Client, "request_id", x.pass.RequestID)
}

// Link leads on from a page. The zero value is none.
type Link struct{ Text, URL string }

// Refuse answers in the place of an application: with a page, or with JSON for
// programs. Challenges and what else is a header of its own the caller has set.
func Refuse(w http.ResponseWriter, e *api.Error, asPage bool, on Link) {
	h := w.Header()
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.WaitSeconds()))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	var body bytes.Buffer
	if asPage {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		_ = page.Execute(&body, pageData{cmp.Or(titles[e.Status], "Something went wrong"), e.Sentence(), on}) // a buffer takes all
	} else {
		h.Set("Content-Type", "application/json")
		_ = json.NewEncoder(&body).Encode(e)
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(e.Status)
	_, _ = w.Write(body.Bytes()) // who has left needs no answer
}

var titles = map[int]string{
	http.StatusBadRequest:         "That can't be used",
	http.StatusUnauthorized:       "You are not signed in",
	http.StatusForbidden:          "Not permitted",
	http.StatusRequestTimeout:     "That took too long",
	http.StatusNotImplemented:     "That can't be used",
	http.StatusBadGateway:         "The application can't be reached",
	http.StatusServiceUnavailable: "Not just now",
	http.StatusGatewayTimeout:     "The application does not answer",
	http.StatusLoopDetected:       "That leads in a circle",
}

type pageData struct {
	Title, Text string
	On          Link
}

// The page stands at the host of an application, where Husk has no files: all of it
// is here, and the policy knows its style by its hash.
const style = `:root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;font:100%/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}main{max-width:26rem;padding:2rem;overflow-wrap:anywhere}h1{margin:0 0 .5rem;font-size:1.6rem;line-height:1.2}p{margin:0 0 1rem}`

var page = template.Must(template.New("refusal").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<style>` + style + `</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p role="alert">{{.Text}}</p>
{{with .On}}{{if .URL}}<p><a href="{{.URL}}">{{.Text}}</a></p>
{{end}}{{end}}</main>
</body>
</html>
`))

var policy = "default-src 'none'; style-src 'sha256-" + hashOf(style) + "'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}
