package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

// stream is a store in which a message comes due at each of these times.
type stream struct {
	*shelf
	due    []time.Time
	claims []time.Time // those that brought something
}

func (s *stream) Claim(_ context.Context, _ relay.Lane, n int) (relay.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := relay.Claim{Now: time.Now()}
	for ; len(c.Jobs) < n && len(s.due) > 0 && !s.due[0].After(c.Now); s.due = s.due[1:] {
		c.Jobs = append(c.Jobs, relay.Job{ID: fmt.Sprint(len(s.due)), Lane: relay.Messages, Changes: 1, Want: []relay.Action{send("tell")}, Since: c.Now})
	}
	if len(c.Jobs) > 0 {
		s.claims = append(s.claims, c.Now)
	}
	return c, nil
}

func (s *stream) Finish(context.Context, relay.Job, time.Time, []relay.DeadLetter) error { return nil }

// TestClaimsAreFew lets what comes all the time gather a little, and what comes after a
// while not wait at all.
func TestClaimsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &stream{shelf: newShelf()}
		for i := range 100 { // ten each millisecond, and one by itself
			s.due = append(s.due, began.Add(10*time.Millisecond+time.Duration(i)*time.Millisecond/10))
		}
		s.due = append(s.due, began.Add(500*time.Millisecond))
		for _, at := range append(slices.Clone(s.due), began.Add(499*time.Millisecond)) { // one for nothing
			time.AfterFunc(time.Until(at), func() {
				select {
				case s.wake <- struct{}{}:
				default:
				}
			})
		}
		w, err := New(s, s, slog.New(slog.DiscardHandler), Options{Lane: relay.Messages, Concurrency: 128})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Run(ctx)
		if sent := len(s.done); sent != 101 || len(s.claims) != 7 {
			t.Errorf("%d were sent, in %d claims", sent, len(s.claims))
		}
		for i, at := range map[int]time.Duration{0: 10 * time.Millisecond, 1: 12 * time.Millisecond, len(s.claims) - 1: 500 * time.Millisecond} {
			if got := s.claims[i].Sub(began); got != at {
				t.Errorf("claim %d after %s, want %s", i, got, at)
			}
		}
	})
}
