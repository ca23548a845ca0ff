package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/factor"
)

// session is a client with what has to end after the last request.
type session struct {
	*api.Client
	remote bool
	// offline: no server answers, but a handler in this process.
	offline bool
	name    string // of who answers, for people
	data    string // the data folder
	// authorities is the file of --server-ca; empty where this machine's count.
	authorities string
	end         func() error
	why         func() string // see door.why; nil: remote
}

// connect chooses the dialer: TCP with --server, else the door. creates says
// that the command makes a store where there is none.
//
// Whatever asks a person something does so before: while connected offline the
// file is locked.
func (a *app) connect(ctx context.Context, creates bool) (*session, error) {
	if a.settings.Server != "" {
		return a.connectRemote()
	}
	return a.connectLocal(ctx, creates)
}

// onFile refuses --server for a command that acts on the file itself: what was
// meant for another machine must not happen to this one.
func onFile(cmd *cobra.Command) error {
	if cmd.Flags().Changed("server") {
		return usage(cmd.CommandPath()+" acts on the data folder of this machine, and not over --server", "run it where husk runs, without --server")
	}
	return nil
}

// use connects, runs f and disconnects. What disconnecting could not write
// down is an error of the command.
func (a *app) use(ctx context.Context, creates bool, f func(*session) error) error {
	s, err := a.connect(ctx, creates)
	if err != nil {
		return err
	}
	return errors.Join(s.explainAnswer(ctx, f(s)), s.end())
}

// explainAnswer adds the next step where nobody was known to ask, and the cause
// where the answer names a log that there is not: the handler is in this process.
// What was said of an API it says in the command line's words. What a command has
// explained itself stays as it is.
func (s *session) explainAnswer(ctx context.Context, err error) error {
	var said *failure
	if errors.As(err, &said) {
		return err
	}
	if s.remote {
		err = s.explainRemote(ctx, err)
	}
	err = inWords(err)
	var answer *api.Error
	if !errors.As(err, &answer) {
		return err
	}
	if answer.Detail.Code == "internal" && s.why != nil && s.why() != "" {
		return &failure{code: exitFailure, err: err, what: "something went wrong inside: " + s.why()}
	}
	if answer.Detail.Code != "not_signed_in" {
		return err
	}
	if s.remote {
		return &failure{code: exitDenied, err: err, what: "that needs a credential", next: "name a file that holds an API token: --token-file FILE"}
	}
	return &failure{code: exitDenied, err: err, what: "the server in " + s.data + " does not know you as its owner",
		next: asUser}
}

// changesPatience is how long a command waits for one change that was refused
// because its user makes too many in a minute.
const changesPatience = 2 * time.Minute

// answerWait is how long an interrupted command waits for an answer that alone
// holds a secret, so that it can take back what was made. A second signal ends it
// at once.
const answerWait = 3 * time.Second

// tellWait tells a person, once, why a command takes so long.
func (a *app) tellWait() func(time.Duration, *api.Error) {
	var once sync.Once
	return func(wait time.Duration, why *api.Error) {
		if f, ok := a.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			once.Do(func() { a.say("waiting %s, and again where needed: %s", wait, why.Detail.Reason) })
		}
	}
}

// notSendable tells why a text is not even worth being shown as a token, or "".
func notSendable(secret string) string {
	switch {
	case secret == "":
		return "it is empty"
	case strings.HasPrefix(secret, `"`):
		return "it stands in quotation marks, which jq leaves out with -r"
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "one is a single line of letters, digits, - and _"
	}
	return ""
}

// readTokenFile reads the token once: a command may connect again.
func (a *app) readTokenFile() (string, error) { return a.readTokenFor(a.settings.Server) }

// readTokenFor is readTokenFile, where the token is for another URL than --server.
func (a *app) readTokenFor(url string) (string, error) {
	if a.settings.TokenFile == "" {
		return "", nil
	}
	if a.token != nil {
		return *a.token, nil
	}
	text, err := a.readSecret(a.settings.TokenFile, "the token of --token-file", "API token for "+printable(url)+": ")
	if err != nil {
		return "", readFailed("the token file can't be read", err)
	}
	secret := strings.TrimSpace(string(text))
	if why := notSendable(secret); why != "" {
		return "", &failure{code: exitDenied, what: "the token file holds no API token: " + why,
			next: "see 'husk token check " + printable(a.settings.TokenFile) + "'"}
	}
	a.token = &secret
	return secret, nil
}

// connectLocal makes the first connection here, so that what keeps it from the
// store is told as it is.
func (a *app) connectLocal(ctx context.Context, creates bool) (*session, error) {
	d := &door{app: a, creates: creates}
	first, err := d.dial(ctx)
	if err != nil {
		return nil, errors.Join(err, d.close(ctx)) // interrupted, it may hold the store
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if c := first; c != nil {
				first = nil
				return c, nil
			}
			return d.dial(ctx)
		},
		DisableKeepAlives: true, // each request finds the way anew; see retryUndelivered
		MaxConnsPerHost:   1,    // dial is called by one at a time
	}
	name := "the running server"
	if d.offline != nil {
		name = "the store; no server runs"
	}
	return &session{
		offline: d.offline != nil,
		name:    name,
		data:    a.settings.Data,
		Client:  &api.Client{Base: "http://husk", HTTP: &http.Client{Transport: retryUndelivered{t}}, AnswerWait: answerWait},
		end:     func() error { return d.close(ctx) },
		why:     d.why,
	}, nil
}

// config is the server: what serve runs, and what a command runs in its own
// process. What only serve has, it adds.
func (a *app) config(store *db.Store, sealer *factor.Sealer, log *slog.Logger) web.Config {
	rules, _ := a.gateRules() // none, where they have faults: what needs them says so
	return web.Config{
		Gate:        rules,
		Store:       store,
		Sealer:      sealer,
		Log:         log,
		Version:     version(),
		BuildDate:   built("").Date,
		BuildHash:   built("").Commit,
		SessionTTL:  a.settings.SessionTTL,
		SessionIdle: a.settings.SessionIdle,
		MaxTokenTTL: a.settings.MaxTokenTTL,
		Quotas:      a.settings.Quotas,
		PublicURL:   a.settings.PublicURL,
		OtherURLs:   a.settings.OtherURLs,
		TLS:         len(a.settings.TLSCerts) > 0,
		AccessLog:   a.settings.AccessLog,
		Dir:         a.dir(),

		TrustedProxies: a.settings.TrustedProxies,
		LoginLimits:    a.settings.LoginLimits,
		CORSOrigins:    a.settings.CORSOrigins,

		OpenCopy:      openCopy,
		Configuration: a.configuration,
	}
}

func newServer(c web.Config) (*web.Server, error) {
	s, err := web.New(c)
	if err != nil {
		return nil, &failure{code: exitUsage, err: err, what: fmt.Sprintf("the settings don't fit: %v", err)}
	}
	return s, nil
}
