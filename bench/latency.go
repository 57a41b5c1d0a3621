//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// latency is how long it takes an idle doorhook from a trigger to the first request it
// makes: from the moment the event is sent to the moment the receiver has it. One comes
// after the other; the first, which finds no connection, counts apart.
func (b *bench) latency(ctx context.Context) (r round, err error) {
	w := workload{trigger: &delivering}
	s, err := b.subject(ctx, w)
	if err != nil {
		return r, err
	}
	defer func() {
		s.stop()
		s.rdb.stop()
	}()
	run := b.draw()
	b.sink.expect(run)
	came := b.sink.watch()
	l := load{url: s.url + "/hooks/" + delivering.name, header: delivering.header, events: delivering.events(run), connections: 1}
	o := &sending{load: l, client: l.client()}
	defer o.client.CloseIdleConnections()
	first, err := b.once(ctx, o, 0, came)
	if err != nil {
		return r, err
	}
	before, err := s.state(ctx)
	if err != nil {
		return r, err
	}
	started, random := time.Now(), rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= b.sizes.samples; n++ {
		// Never in step with a clock of doorhook's.
		time.Sleep(b.sizes.spacing*3/4 + time.Duration(random.Int64N(int64(b.sizes.spacing/2))))
		took, err := b.once(ctx, o, n, came)
		if err != nil {
			return r, err
		}
		o.took.add(took)
	}
	o.new.Store(int64(b.sizes.samples))
	r.Load = o.measured(time.Since(started))
	r.First = ms(first)
	got := b.sink.settled(ctx, b.sizes.samples+1, b.patience)
	r.Lost, r.Doubled = got.lost(b.sizes.samples+1), got.doubled(b.sizes.samples+1)
	b.noteDelivery(r)
	after, stateErr := s.state(ctx)
	r.compare(before, after)
	return r, errors.Join(r.Load.check(), got.check(b.sizes.samples+1), stateErr)
}

// once sends one event and waits until the sink has it.
func (b *bench) once(ctx context.Context, o *sending, n int, came <-chan arrival) (time.Duration, error) {
	started := time.Now()
	if err := o.send(ctx, n); err != nil {
		return 0, err
	}
	select {
	case a := <-came:
		if a.n != n {
			return 0, fmt.Errorf("event %d was handed on in the place of event %d", a.n, n)
		}
		return a.at.Sub(started), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(b.patience):
		return 0, fmt.Errorf("event %d was not handed on within %s", n, b.patience)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
