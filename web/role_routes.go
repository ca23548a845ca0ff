package web

import (
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
)

func showRole(r *db.Role) (api.Role, error) {
	return api.Role{ID: r.Name, Name: r.Name, Description: r.Description, Created: r.Created, Builtin: r.Builtin,
		Grants: api.Grants{Permissions: append([]string{}, r.Permissions...)}}, nil
}

func (s *Server) searchRoles(c echo.Context, _ *db.Actor) error {
	began := time.Now()
	q, err := listQuery(c.QueryParams())
	if err != nil {
		return err
	}
	page, err := s.Store.ListRoles(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(r *db.Role) string { return r.Name }, showRole)
}

// readRoleChange reads the body of a role that is made or changed. Empty
// permissions leave those that are there: a client whose list has not come yet
// sends them. To take the last one is an act of its own.
func readRoleChange(c echo.Context) (name string, change db.RoleChange, err error) {
	var in api.RoleChange
	if err := bind(c, &in, false); err != nil {
		return "", change, err
	}
	change.Description = in.Description
	some := in.Grants != nil && len(in.Grants.Permissions) > 0
	switch {
	case some && in.NoPermissions:
		return "", change, malformed("bad_role", "no_permissions and permissions exclude each other")
	case some:
		change.Permissions = in.Grants.Permissions
	case in.NoPermissions:
		change.Permissions = []string{}
	}
	return in.Name, change, nil
}

func (s *Server) createRole(c echo.Context, actor *db.Actor) error {
	name, change, err := readRoleChange(c)
	if err != nil {
		return err
	}
	if err := s.Store.CreateRole(c.Request().Context(), actor, name, change); err != nil {
		return err
	}
	s.did(actor, "role created", "role", name)
	return write(c, api.Result{ID: name, Result: "created"})
}

func (s *Server) readRole(c echo.Context, _ *db.Actor) error {
	r, err := s.Store.Role(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	shown, err := showRole(r)
	if err != nil {
		return err
	}
	return write(c, api.Found[api.Role]{ID: r.Name, Found: true, Source: shown})
}

func (s *Server) updateRole(c echo.Context, actor *db.Actor) error {
	name, change, err := readRoleChange(c)
	if err != nil {
		return err
	}
	id := c.Param("id")
	if name != "" && name != id {
		return malformed("role_renamed", "a role's name is what users hold it by and can't be changed; make a new one")
	}
	if err := s.Store.UpdateRole(c.Request().Context(), actor, id, change); err != nil {
		return err
	}
	s.did(actor, "role updated", "role", id)
	return write(c, api.Result{ID: id, Result: "updated"})
}

func (s *Server) deleteRole(c echo.Context, actor *db.Actor) error {
	id := c.Param("id")
	if err := s.Store.DeleteRole(c.Request().Context(), actor, id); err != nil {
		return err
	}
	s.did(actor, "role deleted", "role", id)
	return write(c, api.Result{ID: id, Result: "deleted"})
}

// listPermissions answers a bare array of all that Husk asks for or a role
// names.
func (s *Server) listPermissions(c echo.Context, _ *db.Actor) error {
	roles, err := s.Store.Roles(c.Request().Context())
	if err != nil {
		return err
	}
	out := make([]api.Permission, 0, len(roles.Known()))
	for _, key := range roles.Known() {
		p := api.Permission{ID: key, Description: db.PermissionText(key)}
		p.Category, p.Resource, p.Action = db.SplitPermission(key)
		out = append(out, p)
	}
	return write(c, out)
}

func (s *Server) searchPrincipals(c echo.Context, _ *db.Actor) error {
	began := time.Now()
	q, err := listQuery(c.QueryParams())
	if err != nil {
		return err
	}
	page, err := s.Store.Users(c.Request().Context(), q)
	if err != nil {
		return err
	}
	return writePage(c, began, page, func(u *db.User) string { return u.ID }, func(u *db.User) (api.Principal, error) {
		return api.Principal{ID: u.ID, Type: "user", Name: u.DisplayName(), Description: u.Email}, nil
	})
}
