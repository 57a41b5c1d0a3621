package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

// stuck is a Kisi that deletes nothing.
type stuck struct{ *shelf }

func (stuck) Revoke(context.Context, relay.Action, int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.Retry, Err: errors.New("403")}
}

func rejects(relay.Action) relay.Outcome {
	return relay.Outcome{Verdict: relay.Rejected, Err: errors.New("no such lock")}
}

// TestTellsOfLetters that were saved, and of nothing that becomes of an alert.
func TestTellsOfLetters(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger string
		edit    func(*shelf)
		want    int
	}{
		"a dead letter":                   {trigger: "t", want: 1},
		"an alert that cannot be sent":    {trigger: relay.Own},
		"a dead letter that is not saved": {trigger: "t", edit: func(s *shelf) { s.onFinish = func() error { return relay.ErrLeaseLost } }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf(window("a"))
				s.job.Trigger, s.job.EventID, s.onCreate = tt.trigger, "e1", rejects
				if tt.edit != nil {
					tt.edit(s)
				}
				var told []relay.Happening
				runFor(t, s, s, Options{Tell: func(h relay.Happening) { told = append(told, h); s.note("tell") }}, 500*time.Millisecond)
				if len(told) != tt.want {
					t.Fatalf("told %+v, want %d", told, tt.want)
				}
				if tt.want == 0 {
					return
				}
				want := relay.Happening{Type: relay.ActionDead, ID: "j:1:a", At: told[0].At, Says: map[string]any{
					"cause": "kisi", "trigger": "t", "event_id": "e1", "job_id": "j", "rule": "r", "action": "schedule", "error": "no such lock",
				}}
				if diff := cmp.Diff(want, told[0]); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{"save", "create a", "finish", "tell"}, s.done[:4]); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestTellsOfRevokes that fail for the third time, and in each hour after, as long as
// they leave a door open.
func TestTellsOfRevokes(t *testing.T) {
	for name, tt := range map[string]struct {
		trigger string
		ends    time.Duration
		after   time.Duration
		ids     int // that differ
	}{
		"twice":               {"t", 30 * time.Hour, 2 * time.Second, 0},
		"three times":         {"t", 30 * time.Hour, 5 * time.Second, 1},
		"for hours":           {"t", 30 * time.Hour, 2*time.Hour + 30*time.Minute, 3},
		"its window is over":  {"t", -time.Minute, time.Hour, 0},
		"doorhook's own":      {relay.Own, 30 * time.Hour, time.Hour, 0},
		"it has no window":    {"t", 0, 5 * time.Second, 1},
		"until the window is": {"t", 90 * time.Minute, 10 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				s.job.Trigger = tt.trigger
				a := window("a")
				if a.Ends = (time.Time{}); tt.ends != 0 {
					a.Ends = time.Now().Add(tt.ends)
				}
				s.job.Have = []relay.Held{stands(a, 9)}
				ids := map[string]bool{}
				runFor(t, s, stuck{s}, Options{Tell: func(h relay.Happening) {
					ids[h.ID] = true
					if h.Type != relay.RevokeFailing || h.Says["object"] != "9" || h.Says["error"] != "403" {
						t.Errorf("told %+v", h)
					}
				}}, tt.after)
				if len(ids) != tt.ids {
					t.Errorf("told of %v, want %d", ids, tt.ids)
				}
			})
		})
	}
}

// TestTakesTurns: what Kisi gives only once is tried again soon where its window has
// begun, and as soon as what is in the way is over.
func TestTakesTurns(t *testing.T) {
	refused := func(free time.Time, served bool) relay.Outcome {
		return relay.Outcome{Verdict: relay.Retry, Free: free, Served: served, Err: errors.New("409")}
	}
	for name, tt := range map[string]struct {
		now  time.Time
		out  relay.Outcome
		want time.Duration // at most, after many attempts
	}{
		"its window is far":             {noon, refused(time.Time{}, false), 5 * time.Minute},
		"its window has begun":          {noon.Add(time.Hour), refused(time.Time{}, false), time.Minute},
		"what is in the way ends soon":  {noon, refused(noon.Add(30*time.Second), false), 30*time.Second + tidied},
		"what is in the way ended":      {noon, refused(noon.Add(-time.Hour), false), 5 * time.Minute},
		"what is in the way stays long": {noon, refused(noon.Add(time.Hour), false), 5 * time.Minute},
	} {
		j := relay.Job{ID: "j", Changes: 1, ChangedAt: noon, Want: []relay.Action{role("a", 60)}, Have: []relay.Held{{Action: role("a", 60), Attempts: 20, TriedAt: noon, Changes: 1}}}
		d := next(&j, tt.now, day)
		begin(&j, d.step, tt.now)
		apply(&j, d.step, tt.out, tt.now, 0)
		if got := j.Have[0].RetryAt.Sub(tt.now); got != tt.want {
			t.Errorf("%s: tried again after %s, want %s", name, got, tt.want)
		}
	}
}

// TestNobodyMissesIt: where something else let the person in all the time, nothing is
// reported as missed.
func TestNobodyMissesIt(t *testing.T) {
	for served, letters := range map[bool]int{true: 0, false: 1} {
		j := relay.Job{ID: "j", Changes: 1, ChangedAt: noon, Want: []relay.Action{role("a", 60)}}
		d := next(&j, noon, day)
		begin(&j, d.step, noon)
		apply(&j, d.step, relay.Outcome{Verdict: relay.Retry, Served: served, Err: errors.New("409")}, noon, 0)
		if d = next(&j, noon.Add(2*time.Hour), day); len(d.letters) != letters || j.Have[0].State != relay.TooLate {
			t.Errorf("served %t: letters %+v, held %+v", served, d.letters, j.Have[0])
		}
	}
}

// TestLooksSinceTheDoubt looks for what came of the creates that may have had their effect,
// and not of those before: what somebody was given by hand meanwhile is not ours.
func TestLooksSinceTheDoubt(t *testing.T) {
	no, later := errors.New("no"), noon.Add(10*time.Minute)
	j := relay.Job{ID: "j", Changes: 1, ChangedAt: noon, Want: []relay.Action{role("a", 60)}}
	for _, at := range []time.Time{noon, later} {
		d := next(&j, at, day)
		begin(&j, d.step, at)
		out := relay.Outcome{Verdict: relay.Retry, Err: no}
		if at.Equal(later) {
			out.Verdict = relay.Unsure
		}
		apply(&j, d.step, out, at, 0)
	}
	if h := j.Have[0]; !h.Unsure || !h.TriedAt.Equal(later) || h.Attempts != 2 {
		t.Errorf("held %+v", h)
	}
	looked := later.Add(5 * time.Minute)
	for _, at := range []time.Time{looked, looked} { // it finds nothing, and Kisi refuses the next
		d := next(&j, at, day)
		begin(&j, d.step, at)
		out := relay.Outcome{Verdict: relay.OK}
		if d.step.op == create {
			out = relay.Outcome{Verdict: relay.Retry, Err: no}
		}
		apply(&j, d.step, out, at, 0)
	}
	if h := j.Have[0]; len(h.Lost) != 1 || !h.TriedAt.Equal(later) || h.Attempts != 3 {
		t.Errorf("held %+v: Kisi may still finish what got no answer", h)
	}
}
