package api_test

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/db"
	"husk/db/bolt"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/fold"
	"husk/web/listen"
	"husk/web/password"
)

const examplePassword = "four unrelated words here"

// inMemory serves a new store in this process, with a user ann@example.com who
// is an administrator. The client asks as the owner of the data file; signIn
// makes one of a session. A client of a server that runs elsewhere needs no
// more than its address and a token:
//
//	c := &api.Client{Base: "https://id.example.com", Token: token}
func inMemory() (c *api.Client, ctx context.Context, end func()) {
	ctx = context.Background()
	dir, err := os.MkdirTemp("", "husk-example-")
	check(err)
	path := filepath.Join(dir, "husk.db")
	check(bolt.Create(path, db.Init))
	engine, err := bolt.Open(path, bolt.Options{})
	check(err)
	store, err := db.Open(ctx, engine, db.Options{})
	check(err)
	s, err := web.New(web.Config{
		Store: store, Log: slog.New(slog.DiscardHandler), Version: "1.2.3", Dir: dir,
		Passwords: password.New(password.Config{Params: password.InsecureTestParams()}),
		OpenCopy:  func(path string) (db.Engine, error) { return bolt.Open(path, bolt.Options{Timeout: time.Second}) },
	})
	check(err)
	l, server := control.NewMemory(), listen.New(listen.Config{Handler: s, Log: fold.New(s.Log, time.Now)}).HTTPServer()
	go server.Serve(l)
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.DialContext(ctx, "", "") }}
	c = &api.Client{Base: "http://husk", HTTP: &http.Client{Transport: t}}
	_, err = c.CreateUser(ctx, api.NewUser{Email: "ann@example.com", Name: "Ann", Roles: []string{"admin"}, Password: examplePassword})
	check(err)
	return c, ctx, func() {
		t.CloseIdleConnections()
		_, err := store.Check(ctx, func(err error) { check(err) })
		check(err)
		check(errors.Join(server.Close(), store.Close(), os.RemoveAll(dir)))
	}
}

// signIn is a client of a new session of ann@example.com.
func signIn(ctx context.Context, c *api.Client) *api.Client {
	in, err := c.Login(ctx, api.Login{Email: "ann@example.com", Password: examplePassword})
	check(err)
	return &api.Client{Base: c.Base, HTTP: c.HTTP, JWT: in.AccessToken}
}

// withTOTP is signIn of who has then set up a program that shows codes, which code is
// of, and the codes for when that is lost.
func withTOTP(ctx context.Context, c *api.Client) (session *api.Client, code func() string, recovery []string) {
	session = signIn(ctx, c)
	begun, err := session.BeginTOTP(ctx)
	check(err)
	code = func() string {
		code, err := totp.GenerateCode(begun.Secret, time.Now())
		check(err)
		return code
	}
	made, err := session.ConfirmTOTP(ctx, api.ConfirmTOTP{Code: code()})
	check(err)
	return session, code, made.Codes
}

// withPasskey is signIn, at an address where browsers use passkeys, of who has then set
// one up.
func withPasskey(ctx context.Context, c *api.Client) (session *api.Client, b *browser, added api.PasskeyAdded) {
	c.Base = "http://localhost"
	session, b = signIn(ctx, c), newBrowser(c.Base)
	asked, err := session.BeginPasskey(ctx)
	check(err)
	added, err = session.FinishPasskey(ctx, api.PasskeySetUp{State: asked.State, Name: "the key at home", Credential: b.create(asked)})
	check(err)
	return session, b, added
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
