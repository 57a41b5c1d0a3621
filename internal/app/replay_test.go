package app

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
)

// TestReplayAll lets events fail, mends the rules and replays all that is dead. What
// the booking wants then is what it would have wanted had the rules been right.
func TestReplayAll(t *testing.T) {
	const (
		head = "trigger: t\ntimezone: UTC\nauth: {none: true}\nid: payload.id\n"
		rule = "\n  - name: %s\n    do: [{schedule: {lock_id: \"${%s}\", starts_at: \"${time(payload.start)}\", ends_at: \"${time(payload.end)}\"}}]"
		none = "nothing"
	)
	file := func(fields string, doors ...string) string {
		text := head + fields + "\nrules:"
		for i, door := range doors {
			text += fmt.Sprintf(rule, fmt.Sprint("door ", i), door)
		}
		return text + "\n"
	}
	day := time.Now().Add(24 * time.Hour).UTC().Format(time.DateOnly)
	book := func(id, more string, hour int) string {
		return fmt.Sprintf(`{"id": %q, "booking": "b", "lock": 5, "start": "%sT%02d:00:00", "end": "%sT%02d:30:00"%s}`, id, day, hour, day, hour, more)
	}
	cancel := func(id string) string { return fmt.Sprintf(`{"id": %q, "booking": "b", "status": "cancelled"}`, id) }
	const (
		booking   = "booking: payload.booking\n"
		versioned = booking + "version: payload.v\n"
		cancelled = `cancelled: payload.status == "cancelled"` + "\n"
		broken    = "cancelled: payload.status.name == \"cancelled\"\n"
	)
	tests := []struct {
		name          string
		before, after string
		events        []string // before the replay
		repeated      []string // after it
		back          bool     // after the first event Redis's clock is put back
		want          string   // when the booking's windows begin
	}{
		{
			name: "a booking and its cancellation", before: file(booking+broken, "payload.lock.id"), after: file(booking+cancelled, "payload.lock"),
			events: []string{book("e1", "", 10), cancel("e2")}, want: none,
		},
		{
			name: "a booking and its move", before: file(booking, "payload.lock.id"), after: file(booking, "payload.lock"),
			events: []string{book("e1", "", 10), book("e2", "", 14)}, want: "T14:00",
		},
		{
			name: "a booking with a version, and a cancellation that has none", before: file(versioned+broken, "payload.lock.id"), after: file(versioned+cancelled, "payload.lock"),
			events: []string{book("e1", `, "v": 1`, 10), cancel("e2")}, want: none,
		},
		{
			name: "a move that failed, and a cancellation that came after it", before: file(versioned+cancelled, "payload.id == 'e1' ? payload.lock : payload.lock.id"), after: file(versioned+cancelled, "payload.lock"),
			events: []string{book("e1", `, "v": 1`, 10), book("e2", `, "v": 2`, 14), cancel("e3")}, want: none,
		},
		{
			name: "the sender repeats what was replayed and then cancelled", before: file(booking+cancelled, "payload.lock.id"), after: file(booking+cancelled, "payload.lock"),
			events: []string{book("e1", "", 10)}, repeated: []string{cancel("e2"), book("e1", "", 10)}, want: none,
		},
		{
			name: "a booking that failed, and a cancellation after the clock was put back", before: file(booking+cancelled, "payload.lock.id"), after: file(booking+cancelled, "payload.lock"),
			events: []string{book("e1", "", 10), cancel("e2")}, back: true, want: none,
		},
		{
			name: "a booking and its cancellation after the clock was put back, both failed", before: file(booking+broken, "payload.lock.id"), after: file(booking+cancelled, "payload.lock"),
			events: []string{book("e1", "", 10), cancel("e2")}, back: true, want: none,
		},
		{
			name: "a booking and its move after the clock was put back", before: file(booking, "payload.lock.id"), after: file(booking, "payload.lock"),
			events: []string{book("e1", "", 10), book("e2", "", 14)}, back: true, want: "T14:00",
		},
		{
			name: "the booking has another name by the mended rules", before: file(booking+cancelled, "payload.lock", "payload.lock.id"),
			after:  file(`booking: '"x" + payload.booking'`+"\n"+cancelled, "payload.lock", "payload.lock"),
			events: []string{book("e1", "", 10), cancel("e2")}, want: none,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			load := func(text string) *rules.Set {
				set, err := rules.Load(fstest.MapFS{"t.yaml": {Data: []byte(text)}}, "rules", os.Getenv)
				if err != nil {
					t.Fatal(err)
				}
				return set
			}
			var put time.Duration
			s, err := store.Open(t.Context(), store.Options{Now: func() time.Time { return time.Now().Add(put) }})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			in := intake.New(load(tt.before), s, intake.Options{})
			send := func(body string) {
				<-time.After(2 * time.Millisecond) // so that one comes after the other
				_, _ = in.Receive(t.Context(), intake.Request{Trigger: "t", Method: "POST", ContentType: "application/json", Body: []byte(body)})
			}
			for _, body := range tt.events {
				send(body)
				if tt.back {
					put = -time.Hour
				}
			}
			if ids, err := s.LetterIDs(t.Context()); err != nil || len(ids) == 0 {
				t.Fatalf("nothing failed: %v, %v", ids, err)
			}
			in.Use(load(tt.after))
			if _, err := (&Operator{store: s, intake: in}).Replay(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			for _, body := range tt.repeated {
				send(body)
			}
			var starts []string
			for _, id := range []string{"t:booking:b", "t:booking:xb"} {
				job, _, err := s.Job(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range job.Want {
					starts = append(starts, a.Starts().UTC().Format("T15:04"))
				}
			}
			if got := strings.Join(slices.Compact(starts), " "); got != tt.want && (got != "" || tt.want != none) {
				letters, err := s.Letters(t.Context(), 10)
				t.Errorf("wants %q, want %s; dead: %v, %v", got, tt.want, errorsOf(letters), err)
			}
		})
	}
}

func errorsOf(letters []relay.DeadLetter) []string {
	var all []string
	for _, l := range letters {
		all = append(all, l.ID+": "+l.Error)
	}
	return all
}
