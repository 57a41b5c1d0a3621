package intake

import (
	"context"
	"errors"

	"doorhook/internal/relay"
)

// Happened takes in what happened to doorhook itself, an event of [relay.Own]. One whose
// ID was taken in before, by any process, is left out. Without rules for it nothing is
// done. An error is for the log: the event may have been taken in in part.
func (in *Intake) Happened(ctx context.Context, ev relay.Event) error {
	rules := *in.rules.Load()
	if !rules.Has(relay.Own) {
		return nil
	}
	if ev.ID == "" {
		ev.ID = in.o.NewID()
	}
	ev.ReceivedAt = in.jobs.Now()
	p := rules.Plan(ev)
	if len(p.Rules)+len(p.Problems) == 0 && !p.Fatal {
		return nil // nobody wants to hear of it, and it is in the log
	}
	p.EventID = ev.ID
	receipt, err := in.accept(ctx, ev, p)
	if err == nil && receipt.Status == relay.Failed && !p.Fatal {
		err = errors.New(receipt.Error)
	}
	if err == nil && (p.Fatal || len(p.Problems) > 0) && receipt.Status != relay.Duplicate {
		err = undecided(p) // nobody gets an answer, so it is said here
	}
	return err
}

// tell tells of the dead letters that the rules left of an event. What becomes of the
// messages about such things is left out: one that cannot be sent must not ask for
// another.
func (in *Intake) tell(ev relay.Event, p relay.Plan, r relay.Receipt) {
	if in.o.Tell == nil || ev.Trigger == relay.Own {
		return
	}
	l := relay.DeadLetter{At: in.jobs.Now().UTC(), Cause: relay.ByRule, Trigger: ev.Trigger, EventID: ev.ID, JobID: r.JobID}
	if r.Status == relay.Failed && !p.Fatal { // it was refused as a whole
		l.ID, l.Error = ev.RefusalID(), r.Error
		in.o.Tell(l.Happening())
		return
	}
	if r.Status == relay.Duplicate || r.Status == relay.Stale {
		return // nothing was decided anew
	}
	for i, id := range p.LetterIDs(ev) {
		l.ID, l.Rule, l.Error = id, p.Problems[i].Rule, p.Problems[i].Error()
		in.o.Tell(l.Happening())
	}
}
