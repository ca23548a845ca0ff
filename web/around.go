package web

import (
	"context"
	"net"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
)

// minimalClient is the oldest version of the desktop program that signs in as
// Husk answers.
const minimalClient = "0.3.0"

// ListensOn tells under which address the server is reached where there is no
// PublicURL. It is called before the first request, or not at all.
func (s *Server) ListensOn(addr net.Addr) {
	scheme := "http://"
	if s.TLS {
		scheme = "https://"
	}
	host := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		// Every address of the machine: only its own name for itself is sure.
		_, port, _ := net.SplitHostPort(host)
		host = net.JoinHostPort("localhost", port)
	}
	s.listening = scheme + host
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

func (s *Server) application(c echo.Context, _ *db.Actor) error {
	ctx := c.Request().Context()
	required, err := s.Store.SetupRequired(ctx)
	if err != nil {
		return err
	}
	multi, err := s.multi(ctx)
	if err != nil {
		return err
	}
	out := api.Settings{
		AuthEnabled: true, SetupRequired: required, LoginMode: "single",
		Security: api.Security{Auth: api.SecurityAuth{Native: true, AccessToken: true}},
	}
	if multi {
		out.LoginMode = "multi"
	}
	return write(c, out)
}

func (s *Server) provider(c echo.Context, _ *db.Actor) error {
	endpoint := s.Endpoint()
	out := api.Provider{
		Name: "Husk", Endpoint: endpoint,
		Provider: api.ProviderDetails{
			Name: "Husk", Icon: endpoint + console.AssetURL("husk.svg"), Website: endpoint,
			Description: "Sign-in and API tokens for what you host yourself",
		},
		Version:              api.Version{Number: s.Version},
		MinimalClientVersion: api.Version{Number: minimalClient},
		Updated:              s.started,
		Health:               api.HealthStatus{Status: s.healthStatus(c.Request().Context())},
	}
	out.AuthProvider.SSO.URL = endpoint + "/login"
	return write(c, out)
}

func (s *Server) info(c echo.Context, _ *db.Actor) error {
	return write(c, api.Info{Application: api.Application{Name: "Husk", Version: api.Version{Number: s.Version}}})
}

// applicationSettings is what a console asks for its own settings; Husk keeps
// none for it.
func (s *Server) applicationSettings(c echo.Context, _ *db.Actor) error {
	return write(c, struct{}{})
}
