package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"doorhook/internal/relay"
)

// doors is what is to be known of a rule before anybody can have come to it.
type doors struct {
	locks, groups []int64
	from          time.Time // the beginning of the earliest window
}

// doorsOf are the doors of all that rule wants to stand for j, also of what is over too
// soon to be taken back: who came by one of them is there. A window without a beginning
// began when what stands for it was made.
func doorsOf(j relay.Job, rule string) doors {
	var d doors
	for _, w := range j.Want {
		if w.Rule != rule || !w.Kind.Stands() {
			continue
		}
		switch lock, group := w.Opens(); {
		case lock != 0:
			d.locks = append(d.locks, lock)
		case len(locksOf(j, w)) > 0: // what stands is for these, whatever is in the group now
			d.locks = append(d.locks, locksOf(j, w)...)
		case group != 0 && !slices.Contains(d.groups, group):
			d.groups = append(d.groups, group)
		}
		begins := w.Starts()
		if begins.IsZero() {
			begins = madeAt(j, w)
		}
		if d.from.IsZero() || begins.Before(d.from) {
			d.from = begins
		}
	}
	d.from = d.from.Truncate(time.Second) // Kisi tells whole seconds
	return d
}

// locksOf are the locks of the group that w is a schedule for, once they are known.
func locksOf(j relay.Job, w relay.Action) []int64 {
	i := slices.IndexFunc(j.Have, func(h relay.Held) bool { return isGroup(h) && h.Action.Key == w.Key && h.Action.Same(w) })
	if i < 0 {
		return nil
	}
	return j.Have[i].Locks
}

// madeAt is when what stands for w was made, or else when it was asked for.
func madeAt(j relay.Job, w relay.Action) time.Time {
	i := slices.IndexFunc(j.Have, func(h relay.Held) bool { return h.Action.Key == w.Key })
	if i < 0 {
		return j.ReceivedAt
	}
	for _, at := range []time.Time{j.Have[i].MadeAt, j.Have[i].TriedAt} { // the rule may not have taken it back then
		if !at.IsZero() {
			return at
		}
	}
	return j.ReceivedAt
}

// made notes when what stands for h was made, or became what is wanted now: nobody
// has been seen to use it as that.
func made(h *relay.Held, at time.Time) {
	h.Used, h.MadeAt = false, time.Time{}
	if !h.Action.Unused.IsZero() {
		h.MadeAt = at
	}
}

// look sees whether anybody has come to the doors of the rule that h is for. What
// doorhook was told comes first, and settles it if somebody came. But messages get
// lost, so Kisi is asked before anything is taken back.
func (w *Worker) look(ctx context.Context, j relay.Job, h relay.Held, now time.Time) relay.Outcome {
	d := doorsOf(j, h.Action.Rule)
	if len(d.groups) > 0 {
		out := w.doer.Doors(ctx, d.groups)
		if out.Verdict != relay.OK {
			return insisting(out)
		}
		d.locks = append(d.locks, out.Locks...)
	}
	slices.Sort(d.locks)
	d.locks = slices.Compact(d.locks)
	opened, err := w.jobs.Opened(ctx, d.locks)
	if err != nil {
		return relay.Outcome{Verdict: relay.Retry, Err: err}
	}
	for _, at := range opened {
		if !at.Before(d.from) {
			return relay.Outcome{Verdict: relay.OK, Used: true}
		}
	}
	out := w.doer.Came(ctx, d.locks, d.from, now)
	if out.Verdict != relay.Rejected {
		return out
	}
	if w.opts.Told != nil && !w.opts.Told() {
		out.Err = fmt.Errorf("nothing is taken back as unused, since nobody tells doorhook who comes: there is no trigger from: kisi, and %w", out.Err)
		return insisting(out)
	}
	return relay.Outcome{Verdict: relay.OK} // what doorhook was told is all there is
}

// insisting makes an outcome one that is tried again whatever was answered.
func insisting(out relay.Outcome) relay.Outcome {
	if out.Verdict == relay.Rejected {
		out.Verdict = relay.Retry
	}
	return out
}

// onItsWay is how long it may take to be known that somebody came: who does so in the
// last second must not lose the door.
const onItsWay = 5 * time.Second

// toLook looks, when its time has come, whether anybody has used what stands for h.
func (v *view) toLook(h *relay.Held, i int) {
	due, ends := h.Action.Unused.Add(onItsWay), h.Action.Ends
	switch {
	case h.Used || !takenBack(h.Action, h.MadeAt, v.now):
		if !h.Action.Unused.IsZero() && due.After(v.now) {
			v.at(due)
		}
	case v.resting(h):
		v.at(ends)
	default:
		v.offer(step{op: look, held: i})
	}
}

// takenBack reports whether a, made at made, is to go now if nobody has come. What was
// made or changed after its time is left alone, since nobody could have come before; so
// is what is over.
func takenBack(a relay.Action, made, now time.Time) bool {
	return !a.Unused.IsZero() && !a.Unused.Add(onItsWay).After(now) && made.Before(a.Unused) && (a.Ends.IsZero() || now.Before(a.Ends))
}

// looked notes for all that the rule of s has standing whether anybody came to its
// doors. What is still given time keeps it.
func looked(j *relay.Job, s step, used bool, now time.Time) {
	rule := j.Have[s.held].Action.Rule
	for i := range j.Have {
		h := &j.Have[i]
		switch {
		case h.Action.Rule != rule || h.Object == 0 || h.State != relay.Done || h.Action.Unused.IsZero():
		case used:
			h.Used = true
		case takenBack(h.Action, h.MadeAt, now):
			h.State = relay.Unused
		}
	}
}
