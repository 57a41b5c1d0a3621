package store

import (
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

// TestData closes an embedded Redis with a folder and opens it again.
func TestData(t *testing.T) {
	o := Options{Data: t.TempDir()}
	s := open(t, o)
	if !s.Embedded() || !s.Lasting() {
		t.Errorf("embedded %v, lasting %v", s.Embedded(), s.Lasting())
	}
	accept(t, s, booking("e1", version(1), `{"n":1}`))
	j := claimOne(t, s)
	j.Have = held(7)
	finish(t, s, j, time.Now().Add(time.Hour), relay.DeadLetter{ID: "l", Error: "no"})
	before := job(t, s, b1)
	if _, err := Open(ctx, o); err == nil || !strings.Contains(err.Error(), o.Data) {
		t.Errorf("two at a time have one folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, o)
	if diff := cmp.Diff(before, job(t, s, b1)); diff != "" {
		t.Errorf("the job (-before +after):\n%s", diff)
	}
	if l, ok, err := s.Letter(ctx, "l"); !ok || err != nil || l.Error != "no" {
		t.Errorf("the letter: %+v, %v, %v", l, ok, err)
	}
	if e, ok, err := s.Event(ctx, before.Record); !ok || err != nil || e.EventID != "e1" {
		t.Errorf("the event: %+v, %v, %v", e, ok, err)
	}
	if r := accept(t, s, booking("e1", version(1), `{"n":1}`)); r.Status != relay.Duplicate {
		t.Errorf("the event once more: %s", r.Status)
	}
	if _, err := Open(ctx, Options{Data: o.Data, URL: "redis://127.0.0.1:1"}); err == nil || !strings.Contains(err.Error(), "choose one") {
		t.Errorf("a folder and a Redis: %v", err)
	}
}
