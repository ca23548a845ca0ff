package listen

import (
	"bytes"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"

	"husk/web/fold"
)

// Guard runs f and logs its panic, with what the log is to tell about it, as
// keys and values. It tells whether f came to its end. Every goroutine that is
// started begins with it, but for those that answer requests, which net/http
// guards: a panic in one of them would end the process, whatever the others are
// at.
func Guard(log *slog.Logger, f func(), about ...any) (finished bool) {
	defer func() {
		if p := recover(); p != nil {
			about = append(about[:len(about):len(about)], "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			log.Error("panic in the background", about...)
		}
	}()
	f()
	return true
}

// errPanicked ends what can't go on after a panic; the log has it.
var errPanicked = errors.New("a panic, which the log tells of")

// connectionLog is where net/http tells what it finds wrong with connections:
// mostly that clients leave. But a panic outside of the handler, which it
// catches itself, is told there too.
func connectionLog(log *fold.Log) *stdlog.Logger { return stdlog.New(connectionWriter{log}, "", 0) }

type connectionWriter struct{ log *fold.Log }

// Write takes one message. The form of one about a panic is net/http's own,
// for HTTP/1 and HTTP/2: "http: panic serving ADDRESS: VALUE", then the stack.
func (w connectionWriter) Write(p []byte) (int, error) {
	message, stack, _ := bytes.Cut(bytes.TrimRight(p, "\n"), []byte("\n"))
	from := peerIn(string(message))
	if bytes.Contains(message, []byte("panic serving")) {
		w.log.Line(slog.LevelError, "panic in a connection", "", from, "panic", string(message), "stack", string(stack))
	} else {
		w.log.Line(slog.LevelDebug, "a connection failed", "", from, "error", string(bytes.TrimRight(p, "\n")))
	}
	return len(p), nil
}

// peerIn finds the address in a message of net/http.
func peerIn(message string) fold.Source {
	for word := range strings.FieldsSeq(message) {
		if at, err := netip.ParseAddrPort(strings.TrimSuffix(word, ":")); err == nil {
			return fold.Source{Address: at.Addr().String()}
		}
	}
	return fold.Source{}
}
