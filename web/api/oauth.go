package api

// What OAuth's own programs ask, in the words of its RFCs.

// OAuthToken is the form of POST /oauth/introspect and of POST /oauth/revoke.
type OAuthToken struct {
	Token         string `json:"token"`                     // an API token, or the JWT of a session
	TokenTypeHint string `json:"token_type_hint,omitempty"` // not looked at: a token tells by itself what it is
}

// OAuthIntrospection answers POST /oauth/introspect (RFC 7662, 2.2). Of a token
// that is not active there is nothing but that.
type OAuthIntrospection struct {
	Active    bool    `json:"active"`
	Scope     *string `json:"scope,omitempty"`      // the permissions it has now, expanded, with spaces between them; empty where it has none
	Sub       string  `json:"sub,omitempty"`        // the user's id
	Username  string  `json:"username,omitempty"`   // the login's
	Exp       int64   `json:"exp,omitempty"`        // Unix seconds; absent where it never ends
	Iat       int64   `json:"iat,omitempty"`        // Unix seconds
	TokenType string  `json:"token_type,omitempty"` // "Bearer"
}

// OAuthRevoked answers POST /oauth/revoke, whatever was done (RFC 7009, 2.2).
type OAuthRevoked struct{}

// AuthorizationServer answers GET /.well-known/oauth-authorization-server (RFC
// 8414, 2). Husk hands out no tokens by OAuth, so the lists of how are empty: left
// out they would have a default.
type AuthorizationServer struct {
	Issuer                string   `json:"issuer"` // --public-url, or the listening address
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
}
