package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"doorhook/internal/relay"
)

// TestTooMuchWaits fills a lane, by number or by age, and then only what adds nothing to
// it, or takes something back, gets in.
func TestTooMuchWaits(t *testing.T) {
	later := func(id string) relay.Plan { p := of1(id); p.Booking = ""; return p }
	for name, fill := range map[string]func(t *testing.T, b *bed, s *Store){
		"many": func(t *testing.T, _ *bed, s *Store) {
			for i := range 9 {
				accept(t, s, of1(fmt.Sprint("other", i)))
			}
		},
		"long": func(_ *testing.T, b *bed, _ *Store) { b.clock.add(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bed) {
				o := b.options()
				o.MaxWaiting, o.MaxWaitingAge = 10, 30*time.Second
				s := open(t, o)
				accept(t, s, booking("e1", nil, `{"n":1}`))
				fill(t, b, s)
				if c := s.inspectWaiting(ctx); c.Health != relay.Sick {
					t.Errorf("doctor says %+v", c)
				}
				before := b.statuses(t)
				for _, p := range []relay.Plan{of1("new"), later("new")} {
					if _, err := s.Accept(ctx, event(p.EventID), p); !errors.Is(err, relay.ErrBusy) || errors.Is(err, relay.ErrUnavailable) {
						t.Errorf("a new job: %v", err)
					}
				}
				if after := b.statuses(t); after != before || b.rdb.Exists(ctx, b.key("seen:skedda:new"), b.key("job:skedda:booking:new")).Val() != 0 {
					t.Errorf("a refused event left something: %s", after)
				}
				other := relay.Plan{EventID: "x", Booking: "x", Cancelled: true}
				for _, step := range []struct {
					plan relay.Plan
					want relay.Status
				}{
					{booking("e1", nil, `{"n":1}`), relay.Duplicate},
					{booking("e2", nil, `{"n":2}`), relay.Accepted},
					{cancel("e3", nil), relay.Accepted},
					{other, relay.Accepted},
					{relay.Plan{EventID: "nothing"}, relay.Ignored},
					{message("m"), relay.Accepted}, // the messages wait elsewhere
				} {
					if r := accept(t, s, step.plan); r.Status != step.want {
						t.Errorf("%s: %s, want %s", step.plan.EventID, r.Status, step.want)
					}
				}
				own := event("own")
				own.Trigger = relay.Own
				if r, err := s.Accept(ctx, own, later("own")); err != nil || r.Status != relay.Accepted {
					t.Errorf("what happens to doorhook itself: %s, %v", r.Status, err)
				}
				for _, j := range claim(t, s, 100).Jobs {
					finish(t, s, j, b.clock.Now().Add(time.Hour))
				}
				if r := accept(t, s, of1("new")); r.Status != relay.Accepted {
					t.Errorf("when nothing waits any more: %s", r.Status)
				}
				if c := s.inspectWaiting(ctx); c.Health != relay.Healthy {
					t.Errorf("then doctor says %+v", c)
				}
			})
		})
	}
}

// TestWhatWaitsForItsTime is not work that waits.
func TestWhatWaitsForItsTime(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		o := b.options()
		o.MaxWaiting, o.MaxWaitingAge = 1, time.Second
		s := open(t, o)
		for i := range 5 {
			accept(t, s, of1(fmt.Sprint("e", i)))
			finish(t, s, claimOne(t, s), b.clock.Now().Add(time.Hour))
		}
		accept(t, s, relay.Plan{EventID: "c", Booking: "c", Cancelled: true})
		o.MaxWaiting = -1
		s = open(t, o)
		b.clock.add(time.Minute)
		if r := accept(t, s, of1("after a cancellation that waits long")); r.Status != relay.Accepted {
			t.Error(r.Status)
		}
	})
}

// TestWhatWaitedWhileNobodyWorked turns nobody away: whoever starts after a night works it
// off, and is told only later that it is too slow.
func TestWhatWaitedWhileNobodyWorked(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		o := b.options()
		o.MaxWaitingAge = time.Hour
		accept(t, open(t, o), of1("before"))
		b.clock.add(8 * time.Hour)
		s := open(t, o)
		b.clock.add(time.Hour)
		if r := accept(t, s, of1("soon")); r.Status != relay.Accepted {
			t.Errorf("an hour after the start: %s", r.Status)
		}
		b.clock.add(time.Second)
		if _, err := s.Accept(ctx, event("later"), of1("later")); !errors.Is(err, relay.ErrBusy) {
			t.Errorf("after that: %v", err)
		}
	})
}
