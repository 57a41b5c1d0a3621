package kisifake

// organizationID is the organization of the site.
const organizationID = 3

// ownerRole is the one that the user of all keys has.
const ownerRole = "organization_owner"

// roleOf is what a role applies to; "" if there is no such role.
func roleOf(id string) (appliesTo string) {
	return map[string]string{ownerRole: "Organization", "group_basic": "Group", "group_manager": "Group"}[id]
}

// permissions are those of Kisi's hundred that matter to what is served here.
func permissions() []string {
	return []string{
		"events_read", "group_links_read", "group_links_write", "group_locks_read", "groups_read", "integrations_read", "locks_read", "locks_unlock",
		"role_assignments_read", "role_assignments_write", "schedules_read", "schedules_write", "users_read", "users_write",
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
		roleBody("group_manager", "Group", "Manager", map[string]bool{"group_links_write": true, "locks_read": true, "locks_unlock": true}),
	})
}

func roleBody(id, appliesTo, name string, permissions map[string]bool) map[string]any {
	return map[string]any{
		"id": id, "resource_type": "Role", "applies_to": appliesTo, "name": name, "description": nil,
		"custom": false, "permissions": permissions, "custom_role_id": nil,
	}
}
