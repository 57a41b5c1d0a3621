package kisi

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// Permission is something that a role in Kisi may allow, by Kisi's name for it.
type Permission string

// The permissions that doorhook needs. Source: OpenAPI, GET /roles.
const (
	ReadGroupLinks  Permission = "group_links_read"
	WriteGroupLinks Permission = "group_links_write"
	ReadSchedules   Permission = "schedules_read"
	WriteSchedules  Permission = "schedules_write"
	ReadGroupLocks  Permission = "group_locks_read"
	UnlockLocks     Permission = "locks_unlock"
	ReadUsers       Permission = "users_read"
	WriteUsers      Permission = "users_write"
	ReadRoles       Permission = "role_assignments_read"
	WriteRoles      Permission = "role_assignments_write"
	ReadEvents      Permission = "events_read"
)

// Right is what a role allows the user of the key, and where.
type Right struct {
	Role        string // its name, like "Organization administrator"
	AppliesTo   string // "Organization", "Place" or "Group"
	ID          int64  // of that
	Permissions map[Permission]bool
}

// Rights are those of all roles of the user of the key.
type Rights []Right

// May gives the name of a role that allows p for what is in place or in one of
// groups. That none is shown does not prove that it is not allowed: the user may
// have it through a team, and Kisi may not show the roles of a user to every key.
func (rs Rights) May(p Permission, place int64, groups ...int64) (role string, shown bool) {
	for _, r := range rs {
		here := r.AppliesTo == "Organization" || r.AppliesTo == "Place" && r.ID == place ||
			r.AppliesTo == "Group" && slices.Contains(groups, r.ID)
		if here && r.Permissions[p] {
			return r.Role, true
		}
	}
	return "", false
}

// Rights asks for the roles of the user of the key, in three requests that have no
// effect. To list what a permission is about would tell less: Kisi documents no 403
// for a list (OpenAPI), so that an empty one may be all there is or all one may see.
func (c *Client) Rights(ctx context.Context) (Rights, error) {
	l, err := c.CurrentLogin(ctx)
	if err != nil {
		return nil, err
	}
	if l.UserID == 0 {
		return nil, &Error{Op: "GET /login", Status: http.StatusOK, Err: errors.New("the answer does not say whose login it is")}
	}
	assigned, err := list(ctx, c, "/role_assignments", rolesOf(l.UserID), func(a RoleAssignment) int64 { return a.ID })
	if err != nil {
		return nil, err
	}
	var roles []struct {
		ID          string              `json:"id"`
		Name        string              `json:"name"`
		Permissions map[Permission]bool `json:"permissions"`
	}
	if err := c.call(ctx, request{method: http.MethodGet, path: "/roles"}, &roles); err != nil {
		return nil, err
	}
	var rights Rights
	for _, a := range assigned {
		for _, r := range roles {
			now := c.now()
			if r.ID == a.RoleID && !now.Before(a.ValidFrom) && (a.ValidUntil.IsZero() || now.Before(a.ValidUntil)) {
				rights = append(rights, Right{Role: r.Name, AppliesTo: a.AppliesToType, ID: a.AppliesToID, Permissions: r.Permissions})
			}
		}
	}
	return rights, nil
}
