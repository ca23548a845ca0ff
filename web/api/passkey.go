package api

import (
	"context"
	"net/url"
)

// The names of what browsers take and give are those of WebAuthn Level 3: what stands
// under publicKey goes to PublicKeyCredential.parseCreationOptionsFromJSON or
// parseRequestOptionsFromJSON, and a credential is what its toJSON makes. Bytes are
// base64url, without padding.

// NewPasskey answers POST /account/passkeys/_begin.
type NewPasskey struct {
	State     string          `json:"state"` // to be sent along with what the browser makes; good for five minutes
	PublicKey PasskeyCreation `json:"publicKey"`
}

// PasskeyCreation is a PublicKeyCredentialCreationOptionsJSON.
type PasskeyCreation struct {
	RP                     PasskeyParty       `json:"rp"`
	User                   PasskeyUser        `json:"user"`
	Challenge              string             `json:"challenge"`
	PubKeyCredParams       []PasskeyKeyKind   `json:"pubKeyCredParams"` // the best first
	Timeout                int                `json:"timeout"`          // milliseconds
	ExcludeCredentials     []PasskeyReference `json:"excludeCredentials"`
	AuthenticatorSelection PasskeySelection   `json:"authenticatorSelection"`
	Attestation            string             `json:"attestation"` // none
	Extensions             PasskeyExtensions  `json:"extensions"`
}

// PasskeyParty is where a passkey is good.
type PasskeyParty struct {
	ID   string `json:"id"` // a host
	Name string `json:"name"`
}

// PasskeyUser is whose it is.
type PasskeyUser struct {
	ID          string `json:"id"` // the user's id, as bytes
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

// PasskeyKeyKind is a kind of key that is taken.
type PasskeyKeyKind struct {
	Type string `json:"type"` // public-key
	Alg  int    `json:"alg"`  // of COSE
}

// PasskeyReference names a passkey.
type PasskeyReference struct {
	Type       string   `json:"type"` // public-key
	ID         string   `json:"id"`
	Transports []string `json:"transports,omitempty"`
}

// PasskeySelection is what is wished of an authenticator.
type PasskeySelection struct {
	ResidentKey        string `json:"residentKey"`
	RequireResidentKey bool   `json:"requireResidentKey"`
	UserVerification   string `json:"userVerification"`
}

// PasskeyExtensions are those that are asked for.
type PasskeyExtensions struct {
	CredProps bool `json:"credProps"`
}

// PasskeyQuestion answers the _begin of a sign-in and of a proof by a passkey.
type PasskeyQuestion struct {
	State     string         `json:"state"` // to be sent along with what the browser makes; good for five minutes
	PublicKey PasskeyRequest `json:"publicKey"`
}

// PasskeyRequest is a PublicKeyCredentialRequestOptionsJSON.
type PasskeyRequest struct {
	Challenge        string             `json:"challenge"`
	Timeout          int                `json:"timeout"` // milliseconds
	RPID             string             `json:"rpId"`
	AllowCredentials []PasskeyReference `json:"allowCredentials"` // none: any that is good there
	UserVerification string             `json:"userVerification"` // required where no password is asked for
}

// PasskeyBegin is the body of POST /account/login/passkey/_begin.
type PasskeyBegin struct {
	Ticket string `json:"ticket,omitempty"` // of a sign-in whose password was right; without one the passkey stands for it
}

// PasskeySetUp is the body of POST /account/passkeys/_finish.
type PasskeySetUp struct {
	State      string         `json:"state"`
	Name       string         `json:"name"` // one's own word for it
	Credential CreatedPasskey `json:"credential"`
}

// CreatedPasskey is a RegistrationResponseJSON.
type CreatedPasskey struct {
	ID       string             `json:"id"`
	RawID    string             `json:"rawId"`
	Type     string             `json:"type"` // public-key
	Response PasskeyAttestation `json:"response"`
}

// PasskeyAttestation is what an authenticator says of a passkey that it made.
type PasskeyAttestation struct {
	ClientDataJSON    string   `json:"clientDataJSON"`
	AttestationObject string   `json:"attestationObject"`
	Transports        []string `json:"transports,omitempty"`
}

// PasskeyAnswer is the body of the _finish of a sign-in and of a proof.
type PasskeyAnswer struct {
	State      string      `json:"state"`
	Credential UsedPasskey `json:"credential"`
}

// UsedPasskey is an AuthenticationResponseJSON.
type UsedPasskey struct {
	ID       string           `json:"id"`
	RawID    string           `json:"rawId"`
	Type     string           `json:"type"` // public-key
	Response PasskeyAssertion `json:"response"`
}

// PasskeyAssertion is what an authenticator signs.
type PasskeyAssertion struct {
	ClientDataJSON    string `json:"clientDataJSON"`
	AuthenticatorData string `json:"authenticatorData"`
	Signature         string `json:"signature"`
	UserHandle        string `json:"userHandle,omitempty"` // the user's id, as bytes; needed where no password is asked for
}

// PasskeyAdded answers POST /account/passkeys/_finish.
type PasskeyAdded struct {
	Passkey Passkey  `json:"passkey"`
	Codes   []string `json:"recovery_codes,omitempty"` // new ones, where none were left; seen this once
}

// PasskeyName is the body of PUT /account/passkeys/:id.
type PasskeyName struct {
	Name string `json:"name"`
}

const passkeysPath = "/account/passkeys"

// BeginPasskey asks for what a browser makes a passkey of.
func (c *Client) BeginPasskey(ctx context.Context) (out NewPasskey, err error) {
	err = c.do(ctx, "POST", passkeysPath+"/_begin", nil, &out)
	return out, err
}

// FinishPasskey sets up the passkey that a browser made.
func (c *Client) FinishPasskey(ctx context.Context, in PasskeySetUp) (out PasskeyAdded, err error) {
	err = c.do(ctx, "POST", passkeysPath+"/_finish", in, &out)
	return out, err
}

// Passkeys returns one's own.
func (c *Client) Passkeys(ctx context.Context) (out []Passkey, err error) {
	err = c.do(ctx, "GET", passkeysPath, nil, &out)
	return out, err
}

// Passkey returns one of one's own.
func (c *Client) Passkey(ctx context.Context, id string) (out Passkey, err error) {
	err = c.do(ctx, "GET", passkeysPath+"/"+url.PathEscape(id), nil, &out)
	return out, err
}

// RenamePasskey renames one of one's own.
func (c *Client) RenamePasskey(ctx context.Context, id string, in PasskeyName) (out Result, err error) {
	err = c.do(ctx, "PUT", passkeysPath+"/"+url.PathEscape(id), in, &out)
	return out, err
}

// RemovePasskey removes one of one's own.
func (c *Client) RemovePasskey(ctx context.Context, id string) (out Result, err error) {
	err = c.do(ctx, "DELETE", passkeysPath+"/"+url.PathEscape(id), nil, &out)
	return out, err
}

// BeginPasskeyLogin asks what a passkey has to sign for a sign-in.
func (c *Client) BeginPasskeyLogin(ctx context.Context, in PasskeyBegin) (out PasskeyQuestion, err error) {
	err = c.do(ctx, "POST", "/account/login/passkey/_begin", in, &out)
	return out, err
}

// FinishPasskeyLogin signs in by a passkey.
func (c *Client) FinishPasskeyLogin(ctx context.Context, in PasskeyAnswer) (out LoggedIn, err error) {
	err = c.do(ctx, "POST", "/account/login/passkey/_finish", in, &out)
	return out, err
}

// BeginPasskeyProof asks what a passkey has to sign for a proof.
func (c *Client) BeginPasskeyProof(ctx context.Context) (out PasskeyQuestion, err error) {
	err = c.do(ctx, "POST", "/account/proof/passkey/_begin", nil, &out)
	return out, err
}

// FinishPasskeyProof proves by a passkey that one still is who signed in.
func (c *Client) FinishPasskeyProof(ctx context.Context, in PasskeyAnswer) (out Proved, err error) {
	err = c.do(ctx, "POST", "/account/proof/passkey/_finish", in, &out)
	return out, err
}
