package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Never is the expiry of a token that does not expire.
const Never = -1

// DefaultTokenTTL is the life of a token for which none was asked.
const DefaultTokenTTL = 365 * 24 * time.Hour

// Token is an API token without its secret: only the SHA-256 of the whole is
// kept.
type Token struct {
	ID          string         `json:"id"` // a UUID, the part of the token before the underscore
	Owner       string         `json:"owner"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Hash        []byte         `json:"hash"`               // SHA-256, 32 bytes
	Previous    *OldSecret     `json:"previous,omitempty"` // a rotated secret in its time of grace
	Next        *NextSecret    `json:"next,omitempty"`     // of a rotation that was begun and is not settled
	Permissions []string       `json:"permissions"`        // empty: the owner's, as they are at each use
	AllowedIPs  []netip.Prefix `json:"allowed_ips,omitempty"`
	Reach
	Expires int64     `json:"expires"` // Unix seconds, or Never
	Created time.Time `json:"created"`
	Issued  time.Time `json:"issued"` // when the secret was made: created, or rotated
	Updated time.Time `json:"updated"`
}

func (k *Token) readFast(j *fastJSON) {
	j.text("id", &k.ID)
	j.text("owner", &k.Owner)
	j.text("name", &k.Name)
	j.text("description", &k.Description)
	j.bytes("hash", &k.Hash)
	j.none("previous")
	j.none("next")
	j.texts("permissions", &k.Permissions)
	j.none("allowed_ips")
	j.texts("allowed_hosts", &k.AllowedHosts)
	j.texts("allowed_paths", &k.AllowedPaths)
	j.texts("allowed_methods", &k.AllowedMethods)
	j.integer("expires", &k.Expires)
	j.time("created", &k.Created)
	j.time("issued", &k.Issued)
	j.time("updated", &k.Updated)
}

// Expired tells whether the token has ended at now.
func (k *Token) Expired(now time.Time) bool { return k.Expires != Never && now.Unix() >= k.Expires }

// Allows tells whether the token may be used from address.
func (k *Token) Allows(address netip.Addr) bool {
	if len(k.AllowedIPs) == 0 {
		return true
	}
	return slices.ContainsFunc(k.AllowedIPs, func(p netip.Prefix) bool { return p.Contains(address.Unmap()) })
}

var tokenRecords = collection[Token]{
	bucket: "token",
	id:     func(k *Token) string { return k.ID },
	index: func(k *Token) [][]byte {
		created, expiry, name, words := timeKey(k.Created), expiryKey(k.Expires), textKey(k.Name), words(k.Name)
		keys := make([][]byte, 0, 2*(3+len(words)))
		for _, scope := range []string{k.Owner, everything} {
			keys = append(keys,
				indexKey(scope, byCreated, created, k.ID),
				indexKey(scope, byExpiry, expiry, k.ID),
				indexKey(scope, byName, name, k.ID))
			for _, w := range words {
				keys = append(keys, indexKey(scope, byWord, wordKey(w, k.Created), k.ID))
			}
		}
		return keys
	},
	count:  func(k *Token) []string { return []string{"token", tokensOf(k.Owner)} },
	owner:  func(k *Token) string { return k.Owner },
	used:   tokenUseBucket,
	memory: func(s *Store) memory { return s.tokens },
}

// wordKey sorts what has a word by when it was made: what is made now stands
// beside what was made just before, on pages that the commit writes anyway. By
// the id alone, which is random, each word of each token would be on another.
func wordKey(word string, created time.Time) []byte {
	return append(append([]byte(word), 0), timeKey(created)...)
}

func tokensOf(owner string) string { return counterName("token", "owner", owner) }

// expiryKey sorts by expiry, with what never expires at the end.
func expiryKey(expires int64) []byte {
	if expires == Never {
		return []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return timeKey(time.Unix(min(expires, MaxExpiry), 0))
}

// MaxExpiry is the last second that time.Time.UnixNano can tell: in 2262.
const MaxExpiry = 9223372036

// Token returns the token of id for a check of a credential; shared, read
// only.
func (s *Store) Token(ctx context.Context, id string) (*Token, error) {
	return tokenRecords.cached(ctx, s, s.tokens, id)
}

// TokenFor returns the token of id where the actor may see it, else
// ErrNotFound; shared, read only.
func (s *Store) TokenFor(ctx context.Context, actor *Actor, id string) (*Token, error) {
	k, err := s.Token(ctx, id)
	if err != nil {
		return nil, err
	}
	if !k.visibleTo(actor) {
		return nil, errAbsentRecord
	}
	return k, nil
}

func (k *Token) visibleTo(actor *Actor) bool { return k.Owner == actor.ID || actor.Administrator() }

// Tokens returns a page of the tokens of q.Owner, or of everybody, by created,
// name or expire_in. Whose they may be is for the caller to decide.
func (s *Store) Tokens(ctx context.Context, q ListQuery) (Page[Token], error) {
	total := "token"
	if q.Owner != "" {
		total = tokensOf(q.Owner)
	}
	return tokenRecords.page(ctx, s, q, total, byCreated, byName, byExpiry)
}

// NewToken is what CreateToken makes a token from.
type NewToken struct {
	ID          string // of the secret that was made
	Hash        []byte // SHA-256 of the whole secret
	Name        string // empty: one is made
	Description string
	Permissions []string // empty: the owner's, or those of the token that mints
	AllowedIPs  []netip.Prefix
	Reach                     // in the form in which the gate compares it
	Expires     int64         // Unix seconds, Never, or 0 for the default
	MaxTTL      time.Duration // 0: none
	MaxPerUser  int           // how many the owner may have; 0: no bound
	Wrong       error         // what is wrong already: nothing is made, and the rest is told with it
	Owner       string        // id or email; empty: the actor, or the single user for the local actor
}

// CreateToken keeps a new token. More rights than the actor has, or than the
// owner has, are ErrDenied, and so is another owner for one who is no
// administrator; more tokens than one may have are ErrQuota. What is wrong with
// several things that were asked for is Problems.
func (s *Store) CreateToken(ctx context.Context, actor *Actor, n NewToken) (k *Token, err error) {
	wrong := Together(n.Wrong, checkTokenTexts(&n.Name, &n.Description), checkAddresses(n.AllowedIPs), n.Reach.check())
	if wrong != nil {
		return nil, s.wrongBefore(ctx, actor, wrong, func(t *txn) error {
			_, err := t.tokenAsked(n)
			return err
		})
	}
	err = s.update(ctx, actor, func(t *txn) error {
		if k, err = t.tokenAsked(n); err != nil {
			return err
		}
		if err := s.roomForToken(t, k, n.MaxPerUser); err != nil {
			return err
		}
		if err := tokenRecords.put(t, nil, k); err != nil {
			return err
		}
		return t.audit("token.create", k.Target())
	})
	return k, err
}

// wrongBefore adds to what is wrong without a look at the store what is wrong in its
// eyes. Nothing is changed.
func (s *Store) wrongBefore(ctx context.Context, actor *Actor, wrong error, check func(*txn) error) error {
	all := Together(wrong, s.view(ctx, func(t *txn) error {
		t.actor = actor
		return check(t)
	}))
	if several := (Problems)(nil); errors.As(all, &several) {
		return all
	}
	return wrong
}

// tokenAsked is the token that is asked for, as the actor may have it.
func (t *txn) tokenAsked(n NewToken) (*Token, error) {
	k := &Token{ID: n.ID, Hash: n.Hash, Name: n.Name, Description: n.Description, Created: t.now, Issued: t.now, Updated: t.now}
	k.Name = cmp.Or(k.Name, "token "+t.now.Format(time.DateOnly)+" "+k.ID[:8])
	owner, noOwner := t.tokenOwner(n.Owner)
	if noOwner == nil {
		k.Owner = owner.ID
	}
	var wrong [4]error
	k.Expires, wrong[0] = t.tokenExpiry(n.Expires, n.MaxTTL)
	k.Permissions, wrong[1] = t.tokenPermissions(owner, n.Permissions)
	k.AllowedIPs, wrong[2] = t.tokenAddresses(maskAll(n.AllowedIPs))
	k.Reach, wrong[3] = t.tokenReach(n.Reach)
	return k, Together(append([]error{noOwner}, wrong[:]...)...)
}

func checkTokenTexts(name, description *string) error {
	*name, *description = strings.TrimSpace(*name), strings.TrimSpace(*description)
	return Together(checkText("name", *name, maxName), checkText("description", *description, maxDescription))
}

// maxTokenAddresses bounds the addresses and networks that a token is limited
// to: a page of a list has up to a thousand tokens.
const maxTokenAddresses = 100

func checkAddresses(prefixes []netip.Prefix) error {
	if len(prefixes) > maxTokenAddresses {
		return fail(ErrInvalid, "too_many_addresses", "a token names at most 100 addresses and networks; name larger networks")
	}
	return nil
}

// tokenOwner returns the user for whom the actor mints.
func (t *txn) tokenOwner(idOrEmail string) (*User, error) {
	if idOrEmail == "" {
		idOrEmail = t.actor.ID
		if t.actor.Local() {
			idOrEmail = SingleUser
		}
		return userRecords.get(t, idOrEmail)
	}
	owner, err := t.findUser(idOrEmail)
	if !t.actor.Administrator() && (err != nil || owner.ID != t.actor.ID) {
		return nil, fail(ErrDenied, "administrator_required", "only an administrator makes tokens for others")
	}
	return owner, err
}

// tokenExpiry decides when a new secret ends: as asked, else after the default
// life; never behind the bound of the server or of the token that mints.
func (t *txn) tokenExpiry(asked int64, maxTTL time.Duration) (int64, error) {
	now := t.now.Unix()
	switch {
	case asked == 0, asked == Never:
	case asked <= now:
		return 0, fail(ErrInvalid, "bad_expiry", "expire_in is in the past: it is the Unix time in seconds at which the token ends, or -1 for never")
	case asked > MaxExpiry:
		return 0, fail(ErrInvalid, "bad_expiry", fmt.Sprintf("expire_in is too far away: it is a Unix time in seconds, at most %d, in the year 2262, or -1 for never", int64(MaxExpiry)))
	}
	expires := asked
	if asked == 0 {
		expires = now + int64(DefaultTokenTTL/time.Second)
	}
	if bound := now + int64(maxTTL/time.Second); maxTTL > 0 && later(expires, bound) {
		if asked != 0 {
			return 0, fail(ErrInvalid, "ttl_too_long", "this server lets a token live at most "+spanText(maxTTL)+" (max-token-ttl)")
		}
		expires = bound
	}
	if by := t.actor.Token; by != nil && later(expires, by.Expires) {
		if asked != 0 {
			return 0, fail(ErrDenied, "outlives_token", "a token can't make one that outlives it")
		}
		expires = by.Expires
	}
	return expires, nil
}

// spanText is d as people give it: whole days as days.
func spanText(d time.Duration) string {
	if day := 24 * time.Hour; d > day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return d.String()
}

// later tells whether a token that ends at a outlives one that ends at b.
func later(a, b int64) bool { return b != Never && (a == Never || a > b) }

// tokenPermissions decides what a new token is limited to; owner may be nil, where
// there is none.
func (t *txn) tokenPermissions(owner *User, asked []string) ([]string, error) {
	if len(asked) == 0 {
		if t.actor.Token != nil {
			return t.actor.Token.Permissions, nil
		}
		return []string{}, nil
	}
	roles, err := t.roleSet()
	if err != nil {
		return nil, err
	}
	if err := t.mayHold(roles, asked); err != nil {
		return nil, err
	}
	if owner == nil {
		return nil, nil
	}
	if missing := roles.Permissions(owner.Roles).Missing(NewPermissions(asked)); missing != "" {
		return nil, fail(ErrDenied, "owner_lacks", "the token's owner does not have "+missing)
	}
	return NewPermissions(asked).Keys(), nil
}

// mayHold refuses permissions that nobody knows, or that the actor lacks.
func (t *txn) mayHold(roles *RoleSet, asked []string) error {
	if err := roles.checkPermissions(asked); err != nil {
		return err
	}
	if missing := t.actor.Permissions.Missing(NewPermissions(asked)); missing != "" {
		return fail(ErrDenied, "asks_more", "a token can't have more rights than the one who makes it: "+missing+" is missing")
	}
	return nil
}

// tokenAddresses decides from where a new token may be used: what a limited
// token mints is not wider than itself.
func (t *txn) tokenAddresses(asked []netip.Prefix) ([]netip.Prefix, error) {
	if t.actor.Token == nil || len(t.actor.Token.AllowedIPs) == 0 {
		return asked, nil
	}
	if len(asked) == 0 {
		return t.actor.Token.AllowedIPs, nil
	}
	if !within(asked, t.actor.Token.AllowedIPs) {
		return nil, fail(ErrDenied, "wider_addresses", "a token can't make one that may be used from more addresses than itself")
	}
	return asked, nil
}

// within tells whether every prefix of inner lies in one of outer; no outer ones
// allow everything, no inner ones need everything.
func within(inner, outer []netip.Prefix) bool {
	return listWithin(inner, outer, func(out, in netip.Prefix) bool { return out.Bits() <= in.Bits() && out.Contains(in.Addr()) })
}

func maskAll(prefixes []netip.Prefix) []netip.Prefix {
	var masked []netip.Prefix
	for _, p := range prefixes {
		masked = append(masked, p.Masked())
	}
	return masked
}

// TokenChange is what UpdateToken changes; nil leaves a member as it is.
// Nothing else of a token can be changed.
type TokenChange struct {
	Name        string // required
	Description *string
	Permissions []string       // empty: as they are
	AllowedIPs  []netip.Prefix // nil: as they are; empty: from everywhere
	Reach                      // a nil list: as it is; an empty one: all
	Wrong       error          // what is wrong already: nothing is changed, and the rest is told with it
}

// UpdateToken changes a token that the actor may see. What is wrong with several
// things that were asked for is Problems.
func (s *Store) UpdateToken(ctx context.Context, actor *Actor, id string, c TokenChange) error {
	if c.Name = strings.TrimSpace(c.Name); c.Name == "" {
		c.Wrong = Together(c.Wrong, fail(ErrInvalid, "name_required", "a token needs a name"))
	}
	if c.Wrong != nil {
		return s.wrongBefore(ctx, actor, c.Wrong, func(t *txn) error {
			k, err := t.visibleToken(id)
			if err != nil {
				return nil // whose token it is that is not there is nobody's to tell
			}
			changed := *k
			return t.applyTokenChange(&changed, c)
		})
	}
	return s.update(ctx, actor, func(t *txn) error {
		old, err := t.visibleToken(id)
		if err != nil {
			return err
		}
		k := *old
		if err := t.applyTokenChange(&k, c); err != nil {
			return err
		}
		if err := t.notAbove(&k); err != nil {
			return err
		}
		if err := tokenRecords.put(t, old, &k); err != nil {
			return err
		}
		return t.audit("token.update", old.Target())
	})
}

func (t *txn) applyTokenChange(k *Token, c TokenChange) error {
	k.Name, k.Updated = c.Name, t.now
	if c.Description != nil {
		k.Description = *c.Description
	}
	wrong := Together(checkTokenTexts(&k.Name, &k.Description), checkAddresses(c.AllowedIPs), c.Reach.check())
	if c.AllowedIPs != nil {
		k.AllowedIPs = maskAll(c.AllowedIPs)
	}
	k.Reach.change(c.Reach)
	// An editor that sends back what it was shown asks for nothing.
	if asked := NewPermissions(c.Permissions).Keys(); len(asked) > 0 && !slices.Equal(asked, k.Permissions) {
		owner, err := userRecords.get(t, k.Owner)
		if err != nil {
			return err
		}
		k.Permissions, err = t.tokenPermissions(owner, asked)
		wrong = Together(wrong, err)
	}
	return wrong
}

// notAbove refuses that a token changes one into more than itself: no more
// rights, no later expiry, no wider addresses, no wider reach.
func (t *txn) notAbove(k *Token) error {
	by := t.actor.Token
	if by == nil {
		return nil
	}
	more := by.narrow() && (len(k.Permissions) == 0 || NewPermissions(by.Permissions).Missing(NewPermissions(k.Permissions)) != "")
	if more || later(k.Expires, by.Expires) || !within(k.AllowedIPs, by.AllowedIPs) || !k.Reach.within(&by.Reach) {
		return fail(ErrDenied, "above_token", "a token can't change one that has more rights, more addresses, a wider reach or a later expiry than itself")
	}
	return nil
}

func (t *txn) visibleToken(id string) (*Token, error) {
	k, err := tokenRecords.get(t, id)
	if err != nil {
		return nil, err
	}
	if !k.visibleTo(t.actor) {
		return nil, errAbsentRecord
	}
	return k, nil
}

// DeleteToken removes a token that the actor may see. Of several at once
// exactly one succeeds, the others are ErrNotFound.
func (s *Store) DeleteToken(ctx context.Context, actor *Actor, id string) error {
	return s.update(ctx, actor, func(t *txn) error {
		k, err := t.visibleToken(id)
		if err != nil {
			return err
		}
		return t.revokeToken(k)
	})
}
