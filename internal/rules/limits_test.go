package rules

import (
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/relay"
)

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second / 2:                         "less than a second",
		time.Second:                             "1 second",
		90*time.Minute + time.Second:            "1 hour 30 minutes 1 second",
		26*time.Hour + 61*time.Second:           "1 day 2 hours 1 minute",
		400*24*time.Hour + 2*time.Hour:          "400 days 2 hours",
		24*time.Hour + time.Minute + 40_500_000: "1 day 1 minute",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

// TestPlanSaysWhoDecided: by which rules, and where in its file each of them stands.
func TestPlanSaysWhoDecided(t *testing.T) {
	const file = "trigger: t\nauth: {none: true}\nid: payload.id.x\nrules:\n" +
		"  - {name: z, do: [{unlock: {lock_id: 1}}]}\n  - {name: no, when: false, do: [{unlock: {lock_id: 1}}]}\n  - {name: a, do: [{unlock: {lock_id: 1}}]}\n"
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(file)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	plan := func(trigger string, payload any) relay.Plan {
		p := set.Plan(relay.Event{Trigger: trigger, ReceivedAt: received, Payload: payload})
		if p.Revision != set.Revision() {
			t.Errorf("%s %v: revision %q, want %q", trigger, payload, p.Revision, set.Revision())
		}
		return p
	}
	p := plan("t", map[string]any{"id": map[string]any{"x": 1}})
	if len(p.Rules) != 2 || p.Rules[0].Place != 0 || p.Rules[1].Place != 2 {
		t.Errorf("%+v", p.Rules)
	}
	if p = plan("t", map[string]any{"id": 1}); !p.Fatal {
		t.Error("its identity can be computed")
	}
	plan("u", nil)
}

// TestLongestWindowWhenClocksChange has bookings of a night in which clocks are put back, or
// forward, that are as long on the wall as limits allow, or longer.
func TestLongestWindowWhenClocksChange(t *testing.T) {
	const file = "trigger: t\nauth: {none: true}\ntimezone: America/New_York\nlimits: {max_window: 1h}\nrules:\n" +
		"  - {name: r, do: [{schedule: {lock_id: 1, starts_at: \"${payload.start}\", ends_at: \"${payload.end}\"}}]}\n"
	set, err := Load(fstest.MapFS{"t.yaml": {Data: []byte(file)}}, "rules", testEnv)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		start, end string
		opens      bool
	}{
		{"2026-11-01T00:30:00", "2026-11-01T01:30:00", true},
		{"2026-11-01T01:00:00", "2026-11-01T02:00:00", true},
		{"2026-11-01T01:00:00", "2026-11-01T01:45:00", true},
		{"2026-11-01T01:00:00", "2026-11-01T02:01:00", false},
		{"2026-11-01T02:00:00", "2026-11-01T03:01:00", false},
		{"2026-03-08T01:30:00", "2026-03-08T03:30:00", true},
		{"2026-03-08T01:30:00", "2026-03-08T03:31:00", false},
	}
	for _, tt := range tests {
		p := set.Plan(relay.Event{Trigger: "t", ReceivedAt: received, Payload: map[string]any{"start": tt.start, "end": tt.end}})
		if opens := len(p.Rules) == 1; opens != tt.opens {
			t.Errorf("%s to %s opens: %t %v", tt.start, tt.end, opens, p.Problems)
		}
	}
}
