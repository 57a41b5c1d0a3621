package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

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

// fiftyRules is a file of 50 rules, each with a table of 200 spaces, a let, two conditions, a link
// and a schedule. Of every so many rules one matches [fiftyEvent].
func fiftyRules(every int) fstest.MapFS {
	var b strings.Builder
	b.WriteString("trigger: t\nauth: {none: true}\ntimezone: America/New_York\nid: payload.event_id\nbooking: payload.booking_id\nversion: payload.updated_at\n" +
		"cancelled: payload.status in [\"cancelled\", \"deleted\"]\nlet:\n  start: time(payload.start)\n  end: time(payload.end)\ntables:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  spaces%d:\n", i)
		for j := range 200 {
			fmt.Fprintf(&b, "    Studio %d: {lock: %d, group: %d}\n", j, 1000*i+j+1, 1000*i+j+2)
		}
	}
	b.WriteString("rules:\n")
	for i := range 50 {
		fmt.Fprintf(&b, `  - name: rule %d
    let: {space: 'spaces%d[payload.space]'}
    when: space != nil && payload.number %% %d == %d
    at: start - hours(1)
    do:
      - group_link: {group_id: "${space.group}", name: "Booking ${payload.booking_id}", email: "${payload.email}", valid_from: "${start - minutes(10)}", valid_until: "${end}"}
      - schedule: {lock_id: "${space.lock}", starts_at: "${start}", ends_at: "${min(start + minutes(15), end)}"}
`, i, i, every, i%every)
	}
	return fstest.MapFS{"t.yaml": {Data: []byte(b.String())}}
}

func fiftyEvent() relay.Event {
	return relay.Event{ID: "evt_1", Trigger: "t", ReceivedAt: received, Payload: map[string]any{
		"event_id": "e1", "booking_id": 97088432, "updated_at": "2026-11-22T15:59:00Z", "status": "confirmed", "number": 4,
		"space": "Studio 77", "start": "2026-11-23T08:00:00", "end": "2026-11-23T09:00:00", "email": "jo@example.com",
	}}
}

// BenchmarkPlanFiftyRules plans an event that 2 of 50 rules match, as bookings are, and one
// that 25 match, which asks for 50 actions.
func BenchmarkPlanFiftyRules(b *testing.B) {
	for _, match := range []int{2, 25} {
		b.Run(fmt.Sprintf("%d match", match), func(b *testing.B) {
			set, err := Load(fiftyRules(50/match), "rules", testEnv)
			if err != nil {
				b.Fatal(err)
			}
			ev := fiftyEvent()
			b.ReportAllocs()
			for b.Loop() {
				if p := set.Plan(ev); len(p.Rules) != match || len(p.Problems) > 0 {
					b.Fatalf("%+v", p)
				}
			}
		})
	}
}

// BenchmarkLoadFiftyRules loads them.
func BenchmarkLoadFiftyRules(b *testing.B) {
	fsys := fiftyRules(2)
	for b.Loop() {
		if _, err := Load(fsys, "rules", testEnv); err != nil {
			b.Fatal(err)
		}
	}
}
