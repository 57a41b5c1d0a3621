package action

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
)

// TestCame asks a Kisi in fake time who came to locks 22281 and 22290.
func TestCame(t *testing.T) {
	const quarter = 15 * time.Minute
	at := func(d time.Duration, edit ...func(*kisifake.Event)) func(*kisifake.Server, time.Time) {
		return func(s *kisifake.Server, start time.Time) {
			e := kisifake.Event{ObjectID: 22290, At: start.Add(d)}
			for _, f := range edit {
				f(&e)
			}
			s.AddEvent(e)
		}
	}
	tests := []struct {
		name  string
		setup func(*kisifake.Server, time.Time)
		locks []int64
		want  relay.Verdict
		used  bool
	}{
		{name: "nobody", want: relay.OK},
		{name: "no doors", locks: []int64{}, want: relay.OK},
		{name: "at the beginning", setup: at(0), want: relay.OK, used: true},
		{name: "at the end", setup: at(quarter), want: relay.OK, used: true},
		{name: "a second before", setup: at(-time.Second), want: relay.OK},
		{name: "the door was opened", setup: at(time.Minute, func(e *kisifake.Event) { e.Type = "lock.opened" }), want: relay.OK, used: true},
		{name: "a schedule began", setup: at(time.Minute, func(e *kisifake.Event) { e.Type = "lock.scheduled_unlock_started" }), want: relay.OK},
		{name: "it stayed shut", setup: at(time.Minute, func(e *kisifake.Event) { e.Failed = true }), want: relay.OK},
		{name: "another door", setup: at(time.Minute, func(e *kisifake.Event) { e.ObjectID = 22282 }), want: relay.OK},
		{name: "another door, of one", locks: []int64{22281}, setup: at(time.Minute), want: relay.OK},
		{name: "one door", locks: []int64{22290}, setup: at(time.Minute), want: relay.OK, used: true},
		{
			name: "on the last page", want: relay.OK, used: true,
			setup: func(s *kisifake.Server, start time.Time) {
				at(time.Minute)(s, start)
				for range 110 {
					s.AddEvent(kisifake.Event{ObjectID: 22282, At: start.Add(2 * time.Minute)})
				}
			},
		},
		{name: "the key may not read events", setup: func(s *kisifake.Server, _ time.Time) { s.Forbid(kisifake.DefaultKey, "events_read") }, want: relay.Rejected},
		{name: "Kisi has no event sets", setup: fails(kisifake.Fault{Status: 404}), want: relay.Rejected},
		{name: "Kisi does not know the key", setup: fails(kisifake.Fault{Status: 401}), want: relay.Retry},
		{name: "too many requests", setup: fails(kisifake.Fault{Status: 429, RetryAfter: "7"}), want: relay.Retry},
		{name: "Kisi is broken", setup: fails(kisifake.Fault{Status: 500}), want: relay.Retry},
		{name: "Kisi finds the question wrong", setup: fails(kisifake.Fault{Status: 422}), want: relay.Retry},
		{name: "the set has gone", setup: fails(kisifake.Fault{Method: http.MethodGet, Status: 404}), want: relay.Retry},
		{name: "Kisi takes its time", setup: func(s *kisifake.Server, _ time.Time) { s.EventSets(1000, false) }, want: relay.Retry},
		{name: "Kisi could not", setup: func(s *kisifake.Server, _ time.Time) { s.EventSets(0, true) }, want: relay.Retry},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kisifake.New(kisifake.Options{Rate: -1})
				c, err := kisi.New(kisi.Options{APIKey: kisifake.DefaultKey, Transport: wire{s}})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if tt.setup != nil {
					tt.setup(s, start)
				}
				if tt.locks == nil {
					tt.locks = []int64{22281, 22290}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				out := New(c, SendOptions{}).Came(ctx, tt.locks, start, start.Add(quarter))
				if out.Verdict != tt.want || out.Used != tt.used || (out.Err == nil) != (tt.want == relay.OK) {
					t.Errorf("%s, used %t (%v)", out.Verdict, out.Used, out.Err)
				}
				if len(tt.locks) == 0 && len(s.Journal()) != 0 {
					t.Error("Kisi was asked for nothing")
				}
			})
		})
	}
}

func fails(f kisifake.Fault) func(*kisifake.Server, time.Time) {
	f.Path = "/event_sets"
	return func(s *kisifake.Server, _ time.Time) { s.Fail(f) }
}

// TestDoors remembers the locks of groups.
func TestDoors(t *testing.T) {
	fake, d := kisiAt(t)
	for range 2 {
		if out := d.Doors(t.Context(), []int64{32693, 32694}); out.Verdict != relay.OK || fmt.Sprint(out.Locks) != "[22281 22290 22282 22290]" {
			t.Errorf("%+v", out)
		}
	}
	if n := len(fake.Journal()); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if out := d.Doors(t.Context(), []int64{1}); out.Verdict != relay.Retry {
		t.Errorf("no such group: %+v", out)
	}
}

// wire is the way to a fake Kisi without a network, in fake time.
type wire struct{ fake *kisifake.Server }

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	w.fake.ServeHTTP(rec, r)
	return rec.Result(), nil
}
