package rules

import (
	"os"
	"testing"

	"doorhook/internal/relay"
)

// BenchmarkPlan plans a Skedda booking with the starter rules.
func BenchmarkPlan(b *testing.B) {
	set, err := Load(os.DirFS("../../rules"), "rules", testEnv)
	if err != nil {
		b.Fatal(err)
	}
	ev := relay.Event{ID: "evt_1", Trigger: "skedda", ReceivedAt: received, Payload: map[string]any{
		"event_id": "e1", "booking_id": 97088432, "updated_at": "2026-11-22T15:59:00Z", "status": "confirmed",
		"space": "Studio A", "start": "2026-11-23T08:00:00", "end": "2026-11-23T09:00:00", "email": "jo@example.com",
	}}
	b.ReportAllocs()
	for b.Loop() {
		if p := set.Plan(ev); len(p.Rules) != 2 {
			b.Fatalf("%+v", p)
		}
	}
}

// BenchmarkLoad loads the starter rules.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load(os.DirFS("../../rules"), "rules", testEnv); err != nil {
			b.Fatal(err)
		}
	}
}
