package kisi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
)

// direct is the way to a fake Kisi without a network, in fake time.
type direct struct{ fake *kisifake.Server }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	d.fake.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func directly(t *testing.T) (*kisifake.Server, *kisi.Client) {
	t.Helper()
	s := kisifake.New(kisifake.Options{Rate: 1000})
	c, err := kisi.New(kisi.Options{APIKey: kisifake.DefaultKey, Transport: direct{s}})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// read gives the uuids of the events that q means, and how many pages there were.
func read(ctx context.Context, c *kisi.Client, q kisi.EventQuery) (uuids []string, pages int, err error) {
	err = c.Events(ctx, q, func(page []json.RawMessage) error {
		pages++
		for _, raw := range page {
			h, err := kisi.Happening(raw)
			if err != nil {
				return err
			}
			uuids = append(uuids, h.UUID)
		}
		return nil
	})
	slices.Sort(uuids)
	return uuids, pages, err
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := directly(t)
		start := time.Now()
		for _, e := range []kisifake.Event{
			{UUID: "before", ObjectID: lockA, At: start.Add(-time.Second)},
			{UUID: "a", ObjectID: lockA, At: start},
			{UUID: "b", ObjectID: 22290, At: start.Add(time.Minute)},
			{UUID: "c", ObjectID: lockA, Failed: true, Code: "34ffaa", At: start.Add(2 * time.Minute)},
			{UUID: "d", Type: "lock.opened", ObjectID: lockA, At: start.Add(time.Hour)},
			{UUID: "e", Type: "login.create", ObjectType: "Login", ObjectID: lockA, At: start.Add(time.Hour)},
			{UUID: "after", ObjectID: lockA, At: start.Add(time.Hour + 2*time.Second)},
		} {
			s.AddEvent(e)
		}
		hour := kisi.EventQuery{From: start, Until: start.Add(time.Hour + time.Millisecond)}
		with := func(edit func(*kisi.EventQuery)) kisi.EventQuery { q := hour; edit(&q); return q }
		for want, q := range map[string]kisi.EventQuery{
			"a b c d e": hour,
			"a b c":     with(func(q *kisi.EventQuery) { q.Types = []string{"lock.unlock"} }),
			"a b c d":   with(func(q *kisi.EventQuery) { q.Types = []string{"lock.unlock", "lock.opened"} }),
			"a b d":     with(func(q *kisi.EventQuery) { q.ObjectType, q.Succeeded = "Lock", true }),
			"a c d":     with(func(q *kisi.EventQuery) { q.ObjectType, q.ObjectID = "Lock", lockA }),
			"":          with(func(q *kisi.EventQuery) { q.ObjectID = 1 }),
		} {
			if got, _, err := read(t.Context(), c, q); err != nil || strings.Join(got, " ") != want {
				t.Errorf("%+v: %v (%v), want %s", q, got, err, want)
			}
		}
		_, _, err := read(t.Context(), c, with(func(q *kisi.EventQuery) { q.Until = start.AddDate(0, 0, 91) }))
		if e := failure(t, err); e.Status != http.StatusUnprocessableEntity {
			t.Errorf("91 days: %v", err)
		}
	})
}

// TestEventPages reads more than a page, each event once, its numbers as they are.
func TestEventPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := directly(t)
		for range 120 {
			s.AddEvent(kisifake.Event{ObjectID: lockA, ActorID: 9007199254740993, ActorType: "User"})
		}
		q := kisi.EventQuery{From: time.Now().Add(-time.Hour), Until: time.Now()}
		uuids, pages, err := read(t.Context(), c, q)
		if n := len(uuids); err != nil || n != 120 || pages != 3 || len(slices.Compact(uuids)) != 120 {
			t.Errorf("%d events in %d pages, %v", n, pages, err)
		}
		enough := errors.New("enough")
		err = c.Events(t.Context(), q, func(page []json.RawMessage) error {
			if !strings.Contains(string(page[0]), "9007199254740993") {
				t.Errorf("the number is not as it was: %s", page[0])
			}
			return enough
		})
		if !errors.Is(err, enough) {
			t.Errorf("the end of the reading: %v", err)
		}
	})
}

// TestEventsTakeTime waits for Kisi with pauses, not longer than it may, and asks for
// one set a second.
func TestEventsTakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := directly(t)
		s.AddEvent(kisifake.Event{UUID: "a", ObjectID: lockA})
		q := kisi.EventQuery{From: time.Now().Add(-time.Hour), Until: time.Now()}
		begun := time.Now()
		s.EventSets(4, false)
		if got, _, err := read(t.Context(), c, q); err != nil || len(got) != 1 || time.Since(begun) != 7500*time.Millisecond {
			t.Errorf("%v after %s (%v)", got, time.Since(begun), err)
		}
		s.EventSets(1000, false)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if _, _, err := read(ctx, c, q); err == nil || !strings.Contains(err.Error(), "still putting the events together") {
			t.Errorf("never finished: %v", err)
		}
		s.EventSets(0, true)
		if _, _, err := read(t.Context(), c, q); err == nil || !strings.Contains(err.Error(), "could not put the events together") {
			t.Errorf("failed: %v", err)
		}
		s.EventSets(0, false)
		begun = time.Now()
		for range 3 {
			if _, _, err := read(t.Context(), c, q); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begun); d < 2*time.Second || d > 4*time.Second {
			t.Errorf("three sets took %s", d)
		}
		short, cancel2 := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel2()
		n := len(s.Journal())
		_, _, err := read(short, c, q)
		if e := failure(t, err); !e.Unsent || len(s.Journal()) != n || short.Err() != nil {
			t.Errorf("a turn that comes too late: %v, asked %d", err, len(s.Journal())-n)
		}
	})
}

func TestEventsForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := directly(t)
		s.Forbid(kisifake.DefaultKey, "events_read")
		_, _, err := read(t.Context(), c, kisi.EventQuery{From: time.Now().Add(-time.Hour), Until: time.Now()})
		if e := failure(t, err); e.Status != http.StatusForbidden || !strings.Contains(err.Error(), "events_read") {
			t.Errorf("got %v", err)
		}
	})
}

func TestEventsInACircle(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id":1,"status":"finished","events":[],"cursor":"again"}`))
	})
	if _, pages, err := read(t.Context(), c, kisi.EventQuery{}); err == nil || pages > 2 {
		t.Errorf("%d pages, %v", pages, err)
	}
}

func TestIntegrations(t *testing.T) {
	s, url := start(t, kisifake.Options{})
	c := client(t, url, kisi.Options{})
	w := s.Webhook(kisifake.WebhookOptions{URL: "http://127.0.0.1:1"})
	all, err := c.Integrations(t.Context())
	if err != nil || len(all) != 1 || !all[0].Enabled || all[0].Disabled {
		t.Fatalf("%+v (%v)", all, err)
	}
	for range 10 {
		s.AddEvent(kisifake.Event{ObjectID: lockA})
	}
	for end := time.Now().Add(10 * time.Second); !w.Disabled() && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
	all, err = c.Integrations(t.Context())
	if err != nil || len(all) != 1 || all[0].Enabled || !all[0].Disabled || all[0].Type != "event_webhook" {
		t.Errorf("%+v (%v)", all, err)
	}
}
