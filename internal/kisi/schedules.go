package kisi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Schedule is a time at which something holds for a lock or a group. Other
// kinds than single events (whole days, weekdays, holidays) have no StartsAt
// and no EndsAt here.
type Schedule struct {
	ID               int64     `json:"id"`
	Name             string    `json:"name"`
	Enabled          bool      `json:"enabled"`
	Override         bool      `json:"override"`    // takes the place of others of the same consequence
	Consequence      string    `json:"consequence"` // "unlock" (locks only), "allow", "first_to_arrive"
	ScheduleableType string    `json:"scheduleable_type"`
	ScheduleableID   int64     `json:"scheduleable_id"`
	Type             string    `json:"type"`
	StartsAt         time.Time `json:"starts_at"`
	EndsAt           time.Time `json:"ends_at"`
	CreatedAt        time.Time `json:"created_at"`
}

// ScheduleChange is what of a schedule is to be different. All of it is sent,
// the type too: without it Kisi guesses, and takes what has no time for a
// weekly event.
type ScheduleChange struct {
	Name     string // "" takes the name away
	Override bool
	StartsAt time.Time
	EndsAt   time.Time
}

const singleEvent = "single_event"

// moment writes a time as Kisi takes it. Of a schedule Kisi ignores the seconds.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// wrap puts the attributes of an object under its name, without which Kisi does
// not see them.
func wrap(name string, attributes map[string]any) map[string]any {
	return map[string]any{name: attributes}
}

// CreateSchedule makes a single event. ID, Enabled, Type and CreatedAt of s are
// not looked at: a schedule is made enabled.
func (c *Client) CreateSchedule(ctx context.Context, s Schedule) (Schedule, error) {
	body := map[string]any{
		"enabled": true, "override": s.Override, "consequence": s.Consequence,
		"scheduleable_type": s.ScheduleableType, "scheduleable_id": s.ScheduleableID,
		"type": singleEvent, "starts_at": moment(s.StartsAt), "ends_at": moment(s.EndsAt),
	}
	if s.Name != "" {
		body["name"] = s.Name
	}
	var made Schedule
	err := c.create(ctx, request{method: http.MethodPost, path: "/schedules", body: wrap("schedule", body)}, &made, &made.ID)
	return made, err
}

// ChangeSchedule changes schedule id. What a schedule is for and what it does
// cannot be changed (OpenAPI, PATCH /schedules/{id}): delete it and make another.
func (c *Client) ChangeSchedule(ctx context.Context, id int64, change ScheduleChange) error {
	body := map[string]any{
		"name": nil, "override": change.Override, "type": singleEvent,
		"starts_at": moment(change.StartsAt), "ends_at": moment(change.EndsAt),
	}
	if change.Name != "" {
		body["name"] = change.Name
	}
	return c.call(ctx, request{method: http.MethodPatch, path: "/schedules/" + itoa(id), body: wrap("schedule", body)}, nil)
}

// DeleteSchedule deletes schedule id.
func (c *Client) DeleteSchedule(ctx context.Context, id int64) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/schedules/" + itoa(id)}, nil)
}

// Schedules lists the schedules of a "Lock" or "Group". Kisi filters by neither
// name nor time.
func (c *Client) Schedules(ctx context.Context, scheduleableType string, id int64) ([]Schedule, error) {
	query := url.Values{"scheduleable_type": {scheduleableType}, "scheduleable_id": {itoa(id)}}
	return list(ctx, c, "/schedules", query, func(s Schedule) int64 { return s.ID })
}

func itoa(id int64) string { return strconv.FormatInt(id, 10) }
