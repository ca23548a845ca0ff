package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"husk/web/api"
	"husk/web/listen"
)

// This file has the way to the husk that --server names.

func (a *app) connectRemote() (*session, error) {
	token, err := a.readTokenFile()
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = listen.Dial(&net.Dialer{Timeout: dialPatience})
	if err := a.trust(t); err != nil {
		return nil, err
	}
	if token != "" && inTheOpen(a.settings.Server) {
		a.warn("the token travels unencrypted to another machine, and whoever is on the way can read it: give --server a URL of https")
	}
	return &session{
		Client: &api.Client{Base: a.settings.Server, Token: token, HTTP: &http.Client{Transport: t, CheckRedirect: noRedirect},
			Patience: changesPatience, Waiting: a.tellWait(), AnswerWait: answerWait},
		remote:      true,
		name:        a.settings.Server,
		authorities: printable(a.settings.ServerCA),
		end:         func() error { t.CloseIdleConnections(); return nil },
	}, nil
}

// noRedirect keeps the token from being sent to where a redirect leads.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// trust makes the authorities of --server-ca the only ones, as curl --cacert
// does: who names one for a server wants no other to vouch for it.
func (a *app) trust(t *http.Transport) error {
	if a.settings.ServerCA == "" {
		return nil
	}
	if u, err := url.Parse(a.settings.Server); err == nil && u.Scheme != "https" {
		return usage("--server-ca is for a server of https, and --server is none", "give --server a URL of https, or leave --server-ca out")
	}
	pool, err := a.authorities()
	if err == nil {
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return err
}

// authorities reads those of --server-ca.
func (a *app) authorities() (*x509.CertPool, error) {
	text, err := a.readSmall(a.settings.ServerCA, "the authorities of --server-ca")
	var twice *failure
	if errors.As(err, &twice) {
		return nil, err
	}
	if err != nil {
		return nil, &failure{code: exitCode(err), err: err, what: "the file of --server-ca can't be read: " + plainPathError(err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, usage("the file of --server-ca holds no certificate: "+printable(a.settings.ServerCA), "it is a PEM file: blocks that begin with -----BEGIN CERTIFICATE-----")
	}
	return pool, nil
}

// dialPatience is how long a server is given to take a connection, as net/http's own.
const dialPatience = 30 * time.Second

// tlsProbe is how long a server is given to show that it speaks TLS.
const tlsProbe = 3 * time.Second

// explainRemote tells what is wrong with --server where that is what made a
// request fail, and the next step.
func (s *session) explainRemote(ctx context.Context, err error) error {
	var unreachable *api.UnreachableError
	var answer *api.Error
	reached := errors.As(err, &answer)
	switch {
	case reached && answer.Detail.Code != "": // husk itself has answered
		return err
	case !reached && !errors.As(err, &unreachable):
		return err
	}
	u, parsed := url.Parse(s.Base)
	var unknown x509.UnknownAuthorityError
	switch {
	case parsed == nil && u.Scheme == "http" && connected(err, u) && speaksTLS(ctx, u):
		u.Scheme = "https"
		return &failure{code: exitBusy, err: err, what: "that port speaks TLS, and --server says http", next: "give --server " + u.String()}
	case errors.Is(err, http.ErrSchemeMismatch):
		u.Scheme = "http"
		return &failure{code: exitBusy, err: err, what: "that port does not speak TLS, and --server says https", next: "give --server " + u.String() + ", where nobody can listen in"}
	case errors.As(err, &unknown):
		return s.untrusted(err)
	}
	return err
}

// connected tells whether a request that failed had reached the host of u itself. Where
// it had not, another connection tells nothing, and would ask for the name again, or go
// past the proxy of the environment.
func connected(err error, u *url.URL) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "read" && op.Op != "write" {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return proxy == nil && err == nil
}

// untrusted tells of a server whose certificate is of an unknown authority.
func (s *session) untrusted(err error) error {
	if s.authorities == "" {
		return &failure{code: exitBusy, err: err, what: err.Error(), next: "name a file with the certificate of its authority: --server-ca FILE"}
	}
	return &failure{code: exitBusy, err: err, what: "husk does not answer: its certificate is of none of the authorities in " + s.authorities + ", which alone are trusted",
		next: "name another file with --server-ca, or leave it out for the authorities of this machine"}
}

// speaksTLS finds out by a handshake, whatever the certificate is: nothing is
// sent through it.
func speaksTLS(ctx context.Context, u *url.URL) bool {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	ctx, cancel := context.WithTimeout(ctx, tlsProbe)
	defer cancel()
	c, err := listen.Dial(new(net.Dialer))(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return false
	}
	defer c.Close()
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil // only asks whether it is TLS
}
