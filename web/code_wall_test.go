package web

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/db"
	"husk/web/api"
)

// A clock that was a day ahead for long and is set right takes codes at once: husk's own
// time goes on from where it was, and an app on a phone does not.
func TestCodesByAClockThatWasAhead(t *testing.T) {
	w := newWatched(t, nil)
	local := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions}
	hash, err := w.Passwords.Hash(t.Context(), callerOf(local), "a kettle on the hob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store.UpdateUser(t.Context(), local, db.SingleUser, db.UserChange{Password: &hash}); err != nil {
		t.Fatal(err)
	}
	login := func(h http.Handler, code string) (int, api.LoggedIn) {
		body, _ := json.Marshal(api.Login{Password: "a kettle on the hob", Code: code})
		a := ask(h, "POST", "/account/login", string(body), "Content-Type", "application/json")
		var in api.LoggedIn
		if a.Code == http.StatusOK {
			if err := json.Unmarshal(a.Body.Bytes(), &in); err != nil {
				t.Fatal(err)
			}
		}
		return a.Code, in
	}
	_, in := login(w, "")
	bearer := []string{"Authorization", "Bearer " + in.AccessToken, "Content-Type", "application/json"}
	var made api.NewTOTP
	if err := json.Unmarshal(ask(w, "POST", "/account/totp", "", bearer...).Body.Bytes(), &made); err != nil {
		t.Fatal(err)
	}
	code := func() string {
		text, err := totp.GenerateCode(made.Secret, time.Unix(0, w.Wall.Load()))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if a := ask(w, "PUT", "/account/totp", `{"code":"`+code()+`"}`, bearer...); a.Code != http.StatusOK {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	w.pass(24 * time.Hour)
	w.Store.KeepTime(w.Store.Now())
	w.flush()
	w.Wall.Add(-int64(24*time.Hour) - int64(-time.Minute))
	again, err := db.Open(t.Context(), w.engine, db.Options{Now: func() time.Time { return time.Unix(0, w.Wall.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	if ahead := again.Now().Sub(again.WallClock()); ahead < 23*time.Hour {
		t.Fatalf("the store's time is ahead by %s", ahead)
	}
	restarted, err := New(Config{Store: again, Log: w.Log, Passwords: w.Passwords})
	if err != nil {
		t.Fatal(err)
	}
	good := code()
	if status, _ := login(restarted, good); status != http.StatusOK {
		t.Errorf("a code of now is answered with %d", status)
	}
	if status, _ := login(restarted, good); status != http.StatusForbidden {
		t.Errorf("the same once more with %d", status)
	}
}
