package kisifake

import "slices"

// organizationID is the organization of the site.
const organizationID = 3

// ownerRole is the one that the user of all keys has.
const ownerRole = "organization_owner"

// permissions are those of Kisi's hundred that matter to what is served here.
func permissions() []string {
	return []string{
		"events_read", "group_links_read", "group_links_write", "group_locks_read", "groups_read", "integrations_read", "locks_read", "locks_unlock",
		"role_assignments_read", "schedules_read", "schedules_write",
	}
}

// getRoles lists: GET /roles, which takes no parameters and has no pages.
func (s *Server) getRoles(c *call) answer {
	for name := range c.URL.Query() {
		return invalid(problems{name: {"is not a parameter of this list"}})
	}
	owner := map[string]bool{}
	for _, p := range permissions() {
		owner[p] = !s.forbidden[c.who.login.secret][p]
	}
	return ok([]map[string]any{
		roleBody(ownerRole, "Organization", "Organization owner", owner),
		roleBody("group_basic", "Group", "Basic", map[string]bool{"locks_read": true, "locks_unlock": true}),
	})
}

func roleBody(id, appliesTo, name string, permissions map[string]bool) map[string]any {
	return map[string]any{
		"id": id, "resource_type": "Role", "applies_to": appliesTo, "name": name, "description": nil,
		"custom": false, "permissions": permissions, "custom_role_id": nil,
	}
}

// getRoleAssignments lists: GET /role_assignments.
func (s *Server) getRoleAssignments(c *call) answer {
	p := readParams(c, 10, "role_id", "assignee_type", "assignee_id", "applies_to_type", "applies_to_id")
	assignee := p.oneOf("assignee_type", "User", "Team", "Guest")
	appliesTo := p.oneOf("applies_to_type", "Organization", "Place", "Group")
	for _, of := range []string{"assignee", "applies_to"} {
		if p.values.Has(of+"_id") && !p.values.Has(of+"_type") {
			p.wrong.add(of+"_id", "must be used with "+of+"_type")
		}
	}
	const id = 501
	var all []map[string]any
	if p.inIDs(id) && slices.Contains([]string{"", ownerRole}, p.values.Get("role_id")) &&
		slices.Contains([]string{"", "User"}, assignee) && p.has("assignee_id", ownerID) &&
		slices.Contains([]string{"", "Organization"}, appliesTo) && p.has("applies_to_id", organizationID) {
		all = append(all, s.roleAssignmentBody(id))
	}
	return page(p, all)
}

func (s *Server) roleAssignmentBody(id int64) map[string]any {
	owner := s.owner()
	site := map[string]any{"id": organizationID, "resource_type": "Organization", "name": "Site", "domain": "site"}
	return map[string]any{
		"id": id, "resource_type": "RoleAssignment", "created_at": siteAge, "updated_at": siteAge,
		"role_id": ownerRole, "notify": false,
		"applies_to_type": "Organization", "applies_to_id": organizationID, "applies_to": site,
		"assignee_type": "User", "assignee_id": ownerID, "assignee": owner,
		"created_by_type": nil, "created_by_id": nil,
		"user_id": ownerID, "user": owner, "assignee_team_id": nil, "guest_id": nil, "issued_by_id": nil,
		"type": "organization", "scope": "organization", "organization_id": organizationID, "organization": site,
	}
}
