package worker

import (
	"errors"
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

// How long whoever is asked may have us wait. Of Kisi an hour would outlast the
// booking; the receiver of a send may need one to get up again.
const (
	maxWish     = 2 * time.Minute
	maxSendWish = time.Hour
)

// wish is how long whoever was asked for k wants to be left alone, within reason.
func wish(out relay.Outcome, k relay.Kind) time.Duration {
	if k == relay.Send {
		return min(out.After, maxSendWish)
	}
	return min(out.After, maxWish)
}

// longestPause is as long as any pause between attempts at k, or longer.
func longestPause(k relay.Kind) time.Duration {
	if k == relay.Send {
		return maxSendWish
	}
	return 5 * time.Minute
}

// begin notes in j that s is about to be taken, so that whoever finds the job
// after a crash does not take for certain what the step may have changed. It
// reports whether that has to be saved first.
//
// A create may have been sent, so look before the next. What is to be deleted
// moves to Old, since it may be gone; what is to be changed may be anything.
func begin(j *relay.Job, s step, now time.Time) bool {
	h := &j.Have[s.held]
	anew(h, j.Changes)
	switch s.op {
	case create:
		retire(h)
		first := now
		if byClaim(*j, s) {
			first = j.Since
		}
		if !h.Action.Same(s.want) {
			h.Attempts, h.TriedAt = 0, time.Time{}
		}
		if h.TriedAt.IsZero() {
			h.TriedAt = first
		}
		h.Action, h.State = s.want, relay.Waiting
		h.Unsure = s.want.Kind.Stands()
	case change:
		h.Action.Args = nil
	case revoke:
		if h.Object != s.object {
			return false // it is in Old already
		}
		retire(h)
		switch {
		case h.State == relay.Dead || h.State == relay.TooLate || h.State == relay.Unused: // it stays as it was settled
		case !h.Action.Ends.IsZero() && !now.Before(h.Action.Ends): // tidied up, it stays done
		default:
			h.State = relay.Waiting
		}
	default:
		return false
	}
	return true
}

// byClaim reports whether s sends the first message that is tried under its key. It
// counts as tried when the job was first taken in hand: whoever finds the job after a
// crash has the same from the claim, although nothing was saved.
func byClaim(j relay.Job, s step) bool {
	return j.Lane == relay.Messages && s.op == create && s.want.Kind == relay.Send &&
		j.Have[s.held].TriedAt.IsZero() && !j.Since.IsZero()
}

// anew opens again what was settled, and ends the pauses of, an older version of
// the booking.
func anew(h *relay.Held, changes int64) {
	if h.Changes == changes {
		return
	}
	h.Changes = changes
	h.Attempts, h.RetryAt = 0, time.Time{}
	h.Revokes, h.RevokeAt = 0, time.Time{}
	if h.State == relay.Dead {
		h.State = relay.Waiting
	}
}

// retire puts the object of h among those that are to be deleted.
func retire(h *relay.Held) {
	if h.Object != 0 {
		h.Old = append(slices.Clone(h.Old), h.Object)
		h.Object, h.Until = 0, time.Time{}
	}
}

// apply notes in j what a step came to that begin has noted. roll is in [0, 1). It
// gives the dead letter that the step ended in, if it did.
func apply(j *relay.Job, s step, out relay.Outcome, now time.Time, roll float64) *relay.DeadLetter {
	h := &j.Have[s.held]
	if s.op == create && out.Verdict != relay.Untried {
		h.Answer = out.Answer
	}
	switch done := out.Verdict == relay.OK || out.Verdict == relay.Gone; {
	case s.op == revoke:
		revoked(h, s.object, done, out, now, roll)
	case done:
		h.RetryAt = time.Time{}
		if s.op != find || out.Object != 0 { // having found nothing, the create has still failed so often
			h.Error, h.Attempts = "", 0
		}
		succeed(h, s, out, now)
		if s.op == look {
			looked(j, s, out.Used, now)
		}
	default:
		return failed(j, s, out, now, roll)
	}
	return nil
}

// failed notes a step, other than a revoke, that did not do what it was to do.
func failed(j *relay.Job, s step, out relay.Outcome, now time.Time, roll float64) *relay.DeadLetter {
	h := &j.Have[s.held]
	h.Error = out.Err.Error()
	if s.op == create && out.Verdict != relay.Unsure {
		h.Unsure = false
		if s.want.Kind.Stands() && len(h.Lost) == 0 { // nothing that is there now can be ours
			h.TriedAt = time.Time{}
		}
	}
	if out.Verdict == relay.Untried { // it says nothing about what is wanted, nor about Kisi's willingness
		h.RetryAt = now.Add(max(untried(out, roll), patient(j, h, now, roll)))
		return nil
	}
	h.Attempts++
	if out.Verdict == relay.Rejected && s.op != find {
		h.State = relay.Dead
		l := letter(*j, s.want, causeOf(s, out.Err), out.Err, now)
		return &l
	}
	if s.op != look && (s.op != find || h.Unsure) { // what stands is not in doubt; after a second look, what is wanted stands, whatever else may
		h.State = relay.Retrying
	}
	if s.op == create {
		h.Served = out.Served
	}
	h.RetryAt = now.Add(max(backoff(s, now).Delay(h.Attempts, roll), wish(out, h.Action.Kind)))
	h.RetryAt = whenFree(out, now, h.RetryAt)
	return nil
}

// causeOf is why s was rejected.
func causeOf(s step, err error) relay.Cause {
	switch {
	case errors.Is(err, relay.ErrLimit), errors.Is(err, errFill):
		return relay.ByRule
	case s.want.Kind == relay.Send && !errors.Is(err, errPerson):
		return relay.ByReceiver
	}
	return relay.ByKisi
}

// revoked notes a revoke. It changes nothing about what is granted: the two rest by
// themselves, or a door that cannot be shut would keep another from opening.
func revoked(h *relay.Held, object int64, done bool, out relay.Outcome, now time.Time, roll float64) {
	gaveUp := h.State == relay.Dead || h.State == relay.TooLate // its error says why
	h.Old = slices.DeleteFunc(slices.Clone(h.Old), func(o int64) bool { return o == object })
	if done {
		h.Revokes, h.RevokeAt = 0, time.Time{}
		if !gaveUp && h.Attempts == 0 {
			h.Error = ""
		}
		return
	}
	if !gaveUp {
		h.Error = out.Err.Error()
	}
	h.Old = append(h.Old, object) // the others that are to go do not wait for this one
	if out.Verdict == relay.Untried {
		h.RevokeAt = now.Add(untried(out, roll))
		return
	}
	h.Revokes++
	h.RevokeAt = now.Add(max(revokeBackoff.Delay(h.Revokes, roll), min(out.After, maxWish)))
}

// postpone puts a step off without having begun it.
func postpone(j *relay.Job, s step, until time.Time) {
	h := &j.Have[s.held]
	anew(h, j.Changes)
	if s.op == revoke {
		h.RevokeAt = until
	} else {
		h.RetryAt = until
	}
}

// untried is how long something rests that was not attempted. The jobs that wait for
// Kisi to come back come back one after another, not all at once.
func untried(out relay.Outcome, roll float64) time.Duration {
	d := max(min(out.After, maxWish), time.Second)
	return d + time.Duration(float64(d)*roll)
}

// patient is how long a message rests that was not attempted: the longer it has waited,
// the longer it can wait. Thousands may wait for one receiver to get up again, or to
// come to them.
func patient(j *relay.Job, h *relay.Held, now time.Time, roll float64) time.Duration {
	if h.Action.Kind != relay.Send {
		return 0
	}
	waited := min(now.Sub(h.TriedAt), now.Sub(j.ChangedAt)) // a replay begins anew
	d := min(waited/8, grantBackoff.Max/2)
	return d + time.Duration(float64(d)*roll)
}

// lateWork is how long a request that got no answer may still be worked on.
const lateWork = 30 * time.Second

// longestLook is longer than any wait for the second look, by what the store's clock
// may waver.
const longestLook = lateWork + 5*time.Second

// found notes what a look came to. The first one, after a create without an
// answer, finds our object or nothing, and then the create is sent again. Either
// way Kisi may still come to the end of a request that it had not finished, so
// there is a second look, later: what that one finds is one too many.
func found(h *relay.Held, out relay.Outcome, now time.Time) {
	switch object := out.Object; {
	case h.Unsure:
		h.Object, h.Unsure, h.State = object, false, relay.Waiting
		if object != 0 {
			h.Until, h.State = out.Until, relay.Done
			made(h, h.TriedAt)
		}
		h.Lost = lookAgain(h, now.Add(lateWork))
	case object != 0:
		h.Old = append(slices.Clone(h.Old), object)
	case !now.Before(h.Lost[0].LookAt), h.Lost[0].LookAt.Sub(now) > longestLook: // or the clock was put back
		h.Lost = h.Lost[1:]
	}
}

// lookAgain notes that h is to be looked for once more. One look, after the last
// attempt, finds what any of them left.
func lookAgain(h *relay.Held, at time.Time) []relay.Lost {
	lost := slices.DeleteFunc(slices.Clone(h.Lost), func(l relay.Lost) bool { return l.Action.Same(h.Action) })
	return append(lost, relay.Lost{Action: h.Action, TriedAt: h.TriedAt, LookAt: at})
}

// succeed notes a step that did what it was to do.
func succeed(h *relay.Held, s step, out relay.Outcome, now time.Time) {
	switch s.op {
	case create:
		h.Object, h.Until, h.Unsure, h.Served, h.State = out.Object, out.Until, false, false, relay.Done
		made(h, now)
	case find:
		found(h, out, now)
	case resolve:
		h.Action, h.Locks, h.State = s.want, out.Locks, relay.Done
	case change:
		h.Action, h.State = s.want, relay.Done
		made(h, now)
		if out.Verdict == relay.Gone { // somebody deleted it in Kisi: it has to be made anew
			h.Object, h.State, h.Action.Args = 0, relay.Waiting, nil
		}
	}
}

// letter is the dead letter of an action that gave up.
func letter(j relay.Job, a relay.Action, cause relay.Cause, err error, now time.Time) relay.DeadLetter {
	return relay.DeadLetter{
		ID: fmt.Sprintf("%s:%d:%s", j.ID, j.Changes, a.Key), At: now, Cause: cause, Trigger: j.Trigger,
		EventID: j.EventID, JobID: j.ID, Rule: a.Rule, Action: &a, Error: err.Error(), Revision: j.Revision,
	}
}
