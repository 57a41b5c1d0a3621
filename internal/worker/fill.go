package worker

import (
	"context"
	"errors"
	"fmt"

	"doorhook/internal/relay"
)

// errFill says that a rule, and not Kisi, is why an action cannot be carried out.
var errFill = errors.New("it cannot be computed for the person behind the event")

// errPerson says that Kisi, and not whoever a message is for, is why it is not sent.
var errPerson = errors.New("ask Kisi who is behind the event")

// create makes what a asks for. What is left for later is computed for each attempt
// anew: what is kept stays as it was asked for.
func (w *Worker) create(ctx context.Context, a relay.Action) relay.Outcome {
	if a.Later != nil {
		filled, out := w.fill(ctx, a)
		if out.Verdict != relay.OK {
			return out
		}
		a = filled
	}
	return w.doer.Create(ctx, a)
}

func (w *Worker) fill(ctx context.Context, a relay.Action) (relay.Action, relay.Outcome) {
	person, out := w.doer.Person(ctx, a.Later.User)
	if out.Verdict != relay.OK {
		out.Err = fmt.Errorf("%w: %w", errPerson, out.Err)
		return a, out
	}
	if w.opts.Fill == nil {
		return a, relay.Outcome{Verdict: relay.Rejected, Err: errFill}
	}
	filled, err := w.opts.Fill(ctx, a, person)
	if err == nil {
		return filled, out
	}
	out = relay.Outcome{Verdict: relay.Retry, Err: fmt.Errorf("%w: %w", errFill, err)}
	if _, ok := errors.AsType[relay.Problem](err); ok { // else the rule is gone, or not here yet: another process may have it
		out.Verdict = relay.Rejected
	}
	return a, out
}
