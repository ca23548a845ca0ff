package web

import (
	"net/http"
	"testing"

	"husk/db"
)

// Only the owner of the file is free on the control socket; others there have
// a count each, and all for whom somebody else speaks have one.
func TestTryFrom(t *testing.T) {
	const everybody = "forwarded to the control socket"
	owner, peer := local{transport: db.TransportSocket, owner: true, name: "uid 0"}, local{transport: db.TransportSocket, name: "uid 1000"}
	for name, c := range map[string]struct {
		local     *local
		forwarded bool
		address   string
		free      bool
	}{
		"by TCP":              {nil, false, "192.0.2.1", false},
		"by TCP, forwarded":   {nil, true, "192.0.2.1", false},
		"the owner":           {&owner, false, "", true},
		"a proxy of theirs":   {&owner, true, everybody, false},
		"another user":        {&peer, false, "uid 1000", false},
		"a proxy of another":  {&peer, true, everybody, false},
		"nobody knows who":    {&local{transport: db.TransportSocket}, false, "the control socket", false},
		"offline is an owner": {&local{transport: db.TransportOffline, owner: true}, false, "", true},
	} {
		ctx := t.Context()
		if c.local != nil {
			ctx = c.local.with(ctx)
		}
		r, err := http.NewRequestWithContext(ctx, "POST", "/account/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.forwarded {
			r.Header.Set("X-Forwarded-For", "203.0.113.9")
		}
		address, free := tryFrom(r, &db.Actor{Address: "192.0.2.1"})
		if address != c.address || free != c.free {
			t.Errorf("%s: %q, free %t", name, address, free)
		}
	}
}
