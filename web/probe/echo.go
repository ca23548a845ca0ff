package probe

import (
	"encoding/json"
	"net/http"
)

// echoMark is the header by which an answer of Echo is known; its body has a member
// of the same meaning, since a proxy may drop headers.
const echoMark = "X-Husk-Echo"

// Echoed is what reached the application, as Echo answers it.
type Echoed struct {
	Mark    bool                `json:"husk_echo"` // true
	Method  string              `json:"method"`
	Target  string              `json:"target"` // as it came, not decoded
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"` // names as net/http writes them: an underscore stays one
	Remote  string              `json:"remote"`  // whose connection it was
}

// Echo returns the application that shows what reached it, whatever it is asked. It reads
// no body, and keeps nothing.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set(echoMark, "1")
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(Echoed{Mark: true, Method: r.Method, Target: r.RequestURI, Host: r.Host, Headers: r.Header, Remote: r.RemoteAddr})
	})
}

// readEcho returns what an answer of Echo tells; nil for an answer of anything else.
func readEcho(h http.Header, body []byte) *Echoed {
	var e Echoed
	if err := json.Unmarshal(body, &e); (err != nil || !e.Mark) && h.Get(echoMark) == "" {
		return nil
	}
	return &e
}
