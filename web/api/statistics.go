package api

import (
	"context"
	"net/url"
	"time"
)

// Statistics answers GET /system/statistics: what was counted, for charts.
type Statistics struct {
	Span             string            `json:"span"`               // "24h", "30d" or "400d"
	Step             string            `json:"step"`               // "hour" or "day", which are those of UTC
	Points           []StatisticsPoint `json:"points"`             // the oldest first; the last is the hour or day that runs
	TokenLife        []TokenLife       `json:"token_life"`         // of all tokens, as they were when they were counted
	TokenLifeCounted time.Time         `json:"token_life_counted"` // when that was; where there are many, up to a minute ago
}

// StatisticsPoint is what was counted in an hour or a day.
type StatisticsPoint struct {
	Time       time.Time     `json:"time"` // when it began
	SignIns    SignInCounts  `json:"sign_ins"`
	Requests   RequestCounts `json:"requests"`
	Gate       []GateCounts  `json:"gate"`        // each point has the same hosts, in the same order: those of any point
	StoreBytes int64         `json:"store_bytes"` // in bytes, the last that is known; 0: none is
}

// SignInCounts are numbers of tries at passwords.
type SignInCounts struct {
	OK        uint64 `json:"ok"`
	Refused   uint64 `json:"refused"`   // wrong email or password, or an account that may not sign in
	Throttled uint64 `json:"throttled"` // not looked at: too many before were wrong
}

// RequestCounts are numbers of requests that need a credential, at the API, for pages
// and at the gate, by what they showed.
type RequestCounts struct {
	Session uint64 `json:"session"`
	Token   uint64 `json:"token"`
	None    uint64 `json:"none"`    // nothing
	Refused uint64 `json:"refused"` // what is not good, or not from there
}

// GateCounts are numbers of requests for applications, by outcome.
type GateCounts struct {
	Host    string `json:"host"` // as the rule that decided names it; "": no rule, or one of many others
	Allowed uint64 `json:"allowed"`
	Refused uint64 `json:"refused"`
	SignIn  uint64 `json:"sign_in"` // somebody who is not signed in yet
}

// TokenLife is how many API tokens have so much of their life left.
type TokenLife struct {
	Left  string `json:"left"` // "ended"; less than "1d", "7d", "30d", "90d" or "365d", and no less than the one before; "more"; "never": they never end
	Total Total  `json:"total"`
}

// TokenUsage answers GET /auth/access_token/:id/_usage. The last few requests may be
// missing for half a minute.
type TokenUsage struct {
	ID    string          `json:"_id"`
	Days  []TokenUsageDay `json:"days"`  // thirty, the oldest first; the last is today
	Total uint64          `json:"total"` // of these days
}

// TokenUsageDay is how often a token was used on a day.
type TokenUsageDay struct {
	Date     string `json:"date"` // as 2006-01-02, UTC
	Requests uint64 `json:"requests"`
}

// Statistics tells what was counted; span is "24h", "30d" or "400d".
func (c *Client) Statistics(ctx context.Context, span string) (out Statistics, err error) {
	err = c.do(ctx, "GET", "/system/statistics?span="+url.QueryEscape(span), nil, &out)
	return out, err
}

// TokenUsage tells how often an API token was used on each of the last thirty days.
func (c *Client) TokenUsage(ctx context.Context, id string) (out TokenUsage, err error) {
	err = c.do(ctx, "GET", "/auth/access_token/"+url.PathEscape(id)+"/_usage", nil, &out)
	return out, err
}
