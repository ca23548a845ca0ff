package api

// Login is the body of POST /account/login. Without an email it is the single
// user who signs in.
type Login struct {
	Email    string `json:"email,omitempty"`
	Login    string `json:"login,omitempty"` // an alias of Email
	Password string `json:"password"`

	// Code is of the second factor: six digits of TOTP, or a recovery code.
	Code string `json:"code,omitempty"`

	// Ticket stands for email and password, which were right a few minutes ago: it is
	// what second_factor_required came with.
	Ticket string `json:"ticket,omitempty"`
}

// LoggedIn answers a login.
type LoggedIn struct {
	AccessToken string `json:"access_token"` // a JWT, for Authorization: Bearer
	ExpireIn    int64  `json:"expire_in"`    // seconds from now
	ID          string `json:"id"`
	Status      string `json:"status"`
	Username    string `json:"username"`

	// SetUpRequired: the session may do nothing but set up a second factor.
	SetUpRequired bool `json:"second_factor_setup_required,omitempty"`

	// Notices are what happened to the second factor since they were last seen.
	Notices []FactorNotice `json:"notices,omitempty"`
}

// PasswordChange is the body of PUT /account/password.
type PasswordChange struct {
	OldPassword string `json:"old_password"`
	NewPassword string `json:"new_password"`
}
