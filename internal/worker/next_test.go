package worker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorhook/internal/relay"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// schedule is a schedule for lock 1 from noon+1h on, for so many minutes.
func schedule(key string, minutes int, edit ...func(*relay.Action)) relay.Action {
	starts := noon.Add(time.Hour)
	ends := starts.Add(time.Duration(minutes) * time.Minute)
	a := relay.Action{
		Key: key, Rule: "r", Kind: relay.Schedule, Ends: ends, NotAfter: ends,
		Args: relay.Encode(map[string]any{"lock_id": 1, "starts_at": starts, "ends_at": ends}),
	}
	for _, e := range edit {
		e(&a)
	}
	return a
}

func link(key, email string) relay.Action {
	a := schedule(key, 60)
	a.Kind = relay.GroupLink
	a.Args = relay.Encode(map[string]any{"group_id": 5, "email": email})
	return a
}

func unlockAt(at time.Time) relay.Action {
	return relay.Action{Key: "u", Rule: "r", Kind: relay.Unlock, At: at, NotAfter: at.Add(time.Minute), Args: relay.Encode(map[string]any{"lock_id": 1})}
}

func stands(a relay.Action, object int64) relay.Held {
	return relay.Held{Action: a, Object: object, State: relay.Done, Changes: 1}
}

func TestNext(t *testing.T) {
	group := schedule("g", 60, func(a *relay.Action) {
		a.Args = relay.Encode(map[string]any{"group_id": 7, "consequence": "unlock", "starts_at": noon})
	})
	later := noon.Add(30 * time.Minute)
	atLater := func(a *relay.Action) { a.At = later }
	tests := []struct {
		name string
		want []relay.Action
		have []relay.Held
		now  time.Time
		op   op
		obj  int64
		when time.Time
	}{
		{name: "wanted and absent: create", want: []relay.Action{schedule("s", 60)}, op: create},
		{name: "wanted later: wait for its time", want: []relay.Action{schedule("s", 60, atLater)}, when: later},
		{name: "its time has come: create", want: []relay.Action{schedule("s", 60, atLater)}, now: later, op: create},
		{
			name: "stands as wanted: nothing until it is tidied up",
			want: []relay.Action{schedule("s", 60)}, have: []relay.Held{stands(schedule("s", 60), 9)}, when: noon.Add(2*time.Hour + day),
		},
		{
			name: "its window is long over: tidy up",
			want: []relay.Action{schedule("s", 60)}, have: []relay.Held{stands(schedule("s", 60), 9)}, now: noon.Add(2*time.Hour + day), op: revoke, obj: 9,
		},
		{name: "tidied up: nothing", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{stands(schedule("s", 60), 0)}, now: noon.Add(3 * day)},
		{name: "a schedule with other times: change it", want: []relay.Action{schedule("s", 90)}, have: []relay.Held{stands(schedule("s", 60), 9)}, op: change, obj: 9},
		{name: "a link with another address: create the new one first", want: []relay.Action{link("l", "b@x")}, have: []relay.Held{stands(link("l", "a@x"), 9)}, op: create},
		{
			name: "the new link stands: revoke the old",
			want: []relay.Action{link("l", "b@x")}, have: []relay.Held{{Action: link("l", "b@x"), Object: 10, Old: []int64{9}, State: relay.Done, Changes: 1}}, op: revoke, obj: 9,
		},
		{
			name: "the new link is not there yet: keep the old",
			want: []relay.Action{link("l", "b@x")},
			have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9}, State: relay.Retrying, RetryAt: later, Changes: 1}}, when: later,
		},
		{
			name: "the new link was rejected: the old one is not wanted all the same",
			want: []relay.Action{link("l", "b@x")}, have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9}, State: relay.Dead, Changes: 1}}, op: revoke, obj: 9,
		},
		{name: "moved to a lock of its own key: revoke before create", want: []relay.Action{schedule("s2", 60)}, have: []relay.Held{stands(schedule("s1", 30), 9)}, op: revoke, obj: 9},
		{name: "not wanted any more: revoke", have: []relay.Held{stands(schedule("s", 60), 9)}, op: revoke, obj: 9},
		{name: "cancelled before it was made: nothing", have: []relay.Held{{Action: schedule("s", 60), State: relay.Retrying}}},
		{name: "cancelled while it is not known whether it was made: look", have: []relay.Held{{Action: schedule("s", 60), Unsure: true}}, op: find},
		{name: "wanted, and not known whether it was made: look", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), Unsure: true}}, op: find},
		{name: "not known whether the door was unlocked: unlock again", want: []relay.Action{unlockAt(noon)}, have: []relay.Held{{Action: unlockAt(noon), Unsure: true}}, op: create},
		{name: "unlocked: once is enough", want: []relay.Action{unlockAt(noon)}, have: []relay.Held{{Action: unlockAt(noon), State: relay.Done}}},
		{name: "unlocked, then moved: unlock at the new time", want: []relay.Action{unlockAt(later)}, have: []relay.Held{{Action: unlockAt(noon), State: relay.Done}}, when: later},
		{name: "an unlock 60 s late is too late", want: []relay.Action{unlockAt(noon)}, now: noon.Add(time.Minute)},
		{name: "a window that is over: nothing is sent", want: []relay.Action{schedule("s", 60)}, now: noon.Add(2 * time.Hour)},
		{
			name: "moved into the past: what stands is revoked",
			want: []relay.Action{schedule("s", 1)}, have: []relay.Held{stands(schedule("s", 600), 9)}, now: noon.Add(2 * time.Hour), op: revoke, obj: 9,
		},
		{
			name: "moved, and Kisi is to be told later: what stands is revoked now",
			want: []relay.Action{schedule("s", 90, atLater)}, have: []relay.Held{stands(schedule("s", 60), 9)}, op: revoke, obj: 9, when: later,
		},
		{name: "resting after a failure", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), State: relay.Retrying, RetryAt: later, Changes: 1}}, when: later},
		{name: "rested", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), State: relay.Retrying, RetryAt: noon, Changes: 1}}, op: create},
		{name: "a change of the booking ends the rest", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), State: relay.Retrying, RetryAt: later}}, op: create},
		{name: "gave up", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), State: relay.Dead, Changes: 1}}},
		{name: "gave up, and the booking changed: try again", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), State: relay.Dead}}, op: create},
		{name: "a group whose locks are not known: ask", want: []relay.Action{group}, op: resolve},
		{
			name: "a group whose locks are known: one schedule each",
			want: []relay.Action{group}, have: []relay.Held{{Action: group, Locks: []int64{1}, State: relay.Done}}, op: create,
		},
		{
			name: "a group that does not exist: what it had is revoked",
			want: []relay.Action{group}, have: []relay.Held{{Action: group, State: relay.Dead, Changes: 1}, stands(schedule("g/1", 60), 9)}, op: revoke, obj: 9,
		},
		{
			name: "the same in another order changes nothing",
			want: []relay.Action{schedule("s~1", 60), schedule("s~2", 90)},
			have: []relay.Held{stands(schedule("s~1", 90), 8), stands(schedule("s~2", 60), 9)}, when: noon.Add(2*time.Hour + day),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := tt.now
			if now.IsZero() {
				now = noon
			}
			j := relay.Job{ID: "j", Changes: 1, Want: tt.want, Have: slices.Clone(tt.have)}
			d := next(&j, now, day)
			if d.step.op != tt.op || d.step.object != tt.obj {
				t.Fatalf("step is %s of %d, want %s of %d", d.step.op, d.step.object, tt.op, tt.obj)
			}
			if tt.op == none && !d.when.Equal(tt.when) || tt.op != none && !tt.when.IsZero() && !d.when.Equal(tt.when) {
				t.Errorf("looks again at %s, want %s", d.when, tt.when)
			}
		})
	}
}

// site is Kisi as far as this package can see it.
type site struct {
	objects map[int64]relay.Action
	last    int64
}

// do carries out a step, or not, as the fault says.
func (k *site) do(j relay.Job, s step, fault string) relay.Outcome {
	h := j.Have[s.held]
	failed := func(v relay.Verdict) relay.Outcome { return relay.Outcome{Verdict: v, Err: errors.New(fault)} }
	switch {
	case fault == "refused":
		return failed(relay.Retry)
	case fault == "rejected" && (s.op == create || s.op == resolve):
		return failed(relay.Rejected)
	case fault == "lost before" && s.op == create:
		return failed(relay.Unsure)
	}
	out := k.effect(h, s, objects(j))
	if fault == "lost after" {
		if s.op == create {
			return failed(relay.Unsure)
		}
		return failed(relay.Retry)
	}
	return out
}

func (k *site) effect(h relay.Held, s step, known []int64) relay.Outcome {
	_, there := k.objects[s.object]
	switch s.op {
	case create:
		if s.want.Kind == relay.Unlock {
			return relay.Outcome{Verdict: relay.OK}
		}
		k.last++
		k.objects[k.last] = s.want
		return relay.Outcome{Verdict: relay.OK, Object: k.last}
	case change:
		if !there {
			return relay.Outcome{Verdict: relay.Gone}
		}
		k.objects[s.object] = s.want
	case revoke:
		delete(k.objects, s.object)
	case resolve:
		return relay.Outcome{Verdict: relay.OK, Locks: []int64{1, 2}}
	case find:
		for id, a := range k.objects {
			if a.Same(h.Action) && !slices.Contains(known, id) {
				return relay.Outcome{Verdict: relay.OK, Object: id}
			}
		}
	}
	return relay.Outcome{Verdict: relay.OK}
}

// TestConverges lets a booking change at random while Kisi fails at random, a
// worker dying between any two steps included. Whatever happened, in the end
// exactly what the last version wants stands, once.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &site{objects: map[int64]relay.Action{}}
		j := relay.Job{ID: "j"}
		now := noon
		rounds := rapid.IntRange(1, 8).Draw(t, "changes")
		for range rounds {
			j.Changes++
			j.Want = drawWant(t)
			for range rapid.IntRange(0, 6).Draw(t, "steps") {
				d := next(&j, now, day)
				if d.step.op == none {
					break
				}
				if saved := runStep(t, k, &j, d.step, now); !saved {
					break
				}
				now = now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "seconds")) * time.Second)
			}
		}
		settle(t, k, &j, now)
		var got []string
		for _, a := range k.objects {
			got = append(got, string(a.Kind)+string(a.Args))
		}
		want := wanted(j)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("what stands is not what is wanted (-want +got):\n%s\nhave: %+v", diff, j.Have)
		}
	})
}

// runStep takes one step; it reports false when the worker died before it could
// save what the step came to.
func runStep(t *rapid.T, k *site, j *relay.Job, s step, now time.Time) bool {
	fault := rapid.SampledFrom([]string{"", "", "refused", "lost before", "lost after", "died"}).Draw(t, "fault")
	begin(j, s, now)
	saved := *j
	saved.Have = slices.Clone(j.Have)
	out := k.do(*j, s, fault)
	if fault == "died" {
		*j = saved
		return false
	}
	apply(j, s, out, now, 0)
	return true
}

// settle works without faults until nothing is left to do.
func settle(t *rapid.T, k *site, j *relay.Job, now time.Time) {
	for range 200 {
		d := next(j, now, day)
		if d.step.op != none {
			begin(j, d.step, now)
			apply(j, d.step, k.do(*j, d.step, ""), now, 0)
			continue
		}
		if d.when.IsZero() || d.when.After(noon.Add(30*time.Minute)) {
			return
		}
		now = d.when
	}
	t.Fatal("it never comes to rest")
}

func drawWant(t *rapid.T) []relay.Action {
	var want []relay.Action
	for i := range rapid.IntRange(0, 3).Draw(t, "wants") {
		key := fmt.Sprintf("r#%d", i)
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			want = append(want, schedule(key, rapid.IntRange(1, 3).Draw(t, "minutes")*30))
		case 1:
			want = append(want, link(key, rapid.SampledFrom([]string{"a@x", "b@x"}).Draw(t, "email")))
		case 2:
			g := schedule(key, rapid.IntRange(1, 2).Draw(t, "minutes")*30)
			g.Args = relay.Encode(map[string]any{"group_id": 7, "consequence": "unlock", "ends_at": g.Ends})
			want = append(want, g)
		}
	}
	return want
}

func wanted(j relay.Job) []string {
	var want []string
	for _, a := range j.Want {
		each := []relay.Action{a}
		if _, ok := a.GroupToExpand(); ok {
			each = a.Expand([]int64{1, 2})
		}
		for _, a := range each {
			want = append(want, string(a.Kind)+string(a.Args))
		}
	}
	return want
}

// TestTooLate makes a dead letter of what was missed, and none of what was asked for too late.
func TestTooLate(t *testing.T) {
	late := noon.Add(2 * time.Hour) // after every window here
	tests := []struct {
		name    string
		held    []relay.Held
		changed time.Time
		letters int
	}{
		{"asked for when it was over", nil, late.Add(-time.Second), 0},
		{"nobody was there at its time", nil, noon, 1},
		{"tried until it was over", []relay.Held{{Action: schedule("s", 30), State: relay.Retrying, Attempts: 3, Error: "no answer"}}, late, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := relay.Job{ID: "j", Changes: 1, ChangedAt: tt.changed, Want: []relay.Action{schedule("s", 30)}, Have: tt.held}
			d := next(&j, late, day)
			if d.step.op != none || len(d.letters) != tt.letters {
				t.Errorf("step %s, letters %+v, want %d", d.step.op, d.letters, tt.letters)
			}
			if again := next(&j, late, day); len(again.letters) != 0 {
				t.Error("the letter is written twice")
			}
		})
	}
}
