package intake

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

func held(key string, state relay.State, object int64) relay.Held {
	return relay.Held{Action: relay.Action{Key: key}, State: state, Object: object}
}

func TestProgress(t *testing.T) {
	link := func(key string) relay.Action { return relay.Action{Key: key, Rule: key, Kind: relay.GroupLink} }
	schedule := func(key string) relay.Action {
		return relay.Action{Key: key, Rule: key, Kind: relay.Schedule, Args: relay.Encode(map[string]int{"lock_id": 1})}
	}
	group := relay.Action{Key: "g", Rule: "g", Kind: relay.Schedule, Args: relay.Encode(map[string]int{"group_id": 5})}
	later := func(a relay.Action) relay.Action { a.At = noon.Add(time.Second); return a }
	now := func(a relay.Action) relay.Action { a.At = noon; return a }
	locks := relay.Held{Action: relay.Action{Key: "g"}, Locks: []int64{8, 9}, State: relay.Done}
	asking := locks
	asking.State = relay.Retrying
	replaced := held("a", relay.Done, 11)
	replaced.Old = []int64{10}
	failed := held("a", relay.Dead, 0)
	failed.Error = "group 5 does not exist"
	revoking := held("old", relay.Retrying, 77)

	tests := []struct {
		name string
		plan relay.Plan
		have []relay.Held
		want relay.Status
		open bool
		json string // what the ids and faults look like in an answer
	}{
		{"all done", planOf(link("a"), now(schedule("b"))), []relay.Held{held("a", relay.Done, 11), held("b", relay.Done, 12)}, relay.Finished, false, `,"group_link_id":11,"schedule_id":12`},
		{"several ids", planOf(link("a"), link("b")), []relay.Held{held("b", relay.Done, 12), held("a", relay.Done, 11)}, relay.Finished, false, `,"group_link_id":"11, 12"`},
		{"an unlock has no id", planOf(unlock("a")), []relay.Held{held("a#0", relay.Done, 0)}, relay.Finished, false, ``},
		{"one not begun", planOf(link("a"), link("b")), []relay.Held{held("a", relay.Done, 11)}, relay.Pending, true, `,"group_link_id":11`},
		{"one retrying", planOf(link("a")), []relay.Held{held("a", relay.Retrying, 0)}, relay.Pending, true, ``},
		{"one failed", planOf(link("a"), link("b")), []relay.Held{failed, held("b", relay.Done, 12)}, relay.Failed, false, `,"group_link_id":12,"error":"a: group 5 does not exist"`},
		{"one failed and one still open", planOf(link("a"), link("b")), []relay.Held{failed}, relay.Failed, true, `,"error":"a: group 5 does not exist"`},
		{"one expired", planOf(link("a")), []relay.Held{held("a", relay.TooLate, 0)}, relay.Failed, false, `,"error":"a: its time is over; nothing will be sent"`},
		{"one taken back unused", planOf(link("a")), []relay.Held{held("a", relay.Unused, 0)}, relay.Finished, false, ``},
		{"one done, one later", planOf(link("a"), later(link("b"))), []relay.Held{held("a", relay.Done, 11)}, relay.Finished, false, `,"group_link_id":11`},
		{"nothing due yet", planOf(later(link("a"))), nil, relay.Pending, false, ``},
		{"nothing wanted, nothing there", relay.Plan{Cancelled: true}, nil, relay.Finished, false, ``},
		{"nothing wanted, something still there", relay.Plan{Cancelled: true}, []relay.Held{revoking}, relay.Pending, true, ``},
		{"what an undecided rule wanted stays", relay.Plan{Undecided: []string{"old"}}, []relay.Held{held("old", relay.Done, 77)}, relay.Finished, false, ``},
		{"group not looked up yet", planOf(group), nil, relay.Pending, true, ``},
		{"group of no locks", planOf(group), []relay.Held{held("g", relay.Done, 0)}, relay.Finished, false, ``},
		{"group half done", planOf(group), []relay.Held{locks, held("g/8", relay.Done, 21)}, relay.Pending, true, `,"schedule_id":21`},
		{"group done", planOf(group), []relay.Held{held("g/9", relay.Done, 22), locks, held("g/8", relay.Done, 21)}, relay.Finished, false, `,"schedule_id":"21, 22"`},
		{"group half failed", planOf(group), []relay.Held{locks, held("g/8", relay.Dead, 0), held("g/9", relay.Done, 22)}, relay.Failed, false, `,"schedule_id":22,"error":"g: failed"`},
		{"group asked for again", planOf(group), []relay.Held{asking, held("g/8", relay.Done, 21), held("g/9", relay.Done, 22)}, relay.Pending, true, `,"schedule_id":"21, 22"`},
		{"what it replaces is still there", planOf(link("a")), []relay.Held{replaced}, relay.Pending, true, `,"group_link_id":11`},
		{"what no rule wants now is still there", planOf(link("a")), []relay.Held{held("a", relay.Done, 11), held("b", relay.Done, 12)}, relay.Pending, true, `,"group_link_id":11`},
		{"group failed", planOf(group), []relay.Held{held("g", relay.TooLate, 0)}, relay.Failed, false, `,"error":"g: its time is over; nothing will be sent"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.plan.Actions()
			for _, rule := range tt.plan.Undecided {
				want = append(want, relay.Action{Key: rule, Rule: rule})
			}
			pr := progressOf(tt.plan, relay.Job{Want: want, Have: tt.have}, noon)
			if pr.status != tt.want || pr.open != tt.open {
				t.Errorf("status %s, open %v", pr.status, pr.open)
			}
			var a Answer
			a.add(pr)
			if got, want := encode(t, a), `{"status":"`+string(tt.want)+`","event_id":"","actions":0`+tt.json+`}`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func waitingRequest(wait string) Request {
	req := jsonRequest(`{}`)
	req.Query = url.Values{"wait": {wait}}
	return req
}

// jobWith is a job that a worker let go of after so many looks.
func jobWith(after int, h ...relay.Held) func(int) (relay.Job, bool, error) {
	return func(look int) (relay.Job, bool, error) {
		j := relay.Job{Changes: 1, Want: []relay.Action{{Key: "a"}, {Key: "b"}, {Key: "a#0"}}, Have: h}
		if look >= after {
			j.Worked = 1
		}
		return j, true, nil
	}
}

func TestWaiting(t *testing.T) {
	done := held("front#0", relay.Done, 0)
	tests := []struct {
		name    string
		job     func(int) (relay.Job, bool, error)
		receipt relay.Receipt
		wait    string
		want    relay.Status
		took    time.Duration
	}{
		{name: "done at once", job: jobWith(1, done), wait: "10", want: relay.Finished, took: 10 * time.Millisecond},
		{name: "done after a while", job: jobWith(4, done), wait: "10", want: relay.Finished, took: 81 * time.Millisecond},
		{name: "from before this event", job: jobWith(1000, done), wait: "2s", want: relay.Pending, took: 2 * time.Second},
		{name: "not done in time", job: jobWith(1, held("front#0", relay.Retrying, 0)), wait: "2", want: relay.Pending, took: 2 * time.Second},
		{name: "never longer than allowed", job: jobWith(1000), wait: "3600", want: relay.Pending, took: 25 * time.Second},
		{name: "the store fails", job: func(int) (relay.Job, bool, error) { return relay.Job{}, false, errors.New("gone") }, wait: "10", want: relay.Pending, took: 10 * time.Millisecond},
		{name: "no such job", wait: "10", want: relay.Pending, took: 10 * time.Millisecond},
		{name: "a duplicate stays one", job: jobWith(1, done), receipt: relay.Receipt{Status: relay.Duplicate, JobID: "j"}, wait: "10", want: relay.Duplicate, took: 10 * time.Millisecond},
		{name: "not asked to", job: jobWith(1, done), wait: "0", want: relay.Accepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				store := &shelf{now: time.Now, job: tt.job, receipt: tt.receipt}
				a, err := New(book{trigger: open("skedda"), plan: planOf(unlock("front"))}, store, options()).Receive(t.Context(), waitingRequest(tt.wait))
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(start).Round(time.Millisecond)
				if a.Status != tt.want || took != tt.took {
					t.Errorf("%s after %s, want %s after %s", a.Status, took, tt.want, tt.took)
				}
				if store.looks > 120 {
					t.Errorf("asked the store %d times", store.looks)
				}
			})
		})
	}
}

// TestPause is about who lets callers wait in a way of its own.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		store := &shelf{now: time.Now, job: jobWith(1, held("front#0", relay.Retrying, 0))}
		o := options()
		left := 3
		o.Pause = func(context.Context, time.Duration) bool { left--; return left > 0 }
		a, err := New(book{trigger: open("skedda"), plan: planOf(unlock("front"))}, store, o).Receive(t.Context(), waitingRequest("10"))
		if err != nil || a.Status != relay.Pending || store.looks != 2 {
			t.Errorf("%v after %d looks (%v), want %s after 2", a.Status, store.looks, err, relay.Pending)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it waited %s", d)
		}
	})
}

func TestActionsFallDueWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		soon := unlock("soon")
		soon.At = time.Now().Add(200 * time.Millisecond)
		start := time.Now()
		store := &shelf{now: time.Now, job: func(int) (relay.Job, bool, error) {
			h := []relay.Held{held("now#0", relay.Retrying, 0)}
			if time.Since(start) > 300*time.Millisecond {
				h[0].State = relay.Done
			}
			if time.Since(start) > 600*time.Millisecond {
				h = append(h, held("soon#0", relay.Done, 0))
			}
			return relay.Job{Worked: 1, Want: []relay.Action{{Key: "a"}, {Key: "b"}, {Key: "a#0"}}, Have: h}, true, nil
		}}
		a, err := New(book{trigger: open("skedda"), plan: planOf(unlock("now"), soon)}, store, options()).Receive(t.Context(), waitingRequest("10"))
		if err != nil || a.Status != relay.Finished || time.Since(start) < 600*time.Millisecond {
			t.Errorf("%v after %s (%v)", a.Status, time.Since(start), err)
		}
	})
}

func TestWaitersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.MaxWaiting = 2
		in := New(book{trigger: open("skedda"), plan: planOf(unlock("front"))}, &shelf{now: time.Now, job: jobWith(1000)}, o)
		receive := func() (relay.Status, time.Duration) {
			start := time.Now()
			a, err := in.Receive(t.Context(), waitingRequest("5"))
			if err != nil {
				t.Error(err)
			}
			return a.Status, time.Since(start)
		}
		for range 2 {
			go receive()
		}
		synctest.Wait()
		if status, took := receive(); status != relay.Pending || took != 0 {
			t.Errorf("one too many: %s after %s", status, took)
		}
		time.Sleep(6 * time.Second) // in the bubble: both have left
		if _, took := receive(); took != 5*time.Second {
			t.Errorf("a place that was left was not given again: waited %s", took)
		}
	})
}

func TestTheEndOfTheContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		store := &shelf{now: time.Now, job: jobWith(1000)}
		a, err := New(book{trigger: open("skedda"), plan: planOf(unlock("front"))}, store, options()).Receive(ctx, waitingRequest("20"))
		if err != nil || a.Status != relay.Pending || time.Since(start) != time.Second {
			t.Errorf("%v after %s (%v)", a.Status, time.Since(start), err)
		}
	})
}

func TestTooLateIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := unlock("front")
		late.NotAfter = time.Now().Add(-time.Second)
		store := &shelf{now: time.Now, job: jobWith(1, held("front#0", relay.TooLate, 0))}
		a, err := New(book{trigger: open("skedda"), plan: planOf(late)}, store, options()).Receive(t.Context(), waitingRequest("5"))
		if err != nil || len(a.Errors) != 1 || a.Status != relay.Failed {
			t.Errorf("%+v (%v)", a, err)
		}
	})
}
