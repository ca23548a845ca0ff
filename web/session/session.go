// Package session makes and checks the JWTs of sessions.
//
// A JWT carries the secret of a session and proves that this server made it; it
// carries no rights. Whether the session lives, and what its user may do now, is looked
// up in the store at each request. So a logout takes effect at once, and what
// the JWT says of the user can't be out of date.
package session

import (
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"husk/db"
)

// Issuer and Audience are the iss and aud of every JWT (RFC 7519, 4.1).
const (
	Issuer   = "husk"
	Audience = "husk"
)

// ErrInvalid is answered for every JWT that is refused, whatever the reason:
// who sends a bad one learns nothing of why.
var ErrInvalid = errors.New("invalid JWT")

// Claims are the registered claims of RFC 7519, 4.1, dates in Unix seconds.
type Claims struct {
	Iss string `json:"iss"`
	Aud string `json:"aud"`
	Sub string `json:"sub"` // user id
	Jti string `json:"jti"` // the session's secret
	Iat int64  `json:"iat"`
	Nbf int64  `json:"nbf"`
	Exp int64  `json:"exp"`
}

func date(seconds int64) (*jwt.NumericDate, error) {
	if seconds == 0 {
		return nil, nil // absent: the parser is told to require it
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0)), nil
}

// GetExpirationTime and the five below implement jwt.Claims.
func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.Exp) }
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error)       { return date(c.Iat) }
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error)      { return date(c.Nbf) }
func (c *Claims) GetIssuer() (string, error)                   { return c.Iss, nil }
func (c *Claims) GetSubject() (string, error)                  { return c.Sub, nil }
func (c *Claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{c.Aud}, nil }

// Sign returns the JWT of a session, signed with HS256 by key. It carries the
// session's secret, which the store knows only the hash of: a key alone makes
// no session.
func Sign(key *db.Key, s *db.Session, secret string) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, &Claims{
		Iss: Issuer, Aud: Audience, Sub: s.User, Jti: secret,
		Iat: s.Created.Unix(), Nbf: s.Created.Unix(), Exp: s.Expires.Unix(),
	})
	t.Header["kid"] = key.ID
	return t.SignedString(key.Secret)
}

// Parser checks JWTs. It is safe for many goroutines.
type Parser struct {
	parser *jwt.Parser
	now    func() time.Time
}

// NewParser makes a Parser that tells the time by now.
func NewParser(now func() time.Time) *Parser {
	return &Parser{now: now, parser: jwt.NewParser(
		// RFC 8725, 3.1: the algorithm is ours to choose, never the token's.
		jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithIssuer(Issuer),
		jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(),
		// One token has one spelling (RFC 4648, 3.5).
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(now),
	)}
}

// IsLike tells whether a text is a JWT that names Husk as its issuer. That proves
// nothing: it tells who is to check it, and no more.
func IsLike(text string) bool {
	var claims Claims
	_, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(text, &claims)
	return err == nil && claims.Iss == Issuer
}

// Parse checks signature, algorithm, kid and claims, and returns the claims
// and the key that signed. kid picks among the keys of the store by exact
// match (RFC 8725, 3.10); jku, jwk, x5u and x5c are never looked at.
func (p *Parser) Parse(text string, keys *db.KeySet) (*Claims, *db.Key, error) {
	// Go's base64 passes over line ends, which would be other spellings.
	if strings.ContainsAny(text, "\r\n") {
		return nil, nil, ErrInvalid
	}
	var claims Claims
	var key *db.Key
	_, err := p.parser.ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if key = keys.ByID[kid]; key == nil || key.Ended(p.now()) {
			return nil, ErrInvalid
		}
		return key.Secret, nil
	})
	if err != nil || claims.Jti == "" || claims.Sub == "" {
		return nil, nil, ErrInvalid
	}
	return &claims, key, nil
}
