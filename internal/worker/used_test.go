package worker

import (
	stdcmp "cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

// unusedAt is taken back at that time if nobody has come.
func unusedAt(at time.Time) func(*relay.Action) {
	return func(a *relay.Action) { a.Unused = at }
}

func TestNextUnused(t *testing.T) {
	due, ends := noon.Add(75*time.Minute), noon.Add(2*time.Hour)
	passed := due.Add(onItsWay)
	want := schedule("s", 60, unusedAt(due))
	held := func(edit ...func(*relay.Held)) []relay.Held {
		h := stands(want, 9)
		for _, e := range edit {
			e(&h)
		}
		return []relay.Held{h}
	}
	state := func(s relay.State) func(*relay.Held) { return func(h *relay.Held) { h.State = s } }
	tests := []struct {
		name string
		want relay.Action
		have []relay.Held
		now  time.Time
		op   op
		obj  int64
		when time.Time
	}{
		{name: "its time has not come: nothing until then", have: held(), now: passed.Add(-1), when: passed},
		{name: "its time has come: look", have: held(), now: passed, op: look},
		{name: "nobody had to say so before: look late", have: held(), now: ends.Add(-1), op: look},
		{name: "its window is over: it is moot", have: held(), now: ends, when: ends.Add(day)},
		{name: "somebody came: never again", have: held(func(h *relay.Held) { h.Used = true }), now: passed, when: ends.Add(day)},
		{name: "made after its time: nobody could have come", have: held(func(h *relay.Held) { h.MadeAt = due }), now: due.Add(time.Minute), when: ends.Add(day)},
		{name: "made just before: look", have: held(func(h *relay.Held) { h.MadeAt = due.Add(-1) }), now: passed, op: look},
		{name: "nobody came: revoke", have: held(state(relay.Unused)), now: passed, op: revoke, obj: 9},
		{name: "it is gone: it is not granted again", have: held(state(relay.Unused), func(h *relay.Held) { h.Object = 0 }), now: passed},
		{
			name: "it was being revoked when the process died: go on", now: passed, op: revoke, obj: 9,
			have: held(state(relay.Unused), func(h *relay.Held) { h.Object, h.Old = 0, []int64{9} }),
		},
		{
			name: "another window is granted", want: schedule("s", 90, unusedAt(due)), now: passed, op: create,
			have: held(state(relay.Unused), func(h *relay.Held) { h.Object = 0 }),
		},
		{
			name: "another window, before the old was revoked: change it", want: schedule("s", 90, unusedAt(due)), now: passed, op: change, obj: 9,
			have: held(state(relay.Unused)),
		},
		{name: "the rule takes nothing back any more: nothing", want: schedule("s", 60), have: held(), now: passed, when: ends.Add(day)},
		{
			name: "the look rests after a failure", now: passed, when: due.Add(time.Minute),
			have: held(func(h *relay.Held) { h.RetryAt = due.Add(time.Minute) }),
		},
		{
			name: "a pause ends with the window", now: ends.Add(-time.Second), when: ends,
			have: held(func(h *relay.Held) { h.RetryAt = ends.Add(time.Minute) }),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want.Key == "" {
				tt.want = want
			}
			j := relay.Job{ID: "j", Changes: 1, Want: []relay.Action{tt.want}, Have: tt.have}
			d := next(&j, tt.now, day)
			if d.step.op != tt.op || d.step.object != tt.obj {
				t.Fatalf("step is %s of %d, want %s of %d", d.step.op, d.step.object, tt.op, tt.obj)
			}
			if tt.op == none && !d.when.Equal(tt.when) {
				t.Errorf("looks again at %s, want %s", d.when, tt.when)
			}
		})
	}
}

// TestDoorsOf takes the doors of all of a rule, and the earliest beginning.
func TestDoorsOf(t *testing.T) {
	other := schedule("o", 60, unusedAt(noon))
	other.Rule, other.Args = "other", relay.Encode(map[string]any{"lock_id": 77, "starts_at": noon.Add(-day)})
	early := link("l", "a@x")
	early.Unused, early.Args = noon, relay.Encode(map[string]any{"group_id": 5, "valid_from": noon.Add(50*time.Minute + 500*time.Millisecond)})
	short := schedule("short", 60) // over before anybody could have to be there
	short.Args = relay.Encode(map[string]any{"lock_id": 2, "starts_at": noon.Add(time.Hour)})
	j := relay.Job{ReceivedAt: noon.Add(-time.Hour), Want: []relay.Action{schedule("s", 60, unusedAt(noon)), early, unlockAt(noon), short, other}}
	if got := doorsOf(j, "r"); !slices.Equal(got.locks, []int64{1, 2}) || !slices.Equal(got.groups, []int64{5}) || !got.from.Equal(noon.Add(50*time.Minute)) {
		t.Errorf("got %+v", got)
	}
	open := link("l", "a@x")
	open.Unused = noon
	j.Want = []relay.Action{open}
	if got := doorsOf(j, "r"); !got.from.Equal(j.ReceivedAt) {
		t.Errorf("without a beginning, not made yet: from %s", got.from)
	}
	j.Have = []relay.Held{{Action: open, Object: 9, MadeAt: noon}}
	if got := doorsOf(j, "r"); !got.from.Equal(noon) {
		t.Errorf("without a beginning: from %s", got.from)
	}
}

// TestDoorsOfWhatStands takes the doors that a schedule for a group was made for, whatever
// has become of the group since.
func TestDoorsOfWhatStands(t *testing.T) {
	g := schedule("g", 60, unusedAt(noon))
	g.Args = relay.Encode(map[string]any{"group_id": 7, "consequence": "unlock", "starts_at": noon})
	j := relay.Job{Want: []relay.Action{g}}
	if got := doorsOf(j, "r"); len(got.locks) > 0 || !slices.Equal(got.groups, []int64{7}) {
		t.Errorf("not taken apart yet: %+v", got)
	}
	j.Have = []relay.Held{{Action: g, Locks: []int64{70, 71}, State: relay.Done}}
	if got := doorsOf(j, "r"); !slices.Equal(got.locks, []int64{70, 71}) || len(got.groups) > 0 {
		t.Errorf("taken apart: %+v", got)
	}
}

// TestUnused is about what a worker does when the time has come, in fake time: the
// window is from now on for an hour, and is taken back after a quarter of it.
func TestUnused(t *testing.T) {
	const quarter = 15 * time.Minute
	fails := func(v relay.Verdict) func() relay.Outcome {
		return func() relay.Outcome { return relay.Outcome{Verdict: v, Err: errors.New("no")} }
	}
	came := func(after time.Duration) func(*shelf, *Options) {
		return func(s *shelf, _ *Options) { s.opened = map[int64]time.Time{1: s.job.ChangedAt.Add(after)} }
	}
	tests := []struct {
		name  string
		setup func(*shelf, *Options)
		until time.Duration
		done  string
		state relay.State
		tried string
	}{
		{name: "before its time nobody looks", until: quarter + onItsWay - time.Second, done: "save, create a, finish", state: relay.Done, tried: "a created 1"},
		{
			name: "nobody came, and Kisi says so too", done: "save, create a, finish, opened [1], came [1] 15m5s, save, revoke 1, finish",
			state: relay.Unused, tried: "a created 1, a unused 0, a revoked 1",
		},
		{name: "doorhook was told that somebody came", setup: came(time.Minute), done: "save, create a, finish, opened [1], finish", state: relay.Done, tried: "a created 1, a used 0"},
		{name: "at the very beginning", setup: came(0), done: "save, create a, finish, opened [1], finish", state: relay.Done, tried: "a created 1, a used 0"},
		{name: "at the very end, and it is known a little later", setup: came(quarter), done: "save, create a, finish, opened [1], finish", state: relay.Done, tried: "a created 1, a used 0"},
		{
			name: "before the window does not count", setup: came(-time.Second), done: "save, create a, finish, opened [1], came [1] 15m5s, save, revoke 1, finish",
			state: relay.Unused, tried: "a created 1, a unused 0, a revoked 1",
		},
		{
			name: "only Kisi knows that somebody came", done: "save, create a, finish, opened [1], came [1] 15m5s, finish", state: relay.Done, tried: "a created 1, a used 0",
			setup: func(s *shelf, _ *Options) {
				s.onCame = func() relay.Outcome { return relay.Outcome{Verdict: relay.OK, Used: true} }
			},
		},
		{
			name: "Kisi does not tell this key: what doorhook was told decides", done: "save, create a, finish, opened [1], came [1] 15m5s, save, revoke 1, finish",
			setup: func(s *shelf, o *Options) { s.onCame, o.Told = fails(relay.Rejected), func() bool { return true } },
			state: relay.Unused, tried: "a created 1, a unused 0, a revoked 1",
		},
		{
			name: "Kisi does not tell, and nobody else does: nothing is taken back", until: 2 * time.Hour,
			setup: func(s *shelf, o *Options) { s.onCame, o.Told = fails(relay.Rejected), func() bool { return false } }, state: relay.Done,
		},
		{name: "Kisi does not answer while the window lasts", until: 2 * time.Hour, setup: func(s *shelf, _ *Options) { s.onCame = fails(relay.Retry) }, state: relay.Done},
		{name: "Kisi is down while the window lasts", until: 2 * time.Hour, setup: func(s *shelf, _ *Options) { s.onCame = fails(relay.Untried) }, state: relay.Done},
		{name: "Redis does not say who came", until: 2 * time.Hour, setup: func(s *shelf, _ *Options) { s.storeErr = relay.ErrUnavailable }, state: relay.Done},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := window("a")
				start := time.Now()
				a.Args = relay.Encode(map[string]any{"lock_id": 1, "starts_at": start})
				a.Unused = start.Add(quarter)
				s, o := newShelf(a), Options{Poll: 24 * time.Hour, Tidy: 1000 * time.Hour}
				if tt.setup != nil {
					tt.setup(s, &o)
				}
				work(t, s, o, stdcmp.Or(tt.until, quarter+onItsWay+time.Second))
				if tt.done == "" {
					looks := strings.Count(strings.Join(s.done, ","), "opened")
					if looks < 3 || slices.Contains(s.done, "revoke 1") {
						t.Errorf("looked %d times: %v", looks, s.done)
					}
				} else if got := strings.Join(s.done, ", "); tt.until == 0 && got != tt.done {
					t.Errorf("done: %s\nwant: %s", got, tt.done)
				}
				h := s.job.Have[0]
				if h.State != tt.state || (h.Object == 0) != (tt.state == relay.Unused) || tt.tried != "" && tried(s.job) != tt.tried {
					t.Errorf("held %+v, tried %s, want %s", h, tried(s.job), tt.tried)
				}
			})
		})
	}
}

// work runs a worker on s for so long, in fake time.
func work(t *testing.T, s *shelf, o Options, d time.Duration) {
	t.Helper()
	w, err := New(s, s, slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	w.Run(ctx)
}

// TestUnusedOnceOnly: what was taken back is not granted again when the booking comes
// again as it was, and is when its window changes.
func TestUnusedOnceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := window("a")
		a.Args, a.Unused = relay.Encode(map[string]any{"lock_id": 1, "starts_at": time.Now()}), time.Now().Add(time.Minute)
		s := newShelf(a)
		again := func(want relay.Action, after ...string) {
			t.Helper()
			s.job.Want, s.job.Changes, s.due, s.done = []relay.Action{want}, s.job.Changes+1, time.Now(), nil
			work(t, s, Options{Poll: time.Hour}, 2*time.Minute)
			if diff := cmp.Diff(after, s.done); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		again(a, "save", "create a", "finish", "opened [1]", "came [1] 1m5s", "save", "revoke 1", "finish")
		again(a, "finish")
		b := a
		b.Args, b.Unused = relay.Encode(map[string]any{"lock_id": 1, "starts_at": time.Now()}), time.Now().Add(time.Minute)
		s.onCreate = func(relay.Action) relay.Outcome {
			s.opened = map[int64]time.Time{1: time.Now().Add(time.Second)}
			return relay.Outcome{Verdict: relay.OK, Object: 2}
		}
		again(b, "save", "create a", "finish", "opened [1]", "finish")
		again(b, "finish")
		c := b // somebody came for the window before, and nobody for this one
		c.Args, c.Unused = relay.Encode(map[string]any{"lock_id": 1, "starts_at": time.Now()}), time.Now().Add(time.Minute)
		again(c, "save", "finish", "opened [1]", "came [1] 1m5s", "save", "revoke 2", "finish")
	})
}

// TestOneLookForAGroup judges all doors of a rule with one look.
func TestOneLookForAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := window("g")
		g.Args, g.Unused = relay.Encode(map[string]any{"group_id": 7, "consequence": "unlock", "starts_at": time.Now()}), time.Now().Add(time.Minute)
		l := window("l")
		l.Kind, l.Args, l.Unused = relay.GroupLink, relay.Encode(map[string]any{"group_id": 7, "email": "a@x", "valid_from": time.Now()}), g.Unused
		object := int64(0)
		s := newShelf(g, l)
		s.onCreate = func(relay.Action) relay.Outcome {
			object++
			return relay.Outcome{Verdict: relay.OK, Object: object}
		}
		work(t, s, Options{}, 2*time.Minute)
		looks := slices.DeleteFunc(slices.Clone(s.done), func(d string) bool { return !strings.HasPrefix(d, "came") && !strings.HasPrefix(d, "revoke") })
		if diff := cmp.Diff([]string{"came [1 70 71] 1m5s", "revoke 2", "revoke 1"}, looks); diff != "" {
			slices.Sort(looks)
			if diff := cmp.Diff([]string{"came [1 70 71] 1m5s", "revoke 1", "revoke 2"}, looks); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

// TestKilledBetweenRevokeAndSave goes on with the revoke, and grants nothing again.
func TestKilledBetweenRevokeAndSave(t *testing.T) {
	due := noon.Add(75 * time.Minute)
	want := schedule("s", 60, unusedAt(due))
	j := relay.Job{ID: "j", Changes: 1, Want: []relay.Action{want}, Have: []relay.Held{stands(want, 9)}}
	due = due.Add(onItsWay)
	d := next(&j, due, day)
	begin(&j, d.step, due)
	apply(&j, d.step, relay.Outcome{Verdict: relay.OK}, due, 0)
	d = next(&j, due, day)
	if d.step.op != revoke || !begin(&j, d.step, due) {
		t.Fatalf("step %s is not saved first", d.step.op)
	}
	saved := j
	saved.Have = slices.Clone(j.Have)
	apply(&j, d.step, relay.Outcome{Verdict: relay.OK}, due, 0) // and then the process dies
	d = next(&saved, due.Add(11*time.Second), day)
	if d.step.op != revoke || d.step.object != 9 {
		t.Fatalf("after the lease: %s of %d", d.step.op, d.step.object)
	}
	begin(&saved, d.step, due)
	apply(&saved, d.step, relay.Outcome{Verdict: relay.Gone}, due, 0)
	if d = next(&saved, due.Add(12*time.Second), day); d.step.op != none || saved.Have[0].State != relay.Unused || saved.Standing() {
		t.Errorf("in the end: step %s, held %+v", d.step.op, saved.Have)
	}
}
