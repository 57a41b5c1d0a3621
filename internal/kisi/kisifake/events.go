package kisifake

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxEvents   = 20_000 // that a Server remembers
	setsLive    = 24 * time.Hour
	widest      = 90 * 24 * time.Hour
	setPageSize = 50
)

// Event is something that happened. What is left empty is filled in by AddEvent.
type Event struct {
	UUID       string
	Type       string // "lock.unlock" if empty
	ActorType  string // "" is nobody known
	ActorID    int64
	ActorName  string
	ActorEmail string
	ObjectType string // "Lock" if empty
	ObjectID   int64
	ObjectName string
	Failed     bool
	Code       string // why it failed
	Message    string
	At         time.Time // now if zero
}

// AddEvent makes something happen, webhooks included, and gives it with all filled in.
func (s *Server) AddEvent(e Event) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.happened(e)
}

func (s *Server) happened(e Event) Event {
	e.UUID, e.Type = cmp.Or(e.UUID, newUUID()), cmp.Or(e.Type, "lock.unlock")
	if e.ObjectType == "" && e.ObjectID != 0 {
		e.ObjectType = "Lock"
	}
	e.ObjectName = cmp.Or(e.ObjectName, s.nameOf(e.ObjectType, e.ObjectID))
	if e.At.IsZero() {
		e.At = s.now()
	}
	e.At = e.At.UTC().Truncate(time.Second)
	if len(s.events) >= maxEvents {
		s.events = slices.Delete(s.events, 0, maxEvents/10)
	}
	s.events = append(s.events, e)
	for _, w := range s.webhooks {
		w.enqueue(e)
	}
	return e
}

// newUUID draws a random one (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// actor is who is behind a call.
func (s *Server) actor(c *call) Event {
	if l := c.who.link; l != nil {
		return Event{ActorType: "GroupLink", ActorID: l.ID, ActorName: l.Name, ActorEmail: l.Email}
	}
	owner := s.owner()
	name, _ := owner["name"].(string)
	email, _ := owner["email"].(string)
	return Event{ActorType: "User", ActorID: ownerID, ActorName: name, ActorEmail: email}
}

// noteUnlock remembers what came of an unlock of a door that there is.
func (s *Server) noteUnlock(c *call, a answer) {
	if s.door(c.id) == nil || a.status == http.StatusUnprocessableEntity {
		return
	}
	e := s.actor(c)
	e.ObjectID = c.id
	if a.status != http.StatusOK {
		var why struct{ Error, Code string }
		_ = json.Unmarshal(a.body, &why) // refusals are ours
		e.Failed, e.Code, e.Message = true, why.Code, why.Error
	}
	s.happened(e)
}

// eventSet is a selection of events that Kisi puts together.
type eventSet struct {
	id      int64
	asked   map[string]any
	created time.Time
	looks   int // until it is finished
	failed  bool
	events  []Event // the newest first
}

// EventSets says how often the event sets that are asked for from now on are looked at
// before they are finished, and whether they fail instead.
func (s *Server) EventSets(looks int, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLooks, s.setsFail = looks, failed
}

// postEventSets begins to put events together: POST /event_sets, once a second.
func (s *Server) postEventSets(c *call) answer {
	if s.o.Rate > 0 && !s.spendOf("event sets of "+c.who.budget, 1, c.now) {
		return s.tooMany()
	}
	v, p := readWrapped(c.body, "event_set", []attribute{
		{name: "interval", kind: text},
		{name: "event_actor_id", kind: integer, null: true},
		{name: "event_actor_type", kind: text, null: true},
		{name: "event_object_id", kind: integer, null: true},
		{name: "event_object_type", kind: text, null: true},
		{name: "event_place_id", kind: integer, null: true},
		{name: "place_id", kind: integer, null: true},
		{name: "event_success", kind: boolean, null: true},
		{name: "event_type", kind: text, null: true},
		{name: "event_uuid", kind: text, null: true},
	})
	from, until := interval(v, c.now, p)
	if len(p) > 0 {
		return invalid(p)
	}
	set := &eventSet{id: s.id(), asked: v, created: c.now, looks: s.setLooks, failed: s.setsFail}
	for _, e := range slices.Backward(s.events) {
		if !e.At.Before(from) && !e.At.After(until) && meant(e, v) {
			set.events = append(set.events, e)
		}
	}
	s.sets = append(s.sets, set)
	return ok(s.setBody(set, "in_progress"))
}

// interval reads "A/B", by default the past 90 days.
func interval(v map[string]any, now time.Time, p problems) (from, until time.Time) {
	text, given := v["interval"].(string)
	if !given {
		return now.Add(-widest), now
	}
	a, b, _ := strings.Cut(text, "/")
	from, err := time.Parse(time.RFC3339, a)
	until, err2 := time.Parse(time.RFC3339, b)
	switch {
	case err != nil || err2 != nil:
		p.add("interval", "is not an ISO 8601 interval like 2026-10-09T00:00:00Z/2026-10-10T00:00:00Z")
	case until.Before(from):
		p.add("interval", "ends before it starts")
	case until.Sub(from) > widest:
		p.add("interval", "is wider than 90 days")
	}
	return from, until
}

// meant reports whether the filters in v let e through.
func meant(e Event, v map[string]any) bool {
	is := func(name string, value any) bool { return v[name] == nil || v[name] == value }
	among := func(name, value string) bool {
		list, given := v[name].(string)
		return !given || slices.Contains(strings.Split(list, ","), value)
	}
	return is("event_actor_id", e.ActorID) && is("event_actor_type", e.ActorType) &&
		is("event_object_id", e.ObjectID) && is("event_object_type", e.ObjectType) &&
		is("event_place_id", int64(placeID)) && is("place_id", int64(placeID)) &&
		is("event_success", !e.Failed) && among("event_type", e.Type) && among("event_uuid", e.UUID)
}

// getEventSet gives a page of a set: GET /event_sets/{id}.
func (s *Server) getEventSet(c *call) answer {
	i := slices.IndexFunc(s.sets, func(set *eventSet) bool { return set.id == c.id && c.now.Before(set.created.Add(setsLive)) })
	if i < 0 {
		return notFound()
	}
	limit, offset, p := setPageOf(c.URL.Query())
	if len(p) > 0 {
		return invalid(p)
	}
	set := s.sets[i]
	switch {
	case set.looks > 0:
		set.looks--
		return ok(s.setBody(set, "in_progress"))
	case set.failed:
		return ok(s.setBody(set, "failed"))
	}
	body := s.setBody(set, "finished")
	part := set.events[min(offset, len(set.events)):min(offset+limit, len(set.events))]
	events := make([]map[string]any, len(part))
	for i, e := range part {
		events[i] = eventBody(e)
	}
	body["events"] = events
	if offset+limit < len(set.events) {
		body["cursor"] = "after-" + strconv.Itoa(offset+limit)
	}
	return ok(body)
}

func setPageOf(query url.Values) (limit, offset int, p problems) {
	p, limit = problems{}, setPageSize
	for name := range query {
		if name != "limit" && name != "cursor" {
			p.add(name, "is not a parameter of this list")
		}
	}
	var err error
	if query.Has("limit") {
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > maxLimit {
			p.add("limit", fmt.Sprintf("must be from 1 to %d", maxLimit))
		}
	}
	if query.Has("cursor") {
		after, ours := strings.CutPrefix(query.Get("cursor"), "after-")
		if offset, err = strconv.Atoi(after); err != nil || offset < 0 || !ours {
			p.add("cursor", "is not one of this set")
		}
	}
	return limit, offset, p
}

func (s *Server) setBody(set *eventSet, status string) map[string]any {
	body := map[string]any{
		"id": set.id, "resource_type": "EventSet", "created_at": stamp(set.created), "status": status, "cursor": nil, "place_id": nil, "interval": nil,
	}
	maps.Copy(body, set.asked)
	return body
}

// webhookBody is an event as webhooks tell it.
// Source: docs.kisi.io, "Track unlocks using webhooks".
func webhookBody(e Event) map[string]any {
	return map[string]any{
		"uuid": e.UUID, "actor_type": orNull(e.ActorType), "actor_id": idOrNull(e.ActorID), "actor_name": orNull(e.ActorName),
		"object_type": orNull(e.ObjectType), "object_id": idOrNull(e.ObjectID), "object_name": orNull(e.ObjectName),
		"organization_id": organizationID, "place_id": placeID, "success": !e.Failed, "type": e.Type,
		"error_code": orNull(e.Code), "error_message": orNull(e.Message), "created_at": stamp(e.At),
	}
}

// eventBody is an event as event sets tell it, which is more. Source: OpenAPI, Event.
func eventBody(e Event) map[string]any {
	body := webhookBody(e)
	_, action, _ := strings.Cut(e.Type, ".")
	maps.Copy(body, map[string]any{
		"actor_email": orNull(e.ActorEmail), "authenticated_by_type": nil, "authenticated_by_id": nil,
		"authorized_by_type": nil, "authorized_by_id": nil, "authorized_by_role_id": nil,
		"action": action, "message": orNull(e.Message), "code": orNull(e.Code), "sequence": nil, "details": nil, "via": nil,
	})
	return body
}

func idOrNull(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}
