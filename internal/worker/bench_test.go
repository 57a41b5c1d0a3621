package worker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// belt is a store that has n messages, each of which is wanted once, and a doer that
// sends them nowhere.
type belt struct {
	*shelf
	n, done int
	over    context.CancelFunc
}

func message1(i int, now time.Time) relay.Job {
	a := send("tell")
	return relay.Job{
		ID: fmt.Sprint("kisi:event:", i), Trigger: "kisi", EventID: fmt.Sprint(i), Changes: 1, ChangedAt: now, ReceivedAt: now,
		Want: []relay.Action{a}, Since: now, Lane: relay.Messages,
	}
}

func (s *belt) Claim(_ context.Context, _ relay.Lane, n int) (relay.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	c := relay.Claim{Now: now}
	for range min(n, s.n) {
		c.Jobs = append(c.Jobs, message1(s.n, now))
		s.n--
	}
	return c, nil
}

func (s *belt) Save(context.Context, relay.Job) (bool, error) { return false, nil }

func (s *belt) Finish(context.Context, relay.Job, time.Time, []relay.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done--; s.done == 0 {
		s.over()
	}
	return nil
}

func (s *belt) Create(context.Context, relay.Action) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK, Answer: "204 No Content"}
}

// BenchmarkMessages is what a worker does for a message, without a store and a network.
func BenchmarkMessages(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	s := &belt{newShelf(), b.N, b.N, cancel}
	w, err := New(s, s, slog.New(slog.NewJSONHandler(io.Discard, nil)), Options{Lane: relay.Messages, Concurrency: 128})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer() //nolint:modernize // the worker's own loop is what is measured
	w.Run(ctx)
}

// BenchmarkDecide is what is decided of a message, from its claim to its finish.
func BenchmarkDecide(b *testing.B) {
	now := time.Now()
	fresh := message1(1, now)
	b.ReportAllocs()
	for b.Loop() {
		j := fresh
		d := next(&j, now, time.Hour)
		begin(&j, d.step, now)
		if l := apply(&j, d.step, relay.Outcome{Verdict: relay.OK, Answer: "204 No Content"}, now, 0.5); l != nil {
			b.Fatal(l)
		}
		if d = next(&j, now, time.Hour); d.step.op != none {
			b.Fatal(d.step)
		}
	}
}
