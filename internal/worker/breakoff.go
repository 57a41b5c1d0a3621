package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"doorhook/internal/relay"
)

// changeLook is how often a booking is looked at while a message of it is under way.
const changeLook = 500 * time.Millisecond

// breakOff calls cancel if j changes while s is under way, or passes to another worker.
// A receiver may be slow, and what the booking wants now may be that a door is shut. The
// result ends the looking. Nothing but a message takes long without Kisi, which a
// second request would not make faster.
func (w *Worker) breakOff(ctx context.Context, j relay.Job, s step, cancel func()) (end func()) {
	if s.op != create || s.want.Kind != relay.Send || w.opts.Lane != relay.Doors {
		return func() {}
	}
	sent := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(changeLook)
		defer tick.Stop()
		for {
			select {
			case <-sent:
				return
			case <-tick.C:
			}
			ctx, done := w.storeContext(ctx)
			changed, err := w.jobs.Save(ctx, j)
			done()
			if changed || errors.Is(err, relay.ErrLeaseLost) {
				cancel()
				return
			}
		}
	})
	return func() {
		close(sent)
		looking.Wait()
	}
}
