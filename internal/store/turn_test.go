package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// TestTurns counts, in any window, how many requests two processes were let make.
func TestTurns(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		const rate = 5
		stores := []*Store{b.ownClock(t), b.ownClock(t)}
		var mu sync.Mutex
		var went []time.Time
		var wg sync.WaitGroup
		for i := range 11 {
			wg.Go(func() {
				if err := stores[i%2].Turn(t.Context(), rate); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				went = append(went, time.Now())
			})
		}
		wg.Wait()
		for i := rate; i < len(went); i++ {
			if gap := went[i].Sub(went[i-rate]); gap < time.Second {
				t.Errorf("requests %d to %d came within %s", i-rate, i, gap)
			}
		}
		if took := went[len(went)-1].Sub(went[0]); took > 4*time.Second {
			t.Errorf("%d requests took %s", len(went), took)
		}
	})
}

func TestATurnThatCannotComeInTimeFailsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.ownClock(t)
		if err := s.Turn(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := s.Turn(ctx, 1); !errors.Is(err, relay.ErrUntried) || ctx.Err() != nil {
			t.Errorf("%v, %v", err, ctx.Err())
		}
	})
}

func TestTheHighestPriorityGoesFirst(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		const rate = 2
		s := b.ownClock(t)
		for range rate {
			if err := s.Turn(t.Context(), rate); err != nil {
				t.Fatal(err)
			}
			<-time.After(300 * time.Millisecond) // as far apart as the next turns will be
		}
		order := make(chan relay.Priority, 3)
		var wg sync.WaitGroup
		for _, p := range []relay.Priority{relay.Whenever, relay.Granting, relay.Revoking} {
			wg.Go(func() {
				if err := s.Turn(relay.WithPriority(t.Context(), p), rate); err != nil {
					t.Error(err)
				}
				order <- p
			})
			waits := func() bool {
				n, err := b.rdb.HExists(ctx, b.key("turns-waiting"), string('0'+rune(p))).Result()
				return err == nil && n
			}
			for end := time.Now().Add(time.Second); !waits(); {
				if time.Now().After(end) {
					t.Fatalf("%d does not wait", p)
				}
			}
		}
		wg.Wait()
		if first, second := <-order, <-order; first != relay.Revoking || second != relay.Granting {
			t.Errorf("went: %d, %d", first, second)
		}
	})
}

// ownClock is a store that takes the time from Redis, as in production.
func (b *bed) ownClock(t testing.TB) *Store {
	o := b.options()
	o.Now = nil
	return open(t, o)
}
