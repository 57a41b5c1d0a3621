//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// workload is what one row measures.
type workload struct {
	name    string
	trigger *trigger // nil is a ceiling
	bare    bool     // without Redis
	load    load     // duplicates and rate
	ceiling string   // the row that it is a ratio to
	later   bool     // there is work after the answer, which counts
	hands   bool     // the sink gets all of it
}

const (
	fiberAlone  = "ceiling: Fiber alone"
	oneSet      = "ceiling: Fiber and one SET NX"
	oneSetTwice = "ceiling, half duplicates"
	accept      = "accept"
	acceptTwice = "accept, half duplicates"
	acceptLater = "accept, each asks for something later"
	acceptBook  = "accept, bookings with two actions later"
	acceptRate  = "accept at 1,000/s"
	deliver     = "accept, work and deliver"
	idle        = "accept to first outbound request, idle"
)

// workloads are the rows, each ceiling beside what is measured against it.
func workloads() []workload {
	return []workload{
		{name: fiberAlone, bare: true},
		{name: oneSet},
		{name: accept, trigger: &accepting, ceiling: oneSet},
		{name: oneSetTwice, load: load{duplicates: 50}},
		{name: acceptTwice, trigger: &accepting, load: load{duplicates: 50}, ceiling: oneSetTwice},
		{name: acceptLater, trigger: &later, ceiling: oneSet, later: true},
		{name: acceptBook, trigger: &booking, ceiling: oneSet, later: true},
		{name: acceptRate, trigger: &accepting, load: load{rate: 1000}},
		{name: deliver, trigger: &delivering, later: true, hands: true},
	}
}

// round is one measurement of a row, or the medians of several.
type round struct {
	n        int
	Load     measured `json:"load"`
	Ratio    float64  `json:"ratio,omitempty"` // to its ceiling, in this round
	CPU      float64  `json:"cpu_us,omitempty"`
	RedisCPU float64  `json:"redis_cpu_us,omitempty"`
	BenchCPU float64  `json:"bench_cpu_us,omitempty"` // of the load generator and the sink
	Trips    float64  `json:"round_trips,omitempty"`  // to Redis, for each request
	Bytes    float64  `json:"redis_bytes,omitempty"`  // for each request
	Peak     int64    `json:"peak_bytes,omitempty"`   // the most memory that it ever had
	Lost     int      `json:"lost,omitempty"`
	Doubled  int      `json:"doubled,omitempty"`
	First    float64  `json:"first_ms,omitempty"` // the first request of all, without a connection to the receiver
}

// measure starts what is to be measured, afresh, warms it up, and sends the load.
func (b *bench) measure(ctx context.Context, w workload) (r round, err error) {
	s, err := b.subject(ctx, w)
	if err != nil {
		return r, err
	}
	defer func() {
		s.stop()
		s.rdb.stop()
	}()
	l := w.load
	l.connections, l.url = b.sizes.connections, s.url
	l.header, l.duration = accepting.header, b.sizes.warm
	if w.trigger != nil {
		l.url, l.header = s.url+"/hooks/"+w.trigger.name, w.trigger.header
	}
	if _, err = b.send(ctx, s, w, l); err != nil {
		return r, fmt.Errorf("warming up: %w", err)
	}
	before, err := s.state(ctx)
	if err != nil {
		return r, err
	}
	l.duration = b.duration
	profiled := b.profiling(ctx, s)
	if r, err = b.send(ctx, s, w, l); err != nil {
		return r, errors.Join(err, profiled())
	}
	after, err := s.state(ctx)
	r.compare(before, after)
	return r, errors.Join(err, profiled())
}

// subject starts what a row measures.
func (b *bench) subject(ctx context.Context, w workload, flags ...string) (s *subject, err error) {
	var rdb *server
	if !w.bare {
		if rdb, err = startRedis(ctx, b.dir); err != nil {
			return nil, err
		}
	}
	if w.trigger == nil {
		s, err = b.ceiling(ctx, rdb)
	} else {
		var dir string
		if dir, err = b.rulesOf(*w.trigger); err == nil {
			s, err = b.doorhook(ctx, dir, rdb, flags...)
		}
	}
	if err != nil {
		rdb.stop()
	}
	return s, err
}

// send sends a load of events that nobody has seen, and waits for what comes of it. What
// went wrong is in the error, and in the round.
func (b *bench) send(ctx context.Context, s *subject, w workload, l load) (r round, err error) {
	t := &accepting
	if w.trigger != nil {
		t = w.trigger
	}
	run := b.draw()
	l.events = t.events(run)
	b.sink.expect(run)
	started := time.Now()
	r.Load = l.run(ctx)
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if err := r.Load.check(); err != nil {
		return r, err
	}
	if w.hands {
		if err := b.delivered(ctx, &r, started); err != nil {
			return r, err
		}
	}
	if w.later {
		return r, s.rdb.quiet(ctx)
	}
	return r, nil
}

// delivered waits until all that was accepted was handed on, once, and counts the time
// until the last.
func (b *bench) delivered(ctx context.Context, r *round, started time.Time) error {
	got := b.sink.settled(ctx, r.Load.New, b.patience)
	r.Lost, r.Doubled = got.lost(r.Load.New), got.doubled(r.Load.New)
	b.noteDelivery(*r)
	r.Load.Seconds = got.Last.Sub(started).Seconds()
	r.Load.PerSecond = float64(got.Events) / r.Load.Seconds
	return got.check(r.Load.New)
}

// draw names a run as none was named before.
func (b *bench) draw() string {
	b.drawn++
	return fmt.Sprintf("%x-%d", time.Now().UnixNano(), b.drawn)
}

// compare counts what was used between two moments.
func (r *round) compare(before, after state) {
	n := float64(max(r.Load.Requests, 1))
	r.CPU = float64((after.own.cpu - before.own.cpu).Microseconds()) / n
	r.RedisCPU = float64((after.redis.cpu - before.redis.cpu).Microseconds()) / n
	r.BenchCPU = float64((after.bench - before.bench).Microseconds()) / n
	r.Trips = float64(after.calls-before.calls) / n
	r.Bytes = float64(after.memory-before.memory) / n
	r.Peak = after.own.peak
}
