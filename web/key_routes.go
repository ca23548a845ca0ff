package web

import (
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

func (s *Server) searchKeys(c echo.Context, _ *db.Actor) error {
	began := time.Now()
	q, err := listQuery(c.QueryParams())
	if err != nil {
		return err
	}
	page, signing, err := s.Store.ListKeys(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(k *db.Key) string { return k.ID }, func(k *db.Key) (api.Key, error) {
		return api.Key{ID: k.ID, Signing: k == signing, Created: k.Created, Retired: optionalTime(k.Retired), Ends: optionalTime(k.Ends)}, nil
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
