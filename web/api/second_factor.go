package api

import (
	"context"
	"net/url"
	"time"
)

// SecondFactor answers GET /account/second_factor: what one has besides the password.
type SecondFactor struct {
	Methods  []string      `json:"methods"` // of those that are set up: "totp", "passkey", and "recovery" while a code is left
	TOTP     *TOTP         `json:"totp"`    // null where there is none
	Passkeys []Passkey     `json:"passkeys"`
	Recovery RecoveryCodes `json:"recovery_codes"`
	Required bool          `json:"required"` // a role of one's own requires one

	Proved *time.Time `json:"proved,omitempty"` // when one was last proved in this session

	// PasskeysHere tells why passkeys can't be used at the address that this was asked
	// at: address, plain_http or not_public_url; "" where they can.
	PasskeysHere string `json:"passkeys_here,omitempty"`

	Notices []FactorNotice `json:"notices"` // the oldest first
}

// TOTP tells of a secret that is in use.
type TOTP struct {
	Created time.Time  `json:"created"`
	Used    *time.Time `json:"last_used,omitempty"`
}

// Passkey is one of one's own.
type Passkey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Host      string     `json:"host"` // where it is good
	Created   time.Time  `json:"created"`
	Used      *time.Time `json:"last_used,omitempty"`
	BackedUp  bool       `json:"backed_up"`           // its maker keeps a copy, on other devices too
	Suspected *time.Time `json:"suspected,omitempty"` // when its counter last went back, as that of a copy does
}

// RecoveryCodes tells how many there are.
type RecoveryCodes struct {
	Total int `json:"total"`
	Left  int `json:"left"`
}

// FactorNotice tells what happened to one's second factor.
type FactorNotice struct {
	Kind    string    `json:"kind"` // wrong_code, recovery_used, reset or passkey_copy
	Time    time.Time `json:"time"` // of the last one
	Address string    `json:"address,omitempty"`
	By      string    `json:"by,omitempty"`   // who did it
	Name    string    `json:"name,omitempty"` // of the passkey
	Count   int       `json:"count"`
	Left    *int      `json:"left,omitempty"` // of recovery_used: how many codes are left
}

// NewTOTP answers POST /account/totp: a secret that waits for its first code, seen this
// once.
type NewTOTP struct {
	Secret string `json:"secret"` // base32
	URI    string `json:"uri"`    // otpauth:, which programs read as a QR code
}

// ConfirmTOTP is the body of PUT /account/totp.
type ConfirmTOTP struct {
	Code string `json:"code"`
}

// NewRecoveryCodes answers what makes them: seen this once.
type NewRecoveryCodes struct {
	Codes []string `json:"recovery_codes"`
}

// SeenNotices is the body of POST /account/second_factor/_seen.
type SeenNotices struct {
	Until time.Time `json:"until"` // of the newest that was shown
}

// SecondFactor returns what one has besides the password.
func (c *Client) SecondFactor(ctx context.Context) (out SecondFactor, err error) {
	err = c.do(ctx, "GET", "/account/second_factor", nil, &out)
	return out, err
}

// SeenNotices forgets what one was told of.
func (c *Client) SeenNotices(ctx context.Context, in SeenNotices) (out Status, err error) {
	err = c.do(ctx, "POST", "/account/second_factor/_seen", in, &out)
	return out, err
}

// BeginTOTP makes a secret that waits for its first code.
func (c *Client) BeginTOTP(ctx context.Context) (out NewTOTP, err error) {
	err = c.do(ctx, "POST", "/account/totp", nil, &out)
	return out, err
}

// ConfirmTOTP puts the secret into use that waits, by a code of it.
func (c *Client) ConfirmTOTP(ctx context.Context, in ConfirmTOTP) (out NewRecoveryCodes, err error) {
	err = c.do(ctx, "PUT", "/account/totp", in, &out)
	return out, err
}

// RemoveTOTP removes the secret.
func (c *Client) RemoveTOTP(ctx context.Context) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/account/totp", nil, &out)
	return out, err
}

// NewRecoveryCodes replaces one's recovery codes.
func (c *Client) NewRecoveryCodes(ctx context.Context) (out NewRecoveryCodes, err error) {
	err = c.do(ctx, "POST", "/account/recovery_codes", nil, &out)
	return out, err
}

// ResetSecondFactor takes a user, by id or email, all that they have besides the
// password.
func (c *Client) ResetSecondFactor(ctx context.Context, idOrEmail string) (out Result, err error) {
	err = c.do(ctx, "DELETE", "/security/user/"+url.PathEscape(idOrEmail)+"/second_factor", nil, &out)
	return out, err
}
