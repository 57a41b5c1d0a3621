package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

// attic holds one dead letter and one event.
type attic struct {
	letter *relay.DeadLetter
	first  *relay.DeadLetter // that the letter names
	event  json.RawMessage
	err    error

	replayed *relay.Event
	plan     relay.Plan
	how      relay.Replay
	receipt  relay.Status
	why      string
}

func (a *attic) Letter(_ context.Context, id string) (relay.DeadLetter, bool, error) {
	if id == "first" && a.first != nil {
		return *a.first, true, a.err
	}
	if a.letter == nil || id != "l" {
		return relay.DeadLetter{}, false, a.err
	}
	return *a.letter, true, a.err
}

func (a *attic) Event(context.Context, string) (relay.Record, bool, error) {
	return relay.Record{Event: a.event}, a.event != nil, nil
}

func (a *attic) Replay(_ context.Context, ev relay.Event, p relay.Plan, r relay.Replay) (relay.Receipt, error) {
	a.replayed, a.plan, a.how = &ev, p, r
	if a.receipt == "" {
		a.receipt = relay.Accepted
	}
	return relay.Receipt{Status: a.receipt, JobID: relay.JobID(ev, p), Error: a.why}, nil
}

func (a *attic) Retention() time.Duration { return 7 * 24 * time.Hour }

func TestReplay(t *testing.T) {
	const hour = time.Hour
	received := noon.Add(-2 * hour)
	event := func(id string) json.RawMessage {
		b, err := json.Marshal(relay.Event{ID: id, Trigger: "skedda", ReceivedAt: received, Payload: map[string]any{"n": 12345678901234567, "x": 1.5}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	until := func(end time.Time) relay.Plan {
		a := unlock("open")
		a.NotAfter = end
		p := planOf(a)
		p.Booking = "b1"
		return p
	}
	version := func(p relay.Plan, v float64) relay.Plan { p.Version = &v; return p }
	job := func(eventID string, changed time.Time) *relay.Job {
		return &relay.Job{ID: "skedda:booking:b1", Trigger: "skedda", Booking: "b1", EventID: eventID, Changes: 3, ReceivedAt: changed, Record: "1-1", Want: []relay.Action{unlock("open")}}
	}
	versioned := func(j *relay.Job, v float64) *relay.Job { j.Version = &v; return j }
	cancelledSince := versioned(job("e3", noon), 1)
	cancelledSince.Cancelled, cancelledSince.Unversioned = true, true
	ofEvent := &relay.DeadLetter{ID: "l", Cause: relay.ByRule, Trigger: "skedda", EventID: "e1", Event: event("e1")}
	ofAction := &relay.DeadLetter{ID: "l", Cause: relay.ByKisi, Trigger: "skedda", EventID: "e1", JobID: "skedda:booking:b1"}
	tooLarge := &relay.DeadLetter{ID: "l", Cause: relay.ByRule, Trigger: "skedda", EventID: "e1", JobID: "skedda:booking:b1"}
	ofRenamed := &relay.DeadLetter{ID: "l", Cause: relay.ByRule, Trigger: "skedda", EventID: "e1", JobID: "skedda:booking:old", Event: event("e1")}
	elsewhere := &relay.DeadLetter{ID: "l", Cause: relay.ByRule, Trigger: "gone", EventID: "e1", Event: json.RawMessage(`{"id":"e1","trigger":"gone","payload":{}}`)}
	cancelled := relay.Plan{Booking: "b1", Cancelled: true}
	failing := relay.Plan{Fatal: true, Problems: []relay.Problem{{Where: "r.yaml:1:1", Message: "no"}}}
	half := until(time.Time{})
	half.Undecided, half.Problems = []string{"other"}, []relay.Problem{{Where: "r.yaml:2:1", Message: "still no"}}

	tests := []struct {
		name   string
		letter *relay.DeadLetter
		kept   json.RawMessage
		job    *relay.Job
		plan   relay.Plan
		says   relay.Status // "" is an accepted replay
		now    time.Time    // zero is noon
		note   string
		why    string // of the store
	}{
		{name: "a rule failed, and is mended", letter: ofEvent, plan: until(time.Time{})},
		{name: "Kisi refused, and the mistake in Kisi is mended", letter: ofAction, kept: event("e1"), job: job("e1", received), plan: until(time.Time{})},
		{name: "another event of the booking came", letter: ofAction, kept: event("e2"), job: job("e2", noon), says: relay.Stale, note: overtaken.note},
		{name: "the booking is forgotten", letter: ofAction, says: relay.Stale, note: overtaken.note},
		{name: "another event came after the one that failed", letter: ofEvent, job: job("e2", received.Add(hour)), plan: until(time.Time{}), says: relay.Stale, note: overtaken.note},
		{name: "another event came before the one that failed", letter: ofEvent, job: job("e0", received.Add(-hour)), plan: until(time.Time{})},
		{name: "another event came later with a lower version", letter: ofEvent, job: versioned(job("e2", noon), 1), plan: version(until(time.Time{}), 2)},
		{name: "another event came earlier with a higher version", letter: ofEvent, job: versioned(job("e0", received.Add(-hour)), 3), plan: version(until(time.Time{}), 2), says: relay.Stale, note: overtaken.note},
		{name: "another event of the same version came later", letter: ofEvent, job: versioned(job("e2", noon), 2), plan: version(until(time.Time{}), 2), says: relay.Stale, note: overtaken.note},
		{name: "a cancellation without a version came later", letter: ofEvent, job: cancelledSince, plan: version(until(time.Time{}), 2), says: relay.Stale, note: overtaken.note},
		{name: "the booking has another name by today's rules", letter: ofRenamed, job: job("e1", received), plan: until(time.Time{}), says: relay.Failed, note: renamed.note},
		{name: "its time is over", letter: ofEvent, plan: until(noon), says: relay.Expired, note: "the time of all it asks for is over; nothing is sent"},
		{name: "its time is not over", letter: ofEvent, plan: until(noon.Add(1))},
		{name: "a cancellation is never too late", letter: ofEvent, job: job("e0", received.Add(-hour)), plan: cancelled},
		{name: "a cancellation of nothing", letter: ofEvent, plan: relay.Plan{Cancelled: true}, says: relay.Failed, note: noBooking},
		{name: "so old that a cancellation since may be forgotten", letter: ofEvent, plan: until(time.Time{}), now: received.Add(7 * 24 * hour), says: relay.Stale, note: "it is so old that what happened to its booking since is forgotten: have it sent again"},
		{name: "as old, and no booking's", letter: ofEvent, plan: planOf(unlock("open")), now: received.Add(7 * 24 * hour)},
		{name: "the event is not kept: as it was planned", letter: ofAction, job: job("e1", received), plan: until(time.Time{})},
		{name: "the event is not kept, and its rule failed", letter: tooLarge, job: job("e1", received), says: relay.Failed, note: "its event is not kept any more, so it cannot be planned again: have it sent again"},
		{name: "the trigger is gone", letter: elsewhere, says: relay.Failed, note: `no rule file has the trigger "gone" any more`},
		{name: "it fails again", letter: ofEvent, plan: failing, says: relay.Failed, note: "r.yaml:1:1: no"},
		{name: "a part of it fails again", letter: ofEvent, plan: half, note: "r.yaml:2:1: still no"},
		{name: "it would grant more than it may", letter: ofEvent, plan: until(time.Time{}), says: relay.Failed, why: "too many", note: "too many"},
		{name: "nothing is asked for any more", letter: ofEvent, plan: relay.Plan{Booking: "b1"}, says: relay.Ignored, note: "no rule asks for anything now"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &shelf{now: func() time.Time {
				if tt.now.IsZero() {
					return noon
				}
				return tt.now
			}}
			if tt.job != nil {
				s.job = func(int) (relay.Job, bool, error) { return *tt.job, true, nil }
			}
			from := &attic{letter: tt.letter, event: tt.kept, why: tt.why}
			if tt.says == relay.Failed || tt.says == relay.Ignored {
				from.receipt = tt.says
			}
			in := New(book{trigger: open("skedda"), plan: tt.plan}, s, options())
			got, err := in.Replay(t.Context(), from, "l")
			if err != nil {
				t.Fatal(err)
			}
			status := tt.says
			if status == "" {
				status = relay.Accepted
			}
			if got.Status != status || got.Note != tt.note || got.ID != "l" {
				t.Errorf("%+v, want %s %q", got, status, tt.note)
			}
			if tt.says != "" {
				return
			}
			if unkept := tt.letter.Event == nil && tt.kept == nil; from.how.Unkept != unkept {
				t.Errorf("kept %v, want %v", !from.how.Unkept, !unkept)
			}
			if from.replayed == nil || from.replayed.ID != "e1" || tt.job != nil && from.how.Changes != 3 {
				t.Errorf("replayed %+v with %d changes", from.replayed, from.how.Changes)
			}
		})
	}
}

// TestReplayPlansWhatWasSent gives the rules the event as it came in.
func TestReplayPlansWhatWasSent(t *testing.T) {
	for _, body := range []string{`{"id": 12000000012345678, "at": 1.5, "list": [1, "x", null], "big": 123456789012345678901234567890}`, `[]`, `"text"`, `null`} {
		var first, second relay.Event
		s := &shelf{}
		in := New(book{trigger: open("skedda"), plan: planOf(unlock("open")), saw: &first}, s, options())
		req := jsonRequest(body)
		req.Header = map[string][]string{"X-Zapier-Hop": {"1", "2"}, "Authorization": {"Bearer canary"}, "X-Api-Key": {"canary"}}
		if _, err := in.Receive(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		whole, err := json.Marshal(s.accepted[0])
		if err != nil {
			t.Fatal(err)
		}
		again := New(book{trigger: open("skedda"), plan: planOf(unlock("open")), saw: &second}, s, options())
		letter := &relay.DeadLetter{ID: "l", Trigger: "skedda", Event: whole}
		if _, err := again.Replay(t.Context(), &attic{letter: letter}, "l"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s (-first +replayed):\n%s", body, diff)
		}
		if bytes.Contains(whole, []byte("canary")) {
			t.Errorf("a credential is kept: %s", whole)
		}
	}
}

// TestReplayOfOneOfManyLetters takes along all that one event left.
func TestReplayOfOneOfManyLetters(t *testing.T) {
	first := &relay.DeadLetter{ID: "first", Cause: relay.ByRule, Trigger: "skedda", Others: []string{"l", "m"}, Event: json.RawMessage(`{"id":"e1","trigger":"skedda","payload":{}}`)}
	from := &attic{letter: &relay.DeadLetter{ID: "l", Cause: relay.ByRule, Trigger: "skedda", First: "first"}, first: first}
	in := New(book{trigger: open("skedda"), plan: planOf(unlock("open"))}, &shelf{}, options())
	for _, id := range []string{"l", "first"} {
		got, err := in.Replay(t.Context(), from, id)
		if diff := cmp.Diff([]string{"first", "l", "m"}, from.how.Letters); err != nil || got.Status != relay.Accepted || got.ID != id || diff != "" {
			t.Errorf("%s: %+v, %v\n%s", id, got, err, diff)
		}
	}
	from.first = nil
	for _, id := range []string{"l", "first", "never"} {
		if _, err := in.Replay(t.Context(), from, id); !errors.Is(err, ErrNoLetter) {
			t.Errorf("%s is gone: %v", id, err)
		}
	}
}

func TestReplayWithoutStore(t *testing.T) {
	in := New(book{trigger: open("skedda")}, &shelf{}, options())
	if _, err := in.Replay(t.Context(), &attic{err: relay.ErrUnavailable}, "l"); !errors.Is(err, relay.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestBefore: places in the list of events are numbers, not texts.
func TestBefore(t *testing.T) {
	places := []string{"9-0", "10-0", "10-9", "10-10", "1795384127770-0"}
	for i, one := range places {
		for k, other := range places {
			if before(one, other) != (i < k) {
				t.Errorf("%s before %s: %t", one, other, i >= k)
			}
		}
	}
}
