package web

import (
	"context"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

func (s *Server) createToken(c echo.Context, actor *db.Actor) error {
	var in api.NewToken
	if err := bind(c, &in, true); err != nil {
		return err
	}
	addresses, err := parsePrefixes(in.AllowedIPs)
	if err != nil {
		return err
	}
	secret, id := token.New()
	sum := token.Hash(secret)
	k, err := s.Store.CreateToken(c.Request().Context(), actor, db.NewToken{
		ID: id, Hash: sum[:], Name: in.Name, Description: in.Description, Permissions: in.Permissions,
		AllowedIPs: addresses, Expires: in.ExpireIn, MaxTTL: s.MaxTokenTTL, Owner: in.Owner,
		MaxPerUser: s.Quotas.Tokens,
	})
	if err != nil {
		return err
	}
	s.did(actor, "token created", "token", k.ID, "owner", k.Owner)
	return write(c, api.TokenCreated{ID: k.ID, Name: k.Name, AccessToken: secret, ExpireIn: k.Expires, Status: "ok"})
}

// parsePrefixes reads CIDR prefixes (RFC 4632, RFC 4291 2.3); a plain address
// stands for itself alone.
func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	if texts == nil {
		return nil, nil
	}
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, failed := netip.ParseAddr(text); failed == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return nil, malformed("bad_prefix", "allowed_ips are addresses or CIDR prefixes, such as 10.0.0.0/8 or 2001:db8::/32")
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// searchTokens lists one's own tokens; another's, or everybody's, for
// administrators. The local actor owns none and sees all.
func (s *Server) searchTokens(c echo.Context, actor *db.Actor) error {
	began := time.Now()
	query := c.QueryParams()
	q, err := listQuery(query)
	if err != nil {
		return err
	}
	if q.Owner, err = s.listedOwner(c.Request().Context(), actor, query.Get("owner")); err != nil {
		return err
	}
	page, err := s.Store.Tokens(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(k *db.Token) string { return k.ID }, func(k *db.Token) (api.Token, error) {
		return s.showToken(c.Request().Context(), k)
	})
}

// listedOwner decides whose things are listed; "" is everybody.
func (s *Server) listedOwner(ctx context.Context, actor *db.Actor, asked string) (string, error) {
	everybody := asked == "*" || (asked == "" && actor.Local())
	switch {
	case asked == "" && !actor.Local() || asked == actor.ID:
		return actor.ID, nil
	case !actor.Administrator():
		return "", forbidden(codeAdministrator, "only an administrator lists what belongs to others")
	case everybody:
		return "", nil
	}
	user, err := s.Store.FindUser(ctx, asked)
	if err != nil {
		return "", err
	}
	return user.ID, nil
}

// catTokens lists one's own tokens as a bare array, as older clients ask for
// them: the newest of them, as many as a page has at most.
func (s *Server) catTokens(c echo.Context, actor *db.Actor) error {
	ctx := c.Request().Context()
	owner, err := s.listedOwner(ctx, actor, "")
	if err != nil {
		return err
	}
	page, err := s.Store.Tokens(ctx, db.ListQuery{Owner: owner, Size: db.MaxPageSize})
	if err != nil {
		return err
	}
	tokens := make([]api.Token, 0, len(page.Items))
	for _, k := range page.Items {
		shown, err := s.showToken(ctx, k)
		if err != nil {
			return err
		}
		tokens = append(tokens, shown)
	}
	return write(c, tokens)
}

// renameToken changes the name alone, as older clients ask for it.
func (s *Server) renameToken(c echo.Context, actor *db.Actor) error {
	var in api.TokenUpdate
	if err := bind(c, &in, false); err != nil {
		return err
	}
	return s.changeToken(c, actor, db.TokenChange{Name: in.Name})
}

func (s *Server) showToken(ctx context.Context, k *db.Token) (api.Token, error) {
	use, err := s.Store.TokenUse(ctx, k.ID)
	if err != nil {
		return api.Token{}, err
	}
	out := api.Token{
		ID: k.ID, Name: k.Name, Description: k.Description, Type: "general", AccessToken: token.Mask(k.ID),
		Permissions: append([]string{}, k.Permissions...), ExpireIn: k.Expires, AllowedIPs: []string{},
		Created: k.Created, Updated: k.Updated, LastUsed: optionalTime(use.Time), LastIP: use.Address, Owner: k.Owner,
	}
	if out.OwnerName, err = s.username(ctx, k.Owner); err != nil {
		return out, err
	}
	if p := k.Previous; p != nil && s.Store.Now().Unix() < p.Ends {
		out.Previous = &api.PreviousSecret{Ends: p.Ends}
		if use.Old.After(k.Issued) {
			out.Previous.LastUsed = &use.Old
		}
	}
	if n := k.Next; n != nil && (n.Expires == db.Never || s.Store.Now().Unix() < n.Expires) {
		out.Next = &api.NextSecret{Made: n.Made, Ends: n.Expires}
	}
	for _, p := range k.AllowedIPs {
		out.AllowedIPs = append(out.AllowedIPs, p.String())
	}
	return out, nil
}

func (s *Server) readToken(c echo.Context, actor *db.Actor) error {
	k, err := s.Store.TokenFor(c.Request().Context(), actor, c.Param("id"))
	if err != nil {
		return err
	}
	shown, err := s.showToken(c.Request().Context(), k)
	if err != nil {
		return err
	}
	return write(c, api.Found[api.Token]{ID: k.ID, Found: true, Source: shown})
}

func (s *Server) updateToken(c echo.Context, actor *db.Actor) error {
	var in api.TokenUpdate
	if err := bind(c, &in, false); err != nil {
		return err
	}
	change := db.TokenChange{Name: in.Name, Description: in.Description, Permissions: in.Permissions}
	if in.AllowedIPs != nil {
		addresses, err := parsePrefixes(*in.AllowedIPs)
		if err != nil {
			return err
		}
		change.AllowedIPs = addresses
	}
	return s.changeToken(c, actor, change)
}

func (s *Server) changeToken(c echo.Context, actor *db.Actor, change db.TokenChange) error {
	id := c.Param("id")
	if err := s.Store.UpdateToken(c.Request().Context(), actor, id, change); err != nil {
		return err
	}
	s.did(actor, "token updated", "token", id)
	return write(c, api.Result{ID: id, Result: "updated"})
}

func (s *Server) rotateToken(c echo.Context, actor *db.Actor) error {
	var in api.Rotate
	if err := bind(c, &in, true); err != nil {
		return err
	}
	grace, err := graceOf(in.Grace)
	if err != nil {
		return err
	}
	change := db.Rotation{Expires: in.ExpireIn, MaxTTL: s.MaxTokenTTL, Grace: grace}
	ctx, id := c.Request().Context(), c.Param("id")
	// Before a secret is made for it: the id has to be one that a secret can have.
	k, err := s.Store.TokenFor(ctx, actor, id)
	if err != nil {
		return err
	}
	secret := token.WithID(k.ID)
	sum := token.Hash(secret)
	change.Hash = sum[:]
	rotate, did := s.Store.RotateToken, "token rotated"
	if in.Hold {
		rotate, did = s.Store.BeginRotation, "token rotation begun"
	}
	if k, err = rotate(ctx, actor, id, change); err != nil {
		return err
	}
	s.did(actor, did, "token", k.ID, "grace", change.Grace.String())
	return write(c, api.TokenCreated{ID: k.ID, Name: k.Name, AccessToken: secret, ExpireIn: k.Expires, Held: in.Hold, Status: "ok"})
}

func graceOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	grace, err := ParseDuration(text)
	if err != nil {
		return 0, malformed("bad_grace", "grace is a duration such as 24h, 90m or 7d")
	}
	return grace, nil
}

// settleToken ends a rotation that was begun with hold.
func (s *Server) settleToken(c echo.Context, actor *db.Actor) error {
	var in api.Settle
	if err := bind(c, &in, false); err != nil {
		return err
	}
	grace, err := graceOf(in.Grace)
	if err != nil {
		return err
	}
	if in.AccessToken == "" {
		return malformed("bad_token", "access_token is the new secret of the rotation, and is missing")
	}
	sum, id := token.Hash(in.AccessToken), c.Param("id")
	if err := s.Store.SettleRotation(c.Request().Context(), actor, id, db.Settlement{Hash: sum[:], Grace: grace, Undo: in.Undo}); err != nil {
		return err
	}
	s.did(actor, "token rotation settled", "token", id, "undone", in.Undo)
	return write(c, api.Result{ID: id, Result: "updated"})
}

func (s *Server) deleteToken(c echo.Context, actor *db.Actor) error {
	id := c.Param("id")
	if err := s.Store.DeleteToken(c.Request().Context(), actor, id); err != nil {
		return err
	}
	s.did(actor, "token deleted", "token", id)
	return write(c, api.Result{ID: id, Result: "deleted"})
}
