package api

import "time"

// Settings answers GET /setting/application: what a console reads before
// anybody has signed in.
type Settings struct {
	AuthEnabled    bool           `json:"auth_enabled"`
	SetupRequired  bool           `json:"setup_required"`
	SearchSettings SearchSettings `json:"search_settings"`
	Security       Security       `json:"security"`
	LoginMode      string         `json:"login_mode"` // "single" or "multi"
}

// SearchSettings are there for the console; Husk searches nothing.
type SearchSettings struct {
	Enabled     bool   `json:"enabled"`
	Integration string `json:"integration"`
}

// Security tells how one can sign in.
type Security struct {
	Managed bool         `json:"managed"`
	Auth    SecurityAuth `json:"auth"`
}

// SecurityAuth are the ways to sign in.
type SecurityAuth struct {
	Native      bool     `json:"native"`
	Static      bool     `json:"static"`
	AccessToken bool     `json:"access_token"`
	OAuth       struct{} `json:"oauth"`
}

// Provider answers GET /provider/_info: what a desktop program reads of a
// server that it is pointed at.
type Provider struct {
	Name                 string          `json:"name"`
	Endpoint             string          `json:"endpoint"` // scheme and host, no slash at the end
	Provider             ProviderDetails `json:"provider"`
	Version              Version         `json:"version"`
	MinimalClientVersion Version         `json:"minimal_client_version"`
	Updated              time.Time       `json:"updated"`
	Public               bool            `json:"public"`
	AuthProvider         AuthProvider    `json:"auth_provider"`
	Managed              bool            `json:"managed"`
	Health               HealthStatus    `json:"health"`
	Stats                struct{}        `json:"stats"`
}

// ProviderDetails are for people; a string may be empty, none is absent.
type ProviderDetails struct {
	Name          string `json:"name"`
	Icon          string `json:"icon"`
	Website       string `json:"website"`
	EULA          string `json:"eula"`
	PrivacyPolicy string `json:"privacy_policy"`
	Banner        string `json:"banner"`
	Description   string `json:"description"`
}

// Version is the version of a program.
type Version struct {
	Number string `json:"number"` // as in semver.org
}

// AuthProvider tells where a browser signs in.
type AuthProvider struct {
	SSO struct {
		URL string `json:"url"`
	} `json:"sso"`
}

// HealthStatus is the health of a server in one word.
type HealthStatus struct {
	Status string `json:"status"` // "green", "yellow" or "red"
}

// Info answers GET /_info.
type Info struct {
	Application Application `json:"application"`
}

// Application is the program that answers.
type Application struct {
	Name    string       `json:"name"`
	Version BuildVersion `json:"version"`
}

// BuildVersion is the version of a program, and what it was built from. The two
// are empty where that is not known; a console shows now for a date that is
// absent.
type BuildVersion struct {
	Number string `json:"number"`     // as in semver.org
	Date   string `json:"build_date"` // of the commit, RFC 3339
	Hash   string `json:"build_hash"` // of the commit
}

// ConsoleSettings answers GET /settings. Husk has no settings for a console, and
// no language models: where none are named, it asks people for some.
type ConsoleSettings struct {
	DefaultModel DefaultModels `json:"default_model"`
}

// DefaultModels are the models that a console would use.
type DefaultModels struct {
	Language  Model `json:"language_model"`
	Vision    Model `json:"vision_model"`
	Embedding Model `json:"embedding_model"`
}

// Model names a language model: none.
type Model struct {
	ID         string `json:"id"`          // "none"
	ProviderID string `json:"provider_id"` // "none"
}

// License answers GET /_license/info: it needs none.
type License struct{}

// Document is what a search would find; Husk has no documents.
type Document struct{}

// Setup is the body of POST /setup/_initialize.
type Setup struct {
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"` // absent: the single user is the administrator
	Password string `json:"password"`
	Language string `json:"language,omitempty"` // read by nobody
	Code     string `json:"code"`               // that the server printed at its start
}

// Acknowledged answers a set-up.
type Acknowledged struct {
	Acknowledged bool `json:"acknowledged"`
}
