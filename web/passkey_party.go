package web

import (
	"errors"
	"net/http"
	"strings"

	"husk/db"
	"husk/web/api"
	"husk/web/console"
	"husk/web/factor"
)

// Where passkeys can be used: at the hosts of https addresses that public-url lists, and
// at localhost, which browsers take for as good. A passkey is good at the host alone at
// which it was set up.

// Why they can't be, as the profile of one's second factor tells it.
const (
	passkeysAtAddress = "address"
	passkeysOverHTTP  = "plain_http"
	passkeysElsewhere = "not_public_url"
)

var passkeysUnavailable = map[string]string{
	passkeysAtAddress: "passkeys can't be used here: browsers use them at names alone, and this server was asked for by an address; use a code of a program (TOTP)",
	passkeysOverHTTP:  "passkeys can't be used here: browsers use them over https alone, but for localhost; use a code of a program (TOTP)",
	passkeysElsewhere: "passkeys can't be used here: they are used at the https addresses that --public-url lists, and at localhost; use a code of a program (TOTP)",
}

func errPasskeysUnavailable(why string) error {
	return &failure{status: http.StatusConflict, code: "passkeys_unavailable", reason: passkeysUnavailable[why]}
}

// partyOf is the relying party that a request came to, or why there is none. What the
// browser says of its page is taken where it is of this server; Host else, which it
// sends with every request.
func (s *Server) partyOf(r *http.Request) (party factor.Party, why string) {
	origin := s.originAsked(r)
	if origin == "" {
		return party, s.whyNoParty(r)
	}
	party, err := factor.NewParty(origin)
	switch {
	case errors.Is(err, factor.ErrAddress):
		return party, passkeysAtAddress
	case err != nil:
		return party, passkeysOverHTTP
	}
	return party, ""
}

// originAsked is which of the origins of this server was asked, "" where it is none.
func (s *Server) originAsked(r *http.Request) string {
	said := r.Header.Get("Origin")
	for _, own := range s.origins {
		if said == own {
			return own
		}
	}
	for _, own := range s.origins {
		if _, host, _ := strings.Cut(own, "://"); strings.EqualFold(r.Host, host) {
			return own
		}
	}
	if name, _ := hostName(r.Host); !strings.EqualFold(name, "localhost") {
		return ""
	}
	scheme := "http://"
	if s.TLS || strings.HasPrefix(said, "https://") {
		scheme = "https://"
	}
	origin, err := ParseOrigin(scheme + r.Host)
	if err != nil {
		return ""
	}
	return origin
}

func (s *Server) whyNoParty(r *http.Request) string {
	name, _ := hostName(r.Host)
	if _, err := factor.NewParty("https://" + r.Host); errors.Is(err, factor.ErrAddress) {
		return passkeysAtAddress
	}
	if !s.secure && name != "" {
		return passkeysOverHTTP
	}
	return passkeysElsewhere
}

// What a passkey has to sign travels through the client, signed, so that nothing is kept
// for who only asks. The challenge is spent by the store when it is answered.

// passkeyPurpose is what an answer is good for.
type passkeyPurpose string

const (
	passkeyCreates passkeyPurpose = "create"
	passkeyAlone   passkeyPurpose = "login"
	passkeyBeside  passkeyPurpose = "beside a password"
	passkeyProves  passkeyPurpose = "proof"
)

// passkeyState is what was asked.
type passkeyState struct {
	purpose   passkeyPurpose
	user      string // id; "" where the passkey tells it
	mark      string // of the password that was right, see passwordMark; "": none was shown
	party     factor.Party
	challenge []byte
	use       db.PasskeyUse // with the challenge and when it is stale
}

const maxPasskeyState = 1024

var errPasskeyEnded = forbidden("passkey_ended", "the passkey was used for something else, or it took longer than five minutes: begin again")

func (s *Server) passkeyMAC(text []byte) []byte { return mac(s.passkeyKey, text) }

// newPasskeyState makes a challenge, and signs what it is for.
func (s *Server) newPasskeyState(purpose passkeyPurpose, party factor.Party, user, mark string) (state string, challenge []byte) {
	challenge = factor.NewChallenge()
	text := strings.Join([]string{string(purpose), user, mark, party.Origin, bytesText(challenge)}, "\n")
	return console.Seal(s.passkeyMAC, text, s.Store.Now().Add(ticketTTL)), challenge
}

// openPasskeyState returns what was asked, where it was for one of these purposes.
func (s *Server) openPasskeyState(state string, purposes ...passkeyPurpose) (p passkeyState, err error) {
	text, ends, ok := console.Unseal(s.passkeyMAC, state, maxPasskeyState)
	parts := strings.Split(text, "\n")
	if !ok || !s.Store.Now().Before(ends) || len(parts) != 5 {
		return p, errPasskeyEnded
	}
	p = passkeyState{purpose: passkeyPurpose(parts[0]), user: parts[1], mark: parts[2]}
	if p.party, err = factor.NewParty(parts[3]); err != nil {
		return p, errPasskeyEnded
	}
	if p.challenge, err = readBytes(parts[4]); err != nil {
		return p, errPasskeyEnded
	}
	p.use.Challenge, p.use.Ends = p.challenge, ends
	for _, one := range purposes {
		if p.purpose == one {
			return p, nil
		}
	}
	return p, errPasskeyEnded
}

// creationOptions are what a browser makes a passkey of.
func (s *Server) creationOptions(party factor.Party, u *db.User, f *db.Factors, challenge []byte) api.PasskeyCreation {
	out := api.PasskeyCreation{
		RP:        api.PasskeyParty{ID: party.Host, Name: s.issuer()},
		User:      api.PasskeyUser{ID: bytesText([]byte(u.ID)), Name: u.Username(), DisplayName: u.Username()},
		Challenge: bytesText(challenge), Timeout: int(ticketTTL.Milliseconds()),
		ExcludeCredentials:     references(f, party.Host),
		AuthenticatorSelection: api.PasskeySelection{ResidentKey: "preferred", UserVerification: "preferred"},
		Attestation:            "none", Extensions: api.PasskeyExtensions{CredProps: true},
	}
	for _, kind := range factor.Algorithms {
		out.PubKeyCredParams = append(out.PubKeyCredParams, api.PasskeyKeyKind{Type: publicKeyType, Alg: kind})
	}
	return out
}

const publicKeyType = "public-key"

// references name the passkeys that one has at a host.
func references(f *db.Factors, host string) []api.PasskeyReference {
	all := []api.PasskeyReference{}
	for _, p := range f.Passkeys {
		if p.Host == host {
			all = append(all, api.PasskeyReference{Type: publicKeyType, ID: bytesText(p.Credential), Transports: p.Transports})
		}
	}
	return all
}

// askPasskey is what a passkey has to sign; allowed are those that may, none is any.
func askPasskey(party factor.Party, state string, challenge []byte, verification string, allowed []api.PasskeyReference) *api.PasskeyQuestion {
	return &api.PasskeyQuestion{State: state, PublicKey: api.PasskeyRequest{
		Challenge: bytesText(challenge), Timeout: int(ticketTTL.Milliseconds()), RPID: party.Host,
		AllowCredentials: allowed, UserVerification: verification,
	}}
}
