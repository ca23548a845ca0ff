package web

import "husk/web/gate"

func (s *Server) rulesNow() *gate.Rules {
	if rules := s.rules.Load(); rules != nil {
		return rules
	}
	none, _ := gate.Parse(gate.Config{})
	return none
}

func (who *identity) atGate() *gate.Who {
	if who == nil {
		return nil
	}
	return &gate.Who{Email: who.user.Email, Roles: who.user.Roles, Permissions: who.permissions, Token: who.token != nil,
		Narrow: who.token != nil && len(who.token.Permissions) > 0, Held: who.session != nil && who.user.MustChange}
}
