package api

import (
	"context"
	"time"
)

// Proof is the body of POST /account/proof: what shows that who asks still is who
// signed in.
type Proof struct {
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"` // of the second factor: six digits of TOTP, or a recovery code
}

// Proved answers a proof.
type Proved struct {
	Status      string    `json:"status"`       // "ok"
	ProvedUntil time.Time `json:"proved_until"` // when it is fresh no more, or the session ends
}

// OwnApplication is a host behind the gate that one may open, as it is now and from
// where one asks.
type OwnApplication struct {
	Host   string `json:"host"`
	URL    string `json:"url"`
	Rule   int    `json:"rule"`             // that lets one in, from 1
	Public bool   `json:"public,omitempty"` // it lets everybody in
}

// Prove shows one's password once more, for the session of JWT.
func (c *Client) Prove(ctx context.Context, in Proof) (out Proved, err error) {
	err = c.do(ctx, "POST", "/account/proof", in, &out)
	return out, err
}

// Applications returns what one may open behind the gate, by host.
func (c *Client) Applications(ctx context.Context) (out []OwnApplication, err error) {
	err = c.do(ctx, "GET", "/account/applications", nil, &out)
	return out, err
}
