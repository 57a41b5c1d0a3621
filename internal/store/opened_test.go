package store

import (
	"errors"
	"testing"
	"time"

	"doorhook/internal/relay"

	"github.com/google/go-cmp/cmp"
)

// TestOpened notes who came whatever becomes of the event, and only forward.
func TestOpened(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		s := b.open(t)
		start := b.clock.Now().Truncate(time.Millisecond)
		at := func(p relay.Plan, lock int64, minutes int) relay.Plan {
			p.Opened = &relay.Opened{Lock: lock, At: start.Add(time.Duration(minutes) * time.Minute)}
			return p
		}
		ignored := func(id string) relay.Plan { return relay.Plan{EventID: id} }
		expect := func(after string, want map[int64]int) {
			t.Helper()
			got, err := s.Opened(ctx, []int64{1, 2, 3, 4, 5, 6, 77})
			if err != nil {
				t.Fatal(err)
			}
			times := map[int64]int{}
			for lock, t := range got {
				times[lock] = int(t.Sub(start).Minutes())
			}
			if diff := cmp.Diff(want, times); diff != "" {
				t.Errorf("%s (-want +got):\n%s", after, diff)
			}
		}
		expect("nothing", map[int64]int{})
		if got := accept(t, s, at(ignored("a"), 1, 10)); got.Status != relay.Ignored {
			t.Errorf("got %s", got.Status)
		}
		accept(t, s, at(ignored("b"), 1, 5))
		expect("an older one", map[int64]int{1: 10})
		accept(t, s, at(ignored("a"), 1, 20))
		expect("a duplicate", map[int64]int{1: 10})
		accept(t, s, at(booking("c", version(2), `{"n":1}`), 2, 1))
		if got := accept(t, s, at(booking("d", version(1), `{"n":1}`), 3, 1)); got.Status != relay.Stale {
			t.Errorf("got %s", got.Status)
		}
		fatal := at(relay.Plan{EventID: "e", Fatal: true, Problems: []relay.Problem{{Message: "no"}}}, 4, 1)
		accept(t, s, fatal)
		limited := at(relay.Plan{EventID: "f", Rules: []relay.Match{match("open", `{"n":1}`), match("b", `{"n":1}`)}, GrantsPerMinute: 1}, 5, 1)
		if got := accept(t, s, limited); got.Status != relay.Failed {
			t.Errorf("got %s", got.Status)
		}
		accept(t, s, at(ignored("g"), 1, 11))
		expect("all that is no duplicate", map[int64]int{1: 11, 2: 1, 3: 1, 4: 1, 5: 1})
		accept(t, s, at(ignored("h"), 1, -10))
		if got, err := s.Opened(ctx, nil); err != nil || len(got) != 0 {
			t.Errorf("of no locks: %v (%v)", got, err)
		}
		if ttl := b.rdb.PTTL(ctx, b.key("opened")).Val(); ttl < 6*day || ttl > 7*day {
			t.Errorf("kept for %s", ttl)
		}
		if n := b.rdb.HLen(ctx, b.key("opened")).Val(); n != 5 {
			t.Errorf("%d locks", n)
		}
	})
}

// TestCatchUp lets one at a time do it, and moves the mark only when it succeeded.
func TestCatchUp(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		one, other := b.open(t), b.open(t)
		mark := b.clock.Now().Truncate(time.Millisecond)
		until := func(at time.Time, err error) func() (time.Time, error) {
			return func() (time.Time, error) { return at, err }
		}
		expect := func(want time.Time) {
			t.Helper()
			if got, err := other.CaughtUp(ctx, "kisi"); err != nil || !got.Equal(want) {
				t.Errorf("caught up until %s (%v), want %s", got, err, want)
			}
		}
		expect(time.Time{})
		did, err := one.CatchUp(ctx, "kisi", func() (time.Time, error) {
			if did, err := other.CatchUp(ctx, "kisi", until(mark.Add(time.Hour), nil)); did || err != nil {
				t.Errorf("two at a time: %t, %v", did, err)
			}
			if did, err := other.CatchUp(ctx, "another", until(mark, nil)); !did || err != nil {
				t.Errorf("another trigger: %t, %v", did, err)
			}
			return mark, nil
		})
		if !did || err != nil {
			t.Errorf("did %t, %v", did, err)
		}
		expect(mark)
		no := errors.New("no")
		if did, err := other.CatchUp(ctx, "kisi", until(mark.Add(time.Hour), no)); !did || !errors.Is(err, no) {
			t.Errorf("failing: %t, %v", did, err)
		}
		expect(mark)
		if did, err := one.CatchUp(ctx, "kisi", until(time.Time{}, nil)); !did || err != nil {
			t.Errorf("without a mark: %t, %v", did, err)
		}
		expect(mark)
		b.rdb.Set(ctx, b.key("catchup-lock:kisi"), "somebody who died", catchupLock)
		if did, _ := one.CatchUp(ctx, "kisi", until(mark, nil)); did {
			t.Error("the lock of another was not respected")
		}
	})
}
