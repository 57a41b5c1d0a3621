//go:build linux

package main

import "time"

// sizes say how much of what is measured; a short run has little of everything.
type sizes struct {
	connections int

	warm    time.Duration // before each measurement: connections, scripts, page cache
	samples int           // of the latency, in each round
	spacing time.Duration // between two of them

	few, more, many int // waiting jobs; few and more tell what one takes in Redis, few and many what a claim costs
	claims          int

	fewDone, moreDone int // events that were handed on
	starts            int
	idle              time.Duration // after which a process is idle
	sampling          time.Duration // of the memory during a soak
}

func (o options) sizes() sizes {
	if o.short {
		return sizes{
			connections: 16, warm: 50 * time.Millisecond, samples: 30, spacing: 2 * time.Millisecond, few: 100, more: 300, many: 500, claims: 50,
			fewDone: 200, moreDone: 400, starts: 2, idle: 100 * time.Millisecond, sampling: 50 * time.Millisecond,
		}
	}
	return sizes{
		connections: 64, warm: 300 * time.Millisecond, samples: 500, spacing: 20 * time.Millisecond, few: 1000, more: 10_000, many: 100_000, claims: 1000,
		fewDone: 20_000, moreDone: 40_000, starts: 10, idle: 5 * time.Second, sampling: time.Second,
	}
}
