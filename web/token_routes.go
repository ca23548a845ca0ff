package web

import (
	"context"
	"net/netip"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/token"
)

type newToken struct {
	Body api.NewToken `body:"optional"`
}

func (s *Server) createToken(ctx context.Context, actor *db.Actor, in *newToken) (*api.TokenCreated, error) {
	asked := in.Body
	if err := s.proveNewToken(actor, asked); err != nil {
		return nil, err
	}
	addresses, badAddress := parsePrefixes(asked.AllowedIPs)
	reach, badReach := parseReach(asked.AllowedHosts, asked.AllowedPaths, asked.AllowedMethods)
	secret, id := token.New()
	sum := token.Hash(secret)
	k, err := s.Store.CreateToken(ctx, actor, db.NewToken{
		ID: id, Hash: sum[:], Name: asked.Name, Description: asked.Description, Permissions: asked.Permissions,
		AllowedIPs: addresses, Reach: reach, Expires: asked.ExpireIn, MaxTTL: s.MaxTokenTTL, Owner: asked.Owner,
		MaxPerUser: s.Quotas.Tokens, Wrong: db.Together(wrong(badAddress), badReach),
	})
	if err != nil {
		return nil, err
	}
	s.did(actor, "token created", "token", k.ID, "owner", k.Owner)
	return &api.TokenCreated{ID: k.ID, Name: k.Name, AccessToken: secret, ExpireIn: k.Expires, Status: "ok"}, nil
}

// parsePrefixes reads CIDR prefixes (RFC 4632, RFC 4291 2.3); a plain address
// stands for itself alone.
func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	if texts == nil {
		return nil, nil
	}
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, ok := parsePrefix(text)
		if !ok {
			return nil, malformed("bad_prefix", "allowed_ips are addresses or CIDR prefixes, such as 10.0.0.0/8 or 2001:db8::/32")
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

func parsePrefix(text string) (p netip.Prefix, ok bool) {
	p, err := netip.ParsePrefix(text)
	if a, failed := netip.ParseAddr(text); failed == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	return p, err == nil && !p.Addr().Is4In6()
}

type tokenSearch struct {
	listed
	fromAddress
	Owner  string `query:"owner"`
	Filter string `query:"filter"`
}

// searchTokens lists one's own tokens; another's, or everybody's, for
// administrators. The local actor owns none and sees all.
func (s *Server) searchTokens(ctx context.Context, actor *db.Actor, in *tokenSearch) (*api.Search[api.Token], error) {
	began, q := time.Now(), in.query()
	owner, err := s.listedOwner(ctx, actor, in.Owner)
	if err != nil {
		return nil, err
	}
	q.Owner = owner
	filter := db.TokenFilter{Kind: in.Filter}
	if filter.Address, err = in.network(); err != nil {
		return nil, err
	}
	page, err := s.tokens(ctx, q, filter)
	if err != nil {
		return nil, err
	}
	shown, err := s.showTokens(ctx, page.Items...)
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(k *db.Token) api.Hit[api.Token] { return api.Hit[api.Token]{ID: k.ID, Source: shown[k.ID]} }), nil
}

func (s *Server) tokens(ctx context.Context, q db.ListQuery, filter db.TokenFilter) (db.Page[db.Token], error) {
	if filter.None() {
		return s.Store.Tokens(ctx, q)
	}
	return s.Store.FilteredTokens(ctx, q, filter)
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
func (s *Server) catTokens(ctx context.Context, actor *db.Actor, _ *nothing) ([]api.Token, error) {
	owner, err := s.listedOwner(ctx, actor, "")
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Tokens(ctx, db.ListQuery{Owner: owner, Size: db.MaxPageSize})
	if err != nil {
		return nil, err
	}
	shown, err := s.showTokens(ctx, page.Items...)
	if err != nil {
		return nil, err
	}
	tokens := make([]api.Token, 0, len(page.Items))
	for _, k := range page.Items {
		tokens = append(tokens, shown[k.ID])
	}
	return tokens, nil
}

type tokenUpdate struct {
	named
	Body api.TokenUpdate `body:"required"`
}

// renameToken changes the name alone, as older clients ask for it.
func (s *Server) renameToken(ctx context.Context, actor *db.Actor, in *tokenUpdate) (*api.Result, error) {
	return s.changeToken(ctx, actor, in.ID, db.TokenChange{Name: in.Body.Name})
}

// showTokens shows tokens by id. What stands beside their records is read in one
// transaction, however many they are.
func (s *Server) showTokens(ctx context.Context, tokens ...*db.Token) (map[string]api.Token, error) {
	ids, owners := make([]string, len(tokens)), make([]string, len(tokens))
	for i, k := range tokens {
		ids[i], owners[i] = k.ID, k.Owner
	}
	uses, err := s.Store.TokensLastUsed(ctx, ids)
	if err != nil {
		return nil, err
	}
	users, err := s.Store.Owners(ctx, owners)
	if err != nil {
		return nil, err
	}
	shown, now := make(map[string]api.Token, len(tokens)), s.Store.Now()
	for _, k := range tokens {
		shown[k.ID] = showToken(k, uses[k.ID], users[k.Owner], now)
	}
	return shown, nil
}

func showToken(k *db.Token, use db.LastUsed, owner db.Owner, now time.Time) api.Token {
	out := api.Token{
		ID: k.ID, Name: k.Name, Description: k.Description, Type: "general", AccessToken: token.Mask(k.ID),
		Permissions: append([]string{}, k.Permissions...), ExpireIn: k.Expires, AllowedIPs: []string{},
		AllowedHosts: append([]string{}, k.AllowedHosts...), AllowedPaths: append([]string{}, k.AllowedPaths...), AllowedMethods: append([]string{}, k.AllowedMethods...),
		Created: k.Created, Updated: k.Updated, LastUsed: optionalTime(use.Time), LastIP: use.Address, Owner: k.Owner, OwnerName: owner.Username, OwnerDisabled: owner.Disabled,
	}
	if p := k.Previous; p != nil && now.Unix() < p.Ends {
		out.Previous = &api.PreviousSecret{Ends: p.Ends}
		if use.Old.After(k.Issued) {
			out.Previous.LastUsed = &use.Old
		}
	}
	if n := k.Next; n != nil && (n.Expires == db.Never || now.Unix() < n.Expires) {
		out.Next = &api.NextSecret{Made: n.Made, Ends: n.Expires}
	}
	for _, p := range k.AllowedIPs {
		out.AllowedIPs = append(out.AllowedIPs, p.String())
	}
	return out
}

func (s *Server) readToken(ctx context.Context, actor *db.Actor, in *named) (*api.Found[api.Token], error) {
	k, err := s.Store.TokenFor(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := s.showTokens(ctx, k)
	return &api.Found[api.Token]{ID: k.ID, Found: true, Source: shown[k.ID]}, err
}

func (s *Server) updateToken(ctx context.Context, actor *db.Actor, in *tokenUpdate) (*api.Result, error) {
	asked := in.Body
	if err := s.proveTokenUpdate(ctx, actor, in.ID, asked.Permissions); err != nil {
		return nil, err
	}
	addresses, badAddress := parsePrefixes(orNone(asked.AllowedIPs))
	reach, badReach := parseReach(orNone(asked.AllowedHosts), orNone(asked.AllowedPaths), orNone(asked.AllowedMethods))
	return s.changeToken(ctx, actor, in.ID, db.TokenChange{
		Name: asked.Name, Description: asked.Description, Permissions: asked.Permissions, AllowedIPs: addresses, Reach: reach,
		Wrong: db.Together(wrong(badAddress), badReach),
	})
}

// orNone is a list that was sent, or nil.
func orNone(list *[]string) []string {
	if list == nil {
		return nil
	}
	return *list
}

func (s *Server) changeToken(ctx context.Context, actor *db.Actor, id string, change db.TokenChange) (*api.Result, error) {
	if err := s.Store.UpdateToken(ctx, actor, id, change); err != nil {
		return nil, err
	}
	s.did(actor, "token updated", "token", id)
	return &api.Result{ID: id, Result: "updated"}, nil
}

type tokenRotation struct {
	named
	Body api.Rotate `body:"optional"`
}

func (s *Server) rotateToken(ctx context.Context, actor *db.Actor, in *tokenRotation) (*api.TokenCreated, error) {
	grace, err := graceOf(in.Body.Grace)
	if err != nil {
		return nil, err
	}
	change := db.Rotation{Expires: in.Body.ExpireIn, MaxTTL: s.MaxTokenTTL, Grace: grace}
	// Before a secret is made for it: the id has to be one that a secret can have.
	k, err := s.Store.TokenFor(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.proveRotation(actor, k, in.Body.ExpireIn); err != nil {
		return nil, err
	}
	secret := token.WithID(k.ID)
	sum := token.Hash(secret)
	change.Hash = sum[:]
	rotate, did := s.Store.RotateToken, "token rotated"
	if in.Body.Hold {
		rotate, did = s.Store.BeginRotation, "token rotation begun"
	}
	if k, err = rotate(ctx, actor, in.ID, change); err != nil {
		return nil, err
	}
	s.did(actor, did, "token", k.ID, "grace", change.Grace.String())
	return &api.TokenCreated{ID: k.ID, Name: k.Name, AccessToken: secret, ExpireIn: k.Expires, Held: in.Body.Hold, Status: "ok"}, nil
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

type tokenSettlement struct {
	named
	Body api.Settle `body:"required"`
}

// settleToken ends a rotation that was begun with hold.
func (s *Server) settleToken(ctx context.Context, actor *db.Actor, in *tokenSettlement) (*api.Result, error) {
	grace, err := graceOf(in.Body.Grace)
	if err != nil {
		return nil, err
	}
	if in.Body.AccessToken == "" {
		return nil, malformed("bad_token", "access_token is the new secret of the rotation, and is missing")
	}
	sum := token.Hash(in.Body.AccessToken)
	if err := s.Store.SettleRotation(ctx, actor, in.ID, db.Settlement{Hash: sum[:], Grace: grace, Undo: in.Body.Undo}); err != nil {
		return nil, err
	}
	s.did(actor, "token rotation settled", "token", in.ID, "undone", in.Body.Undo)
	return &api.Result{ID: in.ID, Result: "updated"}, nil
}

func (s *Server) deleteToken(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	if err := s.Store.DeleteToken(ctx, actor, in.ID); err != nil {
		return nil, err
	}
	s.did(actor, "token deleted", "token", in.ID)
	return &api.Result{ID: in.ID, Result: "deleted"}, nil
}
