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
	Replay(ctx context.Context, ev relay.Event, p relay.Plan, r relay.Replay) (relay.Receipt, error)
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
	out, err := in.replay(ctx, from, l)
	if why, ok := errors.AsType[cannot](err); ok {
		out.Status, out.Note, err = why.status, why.note, nil
	}
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

// again is the event that led to l, planned with today's rules. It is not kept if it
// was too large, or if too many came after it; then it is what the job wants.
func (in *Intake) again(ctx context.Context, from archive, l relay.DeadLetter) (ev relay.Event, p relay.Plan, kept bool, err error) {
	whole := l.Event
	var job relay.Job
	if whole == nil {
		var ok bool
		if job, ok, err = in.jobs.Job(ctx, l.JobID); err != nil {
			return ev, p, false, err
		}
		if !ok || job.EventID != l.EventID {
			return ev, p, false, overtaken
		}
		record, _, err := from.Event(ctx, job.Record)
		if err != nil {
			return ev, p, false, err
		}
		whole = record.Event
	}
	if whole == nil {
		ev, p, err = asBefore(l, job)
		return ev, p, false, err
	}
	if ev, err = EventOf(whole); err != nil {
		return ev, p, false, fmt.Errorf("the event of dead letter %s: %w", l.ID, err)
	}
	rules := *in.rules.Load()
	if !rules.Has(ev.Trigger) {
		return ev, p, false, cannot{relay.Failed, fmt.Sprintf("no rule file has the trigger %q any more", ev.Trigger)}
	}
	return ev, rules.Plan(ev), true, nil
}

// asBefore is what a job wants, as a plan.
func asBefore(l relay.DeadLetter, j relay.Job) (relay.Event, relay.Plan, error) {
	if l.Cause == relay.ByRule || len(j.Want) == 0 {
		return relay.Event{}, relay.Plan{}, cannot{relay.Failed, "its event is not kept any more, so it cannot be planned again: have it sent again"}
	}
	p := relay.Plan{Booking: j.Booking, Revision: j.Revision}
	if !j.Unversioned {
		p.Version = j.Version
	}
	for i, a := range j.Want {
		p.Rules = append(p.Rules, relay.Match{Rule: a.Rule, Actions: []relay.Action{a}, Place: i})
	}
	return relay.Event{ID: j.EventID, Trigger: j.Trigger, ReceivedAt: j.ReceivedAt}, p, nil
}

// EventOf reads an event that the store kept, its numbers as they came in.
func EventOf(text json.RawMessage) (relay.Event, error) {
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

// replay accepts the event of l once more.
func (in *Intake) replay(ctx context.Context, from archive, l relay.DeadLetter) (relay.Replayed, error) {
	out := relay.Replayed{Status: relay.Failed, JobID: l.JobID}
	ev, p, kept, err := in.again(ctx, from, l)
	if err != nil {
		return out, err
	}
	out.JobID = relay.JobID(ev, p)
	job, err := in.mayReplay(ctx, from, l, ev, p)
	if err != nil {
		return out, err
	}
	place := l.Place
	if job.EventID == ev.ID {
		place = job.Place
	}
	again := relay.Replay{Changes: job.Changes, Place: place, Letters: append([]string{l.ID}, l.Others...), Unkept: !kept}
	receipt, err := from.Replay(ctx, ev, p, again)
	if err != nil {
		return out, err
	}
	out.Status = receipt.Status
	switch receipt.Status {
	case relay.Failed:
		out.Note = cmp.Or(receipt.Error, undecided(p).Error())
	case relay.Stale:
		out.Note = overtaken.note
	case relay.Ignored:
		out.Note = "no rule asks for anything now"
	default:
		out.Note = strings.Join(problemTexts(p), "; ")
	}
	return out, nil
}

// mayReplay gives the job of ev as it is, unless the replay of l would undo something
// newer, or send something too late.
func (in *Intake) mayReplay(ctx context.Context, from archive, l relay.DeadLetter, ev relay.Event, p relay.Plan) (relay.Job, error) {
	now := in.jobs.Now()
	switch {
	case needsBooking(p):
		return relay.Job{}, cannot{relay.Failed, noBooking}
	case over(p, now):
		return relay.Job{}, cannot{relay.Expired, "the time of all it asks for is over; nothing is sent"}
	}
	id, old := relay.JobID(ev, p), now.Sub(ev.ReceivedAt) >= from.Retention()
	if l.JobID != "" && l.JobID != id { // what stands under the other name would be granted twice
		if _, ok, err := in.jobs.Job(ctx, l.JobID); err != nil || ok || old {
			return relay.Job{}, cmp.Or(err, error(renamed))
		}
	}
	job, ok, err := in.jobs.Job(ctx, id)
	switch {
	case err != nil:
		return relay.Job{}, err
	case !ok && p.Booking != "" && old:
		return relay.Job{}, cannot{relay.Stale, "it is so old that what happened to its booking since is forgotten: have it sent again"}
	case ok && !newest(job, ev, p, l.Place):
		return relay.Job{}, overtaken
	}
	return job, nil
}

var renamed = cannot{relay.Failed, "with today's rules it belongs to another booking than before: cancel that one, and have the event sent again"}

// newest reports whether nothing that happened to the booking of ev since would be
// undone by it. Versions tell, where both events have one; else their places in the list
// of events, which no clock that is put back turns round. What was kept without a place
// has the time at which it came.
func newest(job relay.Job, ev relay.Event, p relay.Plan, place string) bool {
	switch {
	case job.EventID == ev.ID:
		return true
	case p.Version != nil && job.Version != nil && !job.Unversioned && *p.Version != *job.Version:
		return *p.Version > *job.Version
	case place != "" && job.Place != "":
		return before(job.Place, place)
	}
	return job.ReceivedAt.Before(ev.ReceivedAt)
}

// before reports whether the place one in the list of events is before other. Both are a
// time and a number with a dash between, and neither has zeros in front.
func before(one, other string) bool {
	number := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) }
	at, n, _ := strings.Cut(one, "-")
	otherAt, otherN, _ := strings.Cut(other, "-")
	return cmp.Or(number(at, otherAt), number(n, otherN)) < 0
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
