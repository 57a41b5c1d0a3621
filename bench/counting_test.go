//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHistogram: what comes out is within a hundredth of what went in.
func TestHistogram(t *testing.T) {
	h := &histogram{}
	for i := range 1000 {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for share, want := range map[float64]time.Duration{0: 0, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 0.999: 999 * time.Millisecond} {
		if got := h.at(share); math.Abs(float64(got-want)) > float64(want)/100 {
			t.Errorf("%g: %s, want %s", share, got, want)
		}
	}
	for v := uint64(1); v < 1<<62; v += 1 + v/7 {
		if got := uint64(middle(bucket(v))); math.Abs(float64(got)-float64(v)) > float64(v)/100 {
			t.Errorf("%d comes out as %d", v, got)
		}
	}
	if got := (&histogram{}).at(0.5); got != 0 {
		t.Errorf("an empty one has %s", got)
	}
	h.add(-1) // a clock that was put back
	h.add(math.MaxInt64)
}

// TestMeasured: each event is accepted once, and what was not meant to be measured is said.
func TestMeasured(t *testing.T) {
	tests := []struct {
		m    measured
		says string
	}{
		{measured{Requests: 100, New: 100}, ""},
		{measured{Requests: 100, New: 60, Duplicates: 40}, ""},
		{measured{}, "nothing was sent"},
		{measured{Requests: 100, New: 100, Errors: 2, First: "503"}, "2 of 100 requests failed, the first with: 503"},
		{measured{Requests: 100, New: 100, Duplicates: 1}, "100 events were sent, and 99 accepted"},
		{measured{Requests: 100, New: 60, Duplicates: 39}, "60 events were sent, and 61 accepted"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(tt.m.check()); tt.says == "" && got != "<nil>" || !strings.Contains(got, tt.says) {
			t.Errorf("%+v: %s, want %q", tt.m, got, tt.says)
		}
	}
}

// TestLedger: the sink knows what is lost and what is doubled, whatever the total.
func TestLedger(t *testing.T) {
	t.Parallel() // it waits for what comes again
	tests := []struct {
		name          string
		came          []string // number, and webhook-id
		lost, doubled int
	}{
		{"all", []string{"0 a", "1 b", "2 c"}, 0, 0},
		{"in another order", []string{"2 c", "0 a", "1 b"}, 0, 0},
		{"one lost", []string{"0 a", "2 c"}, 1, 0},
		{"one doubled", []string{"0 a", "1 b", "2 c", "1 b"}, 0, 1},
		{"one lost, one doubled, and the total is right", []string{"0 a", "1 b", "1 b"}, 1, 1},
		{"again under another id", []string{"0 a", "1 b", "2 c", "1 d"}, 0, 1},
		{"two under one id", []string{"0 a", "1 a", "2 c"}, 0, 1},
		{"one that was never sent", []string{"0 a", "1 b", "2 c", "3 d"}, 0, 1},
		{"many times", slices.Repeat([]string{"0 a"}, 300), 2, 299},
		{"none", nil, 3, 0},
	}
	s, err := newSink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, tt := range tests {
		s.expect("run")
		s.receive(time.Now(), []byte(`{"uuid":"another-1"}`), []byte("x"))
		for _, c := range tt.came {
			n, id, _ := strings.Cut(c, " ")
			s.receive(time.Now(), fmt.Appendf(nil, `{"type":"x","uuid":"run-%s"}`, n), []byte(id))
		}
		got := s.settled(t.Context(), 3, time.Millisecond)
		if got.lost(3) != tt.lost || got.doubled(3) != tt.doubled || (got.check(3) == nil) != (tt.lost+tt.doubled == 0) {
			t.Errorf("%s: %d lost and %d doubled, want %d and %d: %v", tt.name, got.lost(3), got.doubled(3), tt.lost, tt.doubled, got.check(3))
		}
	}
}

// TestFigures: what is required decides between yes and no.
func TestFigures(t *testing.T) {
	tests := []struct {
		f              figure
		measured, says string
	}{
		{figure{Name: acceptRatio, Limit: 0.9, AtLeast: true, Values: []float64{0.5, 0.95, 0.91}}, "0.91", "yes"},
		{figure{Name: acceptRatio, Limit: 0.9, AtLeast: true, Values: []float64{0.95, 0.8, 0.89}}, "0.89", "no"},
		{figure{Name: idleP50, Unit: "ms", Limit: 2, Values: []float64{1.5, 3, 1.7}}, "1.7 ms", "yes"},
		{figure{Name: idleP50, Unit: "ms", Limit: 2, Values: []float64{1.9, 2.3}}, "2.1 ms", "no"},
		{figure{Name: lostOrDoubled, Unit: "events", Worst: true, Values: []float64{0, 0, 1}}, "1 events", "no"},
		{figure{Name: lostOrDoubled, Unit: "events", Worst: true, Values: []float64{0, 0, 0}}, "0 events", "yes"},
		{figure{Name: finishedBytes, Unit: "B", Limit: 400}, "not measured", ""},
		{figure{Name: soakGrowth, Unit: "MB", Limit: 5}, "not measured (make soak)", ""},
	}
	for _, tt := range tests {
		tt.f.judge()
		if measured, says := tt.f.verdict(); measured != tt.measured || says != tt.says {
			t.Errorf("%+v: %q %q, want %q %q", tt.f, measured, says, tt.measured, tt.says)
		}
	}
}

// TestTenMinutes: a leak shows in the slope, and noise does not.
func TestTenMinutes(t *testing.T) {
	var leak, noise []sample
	for i := range 480 {
		at := time.Duration(i) * time.Second
		leak = append(leak, sample{At: at, RSS: 50e6 + int64(i)*20_000})   // 20 kB a second
		noise = append(noise, sample{At: at, RSS: 50e6 + int64(i%2)*10e6}) // as the garbage collector goes
	}
	rss := func(s sample) int64 { return s.RSS }
	if got := tenMinutes(leak, rss); math.Abs(got-12) > 0.01 {
		t.Errorf("a leak of 12 MB is %.2f MB", got)
	}
	if got := tenMinutes(noise, rss); math.Abs(got) > 0.1 {
		t.Errorf("noise is %.2f MB", got)
	}
	if got := tenMinutes(leak[:1], rss); got != 0 {
		t.Errorf("one sample has a slope of %.2f", got)
	}
}

// TestOrder: what is compared stands side by side, and takes turns in going first.
func TestOrder(t *testing.T) {
	place := func(n int, name string) int {
		return slices.IndexFunc(order(workloads(), n), func(w workload) bool { return w.name == name })
	}
	for n, first := range map[int]int{0: 1, 1: -1, 2: 1} {
		if place(n, accept)-place(n, oneSet) != first || place(n, acceptTwice)-place(n, oneSetTwice) != first {
			t.Errorf("round %d: %v", n, order(workloads(), n))
		}
	}
}

// TestUnderstand: an answer that is not what was asked for is a failure, 200 or not.
func TestUnderstand(t *testing.T) {
	for answer, want := range map[string]struct {
		ok    bool
		again int64
	}{
		`{"status":"accepted","event_id":"duplicate"}`: {true, 0},
		`{"status":"ignored"}`:                         {true, 0},
		`{"status":"duplicate"}`:                       {true, 1},
		`{"status":"stale"}`:                           {false, 0},
		`{"status":"failed","error":"accepted"}`:       {false, 0},
		`accepted`:                                     {false, 0},
		``:                                             {false, 0},
	} {
		s := &sending{}
		if err := s.understand([]byte(answer)); (err == nil) != want.ok || s.again.Load() != want.again {
			t.Errorf("%s: %v, %d duplicates", answer, err, s.again.Load())
		}
	}
}
