package worker

import (
	"fmt"
	"slices"
	"time"

	"doorhook/internal/relay"
)

// Bounds of waiting between attempts. Taking back has the shorter wait at the
// end: it goes on for ever, and as long as it fails a door may open.
var (
	grantBackoff  = relay.Backoff{Base: time.Second, Max: 5 * time.Minute}
	revokeBackoff = relay.Backoff{Base: time.Second, Max: time.Minute}
)

// maxWish is how long a receiver may ask us to wait: an hour would outlast the booking.
const maxWish = 2 * time.Minute

// begin notes that a create is about to be sent, so that whoever finds the job
// after a crash looks before it sends another. What stands is replaced.
func begin(j *relay.Job, s step, now time.Time) {
	h := &j.Have[s.held]
	if h.Object != 0 {
		h.Old = append(h.Old, h.Object)
		h.Object = 0
	}
	if !h.Action.Same(s.want) || h.TriedAt.IsZero() {
		h.Attempts, h.TriedAt = 0, now
	}
	h.Action, h.Unsure, h.Changes = s.want, true, j.Changes
}

// apply notes in j what a step came to. roll is in [0, 1). It gives the dead
// letter that the step ended in, if it did.
func apply(j *relay.Job, s step, out relay.Outcome, now time.Time, roll float64) *relay.DeadLetter {
	h := &j.Have[s.held]
	if h.Changes != j.Changes {
		h.Attempts = 0
	}
	h.Changes = j.Changes
	if out.Verdict == relay.OK || out.Verdict == relay.Gone {
		h.Error, h.Attempts, h.RetryAt = "", 0, time.Time{}
		succeed(h, s, out, now)
		return nil
	}
	h.Error = out.Err.Error()
	h.Attempts++
	if s.op == create && out.Verdict != relay.Unsure {
		h.Unsure = false
	}
	if out.Verdict == relay.Rejected && s.op != revoke && s.op != find {
		h.State = relay.Dead
		l := letter(*j, s.want, relay.ByKisi, out.Err, now)
		return &l
	}
	if s.op != revoke || h.State == relay.Done || h.State == relay.Waiting {
		h.State = relay.Retrying // what gave up before stays given up while it is taken back
	}
	h.RetryAt = now.Add(wait(s.op, h.Attempts, out.After, roll))
	return nil
}

// succeed notes a step that did what it was to do.
func succeed(h *relay.Held, s step, out relay.Outcome, now time.Time) {
	switch s.op {
	case create:
		h.Object, h.Unsure, h.State = out.Object, false, relay.Done
	case find:
		h.Object, h.Unsure, h.State = out.Object, false, relay.Waiting
		if out.Object != 0 {
			h.State = relay.Done
		}
	case resolve:
		h.Action, h.Locks, h.State = s.want, out.Locks, relay.Done
	case change:
		h.Action, h.State = s.want, relay.Done
		if out.Verdict == relay.Gone { // somebody deleted it in Kisi: it has to be made anew
			h.Object, h.State = 0, relay.Waiting
			h.Action.Args = nil // what stood is not known to stand any more
		}
	case revoke:
		revoked(h, s.object, now)
	}
}

// revoked takes an object out of h. One that was tidied up after its window
// stays done; any other is as if it had never been made.
func revoked(h *relay.Held, object int64, now time.Time) {
	if i := slices.Index(h.Old, object); i >= 0 {
		h.Old = slices.Delete(h.Old, i, i+1)
		if h.State == relay.Retrying && h.Object != 0 {
			h.State = relay.Done
		}
		return
	}
	h.Object = 0
	switch {
	case h.State == relay.Dead || h.State == relay.TooLate:
	case !h.Action.Ends.IsZero() && now.After(h.Action.Ends):
		h.State = relay.Done
	default:
		h.State = relay.Waiting
	}
}

func wait(o op, attempts int, wish time.Duration, roll float64) time.Duration {
	b := grantBackoff
	if o == revoke {
		b = revokeBackoff
	}
	return max(b.Delay(attempts, roll), min(wish, maxWish))
}

// letter is the dead letter of an action that gave up.
func letter(j relay.Job, a relay.Action, cause relay.Cause, err error, now time.Time) relay.DeadLetter {
	return relay.DeadLetter{
		ID: fmt.Sprintf("%s:%d:%s", j.ID, j.Changes, a.Key), At: now, Cause: cause, Trigger: j.Trigger,
		EventID: j.EventID, JobID: j.ID, Rule: a.Rule, Action: &a, Error: err.Error(),
	}
}
