package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

// role lets a user into group 5 from noon+1h on, for so many minutes.
func role(key string, minutes int) relay.Action {
	a := schedule(key, minutes)
	a.Kind = relay.RoleAssignment
	a.Args = relay.Encode(map[string]any{"group_id": 5, "user_id": 77, "valid_from": noon.Add(time.Hour), "valid_until": a.Ends})
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
	later := noon.Add(4 * time.Minute) // no pause is longer than 5 m
	soon := noon.Add(20 * time.Second)
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
		{name: "a role with another window: revoke the old one first", want: []relay.Action{role("a", 90)}, have: []relay.Held{stands(role("a", 60), 9)}, op: revoke, obj: 9},
		{
			name: "the old role cannot be taken back yet: wait with the new one",
			want: []relay.Action{role("a", 90)}, have: []relay.Held{{Action: role("a", 60), Old: []int64{9}, Revokes: patience - 1, RevokeAt: soon, Changes: 1}}, when: soon,
		},
		{
			name: "the old role cannot be taken back at all: try the new one all the same",
			want: []relay.Action{role("a", 90)}, have: []relay.Held{{Action: role("a", 60), Old: []int64{9}, Revokes: patience, RevokeAt: soon, Changes: 1}}, op: create,
		},
		{name: "the old role is gone: give the new one", want: []relay.Action{role("a", 90)}, have: []relay.Held{{Action: role("a", 60), Changes: 1}}, op: create},
		{name: "a role stands until its window is over", want: []relay.Action{role("a", 60)}, have: []relay.Held{stands(role("a", 60), 9)}, when: noon.Add(2 * time.Hour)},
		{name: "the window of a role is over: it goes at once, others may wait for it", want: []relay.Action{role("a", 60)}, have: []relay.Held{stands(role("a", 60), 9)}, now: noon.Add(2 * time.Hour), op: revoke, obj: 9},
		{name: "a role that was taken back at the end of its window: nothing", want: []relay.Action{role("a", 60)}, have: []relay.Held{stands(role("a", 60), 0)}, now: noon.Add(2 * time.Hour)},
		{name: "moved to a lock of its own key: revoke before create", want: []relay.Action{schedule("s2", 60)}, have: []relay.Held{stands(schedule("s1", 30), 9)}, op: revoke, obj: 9},
		{name: "not wanted any more: revoke", have: []relay.Held{stands(schedule("s", 60), 9)}, op: revoke, obj: 9},
		{name: "cancelled before it was made: nothing", have: []relay.Held{{Action: schedule("s", 60), State: relay.Retrying}}},
		{name: "cancelled while it is not known whether it was made: look", have: []relay.Held{{Action: schedule("s", 60), Unsure: true}}, op: find},
		{name: "wanted, and not known whether it was made: look", want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), Unsure: true}}, op: find},
		{name: "not known whether the door was unlocked: unlock again", want: []relay.Action{unlockAt(noon)}, have: []relay.Held{{Action: unlockAt(noon), Changes: 1}}, op: create},
		{
			name: "a known old link goes, though the new one cannot be looked for",
			have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9}, Unsure: true}}, op: revoke, obj: 9,
		},
		{
			name: "the new link may stand: the old one has a while",
			want: []relay.Action{link("l", "b@x")}, have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9}, Unsure: true, Attempts: patience - 1, RetryAt: soon, Changes: 1}}, when: soon,
		},
		{
			name: "the new link may stand, and cannot be looked for: the old one goes",
			want: []relay.Action{link("l", "b@x")}, have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9}, Unsure: true, Attempts: patience, RetryAt: soon, Changes: 1}}, op: revoke, obj: 9,
		},
		{
			name: "a doubt long after the window keeps no old link alive",
			want: []relay.Action{link("l", "b@x")}, have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9}, Unsure: true, State: relay.Retrying, Changes: 1}},
			now: noon.Add(2*time.Hour + day + time.Minute), op: revoke, obj: 9,
		},
		{
			name: "made after a look that found nothing: look once more, later",
			want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), Object: 9, State: relay.Done, Lost: []relay.Lost{{Action: schedule("s", 60), LookAt: soon}}, Changes: 1}}, when: soon,
		},
		{
			name: "the second look is due",
			want: []relay.Action{schedule("s", 60)}, have: []relay.Held{{Action: schedule("s", 60), Object: 9, State: relay.Done, Lost: []relay.Lost{{Action: schedule("s", 60), LookAt: noon}}, Changes: 1}}, op: find,
		},
		{
			name: "cancelled before the second look: look at once",
			have: []relay.Held{{Action: schedule("s", 60), Lost: []relay.Lost{{Action: schedule("s", 60), LookAt: soon}}}}, op: find,
		},
		{
			name: "looked at once: look once more all the same",
			have: []relay.Held{{Action: schedule("s", 60), Lost: []relay.Lost{{Action: schedule("s", 60), LookAt: soon}}, Changes: 1}}, when: soon,
		},
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
	late    []lateCreate // requests without an answer that are still being worked on
	came    []time.Time  // when somebody came to its doors
}

type lateCreate struct {
	at     time.Time
	action relay.Action
}

// comeTo carries out what was still being worked on.
func (k *site) comeTo(now time.Time) {
	k.late = slices.DeleteFunc(k.late, func(l lateCreate) bool {
		if l.at.After(now) {
			return false
		}
		if !k.taken(l.action) {
			k.last++
			k.objects[k.last] = l.action
		}
		return true
	})
}

// do carries out a step, or not, as the fault says.
func (k *site) do(j relay.Job, s step, fault string) relay.Outcome {
	h := j.Have[s.held]
	failed := func(v relay.Verdict) relay.Outcome { return relay.Outcome{Verdict: v, Err: errors.New(fault)} }
	switch {
	case fault == "untried":
		return failed(relay.Untried)
	case fault == "refused":
		return failed(relay.Retry)
	case fault == "rejected" && (s.op == create || s.op == resolve || s.op == change):
		return failed(relay.Rejected)
	case fault == "lost before" && s.op == create:
		return failed(relay.Unsure)
	}
	out := k.effect(h, s, objects(j), doorsOf(j, h.Action.Rule).from)
	if fault == "lost after" {
		if s.op == create {
			return failed(relay.Unsure)
		}
		return failed(relay.Retry)
	}
	return out
}

// taken reports whether a is of a kind that Kisi gives once, and somebody has it.
func (k *site) taken(a relay.Action) bool {
	for _, o := range k.objects {
		if o.Kind == a.Kind && a.Kind.Exclusive() {
			return true
		}
	}
	return false
}

func (k *site) effect(h relay.Held, s step, known []int64, from time.Time) relay.Outcome {
	_, there := k.objects[s.object]
	switch s.op {
	case create:
		if s.want.Kind == relay.Unlock {
			return relay.Outcome{Verdict: relay.OK}
		}
		if k.taken(s.want) {
			return relay.Outcome{Verdict: relay.Retry, Err: errors.New("409")}
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
	case look:
		return relay.Outcome{Verdict: relay.OK, Used: slices.ContainsFunc(k.came, func(at time.Time) bool { return !at.Before(from) })}
	case find:
		sought := h.Action
		if !h.Unsure {
			sought = h.Lost[0].Action
		}
		for id, a := range k.objects {
			if a.Same(sought) && !slices.Contains(known, id) {
				return relay.Outcome{Verdict: relay.OK, Object: id}
			}
		}
	}
	return relay.Outcome{Verdict: relay.OK}
}

// TestConverges lets a booking change at random while Kisi fails at random, a
// worker dying between any two steps included. Whenever it comes to rest, exactly
// what the booking wants stands, once; it always comes to rest; and in the end,
// when all windows are long over, nothing is left.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{site: &site{objects: map[int64]relay.Action{}}, job: relay.Job{ID: "j"}, now: noon}
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			h.job.Changes++
			h.job.ChangedAt, h.job.ReceivedAt = h.now, h.now
			h.job.Want = drawWant(t, h.now)
			for range rapid.IntRange(0, 8).Draw(t, "steps") {
				h.step(t, rapid.SampledFrom([]string{"", "", "untried", "refused", "rejected", "lost before", "lost after", "late", "died"}).Draw(t, "fault"))
				h.now = h.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
				if rapid.IntRange(0, 9).Draw(t, "somebody comes") == 0 {
					h.site.came = append(h.site.came, h.now)
				}
			}
			if rapid.Bool().Draw(t, "time passes") {
				h.now = h.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
			}
		}
		h.rest(t)
		if len(h.site.objects) != 0 || h.job.Standing() {
			t.Fatalf("left in the end: %v, held %+v", h.site.objects, h.job.Have)
		}
	})
}

// history is one booking's life.
type history struct {
	site *site
	job  relay.Job
	now  time.Time
}

// step takes the next step, or lets time pass if there is none; it reports false
// when nothing will come any more. A worker that died could not save what it came to.
func (h *history) step(t *rapid.T, fault string) bool {
	h.site.comeTo(h.now)
	d := next(&h.job, h.now, day)
	if d.step.op == none {
		if !d.when.IsZero() && !d.when.After(h.now) {
			t.Fatalf("it is to be looked at again at %s, which is not after %s", d.when, h.now)
		}
		h.checkAtRest(t)
		if d.when.IsZero() {
			return false
		}
		h.now = d.when
		return true
	}
	begin(&h.job, d.step, h.now)
	saved := h.job
	saved.Have = slices.Clone(h.job.Have)
	if fault == "late" && d.step.op == create && d.step.want.Kind != relay.Unlock {
		delay := time.Duration(rapid.IntRange(1, 25).Draw(t, "late by seconds")) * time.Second
		h.site.late = append(h.site.late, lateCreate{h.now.Add(delay), d.step.want})
		fault = "lost before"
	}
	out := h.site.do(h.job, d.step, fault)
	if fault == "died" {
		h.job = saved
		return true
	}
	apply(&h.job, d.step, out, h.now, 0)
	if d.step.op == look {
		h.checkLook(t)
	}
	return true
}

// checkLook lets nothing be taken back that somebody came for, or whose time to be
// taken back has not come.
func (h *history) checkLook(t *rapid.T) {
	for _, held := range h.job.Have {
		if held.State != relay.Unused || held.Object == 0 {
			continue
		}
		begins := noon.Add(time.Hour)
		for _, at := range []time.Time{held.MadeAt, held.TriedAt} {
			if at.After(begins) {
				begins = at
			}
		}
		if i := slices.IndexFunc(h.site.came, func(at time.Time) bool { return !at.Before(begins) }); i >= 0 || held.Action.Unused.After(h.now) || !h.now.Before(held.Action.Ends) {
			t.Fatalf("taken back at %s, though somebody came, or too early, or too late: %+v, came %s", h.now, held, h.site.came)
		}
	}
}

// rest works without faults until nothing is left to come.
func (h *history) rest(t *rapid.T) {
	for range 500 {
		if !h.step(t, "") {
			return
		}
	}
	t.Fatal("it never comes to rest")
}

// checkAtRest compares what stands with what is wanted, unless something waits for
// its next attempt.
func (h *history) checkAtRest(t *rapid.T) {
	for _, held := range h.job.Have {
		waits := held.RetryAt.After(h.now) || held.RevokeAt.After(h.now)
		if waits && held.Changes == h.job.Changes || len(held.Lost) > 0 {
			return
		}
	}
	may, must := h.wanted()
	for id, a := range h.site.objects {
		s := string(a.Kind) + string(a.Args)
		if may[s]--; may[s] < 0 {
			t.Fatalf("object %d is not wanted, or there twice: %s\nheld %+v", id, s, h.job.Have)
		}
		must[s]--
	}
	for s, n := range must {
		if n > 0 {
			t.Fatalf("missing: %s\nheld %+v", s, h.job.Have)
		}
	}
}

// wanted is what may stand now, and what must: what is due, not over and not given up.
func (h *history) wanted() (may, must map[string]int) {
	may, must = map[string]int{}, map[string]int{}
	for _, a := range h.job.Want {
		each := []relay.Action{a}
		if _, ok := a.GroupToExpand(); ok {
			each = a.Expand([]int64{1, 2})
		}
		for _, e := range each {
			s := string(e.Kind) + string(e.Args)
			may[s]++
			gaveUp := slices.ContainsFunc(h.job.Have, func(held relay.Held) bool {
				return (held.Action.Key == e.Key || held.Action.Key == a.Key) &&
					(held.State == relay.Dead || held.State == relay.TooLate || held.State == relay.Unused && held.Action.Same(e))
			})
			if e.Kind != relay.Unlock && !e.Expired(h.now) && !e.At.After(h.now) && !gaveUp {
				must[s]++
			}
		}
	}
	return may, must
}

func drawWant(t *rapid.T, now time.Time) []relay.Action {
	var want []relay.Action
	unused := rapid.IntRange(0, 59).Draw(t, "unused in minutes") // of all, as it is a rule's; or never
	for i := range rapid.IntRange(0, 3).Draw(t, "wants") {
		key := fmt.Sprintf("r#%d", i)
		var a relay.Action
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			a = schedule(key, rapid.IntRange(1, 3).Draw(t, "minutes")*30)
		case 1:
			a = link(key, rapid.SampledFrom([]string{"a@x", "b@x"}).Draw(t, "email"))
		case 2:
			a = schedule(key, rapid.IntRange(1, 2).Draw(t, "minutes")*30)
			a.Args = relay.Encode(map[string]any{"group_id": 7, "consequence": "unlock", "ends_at": a.Ends})
		case 3:
			a = unlockAt(now.Add(time.Duration(rapid.IntRange(-2, 3).Draw(t, "unlock in minutes")) * time.Minute))
			a.Key = key
		case 4:
			if slices.ContainsFunc(want, func(o relay.Action) bool { return o.Kind.Exclusive() }) {
				continue // Kisi gives it once
			}
			a = role(key, rapid.IntRange(1, 3).Draw(t, "minutes")*30)
		}
		if a.Kind != relay.Unlock && unused > 0 && unused < 30 {
			a.Unused = noon.Add(time.Hour + time.Duration(unused)*time.Minute)
		}
		if a.Kind != relay.Unlock {
			switch rapid.IntRange(0, 4).Draw(t, "when") {
			case 0:
				a.At = now.Add(time.Duration(rapid.IntRange(-1, 30).Draw(t, "at in minutes")) * time.Minute)
			case 1:
				if late := now.Add(time.Duration(rapid.IntRange(-1, 10).Draw(t, "late in minutes")) * time.Minute); late.Before(a.Ends) {
					a.NotAfter = late
				}
			}
		}
		want = append(want, a)
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

// TestKeepsTrying runs against a Kisi of which one half fails, for two hours.
func TestKeepsTrying(t *testing.T) {
	fail := errors.New("503")
	tests := []struct {
		name   string
		job    relay.Job
		answer func(op) relay.Outcome
		want   map[string]int // how often each step is tried, at most; 0 is never
		letter string
	}{
		{
			name: "creates fail and looks succeed: the pauses grow all the same",
			job:  relay.Job{Changes: 1, ChangedAt: noon, Want: []relay.Action{schedule("s", 60)}},
			answer: func(o op) relay.Outcome {
				if o == create {
					return relay.Outcome{Verdict: relay.Unsure, Err: fail}
				}
				return relay.Outcome{Verdict: relay.OK}
			},
			want: map[string]int{"create": 40, "find": 80}, letter: "the last attempt: 503",
		},
		{
			name: "Kisi is down: what was never attempted is no failure that would take the old away",
			job:  relay.Job{Changes: 2, ChangedAt: noon, Want: []relay.Action{link("l", "b@x")}, Have: []relay.Held{stands(link("l", "a@x"), 9)}},
			answer: func(op) relay.Outcome {
				return relay.Outcome{Verdict: relay.Untried, After: 10 * time.Second, Err: errors.New("Kisi is down")}
			},
			// Two hours in which the new may come, then one in which both are over.
			want: map[string]int{"create": 720, "revoke 9": 360}, letter: "the last attempt: Kisi is down",
		},
		{
			name:   "one of two old objects cannot be deleted: both are tried",
			job:    relay.Job{Changes: 2, Have: []relay.Held{{Action: link("l", "b@x"), Old: []int64{9, 10}}}},
			answer: func(op) relay.Outcome { return relay.Outcome{Verdict: relay.Retry, Err: fail} },
			want:   map[string]int{"revoke 9": 100, "revoke 10": 100},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, now := tt.job, noon
			tried := map[string]int{}
			var letters []relay.DeadLetter
			for now.Before(noon.Add(3 * time.Hour)) {
				d := next(&j, now, day)
				letters = append(letters, d.letters...)
				if d.step.op == none {
					if d.when.IsZero() {
						break
					}
					now = d.when
					continue
				}
				name := d.step.op.String()
				if d.step.object != 0 {
					name += fmt.Sprint(" ", d.step.object)
				}
				tried[name]++
				begin(&j, d.step, now)
				apply(&j, d.step, tt.answer(d.step.op), now, 0)
			}
			for name, n := range tried {
				if n > tt.want[name] {
					t.Errorf("%s was tried %d times, want at most %d", name, n, tt.want[name])
				}
			}
			for name := range tt.want {
				if tried[name] == 0 {
					t.Errorf("%s was never tried", name)
				}
			}
			if tt.letter != "" && (len(letters) != 1 || !strings.Contains(letters[0].Error, tt.letter)) {
				t.Errorf("letters %+v, want one with %q", letters, tt.letter)
			}
		})
	}
}

// TestRejectedStaysRejected does not turn Kisi's no into "too late" when the window ends.
func TestRejectedStaysRejected(t *testing.T) {
	for cause, err := range map[relay.Cause]error{relay.ByKisi: errors.New("no such lock"), relay.ByRule: fmt.Errorf("%w.never: no", relay.ErrLimit)} {
		s := schedule("s", 60)
		j := relay.Job{ID: "j", Changes: 1, ChangedAt: noon, Want: []relay.Action{s}, Revision: "abc"}
		d := next(&j, noon, day)
		begin(&j, d.step, noon)
		l := apply(&j, d.step, relay.Outcome{Verdict: relay.Rejected, Err: err}, noon, 0)
		if l == nil || l.Cause != cause || l.Revision != "abc" {
			t.Fatalf("%v: letter %+v", err, l)
		}
		if d = next(&j, s.NotAfter, day); len(d.letters) != 0 || j.Have[0].State != relay.Dead {
			t.Errorf("%v: letters %+v, state %s", err, d.letters, j.Have[0].State)
		}
	}
}

// TestDiedUnlocking leaves no trace that would keep the job for ever, and no old no.
func TestDiedUnlocking(t *testing.T) {
	u := unlockAt(noon)
	for _, held := range [][]relay.Held{nil, {{Action: u, State: relay.Dead, Changes: 1, Attempts: 1}}} {
		j := relay.Job{ID: "j", Changes: 2, ChangedAt: noon, Want: []relay.Action{u}, Have: held}
		d := next(&j, noon, day)
		begin(&j, d.step, noon) // and then the process dies
		if d = next(&j, noon.Add(11*time.Second), day); d.step.op != create {
			t.Errorf("after the lease the step is %s, want create", d.step.op)
		}
		if d = next(&j, noon.Add(2*time.Minute), day); d.step.op != none || j.Standing() || len(d.letters) != 1 {
			t.Errorf("too late: step %s, standing %t, letters %d", d.step.op, j.Standing(), len(d.letters))
		}
	}
}

// TestRevokesRestByThemselves: whatever of the two fails, taking back and granting
// are each tried again, with pauses, and neither waits for the other.
func TestRevokesRestByThemselves(t *testing.T) {
	fails := func(which ...op) func(op) relay.Outcome {
		return func(o op) relay.Outcome {
			if slices.Contains(which, o) {
				return relay.Outcome{Verdict: relay.Retry, Err: errors.New("503")}
			}
			return relay.Outcome{Verdict: relay.OK, Object: 10}
		}
	}
	moved := func(was, want relay.Action) relay.Job {
		return relay.Job{ID: "j", Changes: 2, ChangedAt: noon, Want: []relay.Action{want}, Have: []relay.Held{stands(was, 9)}}
	}
	tests := []struct {
		name   string
		job    relay.Job
		answer func(op) relay.Outcome
		least  map[string]int
		most   map[string]int
	}{
		{
			"neither the new link can be made nor the old one deleted", moved(link("l", "a@x"), link("l", "b@x")), fails(create, revoke),
			map[string]int{"create": 10, "revoke": 50},
			map[string]int{"create": 40, "revoke": 150},
		},
		{
			"the new link cannot be made: the old one goes", moved(link("l", "a@x"), link("l", "b@x")), fails(create),
			map[string]int{"create": 10, "revoke": 1},
			map[string]int{"create": 40, "revoke": 1},
		},
		{
			"the old link cannot be deleted: the new one is made", moved(link("l", "a@x"), link("l", "b@x")), fails(revoke),
			map[string]int{"create": 1, "revoke": 50},
			map[string]int{"create": 1, "revoke": 150},
		},
		{
			"the schedule cannot be changed: the old one goes, and a new one is made", moved(schedule("s", 60), schedule("s", 90)), fails(change),
			map[string]int{"change": 3, "revoke": 1, "create": 1},
			map[string]int{"change": 3, "revoke": 1, "create": 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tried := map[string]int{}
			for now, j := noon, tt.job; now.Before(noon.Add(110 * time.Minute)); {
				d := next(&j, now, day)
				if d.step.op == none {
					if !d.when.After(now) {
						break
					}
					now = d.when
					continue
				}
				if tried[d.step.op.String()]++; tried[d.step.op.String()] > 1000 {
					t.Fatalf("%s is tried again and again", d.step.op)
				}
				begin(&j, d.step, now)
				apply(&j, d.step, tt.answer(d.step.op), now, 0)
			}
			for name, least := range tt.least {
				if n := tried[name]; n < least || n > tt.most[name] {
					t.Errorf("%s was tried %d times, want %d to %d", name, n, least, tt.most[name])
				}
			}
		})
	}
}

// TestOldNoIsNoNewNo: what Kisi rejected is tried again when the booking changes,
// whatever else is done first.
func TestOldNoIsNoNewNo(t *testing.T) {
	s := schedule("s", 60)
	for name, held := range map[string]relay.Held{
		"a look comes first":   {Action: s, State: relay.Dead, Changes: 1, Lost: []relay.Lost{{Action: s, LookAt: noon}}},
		"a revoke comes first": {Action: s, State: relay.Dead, Changes: 1, Object: 9, Attempts: 4},
	} {
		t.Run(name, func(t *testing.T) {
			j := relay.Job{ID: "j", Changes: 2, ChangedAt: noon, Want: []relay.Action{schedule("s", 90)}, Have: []relay.Held{held}}
			var done []string
			for range 10 {
				d := next(&j, noon, day)
				if d.step.op == none {
					break
				}
				done = append(done, d.step.op.String())
				begin(&j, d.step, noon)
				out := relay.Outcome{Verdict: relay.OK}
				if d.step.op == create {
					out.Object = 10
				}
				apply(&j, d.step, out, noon, 0)
			}
			if !slices.Contains(done, "create") && !slices.Contains(done, "change") {
				t.Errorf("only %v was done, held %+v", done, j.Have)
			}
		})
	}
}

// TestAnUnlockGoesFirst does not let a minute pass with steps that can wait.
func TestAnUnlockGoesFirst(t *testing.T) {
	u := unlockAt(noon)
	for name, j := range map[string]relay.Job{
		"before another create": {Want: []relay.Action{schedule("s", 60), u}},
		"before a revoke":       {Want: []relay.Action{u}, Have: []relay.Held{stands(schedule("s", 60), 9)}},
		"before a look":         {Want: []relay.Action{schedule("s", 60), u}, Have: []relay.Held{{Action: schedule("s", 60), Unsure: true, Changes: 1}}},
	} {
		j.Changes, j.ChangedAt = 1, noon
		if d := next(&j, noon, day); d.step.want.Kind != relay.Unlock {
			t.Errorf("%s: the step is %s %s", name, d.step.op, d.step.want.Key)
		}
		if d := next(&j, noon.Add(2*time.Minute), day); d.step.want.Kind == relay.Unlock {
			t.Errorf("%s: it is unlocked too late", name)
		}
	}
}

// TestNothingBegunIsKeptOnce: what waits for its time is in the job as what is wanted, and
// not a second time as what was done about it.
func TestNothingBegunIsKeptOnce(t *testing.T) {
	now := time.Date(2026, 5, 1, 9, 0, 0, 0, time.UTC)
	waiting, told := schedule("a", 60), send("told")
	waiting.At, told.At = now.Add(time.Hour), now.Add(time.Hour)
	j := relay.Job{ID: "j", Changes: 1, Want: []relay.Action{waiting, told}}
	if d := next(&j, now, 24*time.Hour); d.step.op != none || !d.when.Equal(waiting.At) || len(j.Have) != 0 {
		t.Errorf("%+v: held %+v", d, j.Have)
	}
	later := now.Add(time.Hour)
	d := next(&j, later, 24*time.Hour)
	if d.step.op != create || len(j.Have) != 2 {
		t.Fatalf("%+v: held %+v", d, j.Have)
	}
	postpone(&j, d.step, later.Add(time.Minute))
	j.Want = j.Want[:1]
	if next(&j, later, 24*time.Hour); len(j.Have) != 1 || j.Have[0].RetryAt.IsZero() {
		t.Errorf("a pause is forgotten: %+v", j.Have)
	}
}
