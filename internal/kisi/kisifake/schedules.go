package kisifake

import (
	"maps"
	"slices"
	"time"
)

// Schedule is a schedule that exists.
type Schedule struct {
	ID               int64
	Name             string
	Enabled          bool
	Override         bool
	Consequence      string
	ScheduleableType string
	ScheduleableID   int64
	Type             string
	StartsAt, EndsAt time.Time // of a single_event
	CreatedAt        time.Time
	UpdatedAt        time.Time

	own map[string]any // what says when, of the other types
}

// Schedules gives the schedules that exist, oldest first.
func (s *Server) Schedules() []Schedule {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Schedule, len(s.schedules))
	for i, one := range s.schedules {
		all[i] = *one
		all[i].own = nil
	}
	return all
}

func scheduleTypes() []string {
	return []string{"single_event", "single_all_day_event", "recurring_event", "holiday_calendar"}
}

// timesOf lists the attributes that say when a schedule of that type holds.
func timesOf(scheduleType string) []attribute {
	switch scheduleType {
	case "single_event":
		return []attribute{{name: "starts_at", kind: moment, required: true}, {name: "ends_at", kind: moment, required: true}}
	case "single_all_day_event":
		return []attribute{{name: "starts_at_date", kind: date, required: true}, {name: "ends_at_date", kind: date, required: true}}
	case "holiday_calendar":
		return []attribute{
			{name: "region", kind: text, required: true},
			{name: "observed", kind: boolean, required: true},
			{name: "ignored_holidays", kind: texts},
		}
	}
	var all []attribute
	for _, day := range weekdays() {
		all = append(all, attribute{name: day, kind: boolean, required: true})
	}
	return append(all, attribute{name: "starts_at_time", kind: clock}, attribute{name: "ends_at_time", kind: clock})
}

func weekdays() []string {
	return []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
}

// guessType is how Kisi finds the type of what it is sent: by what is there,
// whatever the attribute type says. A misspelt starts_at makes a weekly event of
// it, which then lacks its weekdays. Source: OpenAPI, POST /schedules.
func guessType(body []byte) string {
	object := peek(body, "schedule")
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return object[n] != nil })
	}
	switch {
	case has("region", "observed"):
		return "holiday_calendar"
	case has("starts_at", "ends_at"):
		return "single_event"
	case has("starts_at_date", "ends_at_date"):
		return "single_all_day_event"
	}
	return "recurring_event"
}

// postSchedules makes a schedule: POST /schedules.
func (s *Server) postSchedules(c *call) answer {
	kind := guessType(c.body)
	v, p := readWrapped(c.body, "schedule", append([]attribute{
		{name: "name", kind: text, null: true},
		{name: "enabled", kind: boolean, required: true},
		{name: "override", kind: boolean},
		{name: "type", kind: text, oneOf: scheduleTypes(), required: kind != "holiday_calendar"},
		{name: "consequence", kind: text, required: true, oneOf: []string{"allow", "unlock", "permit", "first_to_arrive"}},
		{name: "scheduleable_type", kind: text, required: true, oneOf: []string{"Group", "Lock", "ElevatorStop"}},
		{name: "scheduleable_id", kind: integer, required: true},
	}, timesOf(kind)...))
	one := &Schedule{Type: kind, CreatedAt: c.now}
	if len(p) == 0 {
		one.Consequence, _ = v["consequence"].(string)
		one.ScheduleableType, _ = v["scheduleable_type"].(string)
		one.ScheduleableID, _ = v["scheduleable_id"].(int64)
		s.checkTarget(one, p)
		one.set(v, c.now, p)
	}
	if len(p) > 0 {
		return invalid(p)
	}
	one.ID = s.id()
	s.schedules = append(s.schedules, one)
	return ok(s.scheduleBody(one, c.now))
}

// checkTarget checks that what one is for exists and takes its consequence.
// Source: OpenAPI, POST /schedules; that an unknown id is 422 is our choice.
func (s *Server) checkTarget(one *Schedule, p problems) {
	allowed := map[string][]string{
		"Lock": {"allow", "unlock", "first_to_arrive"}, "Group": {"allow"}, "ElevatorStop": {"allow", "permit"},
	}[one.ScheduleableType]
	if !slices.Contains(allowed, one.Consequence) {
		p.add("consequence", one.Consequence+" is not possible for a "+one.ScheduleableType)
	}
	if s.nameOf(one.ScheduleableType, one.ScheduleableID) == "" {
		p.add("scheduleable", "must exist")
	}
}

// set takes over the attributes that can be changed.
func (one *Schedule) set(v map[string]any, now time.Time, p problems) {
	if t, given := v["type"]; given && t != one.Type {
		p.add("type", "does not go with the given times")
	}
	if name, given := v["name"]; given {
		one.Name, _ = name.(string)
	}
	if b, given := v["enabled"].(bool); given {
		one.Enabled = b
	}
	if b, given := v["override"].(bool); given {
		one.Override = b
	}
	one.UpdatedAt = now
	one.setTimes(v, p)
}

func (one *Schedule) setTimes(v map[string]any, p problems) {
	if one.Type == "single_event" {
		if t, given := v["starts_at"].(time.Time); given {
			one.StartsAt = t.Truncate(time.Minute) // Kisi ignores the seconds
		}
		if t, given := v["ends_at"].(time.Time); given {
			one.EndsAt = t.Truncate(time.Minute)
		}
		if !one.StartsAt.Before(one.EndsAt) {
			p.add("ends_at", "must be after starts_at")
		}
		return
	}
	times := maps.Clone(one.own)
	if times == nil {
		times = map[string]any{}
	}
	for _, a := range timesOf(one.Type) {
		if value, given := v[a.name]; given {
			times[a.name] = value
		}
	}
	one.own = times
	if one.Type == "recurring_event" && !slices.ContainsFunc(weekdays(), func(d string) bool { return times[d] == true }) {
		p.add("base", "at least one weekday must be true")
	}
	if one.Type == "single_all_day_event" {
		starts, _ := times["starts_at_date"].(string)
		ends, _ := times["ends_at_date"].(string)
		if starts > ends {
			p.add("ends_at_date", "must not be before starts_at_date")
		}
	}
}

// patchSchedule changes a schedule: PATCH /schedules/{id}. What it is for and
// what it does are not among the attributes that can be set.
func (s *Server) patchSchedule(c *call) answer {
	old := s.schedule(c.id)
	if old == nil {
		return notFound()
	}
	kind := guessType(c.body)
	if kind == "recurring_event" && !hasWeekday(c.body) {
		kind = old.Type // nothing about times: our reading of what is not documented
	}
	times := timesOf(kind)
	for i := range times {
		times[i].required = kind != old.Type // half of the times may change
	}
	v, p := readWrapped(c.body, "schedule", append([]attribute{
		{name: "name", kind: text, null: true},
		{name: "enabled", kind: boolean},
		{name: "override", kind: boolean},
		{name: "type", kind: text, oneOf: scheduleTypes()},
	}, times...))
	changed := *old
	if kind != old.Type {
		changed.Type, changed.own, changed.StartsAt, changed.EndsAt = kind, nil, time.Time{}, time.Time{}
	}
	if len(p) == 0 {
		changed.set(v, c.now, p)
	}
	if len(p) > 0 {
		return invalid(p)
	}
	*old = changed
	return noContent()
}

func hasWeekday(body []byte) bool {
	object := peek(body, "schedule")
	return slices.ContainsFunc(weekdays(), func(d string) bool { return object[d] != nil })
}

// getSchedules lists: GET /schedules.
func (s *Server) getSchedules(c *call) answer {
	p := readParams(c, 10, "consequence", "scheduleable_type", "scheduleable_id")
	consequence := p.oneOf("consequence", "allow", "unlock", "permit", "first_to_arrive")
	target := p.oneOf("scheduleable_type", "Group", "Lock", "ElevatorStop")
	if p.values.Has("scheduleable_type") != p.values.Has("scheduleable_id") {
		p.wrong.add("scheduleable_id", "needs scheduleable_type, and the other way round")
	}
	id, _ := p.integer("scheduleable_id")
	var all []map[string]any
	for _, one := range s.schedules {
		if p.inIDs(one.ID) && (consequence == "" || consequence == one.Consequence) &&
			(target == "" || target == one.ScheduleableType && id == one.ScheduleableID) {
			all = append(all, s.scheduleBody(one, c.now))
		}
	}
	return page(p, all)
}

// getSchedule gives one: GET /schedules/{id}.
func (s *Server) getSchedule(c *call) answer {
	one := s.schedule(c.id)
	if one == nil {
		return notFound()
	}
	return ok(s.scheduleBody(one, c.now))
}

// deleteSchedule deletes: DELETE /schedules/{id}.
func (s *Server) deleteSchedule(c *call) answer {
	if s.schedule(c.id) == nil {
		return notFound()
	}
	s.schedules = slices.DeleteFunc(s.schedules, func(one *Schedule) bool { return one.ID == c.id })
	return noContent()
}

func (s *Server) schedule(id int64) *Schedule {
	for _, one := range s.schedules {
		if one.ID == id {
			return one
		}
	}
	return nil
}

func (s *Server) scheduleBody(one *Schedule, now time.Time) map[string]any {
	body := map[string]any{
		"id": one.ID, "resource_type": "Schedule", "created_at": stamp(one.CreatedAt), "updated_at": stamp(one.UpdatedAt),
		"name": orNull(one.Name), "enabled": one.Enabled, "override": one.Override, "consequence": one.Consequence,
		"scheduleable_type": one.ScheduleableType, "scheduleable_id": one.ScheduleableID,
		"scheduleable": map[string]any{
			"id": one.ScheduleableID, "type": one.ScheduleableType, "name": s.nameOf(one.ScheduleableType, one.ScheduleableID),
		},
		"place_id": placeID, "place": placeRef(), "integration_id": nil, "type": one.Type,
	}
	switch one.Type {
	case "single_event":
		body["starts_at"], body["ends_at"] = stamp(one.StartsAt), stamp(one.EndsAt)
	case "recurring_event":
		next := now.Truncate(24 * time.Hour)
		for one.own[weekdays()[next.Weekday()]] != true {
			next = next.AddDate(0, 0, 1)
		}
		// By day only: the deprecated attribute has to be there, no more.
		body["next_occurence"] = map[string]any{"starts_at": stamp(next), "ends_at": stamp(next.AddDate(0, 0, 1))}
		body["starts_at_time"], body["ends_at_time"] = nil, nil
	case "holiday_calendar":
		body["ignored_holidays"], body["holidays"] = []any{}, []any{}
	}
	maps.Copy(body, one.own)
	return body
}
