package kisifake

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// RoleAssignment is a role that somebody has.
type RoleAssignment struct {
	ID                    int64
	RoleID                string
	AssigneeType          string // "User"
	AssigneeID            int64
	AppliesToType         string // "Organization" or "Group"
	AppliesToID           int64
	Notify                bool
	ValidFrom, ValidUntil time.Time
	CreatedAt             time.Time // zero is when the site was set up
}

// RoleAssignments gives what users were given, oldest first. That of the owner of the
// keys, which is there from the start, is not among them.
func (s *Server) RoleAssignments() []RoleAssignment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []RoleAssignment
	for _, one := range s.roles[1:] {
		all = append(all, *one)
	}
	return all
}

// Assign gives somebody a role as a person does in Kisi's dashboard, and gives its id.
func (s *Server) Assign(one RoleAssignment) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.ID = s.id()
	s.roles = append(s.roles, &one)
	return one.ID
}

// postRoleAssignments gives a role: POST /role_assignments, in its present form and in
// the deprecated one, with user_id and group_id.
func (s *Server) postRoleAssignments(c *call) answer {
	old := peek(c.body, "role_assignment")
	_, byUser := old["user_id"]
	_, byGroup := old["group_id"]
	v, p := readWrapped(c.body, "role_assignment", []attribute{
		{name: "assignee_type", kind: text, required: !byUser, oneOf: []string{"User", "Team", "Guest"}},
		{name: "assignee_id", kind: integer, required: !byUser},
		{name: "applies_to_type", kind: text, required: !byGroup, oneOf: []string{"Organization", "Place", "Group"}},
		{name: "applies_to_id", kind: integer, required: !byGroup},
		{name: "role_id", kind: text, required: true},
		{name: "user_id", kind: integer, null: true},
		{name: "group_id", kind: integer},
		{name: "notify", kind: boolean},
		{name: "valid_from", kind: moment, null: true},
		{name: "valid_until", kind: moment, null: true},
	})
	one := roleAssignment(v)
	one.CreatedAt = c.now
	if len(p) == 0 {
		s.checkRole(one, p)
	}
	if len(p) > 0 {
		return invalid(p)
	}
	if s.hasRole(one) {
		return refuse(http.StatusConflict, "f40900", "The assignee has this role already.")
	}
	one.ID = s.id()
	s.roles = append(s.roles, one)
	return ok(s.roleAssignmentBody(one))
}

func roleAssignment(v map[string]any) *RoleAssignment {
	one := &RoleAssignment{AssigneeType: "User", AppliesToType: "Group"}
	for name, to := range map[string]*string{"assignee_type": &one.AssigneeType, "applies_to_type": &one.AppliesToType, "role_id": &one.RoleID} {
		if text, ok := v[name].(string); ok {
			*to = text
		}
	}
	for name, to := range map[string]*int64{
		"assignee_id": &one.AssigneeID, "user_id": &one.AssigneeID, "applies_to_id": &one.AppliesToID, "group_id": &one.AppliesToID,
	} {
		if id, ok := v[name].(int64); ok {
			*to = id
		}
	}
	one.Notify, _ = v["notify"].(bool)
	one.ValidFrom, _ = v["valid_from"].(time.Time)
	one.ValidUntil, _ = v["valid_until"].(time.Time)
	return one
}

// checkRole checks that all that one names exists. The site has neither teams nor
// guests. That an unknown id is a 422 is our choice.
func (s *Server) checkRole(one *RoleAssignment, p problems) {
	if one.AssigneeType != "User" || s.user(one.AssigneeID) == nil {
		p.add("assignee", "must exist")
	}
	there := map[string]bool{
		"Organization": one.AppliesToID == organizationID, "Place": one.AppliesToID == placeID, "Group": s.group(one.AppliesToID) != nil,
	}
	if !there[one.AppliesToType] {
		p.add("applies_to", "must exist")
	}
	if roleOf(one.RoleID) != one.AppliesToType {
		p.add("role", "must exist for a "+one.AppliesToType)
	}
	window := !one.ValidFrom.IsZero() || !one.ValidUntil.IsZero()
	if window && one.AppliesToType != "Group" {
		p.add("valid_from", "is possible for a Group only")
	}
	if !one.ValidFrom.IsZero() && !one.ValidUntil.IsZero() && !one.ValidFrom.Before(one.ValidUntil) {
		p.add("valid_until", "must be after valid_from")
	}
}

// hasRole reports whether the assignee of one has its role there at some time of its
// window. That another window is no conflict is our choice: Kisi documents no 409.
func (s *Server) hasRole(one *RoleAssignment) bool {
	return slices.ContainsFunc(s.roles, func(o *RoleAssignment) bool {
		same := o.RoleID == one.RoleID && o.AssigneeType == one.AssigneeType && o.AssigneeID == one.AssigneeID &&
			o.AppliesToType == one.AppliesToType && o.AppliesToID == one.AppliesToID
		return same && startsBefore(o, one.ValidUntil) && startsBefore(one, o.ValidUntil)
	})
}

// startsBefore reports whether the window of r begins before end, which is never if it
// is zero.
func startsBefore(r *RoleAssignment, end time.Time) bool {
	return end.IsZero() || r.ValidFrom.Before(end)
}

// getRoleAssignments lists: GET /role_assignments.
func (s *Server) getRoleAssignments(c *call) answer {
	p := readParams(c, 10, "query", "role_id", "assignee_type", "assignee_id", "applies_to_type", "applies_to_id")
	assignee := p.oneOf("assignee_type", "User", "Team", "Guest")
	appliesTo := p.oneOf("applies_to_type", "Organization", "Place", "Group")
	for _, of := range []string{"assignee", "applies_to"} {
		if p.values.Has(of+"_id") && !p.values.Has(of+"_type") {
			p.wrong.add(of+"_id", "must be used with "+of+"_type")
		}
	}
	var all []map[string]any
	for _, one := range s.roles {
		u := s.user(one.AssigneeID)
		if p.inIDs(one.ID) && p.matches(u.Email, u.Name) && slices.Contains([]string{"", one.RoleID}, p.values.Get("role_id")) &&
			slices.Contains([]string{"", one.AssigneeType}, assignee) && p.has("assignee_id", one.AssigneeID) &&
			slices.Contains([]string{"", one.AppliesToType}, appliesTo) && p.has("applies_to_id", one.AppliesToID) {
			all = append(all, s.roleAssignmentBody(one))
		}
	}
	return page(p, all)
}

func (s *Server) roleOfID(id int64) *RoleAssignment {
	i := slices.IndexFunc(s.roles, func(o *RoleAssignment) bool { return o.ID == id })
	if i < 0 {
		return nil
	}
	return s.roles[i]
}

// getRoleAssignment tells of one: GET /role_assignments/{id}.
func (s *Server) getRoleAssignment(c *call) answer {
	one := s.roleOfID(c.id)
	if one == nil {
		return notFound()
	}
	return ok(s.roleAssignmentBody(one))
}

// patchRoleAssignment changes the role, or whether its user is mailed, and no window:
// PATCH /role_assignments/{id}.
func (s *Server) patchRoleAssignment(c *call) answer {
	v, p := readWrapped(c.body, "role_assignment", []attribute{{name: "role_id", kind: text}, {name: "notify", kind: boolean}})
	one := s.roleOfID(c.id)
	if one == nil {
		return notFound()
	}
	role, given := v["role_id"].(string)
	if given && roleOf(role) != one.AppliesToType {
		p.add("role", "must exist for a "+one.AppliesToType)
	}
	if len(p) > 0 {
		return invalid(p)
	}
	if given {
		one.RoleID = role
	}
	if notify, ok := v["notify"].(bool); ok {
		one.Notify = notify
	}
	return noContent()
}

// deleteRoleAssignment takes a role back: DELETE /role_assignments/{id}.
func (s *Server) deleteRoleAssignment(c *call) answer {
	before := len(s.roles)
	s.roles = slices.DeleteFunc(s.roles, func(o *RoleAssignment) bool { return o.ID == c.id && o.RoleID != ownerRole })
	if len(s.roles) == before {
		return notFound()
	}
	return noContent()
}

func (s *Server) roleAssignmentBody(one *RoleAssignment) map[string]any {
	assignee := userRef(*s.user(one.AssigneeID))
	kind := strings.ToLower(one.AppliesToType)
	on := map[string]any{"id": one.AppliesToID, "resource_type": one.AppliesToType, "name": s.nameOf("Group", one.AppliesToID)}
	if one.AppliesToType == "Organization" {
		on["name"], on["domain"] = "Site", "site"
	}
	created := siteAge
	if !one.CreatedAt.IsZero() {
		created, _ = stamp(one.CreatedAt).(string)
	}
	body := map[string]any{
		"id": one.ID, "resource_type": "RoleAssignment", "created_at": created, "updated_at": created,
		"role_id": one.RoleID, "notify": one.Notify,
		"applies_to_type": one.AppliesToType, "applies_to_id": one.AppliesToID, "applies_to": on,
		"assignee_type": one.AssigneeType, "assignee_id": one.AssigneeID, "assignee": assignee,
		"created_by_type": nil, "created_by_id": nil,
		"user_id": one.AssigneeID, "user": assignee, "assignee_team_id": nil, "guest_id": nil, "issued_by_id": nil,
		"type": kind, "scope": kind, kind + "_id": one.AppliesToID, kind: on,
	}
	if one.AppliesToType == "Group" {
		body["valid_from"], body["valid_until"] = stamp(one.ValidFrom), stamp(one.ValidUntil)
	}
	return body
}
