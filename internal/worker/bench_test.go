package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// belt is a store and a doer that take all they are given.
type belt struct{ *shelf }

func (belt) Finish(context.Context, relay.Job, time.Time, []relay.DeadLetter) error { return nil }

func (belt) Create(context.Context, relay.Action) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK, Answer: "204 No Content"}
}

func claimedMessage(now time.Time) relay.Job {
	return relay.Job{
		ID: "kisi:event:0d4ab9a2-7e5c-4b59-a7d6-0a4f3f9a3b7e", Trigger: "kisi", EventID: "0d4ab9a2-7e5c-4b59-a7d6-0a4f3f9a3b7e",
		Changes: 1, ChangedAt: now, ReceivedAt: now, Want: []relay.Action{send("tell")}, Since: now, Lane: relay.Messages,
	}
}

// BenchmarkMessage is what a worker does for a message, without a store, a network and a log.
func BenchmarkMessage(b *testing.B) {
	s := belt{newShelf()}
	w, err := New(s, s, slog.New(slog.DiscardHandler), Options{Lane: relay.Messages})
	if err != nil {
		b.Fatal(err)
	}
	j := claimedMessage(time.Now().Add(time.Hour)) // the benchmark may outlast a lease
	b.ReportAllocs()
	for b.Loop() {
		w.work(b.Context(), j, func() time.Time { return j.Since })
	}
}

// BenchmarkDecide is what is decided of a message, from its claim to its finish.
func BenchmarkDecide(b *testing.B) {
	now := time.Now()
	fresh := claimedMessage(now)
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
