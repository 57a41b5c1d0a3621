package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

// slow is a shelf whose receivers take their time.
type slow struct {
	*shelf
	takes  time.Duration
	broken time.Duration // how long it took until a message was broken off; 0 was not
}

func (s *slow) Create(ctx context.Context, _ relay.Action) relay.Outcome {
	started := time.Now()
	select {
	case <-time.After(s.takes):
		return relay.Outcome{Verdict: relay.OK}
	case <-ctx.Done():
		s.broken = time.Since(started)
		return relay.Outcome{Verdict: relay.Retry, Err: errors.New("broken off")}
	}
}

// TestAMessageIsBrokenOff when its booking changes meanwhile: what it wants now may be
// that a door is shut.
func TestAMessageIsBrokenOff(t *testing.T) {
	message := relay.Action{Key: "m", Rule: "r", Kind: relay.Send, Args: relay.Encode(map[string]any{"text": "hello"})}
	changesAfter := func(d time.Duration, err error) func(s *shelf, lane *relay.Lane) {
		return func(s *shelf, _ *relay.Lane) {
			began := time.Now()
			s.onSave = func() (bool, error) {
				over := time.Since(began) > d
				if over && err != nil {
					return false, err
				}
				return over, nil
			}
		}
	}
	tests := []struct {
		name   string
		setup  func(s *shelf, lane *relay.Lane)
		broken time.Duration
	}{
		{"nothing changes", func(*shelf, *relay.Lane) {}, 0},
		{"the booking changes", changesAfter(1200*time.Millisecond, nil), 1500 * time.Millisecond},
		{"another worker has it", changesAfter(1200*time.Millisecond, relay.ErrLeaseLost), 1500 * time.Millisecond},
		{"the store is away for a moment", changesAfter(1200*time.Millisecond, relay.ErrUnavailable), 0},
		{"what belongs to no booking goes on", func(s *shelf, lane *relay.Lane) {
			*lane = relay.Messages
			changesAfter(1200*time.Millisecond, nil)(s, lane)
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{shelf: newShelf(message), takes: 4 * time.Second}
				lane := relay.Doors
				tt.setup(s.shelf, &lane)
				w, err := New(s, s, slog.New(slog.DiscardHandler), Options{Lane: lane})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // one message
				defer cancel()
				w.Run(ctx)
				if s.broken != tt.broken {
					t.Errorf("broken off after %s, want %s", s.broken, tt.broken)
				}
			})
		})
	}
}
