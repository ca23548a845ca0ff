package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"husk/db"
	"husk/web/api"
	"husk/web/gate"
)

// ownApplicationRoutes: each host costs a decision, so that one who asks for all of
// them again and again waits for their turn.
func (s *Server) ownApplicationRoutes() []route {
	return []route{
		{method: "GET", path: "/account/applications", need: isSignedIn, turn: always, do: endpoint(s.ownApplications)},
	}
}

// ownApplications answers a bare array of the hosts whose front page the gate would
// let the actor open, from where they ask. What a pattern stands for nobody knows, and
// Husk's own pages are no application.
func (s *Server) ownApplications(_ context.Context, actor *db.Actor, _ *nothing) ([]api.OwnApplication, error) {
	rules, who, out := s.gate.rules.Load(), gateWho(actor), []api.OwnApplication{}
	asked := s.frontPage(rules)
	asked.Client = parseAddress(actor.Address).WithZone("")
	for _, host := range rules.Hosts() {
		if rules.SignsIn(host) || s.isPublicHost(host) {
			continue
		}
		asked.Host = host
		if d := rules.Decide(&asked, who); d.Outcome == gate.Allowed {
			out = append(out, api.OwnApplication{Host: host, URL: asked.Origin() + "/", Rule: d.Rule.Number(), Public: d.Why == gate.Public})
		}
	}
	return out, nil
}

// frontPage is the request for the front page of an application, whose host is still
// to be said. Browsers come there as to Husk's own pages, by the same scheme and port:
// the same proxy is before both, or Husk is it.
func (s *Server) frontPage(rules *gate.Rules) gate.Request {
	asked := gate.Request{Method: http.MethodGet, Scheme: "https", Path: "/", URI: "/"}
	if own, err := url.Parse(cmp.Or(rules.LoginURL(), s.PublicURL)); err == nil && own.Host != "" {
		asked.Scheme, asked.Port = own.Scheme, own.Port()
	}
	if ":"+asked.Port == defaultPorts[asked.Scheme] {
		asked.Port = ""
	}
	return asked
}
