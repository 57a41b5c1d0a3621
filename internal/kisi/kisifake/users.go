package kisifake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxUsers is the longest page of users (OpenAPI, GET /users).
const maxUsers = 100

// User is a user that exists.
type User struct {
	ID        int64
	Name      string
	Email     string
	CreatedAt time.Time // zero is when the site was set up
}

// DefaultUsers gives the one guest of the site that [DefaultSite] gives.
func DefaultUsers() []User { return []User{{ID: 77, Name: "Jo", Email: "jo@example.com"}} }

// Users gives the users that exist, oldest first; the owner of the keys is the first.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.users)
}

func (s *Server) user(id int64) *User {
	i := slices.IndexFunc(s.users, func(u User) bool { return u.ID == id })
	if i < 0 {
		return nil
	}
	return &s.users[i]
}

// getUsers lists: GET /users.
func (s *Server) getUsers(c *call) answer {
	p := readParams(c, 50, "place_id", "email", "group_id", "query", "user_id")
	if p.limit > maxUsers {
		p.wrong.add("limit", fmt.Sprintf("must be from 1 to %d", maxUsers))
	}
	group, inGroup := p.integer("group_id")
	var all []map[string]any
	for _, u := range s.users {
		if p.inIDs(u.ID) && p.has("user_id", u.ID) && p.has("place_id", placeID) && p.matches(u.Email, u.Name) &&
			(!p.values.Has("email") || strings.EqualFold(u.Email, p.values.Get("email"))) && (!inGroup || s.inGroup(u.ID, group)) {
			all = append(all, s.userBody(u))
		}
	}
	return page(p, all)
}

func (s *Server) inGroup(user, group int64) bool {
	return slices.ContainsFunc(s.roles, func(r *RoleAssignment) bool {
		return r.AssigneeType == "User" && r.AssigneeID == user && r.AppliesToType == "Group" && r.AppliesToID == group
	})
}

// getUser tells of one: GET /users/{id}.
func (s *Server) getUser(c *call) answer {
	u := s.user(c.id)
	if u == nil {
		return notFound()
	}
	return ok(s.userBody(*u))
}

// postUsers makes a user: POST /users. That an address which is taken is a 422 is
// inferred.
func (s *Server) postUsers(c *call) answer {
	v, p := readWrapped(c.body, "user", []attribute{
		{name: "email", kind: email, required: true},
		{name: "name", kind: text},
		{name: "image", kind: text, null: true},
		{name: "send_emails", kind: boolean},
		{name: "confirm", kind: boolean},
		{name: "access_enabled", kind: boolean},
		{name: "password_flow_enabled", kind: boolean},
		{name: "metadata", kind: anything},
		{name: "notes", kind: text, null: true},
	})
	u := User{CreatedAt: c.now}
	u.Email, _ = v["email"].(string)
	u.Name, _ = v["name"].(string)
	if slices.ContainsFunc(s.users, func(o User) bool { return strings.EqualFold(o.Email, u.Email) }) {
		p.add("email", "has already been taken")
	}
	if len(p) > 0 {
		return invalid(p)
	}
	u.ID = s.id()
	s.users = append(s.users, u)
	return ok(s.userBody(u))
}

func userRef(u User) map[string]any {
	return map[string]any{"id": u.ID, "resource_type": "User", "email": u.Email, "name": u.Name}
}

func (s *Server) userBody(u User) map[string]any {
	groups := map[int64]bool{}
	for _, r := range s.roles {
		if r.AssigneeID == u.ID && r.AppliesToType == "Group" {
			groups[r.AppliesToID] = true
		}
	}
	created := siteAge
	if !u.CreatedAt.IsZero() {
		created, _ = stamp(u.CreatedAt).(string)
	}
	body := userRef(u)
	maps.Copy(body, map[string]any{
		"created_at": created, "updated_at": created, "metadata": map[string]any{}, "image": nil, "otp_required_for_login": false,
		"password_flow_enabled": false, "access_enabled": true, "last_accessed_at": nil, "scim_access_enabled": nil, "notes": nil,
		"organization_id": organizationID, "confirmed": true, "groups_count": len(groups),
	})
	return body
}

// owner is the user that all keys and logins belong to.
func (s *Server) owner() map[string]any { return userRef(*s.user(ownerID)) }

// withOwner are the users of a new site.
func withOwner(o Options) []User {
	owner := User{ID: ownerID, Name: "Owner", Email: cmp.Or(o.Email, "owner@example.com")}
	return append([]User{owner}, o.Users...)
}
