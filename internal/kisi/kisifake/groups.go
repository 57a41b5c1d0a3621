package kisifake

import (
	"net/http"
	"slices"
)

// siteAge is when everything at the site was set up.
const siteAge = "2024-01-01T00:00:00Z"

func placeRef() map[string]any {
	return map[string]any{"id": placeID, "resource_type": "Place", "name": placeName}
}

// getPlaces lists: GET /places.
func (s *Server) getPlaces(c *call) answer {
	p := readParams(c, 50, "query")
	var all []map[string]any
	if p.inIDs(placeID) && p.matches(placeName) {
		all = append(all, map[string]any{
			"id": placeID, "resource_type": "Place", "name": placeName, "created_at": siteAge, "updated_at": siteAge,
			"address": "1 Main Street", "time_zone": placeZone, "locked_down": false,
			"organization": map[string]any{"id": organizationID, "resource_type": "Organization", "name": "Site", "domain": "site"},
		})
	}
	return page(p, all)
}

// getGroups lists: GET /groups.
func (s *Server) getGroups(c *call) answer {
	p := readParams(c, 10, "query", "scope", "place_id", "lock_id")
	scope := p.oneOf("scope", "organization", "place")
	lock, byLock := p.integer("lock_id")
	var all []map[string]any
	for _, g := range s.groups {
		if p.inIDs(g.ID) && p.matches(g.Name) && p.has("place_id", placeID) && scope != "organization" &&
			(!byLock || slices.Contains(g.Locks, lock)) {
			all = append(all, groupBody(g))
		}
	}
	return page(p, all)
}

func groupBody(g Group) map[string]any {
	return map[string]any{
		"id": g.ID, "resource_type": "Group", "name": g.Name, "description": nil, "created_at": siteAge, "updated_at": siteAge,
		"geofence_restriction_enabled": false, "geofence_restriction_radius": 100, "primary_device_restriction_enabled": false,
		"managed_device_restriction_enabled": false, "reader_restriction_enabled": false, "time_restriction_enabled": false,
		"tap_to_access_restriction_enabled": false, "login_enabled": true, "users_count": 0, "locks_count": len(g.Locks),
		"elevator_stops_count": 0, "place_id": placeID, "time_restriction_time_zone": nil, "members_count": 0, "place": placeRef(),
	}
}

// getGroupLocks lists the locks of one group: GET /group_locks.
func (s *Server) getGroupLocks(c *call) answer {
	p := readParams(c, 10, "group_id", "lock_id", "query")
	id, given := p.integer("group_id")
	if !given {
		return refuse(http.StatusBadRequest, "f40000", "group_id has to be given.")
	}
	g := s.group(id)
	if g == nil {
		return notFound()
	}
	var all []map[string]any
	for i, lock := range g.Locks {
		body := s.groupLockBody(g, lock, int64(i))
		if id, _ := body["id"].(int64); p.inIDs(id) && p.has("lock_id", lock) && p.matches(s.nameOf("Lock", lock)) {
			all = append(all, body)
		}
	}
	return page(p, all)
}

func (s *Server) groupLockBody(g *Group, lock, index int64) map[string]any {
	return map[string]any{
		"id":            g.ID*1000 + index, // of the pairing; never that of the lock
		"resource_type": "GroupLock", "created_at": siteAge, "updated_at": siteAge,
		"group_id": g.ID, "group": map[string]any{"id": g.ID, "resource_type": "Group", "name": g.Name},
		"lock_id": lock, "lock": map[string]any{"id": lock, "description": nil, "name": s.nameOf("Lock", lock)},
		"place_id": placeID, "place": placeRef(),
	}
}
