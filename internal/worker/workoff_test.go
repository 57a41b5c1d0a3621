package worker

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

// TestWorkOff is about who has a clock that stands still: what is due is done and
// nothing else, and no time passes.
func TestWorkOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		later := window("b")
		later.At = start.Add(time.Minute)
		s := newShelf(window("a"), later)
		failing := true
		s.onCreate = func(relay.Action) relay.Outcome {
			if failing {
				failing = false
				return relay.Outcome{Verdict: relay.Retry, Err: relay.ErrUntried}
			}
			return relay.Outcome{Verdict: relay.OK, Object: 1}
		}
		rolls := 0
		w, err := New(s, s, slog.New(slog.DiscardHandler), Options{Roll: func() float64 { rolls++; return 0 }})
		if err != nil {
			t.Fatal(err)
		}
		work := func(next time.Duration, done ...string) {
			t.Helper()
			s.done = nil
			got, err := w.WorkOff(t.Context())
			if err != nil || !got.Equal(start.Add(next)) || !slices.Equal(s.done, done) {
				t.Errorf("got %v after %s, %v; want %v and %s", s.done, got.Sub(start), err, done, next)
			}
		}
		work(time.Second, "save", "create a", "finish") // the whole pause: the roll is 0
		work(time.Second)
		if d := time.Since(start); d != 0 || rolls == 0 {
			t.Errorf("%s have passed, and chance was asked %d times", d, rolls)
		}
		time.Sleep(time.Second)
		work(time.Minute, "save", "create a", "finish")
		time.Sleep(time.Minute)
		s.onCreate = nil
		if _, err := w.WorkOff(t.Context()); err != nil || !slices.Contains(s.done, "create b") {
			t.Errorf("got %v, %v", s.done, err)
		}
	})
}
