package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorhook/internal/relay"
)

func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		accept(t, s, booking("e1", version(1), `{"n":1}`))
		finish(t, s, claimOne(t, s), time.Time{}, relay.DeadLetter{ID: "one"}, relay.DeadLetter{ID: "other"})

		replay := func(p relay.Plan, changes int64) relay.Status {
			t.Helper()
			r, err := s.Replay(ctx, event("e1"), p, relay.Replay{Changes: changes, Letters: []string{"one"}})
			if err != nil {
				t.Fatal(err)
			}
			return r.Status
		}
		if got := replay(booking("e1", version(1), `{"n":2}`), 7); got != relay.Stale || want(job(t, s, b1)) != `open{"n":1}` {
			t.Errorf("a job that has changed: %s", got)
		}
		if ids, err := s.LetterIDs(ctx); err != nil || len(ids) != 2 {
			t.Errorf("a replay without effect let go of letters: %v, %v", ids, err)
		}
		if got := replay(booking("e1", version(1), `{"n":2}`), 1); got != relay.Accepted || want(job(t, s, b1)) != `open{"n":2}` {
			t.Errorf("a seen event, replayed: %s, %s", got, want(job(t, s, b1)))
		}
		if ids, err := s.LetterIDs(ctx); err != nil || len(ids) != 1 || ids[0] != "other" {
			t.Errorf("letters left: %v, %v", ids, err)
		}
		if _, ok, err := s.Letter(ctx, "one"); ok || err != nil {
			t.Errorf("the replayed letter: %v, %v", ok, err)
		}
		if j := claimOne(t, s); j.Changes != 2 {
			t.Errorf("changes: %d", j.Changes)
		}
		if r := accept(t, s, booking("e1", version(1), `{"n":1}`)); r.Status != relay.Duplicate {
			t.Errorf("the event once more: %s", r.Status)
		}
		accept(t, s, cancel("e2", version(1)))
		if got := replay(booking("e1", version(1), `{"n":2}`), 3); got != relay.Stale || want(job(t, s, b1)) != "" {
			t.Errorf("a cancelled booking, replayed: %s, %s", got, want(job(t, s, b1)))
		}
	})
}

// TestReplayOfAnEventThatFailsAgain keeps its letter, and its place among the events.
func TestReplayOfAnEventThatFailsAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		fails := relay.Plan{EventID: "e1", Fatal: true, Problems: []relay.Problem{{Where: "r.yaml:1:1", Message: "no"}}}
		if r := accept(t, s, fails); r.Status != relay.Failed {
			t.Fatal(r)
		}
		ids, err := s.LetterIDs(ctx)
		if err != nil || len(ids) != 1 {
			t.Fatal(ids, err)
		}
		if r, err := s.Replay(ctx, event("e1"), fails, relay.Replay{Place: "1-1", Letters: ids}); err != nil || r.Status != relay.Failed {
			t.Fatal(r, err)
		}
		if l, ok, err := s.Letter(ctx, ids[0]); !ok || err != nil || l.Event == nil || l.Place != "1-1" {
			t.Errorf("%+v, %v, %v", l, ok, err)
		}
	})
}

func TestLongLetterIDs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		long := relay.DeadLetter{ID: string(make([]byte, 300))}
		accept(t, s, booking("e1", nil, `{}`))
		finish(t, s, claimOne(t, s), time.Time{}, long)
		ids, err := s.LetterIDs(ctx)
		if err != nil || len(ids) != 1 {
			t.Fatal(ids, err)
		}
		for _, id := range []string{ids[0], long.ID} {
			if l, ok, err := s.Letter(ctx, id); !ok || err != nil || l.ID != long.ID {
				t.Errorf("%q: %v, %v", id, ok, err)
			}
		}
	})
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		named := func(id string) relay.Plan {
			p := booking("e-"+id, nil, `{}`)
			p.Booking = id
			return p
		}
		for _, id := range []string{"rests", "waits", "is due", "waits"} {
			accept(t, s, named(id))
			b.clock.add(time.Second)
		}
		for _, j := range claim(t, s, 2).Jobs {
			next := time.Time{}
			if j.Booking == "waits" {
				next = b.clock.Now().Add(time.Hour)
			}
			finish(t, s, j, next)
		}
		list := func(jobs []relay.Job, err error) (ids string) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range jobs {
				ids += j.Booking + ","
			}
			return ids
		}
		if got := list(s.Waiting(ctx, 10)); got != "is due,waits," {
			t.Errorf("waiting: %s", got)
		}
		if got := list(s.Waiting(ctx, 1)); got != "is due," {
			t.Errorf("the first that waits: %s", got)
		}
		if got := list(s.Recent(ctx, 10)); got != "is due,waits,rests," {
			t.Errorf("recent: %s", got)
		}
		if got := list(s.Recent(ctx, 1)); got != "is due," {
			t.Errorf("the most recent: %s", got)
		}
		waits, rests := job(t, s, "skedda:booking:waits"), job(t, s, "skedda:booking:rests")
		if !waits.DueAt.Equal(b.clock.Now().Add(time.Hour).Truncate(time.Millisecond)) || !rests.DueAt.IsZero() {
			t.Errorf("due at %s, %s", waits.DueAt, rests.DueAt)
		}
		accept(t, s, func() relay.Plan { p := cancel("late", nil); p.Booking = "rests"; return p }())
		if got := list(s.Waiting(ctx, 1)); got != "rests," {
			t.Errorf("a cancelled booking goes first, not %s", got)
		}
	})
}

func TestLettersWithLargeEvents(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		const letters = 12
		for i := range letters {
			ev := event(fmt.Sprint("e", i))
			ev.Payload = strings.Repeat("x", 1<<20)
			p := relay.Plan{Fatal: true, Problems: []relay.Problem{{Where: "r.yaml:1:1", Message: "no"}}}
			if _, err := s.Accept(ctx, ev, p); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Letters(ctx, 1000); err != nil || len(got) != mostBytes>>20 {
			t.Errorf("%d letters, %v", len(got), err)
		}
		if ids, err := s.LetterIDs(ctx); err != nil || len(ids) != letters {
			t.Errorf("%d ids, %v", len(ids), err)
		}
	})
}

// TestReplayKeepsTheOrder replays two events of one booking, the older first: the time
// that counts is the one at which they came, and each is seen from then on.
func TestReplayKeepsTheOrder(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		first, second := event("e1"), event("e2")
		second.ReceivedAt = first.ReceivedAt.Add(time.Minute)
		b.clock.add(time.Hour)
		replay := func(ev relay.Event, p relay.Plan, r relay.Replay) relay.Job {
			t.Helper()
			if got, err := s.Replay(ctx, ev, p, r); err != nil || got.Status != relay.Accepted {
				t.Fatal(got, err)
			}
			return job(t, s, b1)
		}
		if j := replay(first, booking("e1", nil, `{"n":1}`), relay.Replay{Place: "1-1"}); !j.ReceivedAt.Equal(first.ReceivedAt) || !j.Unversioned || j.Place != "1-1" {
			t.Errorf("received %s, unversioned %v", j.ReceivedAt, j.Unversioned)
		}
		if j := replay(second, cancel("e2", nil), relay.Replay{Changes: 1}); !j.ReceivedAt.Equal(second.ReceivedAt) || !j.Cancelled {
			t.Errorf("received %s, cancelled %v", j.ReceivedAt, j.Cancelled)
		}
		for _, id := range []string{"e1", "e2"} {
			if r := accept(t, s, booking(id, nil, `{"n":1}`)); r.Status != relay.Duplicate {
				t.Errorf("%s once more: %s", id, r.Status)
			}
		}
		timed := booking("e3", new(float64(second.ReceivedAt.Add(time.Second).UnixMicro())), `{"n":3}`)
		timed.Timed = true
		if r := accept(t, s, timed); r.Status != relay.Accepted {
			t.Errorf("newer than the cancellation: %s", r.Status)
		}
		if j := job(t, s, b1); j.Place != j.Record || j.Place == "" {
			t.Errorf("it stands at %q, and its record at %q", j.Place, j.Record)
		}
		if j := replay(event("e3"), timed, relay.Replay{Changes: 3, Unkept: true}); j.Unversioned {
			t.Error("it has a version")
		} else if e, ok, err := s.Event(ctx, j.Record); !ok || err != nil || e.Event != nil {
			t.Errorf("what is not kept any more is kept as %s (%v, %v)", e.Event, ok, err)
		}
	})
}
