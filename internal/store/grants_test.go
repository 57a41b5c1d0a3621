package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

// grant is an event that is sent some time after the one before.
type grant struct {
	after  time.Duration
	plan   relay.Plan
	status relay.Status
}

// asks is a plan in which each rule asks for so many actions, which are others for
// every n.
func asks(id, booking string, n int, rules ...int) relay.Plan {
	p := relay.Plan{EventID: id, Booking: booking, GrantsPerMinute: 4}
	for i, actions := range rules {
		m := relay.Match{Rule: fmt.Sprintf("r%d", i)}
		for k := range actions {
			m.Actions = append(m.Actions, action(m.Rule, fmt.Sprintf(`{"n":%d,"k":%d}`, n, k)))
		}
		p.Rules = append(p.Rules, m)
	}
	return p
}

func TestGrantsPerMinute(t *testing.T) {
	edit := func(p relay.Plan, edit func(*relay.Plan)) relay.Plan { edit(&p); return p }
	cancelled := edit(asks("c", "b1", 0), func(p *relay.Plan) { p.Cancelled = true })
	versioned := func(p relay.Plan, v float64) relay.Plan { return edit(p, func(p *relay.Plan) { p.Version = &v }) }
	later := func(p relay.Plan, at time.Duration) relay.Plan {
		return edit(p, func(p *relay.Plan) { p.Rules[0].Actions[0].At = newTestClock().Now().Add(at) })
	}
	for name, events := range map[string][]grant{
		"up to the limit, and over it": {
			{0, asks("e1", "b1", 1, 1, 2), relay.Accepted},
			{0, asks("e2", "b2", 1, 2), relay.Failed},
			{0, asks("e3", "b3", 1, 1), relay.Accepted},
			{0, asks("e4", "b4", 1, 1), relay.Failed},
		},
		"a minute is a minute": {
			{0, asks("e1", "b1", 1, 1), relay.Accepted},
			{time.Second, asks("e2", "b2", 1, 3), relay.Accepted},
			{59*time.Second - time.Microsecond, asks("e3", "b3", 1, 1), relay.Failed},
			{time.Microsecond, asks("e3", "b3", 1, 1), relay.Accepted}, // what was refused is not remembered
			{0, asks("e3", "b3", 1, 1), relay.Duplicate},
			{time.Second - time.Microsecond, asks("e4", "b4", 1, 3), relay.Failed},
			{time.Microsecond, asks("e4", "b4", 1, 3), relay.Accepted},
		},
		"what changes nothing costs nothing": {
			{0, asks("e1", "b1", 1, 4), relay.Accepted},
			{0, asks("e2", "b1", 1, 4), relay.Accepted},
			{0, asks("e1", "b1", 2, 4), relay.Duplicate},
			{0, asks("e3", "b1", 2, 4), relay.Failed},
			{0, asks("e4", "b1", 1, 4), relay.Accepted},
		},
		"the rules that change cost, all of their actions": {
			{0, asks("e1", "b1", 1, 1, 1), relay.Accepted},
			{0, asks("e2", "b1", 1, 1, 2), relay.Accepted},
			{0, asks("e3", "b2", 1, 1), relay.Failed},
			{0, asks("e4", "b1", 1, 1), relay.Accepted}, // a rule less
			{0, asks("e5", "b1", 1, 1, 2), relay.Failed},
		},
		"another order is no change, nor is another place in the file, nor a limit": {
			{0, asks("e1", "b1", 1, 4), relay.Accepted},
			{0, edit(asks("e2", "b1", 1, 4), func(p *relay.Plan) {
				a := p.Rules[0].Actions
				a[0], a[3] = a[3], a[0]
				a[1].Limits, a[1].NotAfter, p.Rules[0].Place = &relay.Limits{MaxDoors: 1}, time.Now(), 7
			}), relay.Accepted},
		},
		"an unlock at another time is another": {
			{0, later(asks("e1", "b1", 1, 4), time.Hour), relay.Accepted},
			{0, later(asks("e2", "b1", 1, 4), time.Hour), relay.Accepted},
			{0, later(asks("e3", "b1", 1, 4), 2*time.Hour), relay.Failed},
		},
		"a cancellation goes through, and what was cancelled is granted anew": {
			{0, asks("e1", "b1", 1, 4), relay.Accepted},
			{0, cancelled, relay.Accepted},
			{0, asks("e2", "b1", 1, 4), relay.Failed},
			{time.Minute, asks("e2", "b1", 1, 4), relay.Accepted},
		},
		"what is stale costs nothing": {
			{0, versioned(asks("e2", "b1", 2, 1), 2), relay.Accepted},
			{0, versioned(asks("e1", "b1", 1, 3), 1), relay.Stale},
			{0, asks("e3", "b2", 1, 3), relay.Accepted},
		},
		"what is refused leaves no version": {
			{0, versioned(asks("e1", "b1", 1, 4), 1), relay.Accepted},
			{0, versioned(asks("e3", "b1", 3, 1), 3), relay.Failed},
			{0, versioned(asks("e2", "b1", 1, 4), 2), relay.Accepted},
		},
		"more than a minute's in one": {
			{0, asks("e1", "b1", 1, 5), relay.Failed},
			{0, asks("e2", "b1", 1, 4), relay.Accepted},
		},
		"without a limit": {
			{0, asks("e1", "b1", 1, 4), relay.Accepted},
			{0, edit(asks("e2", "b2", 1, 100), func(p *relay.Plan) { p.GrantsPerMinute = 0 }), relay.Accepted},
			{0, edit(asks("e3", "b3", 1, 6), func(p *relay.Plan) { p.GrantsPerMinute = 10 }), relay.Accepted},
			{0, edit(asks("e4", "b4", 1, 1), func(p *relay.Plan) { p.GrantsPerMinute = 10 }), relay.Failed},
		},
		"the clock is put back": {
			{0, asks("e1", "b1", 1, 4), relay.Accepted},
			{-time.Hour, asks("e2", "b2", 1, 4), relay.Accepted},
			{0, asks("e3", "b3", 1, 1), relay.Failed},
		},
		"what could not be decided costs nothing": {
			{0, edit(asks("e1", "b1", 1, 1, 4), func(p *relay.Plan) { p.Undecided = []string{"r1"} }), relay.Accepted},
			{0, asks("e2", "b2", 1, 3), relay.Accepted},
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bed) {
				s := b.open(t)
				for i, g := range events {
					b.clock.add(g.after)
					if r := accept(t, s, g.plan); r.Status != g.status {
						t.Errorf("event %d: %s %s, want %s", i+1, r.Status, r.Error, g.status)
					}
				}
			})
		})
	}
}

// TestRefusedForItsGrants leaves the job as it is, a record, and a letter that can be
// replayed until the event is accepted.
func TestRefusedForItsGrants(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, asks("e1", "b1", 1, 4))
		finish(t, s, claimOne(t, s), time.Time{})
		before, records := job(t, s, b1), len(b.records(t))
		refused := asks("e2", "b1", 2, 3)
		refused.Revision = "abc"
		refused.Problems = []relay.Problem{{Rule: "other", Message: "no"}}
		r := accept(t, s, refused)
		if r.Status != relay.Failed || r.JobID != b1 || r.Changes != 1 ||
			!strings.HasPrefix(r.Error, "limits.grants_per_minute: this trigger may grant 4 actions in a minute, and with this event, which asks for 3, ") {
			t.Errorf("%+v", r)
		}
		accept(t, s, refused)
		if diff := cmp.Diff(before, job(t, s, b1)); diff != "" {
			t.Errorf("the job (-before +after):\n%s", diff)
		}
		claimNone(t, s)
		if got := b.statuses(t); got != "accepted failed failed" || len(b.records(t)) != records+2 {
			t.Errorf("events: %s", got)
		}
		letters, err := s.Letters(ctx, 10)
		if err != nil || len(letters) != 1 {
			t.Fatal(letters, err)
		}
		l := letters[0]
		whole, err := json.Marshal(event("e2"))
		if err != nil {
			t.Fatal(err)
		}
		newest, err := s.Events(ctx, "", 1)
		if err != nil || len(newest) != 1 {
			t.Fatal(newest, err)
		}
		expect := relay.DeadLetter{
			ID: "skedda:limits:event:e2", At: b.clock.Now(), Cause: relay.ByRule, Trigger: "skedda", EventID: "e2", JobID: b1,
			Error: r.Error, Revision: "abc", Place: newest[0].ID, Event: whole,
		}
		if diff := cmp.Diff(expect, l); diff != "" {
			t.Errorf("the letter (-want +got):\n%s", diff)
		}
		replay := relay.Replay{Changes: 1, Letters: []string{l.ID}}
		if r, err := s.Replay(ctx, event("e2"), refused, replay); err != nil || r.Status != relay.Failed || r.Error == "" {
			t.Errorf("a replay: %+v, %v", r, err)
		}
		b.clock.add(time.Minute)
		refused.Problems = nil
		if r, err := s.Replay(ctx, event("e2"), refused, replay); err != nil || r.Status != relay.Accepted {
			t.Errorf("a replay a minute later: %+v, %v", r, err)
		}
		accept(t, s, asks("e3", "b1", 3, 3)) // the replay cost 3
		if ids, err := s.LetterIDs(ctx); err != nil || fmt.Sprint(ids) != "[skedda:limits:event:e3]" {
			t.Errorf("letters: %v, %v", ids, err)
		}
		b.clock.add(time.Minute)
		accept(t, s, asks("e3", "b1", 3, 3))
		if ids, err := s.LetterIDs(ctx); err != nil || len(ids) != 0 {
			t.Errorf("letters of what was accepted in the end: %v, %v", ids, err)
		}
	})
}

// TestGrantsAreBounded: what is remembered of them, and each trigger's are its own.
func TestGrantsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		for i := range 20 {
			accept(t, s, asks(fmt.Sprint(i), fmt.Sprint(i), 1, 3))
			b.clock.add(time.Minute)
		}
		if n := b.rdb.LLen(ctx, b.key("grants:skedda")).Val(); n != 4 {
			t.Errorf("%d are remembered", n)
		}
		if ttl := b.rdb.PTTL(ctx, b.key("grants:skedda")).Val(); ttl < 50*time.Second || ttl > 61*time.Second {
			t.Errorf("for %s", ttl)
		}
		accept(t, s, asks("x", "x", 1, 4))
		other := event("x")
		other.Trigger = "other"
		if r, err := s.Accept(ctx, other, asks("x", "x", 1, 4)); err != nil || r.Status != relay.Accepted {
			t.Errorf("another trigger: %+v, %v", r, err)
		}
	})
}

// TestGrantsLast over a restart of the embedded Redis.
func TestGrantsLast(t *testing.T) {
	o := Options{Data: t.TempDir()}
	s := open(t, o)
	accept(t, s, asks("e1", "b1", 1, 3))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if r := accept(t, s, asks("e2", "b1", 1, 3)); r.Status != relay.Accepted {
		t.Errorf("what it wants already: %s", r.Status)
	}
	if r := accept(t, s, asks("e3", "b2", 1, 2)); r.Status != relay.Failed {
		t.Errorf("more than there may be: %s", r.Status)
	}
	if r := accept(t, s, asks("e4", "b2", 1, 1)); r.Status != relay.Accepted {
		t.Errorf("as much as there may be: %s", r.Status)
	}
}

// TestWantsAreInTheOrderOfTheFile, also those of a rule that could not be decided on.
func TestWantsAreInTheOrderOfTheFile(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		placed := func(rule string, n, place int) relay.Match {
			m := match(rule, fmt.Sprint(n))
			m.Place = place
			return m
		}
		accept(t, s, relay.Plan{EventID: "e1", Booking: "b1", Revision: "r1", Rules: []relay.Match{placed("z", 1, 0), placed("m", 1, 4), placed("a", 1, 10)}})
		p := relay.Plan{EventID: "e2", Booking: "b1", Revision: "r2", Rules: []relay.Match{placed("z", 2, 0), placed("a", 2, 10), placed("b", 2, 11)}, Undecided: []string{"m"}}
		accept(t, s, p)
		j := job(t, s, b1)
		if got := want(j); got != "z2 m1 a2 b2" {
			t.Errorf("wants %s", got)
		}
		events, err := s.Events(ctx, "", 2)
		if err != nil || j.Revision != "r2" || events[0].Revision != "r2" || events[1].Revision != "r1" {
			t.Errorf("the revisions: %q, %+v, %v", j.Revision, events, err)
		}
	})
}

// TestRefusedTooLate is an event that would have granted too much, and was taken in
// before that was noted: nothing says that it was not.
func TestRefusedTooLate(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		p := booking("e1", nil, `{"n":1}`)
		p.GrantsPerMinute = 1
		accept(t, s, p)
		c, err := s.acceptance(event("e1"), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		args, _, err := s.refused(c)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := s.accepting.do(ctx, args); answer != "duplicate 1 "+b1 || err != nil {
			t.Errorf("%s, %v", answer, err)
		}
		if letters, err := s.Letters(ctx, 10); len(letters) != 0 || err != nil {
			t.Errorf("%v, %v", letters, err)
		}
	})
}
