package web

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/session"
	"husk/web/token"
)

// What a server refused for having ended stays refused after a restart, though
// the clock was set back meanwhile, and however soon it was ended.
func TestSeenExpiredOutlivesARestart(t *testing.T) {
	const life = 2 * time.Second
	local := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	flushed := func(w *watched) { w.flush() }
	stopped := func(w *watched) {
		ctx, stop := context.WithCancel(w.t.Context())
		stop()
		w.Upkeep.Run(ctx)
	}
	// Each makes what ends after life, and returns it as a header.
	aToken := func(w *watched) (string, string, error) {
		secret, id := token.New()
		sum := token.Hash(secret)
		_, err := w.Store.CreateToken(w.t.Context(), local, db.NewToken{ID: id, Hash: sum[:], Expires: w.Store.Now().Add(life).Unix()})
		return "X-API-TOKEN", secret, err
	}
	anOldSecret := func(w *watched) (string, string, error) {
		secret, id := token.New()
		sum := token.Hash(secret)
		_, err := w.Store.CreateToken(w.t.Context(), local, db.NewToken{ID: id, Hash: sum[:], Expires: db.Never})
		if err == nil {
			_, err = w.Store.RotateToken(w.t.Context(), local, id, db.Rotation{Hash: make([]byte, 32), Grace: life})
		}
		return "X-API-TOKEN", secret, err
	}
	aSession := func(w *watched) (string, string, error) {
		r, secret, err := w.Store.CreateSession(w.t.Context(), &db.Actor{}, db.SignIn{User: db.SingleUser, TTL: life})
		if err != nil {
			return "", "", err
		}
		keys, err := w.Store.Keys(w.t.Context())
		if err != nil {
			return "", "", err
		}
		jwt, err := session.Sign(keys.Signing, r, secret)
		return "Authorization", "Bearer " + jwt, err
	}
	for _, c := range []struct {
		name string
		what func(w *watched) (header, value string, err error)
		seen bool // by a request
		then func(w *watched)
	}{
		{"a token, written by a flush", aToken, true, flushed},
		{"an old secret, written by a flush", anOldSecret, true, flushed},
		{"a session, written by a flush", aSession, true, flushed},
		{"nothing, but the server has stopped", aToken, false, stopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatched(t, nil)
			w.Store.KeepTime(w.Store.Now())
			w.flush() // so that there is a mark of just now
			header, value, err := c.what(w)
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(w, "GET", "/account/profile", "", header, value).Code; got != 200 {
				t.Fatalf("before its end it is answered with %d", got)
			}
			w.flush() // of its use
			w.pass(life + time.Second)
			if c.seen {
				if got := ask(w, "GET", "/account/profile", "", header, value).Code; got != 401 {
					t.Fatalf("after its end it is answered with %d", got)
				}
			}
			c.then(w)
			before := w.engine.Updates.Load()
			ask(w, "GET", "/account/profile", "", header, value)
			w.flush()
			if n := w.engine.Updates.Load() - before; n > 0 {
				t.Errorf("what is known already is written again, %d times", n)
			}
			w.Wall.Add(-int64(time.Hour))
			again, err := db.Open(t.Context(), w.engine, db.Options{Now: func() time.Time { return time.Unix(0, w.Wall.Load()) }})
			if err != nil {
				t.Fatal(err)
			}
			restarted, err := New(Config{Store: again, Log: w.Log})
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(restarted, "GET", "/account/profile", "", header, value).Code; got != 401 {
				t.Errorf("after a restart with the clock set back it is answered with %d", got)
			}
			var ready api.Ready
			if err := json.Unmarshal(ask(restarted, "GET", "/readyz", "").Body.Bytes(), &ready); err != nil {
				t.Fatal(err)
			}
			if len(ready.Warnings) != 1 {
				t.Errorf("/readyz warns of %q", ready.Warnings)
			}
		})
	}
}
