package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

// searchKeys lists the signing keys, the newest first. There are never more
// than one for each rotation within a session's life, so one page is all.
func (s *Server) searchKeys(c echo.Context, _ *db.Actor) error {
	began := time.Now()
	if _, err := listQuery(c.QueryParams()); err != nil {
		return err
	}
	set, err := s.Store.Keys(c.Request().Context())
	if err != nil {
		return err
	}
	page := db.Page[db.Key]{Total: int64(len(set.ByID))}
	for _, k := range set.ByID {
		page.Items = append(page.Items, k)
	}
	slices.SortFunc(page.Items, func(a, b *db.Key) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return writePage(c, began, page, func(k *db.Key) string { return k.ID }, func(k *db.Key) (api.Key, error) {
		return api.Key{ID: k.ID, Signing: k == set.Signing, Created: k.Created, Retired: optionalTime(k.Retired), Ends: optionalTime(k.Ends)}, nil
	})
}

func (s *Server) rotateKey(c echo.Context, actor *db.Actor) error {
	var in api.RotateKey
	if err := bind(c, &in, true); err != nil {
		return err
	}
	key, err := s.Store.RotateKey(c.Request().Context(), actor, in.Now)
	if err != nil {
		return err
	}
	s.did(actor, "signing key rotated", "key", key.ID, "now", in.Now)
	return write(c, api.Result{ID: key.ID, Result: "created"})
}
