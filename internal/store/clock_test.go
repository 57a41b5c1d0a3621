package store

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestClock follows a Redis whose clock is not ours, from answers that took their time.
func TestClock(t *testing.T) {
	const ms = time.Millisecond
	at := func(d time.Duration) time.Time { return time.Unix(1_800_000_000, 0).Add(d) }
	type answer struct{ sent, redis, here time.Duration } // redis by its own clock
	tests := []struct {
		name    string
		answers []answer
		want    time.Duration // what Redis's clock shows, as we think, when the last answer is here
	}{
		{"the same clock", []answer{{0, 1 * ms, 2 * ms}}, 2 * ms},
		{"a slow way there", []answer{{0, 99 * ms, 100 * ms}}, 100 * ms},
		{"a slow way back", []answer{{0, 1 * ms, 100 * ms}}, 100 * ms},
		{"slow ways after a quick one", []answer{{0, 1 * ms, 2 * ms}, {10 * ms, 109 * ms, 110 * ms}, {120 * ms, 121 * ms, 220 * ms}}, 220 * ms},
		{"Redis is ahead", []answer{{0, 501 * ms, 2 * ms}}, 501 * ms},
		{"Redis is behind", []answer{{600 * ms, 101 * ms, 602 * ms}}, 103 * ms},
		{"Redis is ahead, and both are put back meanwhile", []answer{{0, 10_000 * ms, 0}, {5000 * ms, 5000 * ms, 0}}, 5000 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var host time.Time
			c := clock{host: func() time.Time { return host }}
			for _, a := range tt.answers {
				host = at(a.here)
				c.saw(at(a.redis), at(a.sent))
			}
			if got := c.now().Sub(at(0)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestClockHearsTwoAtOnce: what one answer showed is not lost to another's.
func TestClockHearsTwoAtOnce(t *testing.T) {
	host := time.Unix(1_800_000_000, 0)
	for range 20_000 {
		var both sync.WaitGroup
		var looked atomic.Int32
		c := clock{host: func() time.Time {
			looked.Add(1)
			for spun := 0; looked.Load() < 2; spun++ { // until both are about to change it
				if spun > 10_000 { // the other one has no processor
					runtime.Gosched()
				}
			}
			return host
		}}
		for _, ahead := range []time.Duration{20, 15} {
			both.Go(func() { c.saw(host.Add(ahead), host.Add(-10)) })
		}
		both.Wait()
		if got := c.offset.Load(); got != 20 {
			t.Fatalf("%d ns ahead", got)
		}
	}
}

// TestClockGoesOn orders what one process sees, whatever Redis's answers do to its clock,
// and follows a clock that was put back for good.
func TestClockGoesOn(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	host := start
	c := clock{host: func() time.Time { return host }}
	answer := func(behind time.Duration) { c.saw(host.Add(-behind), host) }
	last := c.now()
	for i, behind := range []time.Duration{0, 0, time.Millisecond, 900 * time.Millisecond, 0, 500 * time.Millisecond} {
		answer(behind)
		got := c.now()
		if gone := got.Sub(last); gone < time.Microsecond || got.UnixMicro() == last.UnixMicro() {
			t.Errorf("answer %d: %s after the last", i, gone)
		}
		last = got
	}
	answer(time.Hour)
	if got := c.now(); !got.Equal(start.Add(-time.Hour)) {
		t.Errorf("put back by an hour it shows %s", got)
	}
}
