package api

import (
	"errors"
	"net/http"
	"time"
)

// CodeTooManyChanges is the code of the one refusal with 429 that ends by
// itself soon: tries at passwords are throttled for long, and what one has too
// much of stays.
const CodeTooManyChanges = "too_many_changes"

// try sends a request by once, and again where its user was too fast, for as long
// as the client's patience lasts.
func (c *Client) try(r *http.Request, once func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	for patience := c.Patience; ; {
		answer, err := once(r)
		var refused *Error
		if !errors.As(err, &refused) || refused.Detail.Code != CodeTooManyChanges || refused.RetryAfter <= 0 || refused.RetryAfter > patience {
			return answer, err
		}
		if r.Body != nil {
			if r.GetBody == nil {
				return nil, err
			}
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		patience -= refused.RetryAfter
		if err := c.wait(r, refused); err != nil {
			return nil, err
		}
	}
}

// wait waits as long as the server asked for, or until the request is given up.
func (c *Client) wait(r *http.Request, refused *Error) error {
	if c.Waiting != nil {
		c.Waiting(refused.RetryAfter, refused)
	}
	over := time.NewTimer(refused.RetryAfter)
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}
