package app

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/worker"
)

// turn is a message of a booking that lets Jo into a group from one minute of the day to
// another; 0 and 0 cancel it.
type turn struct {
	at          int // minute at which it comes
	booking     string
	from, until int
}

func (w *tower) take(b turn) {
	w.t.Helper()
	midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return midnight.Add(time.Duration(n) * time.Minute) }
	p := relay.Plan{Booking: b.booking, Cancelled: b.until == 0}
	if b.until != 0 {
		a := relay.Action{Key: "access#0", Rule: "access", Kind: relay.RoleAssignment, Ends: minute(b.until), NotAfter: minute(b.until), Args: relay.Encode(map[string]any{
			"group_id": 32693, "email": "jo@example.com", "role_id": "group_basic", "notify": false, "valid_from": minute(b.from), "valid_until": minute(b.until),
		})}
		p.Rules = []relay.Match{{Rule: "access", Actions: []relay.Action{a}}}
	}
	time.Sleep(time.Until(minute(b.at)))
	ev := relay.Event{ID: fmt.Sprint(b.booking, b.at), Trigger: "t", ReceivedAt: w.now(), Payload: map[string]any{}}
	if _, err := w.store.Accept(w.t.Context(), ev, p); err != nil {
		w.t.Fatal(err)
	}
}

// mayEnter reports whether Kisi opens the group to Jo now.
func (w *tower) mayEnter() bool {
	now := time.Now()
	for _, r := range w.fake.RoleAssignments() {
		if r.AssigneeID == 77 && !now.Before(r.ValidFrom) && (r.ValidUntil.IsZero() || now.Before(r.ValidUntil)) {
			return true
		}
	}
	return false
}

// TestOnePersonTwoBookings: Kisi gives one person a role once at a time, and each booking
// that needs it has it all the same. The pretend day has ten-second steps.
func TestOnePersonTwoBookings(t *testing.T) {
	const h = 60
	for name, tt := range map[string]struct {
		day    []turn
		enters [][2]int      // minutes from and until which Jo can enter
		gap    time.Duration // for which it may be missing in all
		faults []kisifake.Fault
		byHand bool          // Jo may always enter
		ahead  time.Duration // what Redis's clock shows more than this host's
	}{
		"one":                       {day: []turn{{0, "a", 10 * h, 11 * h}}, enters: [][2]int{{10 * h, 11 * h}}},
		"one after another":         {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 11 * h, 12 * h}}, enters: [][2]int{{10 * h, 12 * h}}},
		"overlapping":               {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 10*h + 30, 12 * h}}, enters: [][2]int{{10 * h, 12 * h}}, gap: 20 * time.Second},
		"the second begins earlier": {day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 10*h + 30}}, enters: [][2]int{{9 * h, 12 * h}}, gap: 10 * time.Second},
		"the second begins earlier, and this host's clock is behind": {
			day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 11 * h}}, enters: [][2]int{{9 * h, 12 * h}}, gap: 40 * time.Second, ahead: 15 * time.Second,
		},
		"the second begins earlier and ends later": {
			day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 9 * h, 12 * h}}, enters: [][2]int{{9 * h, 12 * h}}, gap: 20 * time.Second,
		},
		"the second begins earlier, and the first is cancelled": {
			day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 11 * h}, {9*h + 30, "a", 0, 0}}, enters: [][2]int{{9 * h, 11 * h}}, gap: 10 * time.Second,
		},
		"the second begins earlier, and is cancelled": {
			day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 11 * h}, {9*h + 30, "b", 0, 0}}, enters: [][2]int{{9 * h, 9*h + 30}, {10 * h, 12 * h}},
		},
		"the second begins earlier, and is moved": {
			day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 11 * h}, {2, "b", 8 * h, 11 * h}}, enters: [][2]int{{8 * h, 12 * h}}, gap: 10 * time.Second,
		},
		"longer while it lasts, into the next": {
			day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 11 * h, 12 * h}, {10*h + 30, "a", 10 * h, 11*h + 30}}, enters: [][2]int{{10 * h, 12 * h}}, gap: 20 * time.Second,
		},
		"the second begins earlier, and the answer is lost": {
			day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 11 * h}}, enters: [][2]int{{9 * h, 12 * h}}, gap: 10 * time.Second,
			faults: []kisifake.Fault{{Method: "POST", Path: "/role_assignments", Skip: 2, Then: kisifake.Crash}},
		},
		"the second begins earlier, the answer is lost, and it is cancelled": {
			day: []turn{{0, "a", 10 * h, 12 * h}, {1, "b", 9 * h, 11 * h}, {1, "b", 0, 0}}, enters: [][2]int{{10 * h, 12 * h}},
			faults: []kisifake.Fault{{Method: "POST", Path: "/role_assignments", Skip: 2, Then: kisifake.Crash}},
		},
		"the first is cancelled meanwhile": {
			day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 10*h + 15, 12 * h}, {10*h + 20, "a", 0, 0}}, enters: [][2]int{{10 * h, 12 * h}}, gap: 70 * time.Second,
		},
		"the first is cancelled before": {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 10 * h, 11 * h}, {9 * h, "a", 0, 0}}, enters: [][2]int{{10 * h, 11 * h}}},
		"both the same":                 {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 10 * h, 11 * h}}, enters: [][2]int{{10 * h, 11 * h}}},
		"one within the other":          {day: []turn{{0, "a", 9 * h, 12 * h}, {1, "b", 10 * h, 11 * h}}, enters: [][2]int{{9 * h, 12 * h}}},
		"the second is cancelled":       {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "b", 10 * h, 11 * h}, {10*h + 20, "b", 0, 0}}, enters: [][2]int{{10 * h, 11 * h}}},
		"moved":                         {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "a", 12 * h, 13 * h}}, enters: [][2]int{{12 * h, 13 * h}}},
		"longer while it lasts":         {day: []turn{{0, "a", 10 * h, 11 * h}, {10*h + 30, "a", 10 * h, 12 * h}}, enters: [][2]int{{10 * h, 12 * h}}, gap: 10 * time.Second},
		"cancelled":                     {day: []turn{{0, "a", 10 * h, 11 * h}, {1, "a", 0, 0}}},
		"the answer is lost": {
			day: []turn{{0, "a", 10 * h, 11 * h}}, enters: [][2]int{{10 * h, 11 * h}}, faults: []kisifake.Fault{{Method: "POST", Path: "/role_assignments", Then: kisifake.Crash}},
		},
		"the request is lost": {
			day: []turn{{0, "a", 10 * h, 11 * h}}, enters: [][2]int{{10 * h, 11 * h}}, faults: []kisifake.Fault{{Method: "POST", Path: "/role_assignments", Status: 503}},
		},
		"the answer is lost, and it is cancelled": {
			day: []turn{{0, "a", 10 * h, 11 * h}, {0, "a", 0, 0}}, faults: []kisifake.Fault{{Method: "POST", Path: "/role_assignments", Then: kisifake.Crash}},
		},
		"whoever may enter anyway": {day: []turn{{0, "a", 10 * h, 11 * h}, {9 * h, "a", 0, 0}}, enters: [][2]int{{0, 24 * h}}, byHand: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, w *tower) {
				if tt.byHand {
					w.fake.Assign(kisifake.RoleAssignment{RoleID: "group_basic", AssigneeType: "User", AssigneeID: 77, AppliesToType: "Group", AppliesToID: 32693})
				}
				w.ahead.Store(int64(tt.ahead))
				for _, f := range tt.faults {
					w.fake.Fail(f)
				}
				w.work(func(o *worker.Options, _ *heldDoer) { o.Poll = time.Hour })
				go func() {
					for _, b := range tt.day {
						w.take(b)
					}
				}()
				missing, stranger := w.watch(func(at time.Duration) bool {
					return slices.ContainsFunc(tt.enters, func(e [2]int) bool { return at > minutes(e[0]) && at <= minutes(e[1]) })
				})
				if stranger > 0 {
					t.Errorf("Jo was let in for %s", stranger)
				}
				if missing > tt.gap {
					t.Errorf("Jo was kept out for %s", missing)
				}
				if left := len(w.fake.RoleAssignments()); left > 0 != tt.byHand || left > 1 {
					t.Errorf("left in the end: %+v", w.fake.RoleAssignments())
				}
				if diff := cmp.Diff([]relay.Cause(nil), w.letters()); diff != "" {
					t.Errorf("dead letters:\n%s", diff)
				}
			})
		})
	}
}

// TestOnePersonWholeDays has Jo book, move and cancel at random: the group is open to Jo
// whenever one of the bookings says so, but for a moment at each change, and at no other time,
// whatever goes wrong on the way to Kisi.
func TestOnePersonWholeDays(t *testing.T) {
	t.Parallel()
	const (
		perTurn  = 80 * time.Second // what is in the way is asked for once a minute
		perFault = time.Minute      // so long may what was refused rest
	)
	drawTurn := rapid.Custom(func(rt *rapid.T) turn {
		b := turn{at: 15 * rapid.IntRange(0, 4*20).Draw(rt, "at"), booking: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "booking")}
		if rapid.IntRange(0, 3).Draw(rt, "cancelled") > 0 {
			b.from = 30 * rapid.IntRange(14, 30).Draw(rt, "from")
			b.until = b.from + 30*rapid.IntRange(1, 6).Draw(rt, "length")
		}
		return b
	})
	drawFault := rapid.Custom(func(rt *rapid.T) kisifake.Fault {
		return kisifake.Fault{
			Method: rapid.SampledFrom([]string{"POST", "POST", "GET", "DELETE"}).Draw(rt, "method"), Path: "/role_assignments",
			Skip: rapid.IntRange(0, 8).Draw(rt, "skip"), Status: rapid.SampledFrom([]int{0, 0, 503, 429}).Draw(rt, "status"),
			Then: rapid.SampledFrom([]kisifake.Then{kisifake.Crash, kisifake.Reset}).Draw(rt, "then"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		faults := rapid.SliceOfN(drawFault, 0, 6).Draw(rt, "faults")
		day := rapid.SliceOfN(drawTurn, 2, 7).Draw(rt, "day")
		slices.SortStableFunc(day, func(a, b turn) int { return a.at - b.at })
		inFakeTime(t, func(t *testing.T, w *tower) {
			for _, f := range faults {
				w.fake.Fail(f)
			}
			w.work(func(o *worker.Options, _ *heldDoer) { o.Poll = time.Hour })
			go func() {
				for _, b := range day {
					w.take(b)
				}
			}()
			missing, stranger := w.watch(func(at time.Duration) bool {
				open := map[string]bool{}
				for _, b := range day {
					if minutes(b.at) < at {
						open[b.booking] = minutes(b.from) < at && at <= minutes(b.until)
					}
				}
				return open["a"] || open["b"] || open["c"]
			})
			if stranger > perFault*time.Duration(len(faults)) {
				rt.Errorf("Jo was let in for %s", stranger)
			}
			if missing > perTurn*time.Duration(len(day))+perFault*time.Duration(len(faults)) {
				rt.Errorf("Jo was kept out for %s", missing)
			}
			if left := w.fake.RoleAssignments(); len(left) > 0 {
				rt.Errorf("left in the end: %+v", left)
			}
			if letters := w.letters(); len(letters) > 0 {
				rt.Errorf("dead letters: %v", letters)
			}
		})
	})
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// watch lets a day pass, and says for how long Jo was kept out when wanted says that Jo is
// let in, and for how long Jo was let in otherwise.
func (w *tower) watch(wanted func(at time.Duration) bool) (missing, stranger time.Duration) {
	w.t.Helper()
	const look = 10 * time.Second
	for at := look; at <= 24*time.Hour; at += look {
		time.Sleep(look - time.Millisecond)
		synctest.Wait()
		switch may, should := w.mayEnter(), wanted(at); {
		case should && !may:
			missing += look
		case may && !should:
			stranger += look
		}
		time.Sleep(time.Millisecond)
	}
	return missing, stranger
}
