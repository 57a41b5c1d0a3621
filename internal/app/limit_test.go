package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimiter counts, in any window, how many requests were let through.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const kisiRate = 5
		l := newLimiter(kisiRate)
		var at []time.Time
		for range 25 {
			if err := l.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			at = append(at, time.Now())
		}
		for i := kisiRate; i < len(at); i++ {
			if gap := at[i].Sub(at[i-kisiRate]); gap < time.Second {
				t.Errorf("requests %d to %d came within %s", i-kisiRate, i, gap)
			}
		}
		if took := at[len(at)-1].Sub(at[0]); took > 5*time.Second {
			t.Errorf("25 requests took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := l.wait(ctx); err == nil {
			t.Error("a request that could not be sent in time was let through")
		}
	})
}
