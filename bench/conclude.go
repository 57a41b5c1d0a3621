//go:build linux

package main

import "time"

// conclude computes medians, and what the figures come to.
func (b *bench) conclude() {
	for i := range b.rows {
		r := &b.rows[i]
		r.Median = medianRound(r.Rounds)
		if speed := r.Median.Load.PerSecond; speed > 0 {
			r.Spread = spreadOf(each(r.Rounds, func(o round) float64 { return o.Load.PerSecond })) / speed
		}
		for _, o := range r.Rounds {
			b.noteRow(r.Name, o)
		}
	}
	if b.peak > 0 {
		b.note(peakMemory, mb(b.peak))
	}
	for i := range b.figures {
		b.figures[i].judge()
	}
}

// noteRow keeps what a round says of the figures.
func (b *bench) noteRow(name string, r round) {
	switch name {
	case accept, acceptTwice:
		if r.Ratio > 0 { // without its ceiling there is none
			b.note(map[string]string{accept: acceptRatio, acceptTwice: twiceRatio}[name], r.Ratio)
		}
	case acceptRate:
		b.note(rateP99, ms(r.Load.P99))
	case deliver:
		b.note(deliverRate, r.Load.PerSecond)
	case idle:
		b.note(idleP50, ms(r.Load.P50))
		b.note(idleP99, ms(r.Load.P99))
	}
}

func each(rounds []round, of func(round) float64) (values []float64) {
	for _, r := range rounds {
		values = append(values, of(r))
	}
	return values
}

// medianRound has the median of each value by itself.
func medianRound(rounds []round) (m round) {
	middle := func(of func(round) float64) float64 { return medianOf(each(rounds, of)) }
	took := func(of func(measured) time.Duration) time.Duration {
		return time.Duration(middle(func(r round) float64 { return float64(of(r.Load)) }))
	}
	count := func(of func(round) int) (n int) {
		for _, r := range rounds {
			n += of(r)
		}
		return n
	}
	m.Load.PerSecond = middle(func(r round) float64 { return r.Load.PerSecond })
	m.Load.Seconds = middle(func(r round) float64 { return r.Load.Seconds })
	m.Load.Requests = int(middle(func(r round) float64 { return float64(r.Load.Requests) }))
	m.Load.New = int(middle(func(r round) float64 { return float64(r.Load.New) }))
	m.Load.Duplicates = int(middle(func(r round) float64 { return float64(r.Load.Duplicates) }))
	m.Load.P50 = took(func(l measured) time.Duration { return l.P50 })
	m.Load.P99 = took(func(l measured) time.Duration { return l.P99 })
	m.Load.P999 = took(func(l measured) time.Duration { return l.P999 })
	m.Load.Errors = count(func(r round) int { return r.Load.Errors })
	m.Load.Busy = count(func(r round) int { return r.Load.Busy })
	m.Lost, m.Doubled = count(func(r round) int { return r.Lost }), count(func(r round) int { return r.Doubled })
	m.Ratio = middle(func(r round) float64 { return r.Ratio })
	m.CPU = middle(func(r round) float64 { return r.CPU })
	m.RedisCPU = middle(func(r round) float64 { return r.RedisCPU })
	m.BenchCPU = middle(func(r round) float64 { return r.BenchCPU })
	m.Trips = middle(func(r round) float64 { return r.Trips })
	m.Bytes = middle(func(r round) float64 { return r.Bytes })
	m.Peak = int64(middle(func(r round) float64 { return float64(r.Peak) }))
	m.First = middle(func(r round) float64 { return r.First })
	return m
}
