package golden

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
)

// outcome is what came of a case.
type outcome struct {
	parts   []part              // all there are, in order
	matched map[string][]string // rules, by trigger
	zone    *time.Location      // of the last event's trigger: times are written in it
}

// run tells the story of c to a doorhook of its own.
func (c story) run(ctx context.Context, set *rules.Set) (out outcome, err error) {
	w, err := newWorld(ctx, set)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	until, err := c.prepare(ctx, w)
	if err != nil {
		return out, err
	}
	out.matched = matched(w.rules.plans)
	var answer any
	for i, ev := range c.events {
		if err := w.pass(ctx, ev.now); err != nil {
			return out, err
		}
		wish := waiting
		if i < len(c.events)-1 {
			wish = ""
		}
		if answer, err = c.tell(ctx, w, ev, wish); err != nil {
			return out, err
		}
	}
	last := w.rules.last().plan
	out.zone = set.Zone(c.events[len(c.events)-1].trigger)
	if err := w.pass(ctx, until); err != nil {
		return out, err
	}
	out.parts, err = w.parts(ctx, answer, last)
	return out, err
}

// prepare finds out what the events ask for, builds a Kisi that has it, and says when
// the story ends: with the latest window, and not before an hour is over.
func (c story) prepare(ctx context.Context, w *world) (until time.Time, err error) {
	var actions []relay.Action
	for _, ev := range c.events {
		w.now = ev.now
		if _, err := w.send(ctx, ev, dryRun); err != nil {
			return until, unreadable(ev, err)
		}
		actions = append(actions, w.rules.last().plan.Actions()...)
	}
	o, unknown := c.options(actions)
	if unknown != 0 {
		return until, fmt.Errorf("a schedule is for the group %d, and only Kisi knows its locks: add `kisi: {groups: {%d: [LOCK, …]}}` to the case", unknown, unknown)
	}
	until = w.now.Add(time.Hour)
	for _, a := range actions {
		for _, t := range []time.Time{a.At, a.NotAfter, a.Ends} {
			until = later(until, t)
		}
	}
	if !c.until.IsZero() {
		until = c.until
	}
	w.now, w.drawn = c.events[0].now, 0
	return until, w.open(o, c.faults)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tell lets one event come in, and gives its answer once all is settled that is due.
func (c story) tell(ctx context.Context, w *world, ev event, wish string) (any, error) {
	a, err := w.send(ctx, ev, wish)
	if undecided, ok := errors.AsType[*intake.UndecidedError](err); ok {
		return fields{{"http", decode([]byte("422"))}, {"error", withoutPlaces(strings.Join(undecided.Problems, "; "), w.rules.last().plan)}}, w.work(ctx)
	}
	if err != nil {
		return nil, unreadable(ev, err)
	}
	for i := range a.Errors {
		a.Errors[i] = withoutPlaces(a.Errors[i], w.rules.last().plan)
	}
	return decode(encode(a)), w.work(ctx)
}

// withoutPlaces takes the lines of the rule file out of a text: a case stays as it is
// when a comment is added there.
func withoutPlaces(text string, p relay.Plan) string {
	for _, problem := range p.Problems {
		text = strings.ReplaceAll(text, problem.Where+": ", "")
	}
	return text
}

func matched(plans []*decided) map[string][]string {
	out := map[string][]string{}
	for _, d := range plans {
		out[d.ev.Trigger] = append(out[d.ev.Trigger], "")
		for _, m := range d.plan.Rules {
			out[d.ev.Trigger] = append(out[d.ev.Trigger], m.Rule)
		}
	}
	return out
}

// parts are all that came of a story.
func (w *world) parts(ctx context.Context, answer any, last relay.Plan) ([]part, error) {
	dead, err := w.dead(ctx)
	if err != nil {
		return nil, err
	}
	return []part{
		{name: "answer", value: answer},
		{name: "actions", value: actions(last)},
		{name: "requests", value: w.requests()},
		{name: "kisi", value: w.standing()},
		{name: "dead", value: dead},
	}, nil
}

// dead are the dead letters, the oldest first.
func (w *world) dead(ctx context.Context) (any, error) {
	letters, err := w.store.Letters(ctx, mostRequests)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(letters, func(a, b relay.DeadLetter) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	out := []any{}
	for _, l := range letters {
		out = append(out, letterText(l))
	}
	return out, nil
}

func letterText(l relay.DeadLetter) string {
	switch {
	case l.Problem != nil && l.Rule != "":
		return l.Rule + ": " + l.Problem.Message
	case l.Problem != nil:
		return l.Problem.Message
	case l.Action != nil:
		return l.Rule + ": " + string(l.Action.Kind) + ": " + l.Error
	}
	return l.Error
}
