package worker

import (
	"context"
	"sync"
	"time"

	"doorhook/internal/relay"
)

// Run works until ctx ends. Then it claims no more, lets the step that each job
// is at come to its end, hands the jobs back, and returns when nothing it
// started is still running.
func (w *Worker) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots, hand := make(chan struct{}, w.opts.Concurrency), make(chan relay.Job, w.opts.Concurrency)
	defer close(hand)
	for range w.opts.Concurrency {
		wg.Go(func() { w.workAll(ctx, hand, slots) })
	}
	failing := false
	for ctx.Err() == nil {
		free := w.free(ctx, slots)
		if free == 0 {
			return
		}
		pause := time.After(claimPause)
		claim, err := w.claim(ctx, free)
		switch gone := err != nil && claim.Now.IsZero(); {
		case gone != failing:
			failing = gone
			w.logStore(ctx, err)
		case err != nil && !gone:
			w.log.ErrorContext(ctx, "jobs that cannot be read are put off for a lease", "err", err)
		}
		for _, j := range claim.Jobs {
			slots <- struct{}{} // never blocks: no more were claimed than there were free
			hand <- j
		}
		if len(claim.Jobs) < free {
			w.rest(ctx, claim)
		}
		if len(claim.Jobs) > 0 {
			select {
			case <-pause:
			case <-ctx.Done():
			}
		}
	}
}

// claimPause is how long at least after a claim that brought jobs the next one begins. Where
// much is to be done, few claims bring many jobs, and not many claims one or two each. What
// comes when there was nothing to do does not wait.
const claimPause = 2 * time.Millisecond

// workAll works jobs off, one after the other: a goroutine for each job would spend as
// much on growing its stack as on deciding what to do.
func (w *Worker) workAll(ctx context.Context, hand <-chan relay.Job, slots <-chan struct{}) {
	for j := range hand {
		w.work(ctx, j, w.jobs.Now)
		<-slots
	}
}

// WorkOff works off all that is due, one job after the other, and says when the next
// comes due; zero if none waits. It is for those whose clock stands still meanwhile.
func (w *Worker) WorkOff(ctx context.Context) (next time.Time, err error) {
	for {
		claim, err := w.claim(ctx, 1)
		if err != nil || len(claim.Jobs) == 0 {
			return claim.Next, err
		}
		w.work(ctx, claim.Jobs[0], w.jobs.Now)
	}
}

// free waits until a job can be taken in hand and says how many; 0 when ctx ended.
func (w *Worker) free(ctx context.Context, slots chan struct{}) int {
	select {
	case slots <- struct{}{}:
		<-slots
		return cap(slots) - len(slots)
	case <-ctx.Done():
		return 0
	}
}

// claim ignores the end of ctx: a claim that was cut off may have been carried
// out, and its jobs would wait for the lease to run out.
func (w *Worker) claim(ctx context.Context, n int) (relay.Claim, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.opts.Lease/2)
	defer cancel()
	return w.jobs.Claim(ctx, w.opts.Lane, n)
}

// rest sleeps until something may be due.
func (w *Worker) rest(ctx context.Context, c relay.Claim) {
	d := w.opts.Poll
	if !c.Next.IsZero() {
		d = min(d, max(c.Next.Sub(c.Now), time.Millisecond))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.jobs.Wake(w.opts.Lane):
	case <-w.again:
	case <-t.C:
	}
}
