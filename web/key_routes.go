package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/api"
)

func (s *Server) searchKeys(ctx context.Context, _ *db.Actor, in *listed) (*api.Search[api.Key], error) {
	began := time.Now()
	page, signing, err := s.Store.ListKeys(ctx, in.query())
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(k *db.Key) api.Hit[api.Key] {
		return api.Hit[api.Key]{ID: k.ID, Source: api.Key{ID: k.ID, Signing: k == signing, Created: k.Created, Retired: optionalTime(k.Retired), Ends: optionalTime(k.Ends)}}
	}), nil
}

type keyRotation struct {
	Body api.RotateKey `body:"optional"`
}

func (s *Server) rotateKey(ctx context.Context, actor *db.Actor, in *keyRotation) (*api.Result, error) {
	key, err := s.Store.RotateKey(ctx, actor, in.Body.Now)
	if err != nil {
		return nil, err
	}
	s.did(actor, "signing key rotated", "key", key.ID, "now", in.Body.Now)
	return &api.Result{ID: key.ID, Result: "created"}, nil
}
