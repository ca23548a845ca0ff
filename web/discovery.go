package web

import (
	"context"
	"net"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
)

// minimalClient is the oldest version of the desktop program that signs in as
// Husk answers.
const minimalClient = "0.3.0"

// ListensOn tells where the server is reached: where there is no PublicURL, under
// the address of the first. It is called before the first request, or not at all.
func (s *Server) ListensOn(listeners ...net.Listener) {
	s.loopback.Store(onLoopback(listeners))
	addr := listeners[0].Addr()
	scheme := "http://"
	if s.TLS {
		scheme = "https://"
	}
	host := addr.String()
	s.toldLocalhost = false
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		// Every address of the machine: only its own name for itself is sure.
		_, port, _ := net.SplitHostPort(host)
		host = net.JoinHostPort("localhost", port)
		s.toldLocalhost = s.PublicURL == ""
	}
	s.listening = scheme + host
}

// Notices are what in how the server is set up works, and is rarely meant: they
// are told and change no colour, or a container would be restarted for them. Like
// ListensOn, which it depends on.
func (s *Server) Notices() []api.Warning {
	if !s.toldLocalhost {
		return nil
	}
	return []api.Warning{{Code: "no_public_url", Text: "public-url is not set, and others than this machine can connect: programs on them are told " + s.listening +
		", which leads them to themselves, and store it; give --public-url with the address by which people reach this server",
		Values: map[string]string{"told": s.listening}}}
}

// notices are Notices, and what the command line tells of the rules as it reads them:
// they change while a server runs.
func (s *Server) notices() []api.Warning {
	all := s.Notices()
	if s.gate.rules.Load().NeedProxy() && len(s.TrustedProxies) == 0 {
		all = append(all, api.Warning{Code: "gate_no_proxy", Text: UnaskedRules})
	}
	return all
}

// Endpoint is the URL under which browsers and programs reach the server: as
// configured, never as a Host header says. Without a slash at the end.
func (s *Server) Endpoint() string {
	if origin, err := ParseOrigin(s.PublicURL); err == nil {
		return origin
	}
	return s.listening
}

// multi tells whether there is another user than the single one.
func (s *Server) multi(ctx context.Context) (bool, error) {
	n, err := s.Store.CountUsers(ctx)
	return n > 1, err
}

func (s *Server) application(ctx context.Context, _ *db.Actor, _ *nothing) (*api.Settings, error) {
	required, err := s.Store.SetupRequired(ctx)
	if err != nil {
		return nil, err
	}
	multi, err := s.multi(ctx)
	if err != nil {
		return nil, err
	}
	out := &api.Settings{
		AuthEnabled: true, SetupRequired: required, LoginMode: "single",
		Security: api.Security{Auth: api.SecurityAuth{Native: true, AccessToken: true}},
	}
	if multi {
		out.LoginMode = "multi"
	}
	return out, nil
}

func (s *Server) provider(ctx context.Context, _ *db.Actor, _ *nothing) (*api.Provider, error) {
	endpoint := s.Endpoint()
	out := &api.Provider{
		Name: "Husk", Endpoint: endpoint,
		Provider: api.ProviderDetails{
			Name: "Husk", Icon: endpoint + console.AssetURL("husk.svg"), Website: endpoint,
			Description: "Sign-in and API tokens for what you host yourself",
		},
		Version:              api.Version{Number: s.Version},
		MinimalClientVersion: api.Version{Number: minimalClient},
		Updated:              s.started,
		Health:               api.HealthStatus{Status: s.healthStatus(ctx)},
	}
	out.AuthProvider.SSO.URL = endpoint + "/login"
	return out, nil
}

func (s *Server) info(context.Context, *db.Actor, *nothing) (*api.Info, error) {
	return &api.Info{Application: api.Application{Name: "Husk", Version: api.BuildVersion{Number: s.Version, Date: s.BuildDate, Hash: s.BuildHash}}}, nil
}

// applicationSettings is what a console asks for its own settings; Husk keeps
// none for it. It shows a banner until three models are named.
func (s *Server) applicationSettings(context.Context, *db.Actor, *nothing) (*api.ConsoleSettings, error) {
	none := api.Model{ID: "none", ProviderID: "none"}
	return &api.ConsoleSettings{DefaultModel: api.DefaultModels{Language: none, Vision: none, Embedding: none}}, nil
}

// license is what a console shows of a licence.
func (s *Server) license(context.Context, *db.Actor, *nothing) (*api.License, error) {
	return &api.License{}, nil
}

type anySearch struct {
	Body struct{} `body:"ignored"`
	paged
}

// searchNothing answers the searches of the desktop program, which Husk has
// nothing for. By 200 it knows that the server is there, by 401 that its token is
// good no more. What it looks for is in its own words, and not looked at.
func (s *Server) searchNothing(context.Context, *db.Actor, *anySearch) (*api.Search[api.Document], error) {
	return &api.Search[api.Document]{Hits: api.Hits[api.Document]{Total: api.Total{Relation: "eq"}, Hits: []api.Hit[api.Document]{}}}, nil
}
