package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// archive is the part of the store that a replay needs beside [jobs].
type archive interface {
	Letter(ctx context.Context, id string) (relay.DeadLetter, bool, error)
	Event(ctx context.Context, place string) (relay.Record, bool, error)
	Replay(ctx context.Context, ev relay.Event, p relay.Plan, changes int64, letters []string) (relay.Receipt, error)
	Retention() time.Duration
}

// ErrNoLetter says that there is nothing to replay under an id.
var ErrNoLetter = errors.New("there is no such dead letter, or not any more")

// Replay plans the event of a dead letter again, with today's rules, and gives its
// actions a full new budget. All letters that rules left of that event go with it.
// What another event has overtaken stays as it is, and what is over is not sent: what
// stands in the way of a replay is in its note.
func (in *Intake) Replay(ctx context.Context, from archive, id string) (relay.Replayed, error) {
	l, ok, err := from.Letter(ctx, id)
	if ok && l.First != "" {
		l, ok, err = from.Letter(ctx, l.First)
	}
	if err != nil || !ok {
		return relay.Replayed{}, cmp.Or(err, ErrNoLetter)
	}
	out := relay.Replayed{ID: id, Status: relay.Failed, JobID: l.JobID}
	ev, p, err := in.again(ctx, from, l)
	var why cannot
	switch {
	case errors.As(err, &why):
		out.Status, out.Note = why.status, why.note
		return out, nil
	case err != nil:
		return out, err
	}
	out, err = in.replay(ctx, from, l, ev, p)
	out.ID = id
	return out, err
}

// cannot says why an event is not replayed. It is not an error of doorhook's.
type cannot struct {
	status relay.Status
	note   string
}

func (c cannot) Error() string { return c.note }

var overtaken = cannot{relay.Stale, "its booking has changed since; what it wants now is not what this was about"}

// again is the event that led to l, planned with today's rules.
func (in *Intake) again(ctx context.Context, from archive, l relay.DeadLetter) (relay.Event, relay.Plan, error) {
	whole := l.Event
	var job relay.Job
	if whole == nil {
		var ok bool
		var err error
		if job, ok, err = in.jobs.Job(ctx, l.JobID); err != nil {
			return relay.Event{}, relay.Plan{}, err
		}
		if !ok || job.EventID != l.EventID {
			return relay.Event{}, relay.Plan{}, overtaken
		}
		record, _, err := from.Event(ctx, job.Record)
		if err != nil {
			return relay.Event{}, relay.Plan{}, err
		}
		whole = record.Event
	}
	if whole == nil {
		return asBefore(l, job)
	}
	ev, err := eventOf(whole)
	if err != nil {
		return ev, relay.Plan{}, fmt.Errorf("the event of dead letter %s: %w", l.ID, err)
	}
	rules := *in.rules.Load()
	if _, ok := rules.Trigger(ev.Trigger); !ok {
		return ev, relay.Plan{}, cannot{relay.Failed, fmt.Sprintf("no rule file has the trigger %q any more", ev.Trigger)}
	}
	return ev, rules.Plan(ev), nil
}

// asBefore is what a job wants, as a plan. The event that asked for it was too large
// to keep, or too many came after it.
func asBefore(l relay.DeadLetter, j relay.Job) (relay.Event, relay.Plan, error) {
	if l.Cause == relay.ByRule || len(j.Want) == 0 {
		return relay.Event{}, relay.Plan{}, cannot{relay.Failed, "its event is not kept any more, so it cannot be planned again: have it sent again"}
	}
	p := relay.Plan{Booking: j.Booking, Version: j.Version}
	for _, a := range j.Want {
		p.Rules = append(p.Rules, relay.Match{Rule: a.Rule, Actions: []relay.Action{a}})
	}
	return relay.Event{ID: j.EventID, Trigger: j.Trigger, ReceivedAt: j.ChangedAt}, p, nil
}

// eventOf reads an event that the store kept, its numbers as they came in.
func eventOf(text json.RawMessage) (relay.Event, error) {
	var kept struct {
		relay.Event
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		return relay.Event{}, err
	}
	ev := kept.Event
	var err error
	ev.Payload, err = readJSON(kept.Payload)
	for _, m := range []*map[string]any{&ev.Headers, &ev.Query} {
		if *m == nil { // empty ones are not kept
			*m = map[string]any{}
		}
	}
	return ev, err
}

// replay accepts ev once more, unless that would undo something newer.
func (in *Intake) replay(ctx context.Context, from archive, l relay.DeadLetter, ev relay.Event, p relay.Plan) (relay.Replayed, error) {
	out := relay.Replayed{Status: relay.Failed, JobID: relay.JobID(ev, p)}
	if needsBooking(p) {
		out.Note = noBooking
		return out, nil
	}
	now := in.jobs.Now()
	if over(p, now) {
		out.Status, out.Note = relay.Expired, "the time of all it asks for is over; nothing is sent"
		return out, nil
	}
	job, ok, err := in.jobs.Job(ctx, out.JobID)
	if err != nil {
		return out, err
	}
	if !ok && p.Booking != "" && now.Sub(ev.ReceivedAt) >= from.Retention() {
		out.Status = relay.Stale
		out.Note = "it is so old that what happened to its booking since is forgotten: have it sent again"
		return out, nil
	}
	if ok && !newest(job, ev, p) {
		out.Status, out.Note = overtaken.status, overtaken.note
		return out, nil
	}
	receipt, err := from.Replay(ctx, ev, p, job.Changes, append([]string{l.ID}, l.Others...))
	if err != nil {
		return out, err
	}
	out.Status = receipt.Status
	switch receipt.Status {
	case relay.Failed:
		out.Note = undecided(p).Error()
	case relay.Stale:
		out.Note = overtaken.note
	case relay.Ignored:
		out.Note = "no rule asks for anything now"
	default:
		out.Note = strings.Join(problemTexts(p), "; ")
	}
	return out, nil
}

// newest reports whether nothing that happened to the booking of ev since would be
// undone by it.
func newest(job relay.Job, ev relay.Event, p relay.Plan) bool {
	switch {
	case job.EventID == ev.ID:
		return true
	case p.Version != nil && job.Version != nil && *p.Version != *job.Version:
		return *p.Version > *job.Version
	}
	return job.ChangedAt.Before(ev.ReceivedAt)
}

// over reports whether p asks for something, and all of it too late.
func over(p relay.Plan, now time.Time) bool {
	actions := p.Actions()
	for _, a := range actions {
		if !a.Expired(now) {
			return false
		}
	}
	return len(actions) > 0 && len(p.Undecided) == 0 && !p.Fatal
}
