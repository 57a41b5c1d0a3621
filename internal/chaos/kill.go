package main

import (
	"context"
	"math"
	"time"

	"doorhook/internal/kisi/kisifake"
)

// killed has bookings come in, Kisi misbehave, and doorhooks, one or all, and now
// and then Redis, killed in the middle of it. Nobody waits for the end of a round:
// its bookings are still under way when the next one begins.
func killed(ctx context.Context, a *arena) error {
	for a.more(ctx) {
		a.misbehave()
		for range 1 + a.rand.IntN(5) {
			a.post(ctx, a.book.next()...)
		}
		answer := a.moment(ctx)
		if err := a.strike(ctx, answer); err != nil {
			return err
		}
		for _, p := range a.doors {
			if err := p.serving(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// misbehave plans at most two faults.
func (a *arena) misbehave() {
	// Each of these is cleared up with the next attempt.
	plans := []kisifake.Fault{{Status: 503}, {Delay: 300 * time.Millisecond}}
	if !a.short {
		// These leave a create in doubt. The last one is done when doorhook has given up
		// waiting for it, has looked, found nothing, and perhaps sent it again.
		plans = append(plans, kisifake.Fault{Then: kisifake.Hang}, kisifake.Fault{Then: kisifake.Reset}, kisifake.Fault{Then: kisifake.Crash},
			kisifake.Fault{Junk: true}, kisifake.Fault{Empty: true}, kisifake.Fault{Delay: time.Duration(5500+a.rand.IntN(10_000)) * time.Millisecond})
	}
	methods := []string{"POST", "POST", "POST", "PATCH", "DELETE", "GET"}
	for range a.rand.IntN(3) {
		f := plans[a.rand.IntN(len(plans))]
		f.Method = methods[a.rand.IntN(len(methods))]
		a.fake.Fail(f)
	}
}

// moment returns when it is time to kill, no later than after 400 ms: most often when
// some requests have reached Kisi. The last of them, and what comes after it, has its
// answer held back half of the time, until the answer is called for.
func (a *arena) moment(ctx context.Context) (answer func()) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.rand.IntN(400))*time.Millisecond)
	defer cancel()
	last, hold := 1+a.rand.IntN(8), a.rand.IntN(2) == 0
	if a.rand.IntN(3) == 0 {
		last = math.MaxInt // whatever happens
	}
	for n := 1; n <= last; n++ {
		select {
		case call := <-a.called:
			if n == last && hold {
				return func() { close(call) }
			}
			close(call)
		case <-ctx.Done():
			return func() {}
		}
	}
	return func() {}
}

// strike kills, lets Kisi answer, and starts again what it killed.
func (a *arena) strike(ctx context.Context, answer func()) error {
	victims := a.doors
	if a.rand.IntN(5) > 0 {
		i := a.rand.IntN(len(a.doors))
		victims = a.doors[i : i+1]
	}
	redis := a.redis != nil && a.rand.IntN(10) == 0
	a.sayf("round %d: kills %d of %d, and Redis: %t", a.rounds, len(victims), len(a.doors), redis)
	if redis {
		a.kill(a.redis.process)
	}
	for _, p := range victims {
		a.kill(p)
	}
	answer()
	if redis {
		if err := a.redis.start(ctx); err != nil {
			return err
		}
	}
	for _, p := range victims {
		p.start(ctx)
	}
	return nil
}
