package api_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"husk/db"
	"husk/db/bolt"
	"husk/web"
	"husk/web/api"
	"husk/web/control"
	"husk/web/password"
)

// A program signs in, makes itself an API token, and goes on with that.
func Example() {
	ctx := context.Background()
	transport, end := serve()
	defer end()

	// Over TCP this is &api.Client{Base: "https://id.example.com"} and no more.
	c := &api.Client{Base: "http://husk", HTTP: &http.Client{Transport: transport}}

	in, err := c.Login(ctx, api.Login{Password: "seven crates of apricots"})
	if err != nil {
		log.Fatal(err)
	}
	c.JWT = in.AccessToken
	made, err := c.CreateToken(ctx, api.NewToken{Name: "nightly", Permissions: []string{"generic#security:auth:api-token/search"}})
	if err != nil {
		log.Fatal(err)
	}

	c.JWT, c.Token = "", made.AccessToken
	p, err := c.Profile(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Name, "by", made.Name, "may", p.Permissions)
	for hit, err := range api.All(ctx, api.ListOptions{Sort: "name"}, c.SearchTokens) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(hit.Source.Name, hit.Source.Type)
	}
	_, err = c.SearchUsers(ctx, api.ListOptions{})
	fmt.Println(err)

	// Output:
	// coco-default-user by nightly may [generic#security:auth:api-token/search]
	// nightly general
	// that needs the permission generic#security:user/search
}

// serve runs a server in this process where the single user has a password.
func serve() (transport *http.Transport, end func()) {
	dir, err := os.MkdirTemp("", "husk")
	check(err)
	path := filepath.Join(dir, "husk.db")
	check(bolt.Create(path, db.Init))
	engine, err := bolt.Open(path, bolt.Options{})
	check(err)
	store, err := db.Open(context.Background(), engine, db.Options{})
	check(err)
	handler, err := web.New(web.Config{Store: store, Log: slog.New(slog.DiscardHandler), Passwords: password.New(password.Config{Params: password.InsecureTestParams()})})
	check(err)
	memory := control.NewMemory()
	server := handler.HTTPServer()
	go server.Serve(memory)
	transport = &http.Transport{DialContext: memory.DialContext}

	// Who comes by the in-memory listener owns the data file.
	pass := "seven crates of apricots"
	local := &api.Client{Base: "http://husk", HTTP: &http.Client{Transport: transport}}
	_, err = local.UpdateUser(context.Background(), db.SingleUser, api.UserUpdate{Password: &pass})
	check(err)
	return transport, func() {
		transport.CloseIdleConnections()
		server.Close()
		store.Close()
		os.RemoveAll(dir)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
