//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"doorhook/internal/relay"
	"doorhook/internal/store"
)

// seedLimit is how long it may take to fill a Redis.
const seedLimit = 5 * time.Minute

// Bookings ask for something an hour before they begin: those that wait in hours to come,
// those that are claimed when the clock is put forward by as much.
const (
	soonBooking = 2 * time.Hour
	forward     = 90 * time.Minute
)

// waiting measures what waiting jobs cost: the memory of each in Redis, and a claim among
// many of them beside one among few.
func (b *bench) waiting(ctx context.Context) error {
	few, err := b.fill(ctx, b.sizes.few, nil)
	if err != nil {
		return err
	}
	defer few.stop()
	many, err := b.fill(ctx, b.sizes.many, func(s *subject) error { return b.perJob(ctx, s) })
	if err != nil {
		return err
	}
	defer many.stop()
	return b.claims(ctx, few, many)
}

// fill gives a Redis in which so many bookings wait, and some that come due with the
// clock put forward. measure is called when there are few of them, before the others.
func (b *bench) fill(ctx context.Context, jobs int, measure func(*subject) error) (rdb *server, err error) {
	w := workload{trigger: &booking, later: true}
	s, err := b.subject(ctx, w, "--events", "100") // that list is not what is measured
	if err != nil {
		return nil, err
	}
	defer func() {
		s.stop()
		if err != nil {
			s.rdb.stop()
		}
	}()
	if measure != nil {
		if err := measure(s); err != nil {
			return nil, err
		}
		jobs -= b.sizes.more
	}
	if err := b.seed(ctx, s, booking, jobs); err != nil {
		return nil, err
	}
	soon := booking
	soon.events = bookings(soonBooking)
	return s.rdb, b.seed(ctx, s, soon, b.sizes.claims)
}

// seed sends so many events.
func (b *bench) seed(ctx context.Context, s *subject, t trigger, n int) error {
	w := workload{trigger: &t, later: true, hands: t.name == delivering.name}
	_, err := b.send(ctx, s, w, load{url: s.url + "/hooks/" + t.name, header: t.header, connections: b.sizes.connections, duration: seedLimit, count: n})
	if err != nil {
		return fmt.Errorf("fill Redis with %d events: %w", n, err)
	}
	return nil
}

// perJob notes what a waiting job takes in Redis: what more of them take, so that what is
// there once does not count.
func (b *bench) perJob(ctx context.Context, s *subject) error {
	per, err := b.slope(ctx, s, booking, b.sizes.few, b.sizes.more)
	b.note(waitingBytes, per)
	return err
}

// slope is how many bytes an event takes in Redis, between so many and so many.
func (b *bench) slope(ctx context.Context, s *subject, t trigger, from, to int) (float64, error) {
	if err := b.seed(ctx, s, t, from); err != nil {
		return 0, err
	}
	before, err := s.rdb.settledMemory(ctx)
	if err != nil {
		return 0, err
	}
	if err := b.seed(ctx, s, t, to-from); err != nil {
		return 0, err
	}
	after, err := s.rdb.settledMemory(ctx)
	return float64(after-before) / float64(to-from), err
}

// finished notes what an event that was handed on takes in Redis when the lists of the
// newest are full.
func (b *bench) finished(ctx context.Context) error {
	s, err := b.subject(ctx, workload{trigger: &delivering})
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		s.rdb.stop()
	}()
	per, err := b.slope(ctx, s, delivering, b.sizes.fewDone, b.sizes.moreDone)
	b.note(finishedBytes, per)
	return err
}

// parts is in how many parts the claims are measured: each is a value of its own.
const parts = 5

// claims measures claims of one job each, by turns in the two, so that a slow moment of
// the machine hits both. Nothing else runs there.
func (b *bench) claims(ctx context.Context, few, many *server) error {
	var stores [2]*store.Store
	servers := [2]*server{few, many}
	for i, s := range servers {
		st, err := store.Open(ctx, store.Options{URL: s.url, Now: func() time.Time { return time.Now().Add(forward) }})
		if err != nil {
			return err
		}
		defer st.Close()
		stores[i] = st
	}
	for range parts {
		var took, busy [2]time.Duration
		var before [2]time.Duration
		for i, s := range servers {
			var err error
			if _, before[i], err = s.calls(ctx); err != nil {
				return err
			}
		}
		for n := range 2 * (b.sizes.claims / parts) {
			d, err := claim(ctx, stores[n%2])
			if err != nil {
				return err
			}
			took[n%2] += d
		}
		for i, s := range servers {
			_, after, err := s.calls(ctx)
			if err != nil {
				return err
			}
			busy[i] = after - before[i]
		}
		b.note(claimTime, float64(took[1])/float64(took[0]))
		b.note(claimCPU, float64(busy[1])/float64(max(busy[0], 1)))
	}
	return nil
}

var errNotOne = errors.New("a claim of one job did not give one")

func claim(ctx context.Context, st *store.Store) (time.Duration, error) {
	started := time.Now()
	c, err := st.Claim(ctx, relay.Doors, 1)
	took := time.Since(started)
	if err == nil && len(c.Jobs) != 1 {
		err = errNotOne
	}
	return took, err
}
