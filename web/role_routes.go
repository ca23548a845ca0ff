package web

import (
	"context"
	"time"

	"husk/db"
	"husk/web/api"
)

func showRole(r *db.Role) api.Role {
	return api.Role{ID: r.Name, Name: r.Name, Description: r.Description, Created: r.Created, Builtin: r.Builtin, RequireSecondFactor: r.RequireSecondFactor,
		Grants: api.Grants{Permissions: append([]string{}, r.Permissions...)}}
}

func (s *Server) searchRoles(ctx context.Context, _ *db.Actor, in *listed) (*api.Search[api.Role], error) {
	began := time.Now()
	page, err := s.Store.ListRoles(ctx, in.query())
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(r *db.Role) api.Hit[api.Role] { return api.Hit[api.Role]{ID: r.Name, Source: showRole(r)} }), nil
}

// roleChange is the body of a role that is made or changed. Empty permissions
// leave those that are there: a client whose list has not come yet sends them. To
// take the last one is an act of its own.
func roleChange(in api.RoleChange) (change db.RoleChange, err error) {
	change.Description, change.RequireSecondFactor = in.Description, in.RequireSecondFactor
	some := in.Grants != nil && len(in.Grants.Permissions) > 0
	switch {
	case some && in.NoPermissions:
		return change, malformed("bad_role", "no_permissions and permissions exclude each other")
	case some:
		change.Permissions = in.Grants.Permissions
	case in.NoPermissions:
		change.Permissions = []string{}
	}
	return change, nil
}

type newRole struct {
	Body api.RoleChange `body:"required"`
}

func (s *Server) createRole(ctx context.Context, actor *db.Actor, in *newRole) (*api.Result, error) {
	change, err := roleChange(in.Body)
	if err != nil {
		return nil, err
	}
	name := in.Body.Name
	if err := s.Store.CreateRole(ctx, actor, name, change); err != nil {
		return nil, err
	}
	s.did(actor, "role created", "role", name)
	return &api.Result{ID: name, Result: "created"}, nil
}

func (s *Server) readRole(ctx context.Context, _ *db.Actor, in *named) (*api.Found[api.Role], error) {
	r, err := s.Store.Role(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &api.Found[api.Role]{ID: r.Name, Found: true, Source: showRole(r)}, nil
}

type roleUpdate struct {
	named
	newRole
}

func (s *Server) updateRole(ctx context.Context, actor *db.Actor, in *roleUpdate) (*api.Result, error) {
	change, err := roleChange(in.Body)
	if err != nil {
		return nil, err
	}
	if in.Body.Name != "" && in.Body.Name != in.ID {
		return nil, malformed("role_renamed", "a role's name is what users hold it by and can't be changed; make a new one")
	}
	if err := s.Store.UpdateRole(ctx, actor, in.ID, change); err != nil {
		return nil, err
	}
	s.did(actor, "role updated", "role", in.ID)
	return &api.Result{ID: in.ID, Result: "updated"}, nil
}

func (s *Server) deleteRole(ctx context.Context, actor *db.Actor, in *named) (*api.Result, error) {
	if err := s.Store.DeleteRole(ctx, actor, in.ID); err != nil {
		return nil, err
	}
	s.did(actor, "role deleted", "role", in.ID)
	return &api.Result{ID: in.ID, Result: "deleted"}, nil
}

// listPermissions answers a bare array of all that Husk asks for or a role
// names.
func (s *Server) listPermissions(ctx context.Context, _ *db.Actor, _ *nothing) ([]api.Permission, error) {
	roles, err := s.Store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.Permission, 0, len(roles.Known()))
	for _, key := range roles.Known() {
		p := api.Permission{ID: key, Description: db.PermissionText(key)}
		p.Category, p.Resource, p.Action = db.SplitPermission(key)
		out = append(out, p)
	}
	return out, nil
}

func (s *Server) searchPrincipals(ctx context.Context, _ *db.Actor, in *listed) (*api.Search[api.Principal], error) {
	began := time.Now()
	page, err := s.Store.Users(ctx, in.query())
	if err != nil {
		return nil, err
	}
	return listOf(began, page, func(u *db.User) api.Hit[api.Principal] {
		return api.Hit[api.Principal]{ID: u.ID, Source: api.Principal{ID: u.ID, Type: "user", Name: u.DisplayName(), Description: u.Email}}
	}), nil
}
