package kisifake

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// The one place of the site.
const (
	placeID   = 5
	placeName = "HQ"
	placeZone = "America/New_York"
)

// opensFor is how long an unlock by hand lasts here; at Kisi it is set at the lock.
const opensFor = 5 * time.Second

// Unlock is a door that was opened.
type Unlock struct {
	Lock int64
	At   time.Time
}

// Unlocks gives the unlocks so far.
func (s *Server) Unlocks() []Unlock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unlocks)
}

// Offline takes the controller of lock off the net.
func (s *Server) Offline(lock int64) { s.change(lock, func(d *door) { d.offline = true }) }

// Online brings it back.
func (s *Server) Online(lock int64) { s.change(lock, func(d *door) { d.offline = false }) }

// LockDown locks lock down: nothing opens it, no schedule either.
func (s *Server) LockDown(lock int64) { s.change(lock, func(d *door) { d.lockedDown = s.now() }) }

// CancelLockDown ends that.
func (s *Server) CancelLockDown(lock int64) {
	s.change(lock, func(d *door) { d.lockedDown = time.Time{} })
}

func (s *Server) change(lock int64, do func(*door)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.door(lock); d != nil {
		do(d)
	}
}

func (s *Server) door(id int64) *door {
	for _, d := range s.locks {
		if d.ID == id {
			return d
		}
	}
	return nil
}

func (s *Server) group(id int64) *Group {
	for i := range s.groups {
		if s.groups[i].ID == id {
			return &s.groups[i]
		}
	}
	return nil
}

// nameOf gives the name of a lock or group, "" if there is none. A site names
// its things; one without a name is called by its kind.
func (s *Server) nameOf(kind string, id int64) string {
	name := ""
	switch d, g := s.door(id), s.group(id); {
	case kind == "Lock" && d != nil:
		name = d.Name
	case kind == "Group" && g != nil:
		name = g.Name
	default:
		return ""
	}
	if name == "" {
		return kind
	}
	return name
}

// unlock opens a door, or does not, and remembers it: POST /locks/{id}/unlock.
func (s *Server) unlock(c *call) answer {
	a := s.tryUnlock(c)
	s.noteUnlock(c, a)
	return a
}

// tryUnlock opens a door. The body is optional.
func (s *Server) tryUnlock(c *call) answer {
	near, p := readUnlock(c.body)
	if len(p) > 0 {
		return invalid(p)
	}
	d := s.door(c.id)
	switch {
	case d == nil:
		return refuse(http.StatusNotFound, "fad10e", "The door could not be found.")
	case c.who.link != nil && !slices.Contains(s.group(c.who.link.GroupID).Locks, d.ID):
		return refuse(http.StatusForbidden, "fcd8ef", "Access denied.")
	case !d.lockedDown.IsZero():
		return refuse(http.StatusConflict, "fad001", "The door is currently locked down.")
	// Restrictions do not apply to links.
	case d.Geofence && c.who.link == nil && !near.located:
		return refuse(http.StatusForbidden, "a3799f", "Please enable your location services.")
	case d.ReaderOnly && c.who.link == nil && !near.proven:
		return refuse(http.StatusForbidden, "bb4faa", "You're not close enough to the door.")
	case d.offline:
		return refuse(http.StatusServiceUnavailable, "fac002", "The Kisi controller is currently unavailable.")
	}
	d.unlocked = c.now.Add(opensFor)
	s.unlocks = append(s.unlocks, Unlock{Lock: d.ID, At: c.now})
	return ok(map[string]string{"message": "Unlocked!"})
}

// nearness is what an unlock says of whoever wants it.
type nearness struct{ located, proven bool }

func readUnlock(body []byte) (nearness, problems) {
	if len(body) == 0 {
		return nearness{}, nil
	}
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return nearness{}, problems{"base": {"is not a JSON object"}}
	}
	p := problems{}
	readObject(object, []attribute{{name: "context", kind: anything}, {name: "lock", kind: anything}}, p)
	context, _ := object["context"].(map[string]any)
	lock, _ := object["lock"].(map[string]any)
	return nearness{located: context["location"] != nil, proven: lock["proximity_proof"] != nil}, p
}

// getLocks lists: GET /locks. A link sees its own locks, and less of them.
func (s *Server) getLocks(c *call) answer {
	p := readParams(c, 50, "query", "place_id", "configured", "online", "unlocked", "locked_down")
	var all []map[string]any
	for _, d := range s.locks {
		unlocked, _ := s.open(d, c.now)
		if !p.inIDs(d.ID) || !p.matches(d.Name) || !p.has("place_id", placeID) || !p.is("configured", true) ||
			!p.is("online", !d.offline) || !p.is("unlocked", unlocked) || !p.is("locked_down", !d.lockedDown.IsZero()) {
			continue
		}
		if c.who.link == nil {
			all = append(all, s.lockBody(d, c.now))
		} else if slices.Contains(s.group(c.who.link.GroupID).Locks, d.ID) {
			all = append(all, s.linkedLockBody(d, c.now))
		}
	}
	return page(p, all)
}

// getLock gives one: GET /locks/{id}.
func (s *Server) getLock(c *call) answer {
	d := s.door(c.id)
	if d == nil {
		return refuse(http.StatusNotFound, "fad10e", "The door could not be found.")
	}
	return ok(s.lockBody(d, c.now))
}

// open reports whether d is unlocked, and whether a schedule does it.
func (s *Server) open(d *door, now time.Time) (unlocked, scheduled bool) {
	if !d.lockedDown.IsZero() {
		return false, false
	}
	for _, one := range s.schedules {
		if one.Enabled && one.Consequence == "unlock" && one.ScheduleableID == d.ID && one.ScheduleableType == "Lock" &&
			one.Type == "single_event" && !now.Before(one.StartsAt) && now.Before(one.EndsAt) {
			return true, true
		}
	}
	return now.Before(d.unlocked), false
}

func (s *Server) lockBody(d *door, now time.Time) map[string]any {
	unlocked, scheduled := s.open(d, now)
	groups := 0
	for _, g := range s.groups {
		if slices.Contains(g.Locks, d.ID) {
			groups++
		}
	}
	return map[string]any{
		"id": d.ID, "resource_type": "Lock", "created_at": siteAge, "updated_at": siteAge, "configured": true, "description": nil,
		"first_to_arrive_required_until": nil, "first_to_arrive_satisfied": false, "latitude": nil, "longitude": nil,
		"locked_down": !d.lockedDown.IsZero(), "locked_down_since": stamp(d.lockedDown), "name": d.Name,
		"on_scheduled_unlock": scheduled, "online": !d.offline, "open": false, "order_id": nil, "unlocked": unlocked,
		"geofence_restriction_enabled": d.Geofence, "geofence_restriction_radius": 100,
		"reader_restriction_enabled": d.ReaderOnly, "time_restriction_enabled": false, "time_restriction_time_zone": nil,
		"place_id": placeID, "place": map[string]any{"id": placeID, "name": placeName, "latitude": nil, "longitude": nil},
		"floor_id": nil, "groups_count": groups, "unlocked_until": nil,
	}
}

// linkedLockBody has the part of a lock that a link may see; which part that is
// at Kisi is not documented.
func (s *Server) linkedLockBody(d *door, now time.Time) map[string]any {
	whole := s.lockBody(d, now)
	part := map[string]any{}
	for _, name := range []string{"id", "resource_type", "name", "description", "online", "unlocked", "locked_down", "place_id"} {
		part[name] = whole[name]
	}
	return part
}
