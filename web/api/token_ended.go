package api

import (
	"context"
	"time"
)

// EndedToken is an API token that is gone: for 90 days it is told of, the last
// thousand of each owner. Nothing in it opens anything.
type EndedToken struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Owner     string     `json:"owner"`      // the user's id
	OwnerName string     `json:"owner_name"` // when it ended; empty where it is not known
	Created   time.Time  `json:"created"`
	ExpireIn  int64      `json:"expire_in"` // Unix seconds, -1 never
	LastUsed  *time.Time `json:"last_used"`
	LastIP    string     `json:"last_ip"`
	Ended     time.Time  `json:"ended"`   // when it went from the list of tokens
	By        string     `json:"by"`      // who ended it, an id, for that one and who may read the audit log; empty: it had expired, or it is not for who asks
	ByName    string     `json:"by_name"` // as by
	Reason    string     `json:"reason"`  // "revoked", "expired" (and made room for another one) or "owner_deleted"
}

// EndedTokens returns a page of the ended API tokens, the last one first. The
// filter is owner.
func (c *Client) EndedTokens(ctx context.Context, o ListOptions) (out Search[EndedToken], err error) {
	err = c.do(ctx, "GET", "/auth/access_token/_ended"+o.query(), nil, &out)
	return out, err
}
