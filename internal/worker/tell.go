package worker

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"doorhook/internal/relay"
)

// tellLetters tells of dead letters that were saved.
func (w *Worker) tellLetters(letters []relay.DeadLetter) {
	for _, l := range letters {
		w.tell(l.Trigger, l.Happening())
	}
}

// failsOften is how many times in a row something could not be taken back before people
// are told: once or twice may be Kisi's limit on requests.
const failsOften = 3

// tellRevoke tells that access cannot be taken back, and again in each hour of the clock
// in which that fails. What opens nothing any more is left out.
func (w *Worker) tellRevoke(j relay.Job, s step, out relay.Outcome, now time.Time) {
	h := j.Have[s.held]
	over := !h.Action.Ends.IsZero() && !now.Before(h.Action.Ends)
	if s.op != revoke || !slices.Contains(h.Old, s.object) || out.Verdict == relay.Untried || h.Revokes < failsOften || over {
		return
	}
	w.tell(j.Trigger, relay.Happening{
		Type: relay.RevokeFailing, At: now,
		ID: fmt.Sprintf("%s:%s:%d:%s", j.ID, h.Action.Kind, s.object, now.UTC().Format("2006-01-02T15")),
		Says: map[string]any{
			"trigger": j.Trigger, "event_id": j.EventID, "job_id": j.ID, "rule": h.Action.Rule, "action": string(h.Action.Kind),
			"object": strconv.FormatInt(s.object, 10), "attempts": h.Revokes, "error": out.Err.Error(),
		},
	})
}

// tell leaves out what becomes of the messages about such things: one that cannot be
// sent must not ask for another.
func (w *Worker) tell(trigger string, h relay.Happening) {
	if w.opts.Tell != nil && trigger != relay.Own {
		w.opts.Tell(h)
	}
}
