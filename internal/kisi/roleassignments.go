package kisi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// RoleAssignment gives a user a role: in a group it may have a window.
type RoleAssignment struct {
	ID            int64     `json:"id"`
	AssigneeType  string    `json:"assignee_type"` // "User", "Team" or "Guest"
	AssigneeID    int64     `json:"assignee_id"`
	AppliesToType string    `json:"applies_to_type"` // "Organization", "Place" or "Group"
	AppliesToID   int64     `json:"applies_to_id"`
	RoleID        string    `json:"role_id"`     // like "group_basic"
	Notify        bool      `json:"notify"`      // whether Kisi mails the user
	ValidFrom     time.Time `json:"valid_from"`  // zero is at once
	ValidUntil    time.Time `json:"valid_until"` // zero is for ever
	CreatedAt     time.Time `json:"created_at"`
}

// CreateRoleAssignment gives a user a role in a group. ID, CreatedAt and both types of r
// are not looked at. Kisi answers 409 if the user has the role there already (seen with
// other clients; the OpenAPI document does not say so).
func (c *Client) CreateRoleAssignment(ctx context.Context, r RoleAssignment) (RoleAssignment, error) {
	body := map[string]any{
		"assignee_type": "User", "assignee_id": r.AssigneeID,
		"applies_to_type": "Group", "applies_to_id": r.AppliesToID,
		"role_id": r.RoleID, "notify": r.Notify,
	}
	for name, t := range map[string]time.Time{"valid_from": r.ValidFrom, "valid_until": r.ValidUntil} {
		if !t.IsZero() {
			body[name] = moment(t)
		}
	}
	var made RoleAssignment
	err := c.create(ctx, request{method: http.MethodPost, path: "/role_assignments", body: wrap("role_assignment", body)}, &made, &made.ID)
	return made, err
}

// DeleteRoleAssignment takes role assignment id back. Whether Kisi changes the window of
// one is not documented.
func (c *Client) DeleteRoleAssignment(ctx context.Context, id int64) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/role_assignments/" + itoa(id)}, nil)
}

// RoleAssignments lists what a user has of a role in a group, windows that are over too.
func (c *Client) RoleAssignments(ctx context.Context, user, group int64, role string) ([]RoleAssignment, error) {
	q := rolesOf(user)
	q.Set("applies_to_type", "Group")
	q.Set("applies_to_id", itoa(group))
	q.Set("role_id", role)
	return list(ctx, c, "/role_assignments", q, func(r RoleAssignment) int64 { return r.ID })
}

// rolesOf is the query for the roles of a user.
func rolesOf(user int64) url.Values {
	return url.Values{"assignee_type": {"User"}, "assignee_id": {itoa(user)}}
}
