//go:build linux

package main

import (
	"fmt"
	"slices"
)

// The figures, by the names they have in the table.
const (
	acceptRatio   = "accept, durable, to Fiber and one SET NX"
	twiceRatio    = "the same, half of them duplicates"
	idleP50       = "accept to first outbound request, idle, p50"
	idleP99       = "accept to first outbound request, idle, p99"
	rateP99       = "accept at 1,000/s, p99"
	deliverRate   = "accept, work and deliver together"
	lostOrDoubled = "events lost or doubled"
	claimTime     = "claim beside 100,000 waiting jobs to 1,000: time"
	claimCPU      = "claim beside 100,000 waiting jobs to 1,000: Redis CPU"
	finishedBytes = "Redis memory of a finished event"
	waitingBytes  = "Redis memory of a waiting job with two actions"
	idleMemory    = "memory of the process, idle"
	peakMemory    = "memory of the process, highest of all"
	soakGrowth    = "memory of the process, growth in 10 minutes of soak"
	soakRedis     = "memory of Redis, growth in 10 minutes of soak"
	coldStart     = "cold start to ready"
	embeddedStart = "cold start to ready, embedded Redis"
)

// figure is what is required of doorhook, and what was measured.
type figure struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit,omitempty"`
	Limit   float64   `json:"limit"`
	AtLeast bool      `json:"at_least,omitempty"` // the limit is the least, not the most
	Worst   bool      `json:"worst,omitempty"`    // the highest value counts, not the median
	Values  []float64 `json:"values,omitempty"`   // of each round
	Value   float64   `json:"value"`
	Spread  float64   `json:"spread"` // half of what lies between the lowest and the highest
	OK      bool      `json:"ok"`
}

// required are the figures that doorhook is to reach, in the order of the table.
func required() []figure {
	return []figure{
		{Name: acceptRatio, Limit: 0.9, AtLeast: true},
		{Name: twiceRatio, Limit: 0.9, AtLeast: true},
		{Name: idleP50, Unit: "ms", Limit: 2},
		{Name: idleP99, Unit: "ms", Limit: 10},
		{Name: rateP99, Unit: "ms", Limit: 5},
		{Name: deliverRate, Unit: "events/s", Limit: 8000, AtLeast: true},
		{Name: lostOrDoubled, Unit: "events", Limit: 0, Worst: true},
		{Name: claimTime, Unit: "times", Limit: 2},
		{Name: claimCPU, Unit: "times", Limit: 2},
		{Name: finishedBytes, Unit: "B", Limit: 400},
		{Name: waitingBytes, Unit: "B", Limit: 1536},
		{Name: idleMemory, Unit: "MB", Limit: 40},
		{Name: peakMemory, Unit: "MB", Limit: 120, Worst: true},
		{Name: soakGrowth, Unit: "MB", Limit: 5},
		{Name: soakRedis, Unit: "MB", Limit: 5},
		{Name: coldStart, Unit: "ms", Limit: 300},
		{Name: embeddedStart, Unit: "ms", Limit: 300},
	}
}

// note keeps a value of a figure.
func (b *bench) note(name string, value float64) {
	i := slices.IndexFunc(b.figures, func(f figure) bool { return f.Name == name })
	b.figures[i].Values = append(b.figures[i].Values, value)
}

func (b *bench) noteDelivery(r round) { b.note(lostOrDoubled, float64(r.Lost+r.Doubled)) }

// judge computes what the values come to.
func (f *figure) judge() {
	if len(f.Values) == 0 {
		return
	}
	f.Value, f.Spread = medianOf(f.Values), spreadOf(f.Values)
	if f.Worst {
		f.Value = slices.Max(f.Values)
	}
	f.OK = f.Value <= f.Limit
	if f.AtLeast {
		f.OK = f.Value >= f.Limit
	}
}

// requires says what is to be reached.
func (f *figure) requires() string {
	if f.AtLeast {
		return "≥ " + f.text(f.Limit)
	}
	return "≤ " + f.text(f.Limit)
}

// text writes a value with its unit.
func (f *figure) text(v float64) string {
	switch f.Unit {
	case "":
		return fmt.Sprintf("%.2f", v)
	case "ms", "MB", "times":
		return fmt.Sprintf("%.1f %s", v, f.Unit)
	}
	return fmt.Sprintf("%.0f %s", v, f.Unit)
}

// verdict is the last word on a figure.
func (f *figure) verdict() (measured, yes string) {
	switch {
	case len(f.Values) == 0 && (f.Name == soakGrowth || f.Name == soakRedis):
		return "not measured (make soak)", ""
	case len(f.Values) == 0:
		return "not measured", ""
	case f.OK:
		return f.text(f.Value), "yes"
	}
	return f.text(f.Value), "no"
}

func medianOf(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func spreadOf(values []float64) float64 { return (slices.Max(values) - slices.Min(values)) / 2 }
