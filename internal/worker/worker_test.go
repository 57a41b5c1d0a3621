package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorhook/internal/relay"
)

// shelf is a store with one job on it. It notes what is done with it, and the doer
// notes what is done in Kisi, so that a test sees the order of both.
type shelf struct {
	mu   sync.Mutex
	job  relay.Job
	due  time.Time // zero is at rest
	done []string
	wake chan struct{}

	onFinish func() error                     // nil saves
	onSave   func() (changed bool, err error) // nil saves
	onCreate func(relay.Action) relay.Outcome
	onCame   func() relay.Outcome
	opened   map[int64]time.Time
	storeErr error
	found    int64 // by a look; 0 is nothing
	letters  []relay.DeadLetter
	next     time.Time // of the last finish

	sinceFrom bool // the store says since when a job is worked on
}

func newShelf(want ...relay.Action) *shelf {
	return &shelf{job: relay.Job{ID: "j", Changes: 1, ChangedAt: time.Now(), Want: want}, due: time.Now(), wake: make(chan struct{}, 1)}
}

func (s *shelf) note(format string, args ...any) {
	s.done = append(s.done, fmt.Sprintf(format, args...))
}

func (s *shelf) Claim(ctx context.Context, _ relay.Lane, _ int) (relay.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := relay.Claim{Now: time.Now(), Next: s.due}
	if !s.due.IsZero() && !s.due.After(c.Now) {
		if s.sinceFrom && s.job.Since.IsZero() {
			s.job.Since = c.Now
		}
		c.Jobs, s.due, c.Next = []relay.Job{s.job}, time.Time{}, time.Time{}
	}
	return c, ctx.Err()
}

func (s *shelf) Save(ctx context.Context, j relay.Job) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("save")
	if s.onSave != nil {
		if changed, err := s.onSave(); changed || err != nil {
			return changed, err
		}
	}
	s.job.Have = slices.Clone(j.Have)
	return false, ctx.Err()
}

func (s *shelf) Finish(ctx context.Context, j relay.Job, next time.Time, letters []relay.DeadLetter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("finish")
	if s.onFinish != nil {
		return s.onFinish()
	}
	s.job.Have, s.job.Attempts, s.due, s.next = slices.Clone(j.Have), j.Attempts, next, next
	s.job.Since = time.Time{}
	s.letters = append(s.letters, letters...)
	return ctx.Err()
}

func (s *shelf) Adopt(_ context.Context, _ relay.Job, _ relay.Kind, objects []int64) (int64, error) {
	return objects[0], nil
}

func (s *shelf) Opened(_ context.Context, locks []int64) (map[int64]time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("opened %v", locks)
	return s.opened, s.storeErr
}

func (s *shelf) Doors(_ context.Context, groups []int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK, Locks: []int64{groups[0] * 10, groups[0]*10 + 1}}
}

func (s *shelf) Came(_ context.Context, locks []int64, from, until time.Time) relay.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("came %v %s", locks, until.Sub(from))
	if s.onCame != nil {
		return s.onCame()
	}
	return relay.Outcome{Verdict: relay.OK}
}

func (s *shelf) Now() time.Time { return time.Now() }

func (s *shelf) Wake(relay.Lane) <-chan struct{} { return s.wake }

func (s *shelf) Create(_ context.Context, a relay.Action) relay.Outcome {
	s.mu.Lock()
	s.note("create %s", a.Key)
	on := s.onCreate
	s.mu.Unlock()
	if on != nil {
		return on(a)
	}
	return relay.Outcome{Verdict: relay.OK, Object: 1}
}

func (s *shelf) Change(context.Context, relay.Action, int64) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK}
}

func (s *shelf) Revoke(_ context.Context, _ relay.Action, object int64) relay.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("revoke %d", object)
	return relay.Outcome{Verdict: relay.OK}
}

func (s *shelf) Find(context.Context, relay.Action, time.Time, []int64) relay.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("find")
	if s.found != 0 {
		return relay.Outcome{Verdict: relay.OK, Objects: []int64{s.found}}
	}
	return relay.Outcome{Verdict: relay.OK}
}

func (s *shelf) Person(context.Context, int64) (*relay.Person, relay.Outcome) {
	return nil, relay.Outcome{Verdict: relay.OK}
}

func (s *shelf) Locks(context.Context, relay.Action) relay.Outcome {
	return relay.Outcome{Verdict: relay.OK, Locks: []int64{1}}
}

// window is a schedule whose window is open, by the time of the test.
func window(key string) relay.Action {
	a := schedule(key, 60)
	a.Ends = time.Now().Add(time.Hour)
	a.NotAfter = a.Ends
	a.Args = relay.Encode(map[string]any{"lock_id": 1, "name": key})
	return a
}

// tried tells the attempts of a job.
func tried(j relay.Job) string {
	var all []string
	for _, a := range j.Attempts {
		one := fmt.Sprint(a.Action, " ", a.Result, " ", a.Object)
		if a.Error != "" {
			one += " (" + a.Error + ")"
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

// during runs a worker on s for so long, in fake time, and gives what was done.
func during(t *testing.T, s *shelf, d time.Duration) []string {
	t.Helper()
	w, err := New(s, s, slog.New(slog.DiscardHandler), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	w.Run(ctx)
	return s.done
}

func TestWork(t *testing.T) {
	tests := []struct {
		name  string
		want  []string
		after time.Duration // 0 is a moment
		setup func(*shelf)
		check func(*testing.T, *shelf)
	}{
		{
			name: "what is to be made is noted before it is made, and saved after",
			want: []string{"save", "create a", "save", "create b", "finish"},
			check: func(t *testing.T, s *shelf) {
				if h := s.job.Have; len(h) != 2 || h[0].Object != 1 || h[0].Unsure {
					t.Errorf("held %+v", h)
				}
				if got := tried(s.job); got != "a created 1, b created 1" {
					t.Errorf("attempts: %s", got)
				}
			},
		},
		{
			name: "the booking changed after it was claimed: nothing is made, and nothing in doubt",
			setup: func(s *shelf) {
				changes := 0
				s.onSave = func() (bool, error) { changes++; return changes == 1, nil }
				s.onCreate = func(relay.Action) relay.Outcome { return relay.Outcome{Verdict: relay.OK, Object: 3} }
				s.job.Want = s.job.Want[:1]
			},
			want: []string{"save", "finish", "save", "create a", "finish"},
			check: func(t *testing.T, s *shelf) {
				if h := s.job.Have; len(h) != 1 || h[0].Unsure || h[0].Object != 3 {
					t.Errorf("held %+v", h)
				}
			},
		},
		{
			name:  "the lease is lost: nothing is made, and nothing saved over another's work",
			setup: func(s *shelf) { s.onSave = func() (bool, error) { return false, relay.ErrLeaseLost } },
			want:  []string{"save"},
		},
		{
			name: "a rejected action: its letter is saved with its state, before the next step",
			setup: func(s *shelf) {
				s.onCreate = func(a relay.Action) relay.Outcome {
					if a.Key == "a" {
						return relay.Outcome{Verdict: relay.Rejected, Err: errors.New("no such lock")}
					}
					return relay.Outcome{Verdict: relay.OK, Object: 2}
				}
			},
			want: []string{"save", "create a", "finish", "save", "create b", "finish"},
			check: func(t *testing.T, s *shelf) {
				if len(s.letters) != 1 || s.letters[0].Cause != relay.ByKisi {
					t.Errorf("letters %+v", s.letters)
				}
			},
		},
		{
			name:  "what is not wanted any more is noted before it is deleted",
			setup: func(s *shelf) { s.job.Have = []relay.Held{stands(s.job.Want[0], 7)}; s.job.Want = nil },
			want:  []string{"save", "revoke 7", "finish"},
		},
		{
			name:  "an action that panics is put off, and takes nothing with it",
			setup: func(s *shelf) { s.onCreate = func(relay.Action) relay.Outcome { panic("poison") } },
			want:  []string{"save", "create a", "finish"},
			check: func(t *testing.T, s *shelf) {
				if wait := time.Until(s.next); wait < 50*time.Second {
					t.Errorf("put off for %s", wait)
				}
			},
		},
		{
			name: "a create whose answer got lost is looked for, and adopted",
			setup: func(s *shelf) {
				s.job.Want = s.job.Want[:1]
				s.found = 9
				s.onCreate = func(relay.Action) relay.Outcome {
					return relay.Outcome{Verdict: relay.Unsure, Err: errors.New("no answer")}
				}
			},
			after: 2 * time.Second,
			want:  []string{"save", "create a", "finish", "find", "finish"},
			check: func(t *testing.T, s *shelf) {
				if got := tried(s.job); got != "a unsure 0 (no answer), a adopted 9" {
					t.Errorf("attempts: %s", got)
				}
			},
		},
		{
			name: "what was never attempted is no attempt",
			setup: func(s *shelf) {
				s.job.Want = s.job.Want[:1]
				s.onCreate = func(relay.Action) relay.Outcome {
					return relay.Outcome{Verdict: relay.Untried, After: 5 * time.Second, Err: errors.New("Kisi is down")}
				}
			},
			want: []string{"save", "create a", "finish"},
			check: func(t *testing.T, s *shelf) {
				h, wait := s.job.Have[0], time.Until(s.next)
				if len(s.job.Attempts) != 0 || h.Attempts != 0 || h.Unsure || h.Error != "Kisi is down" || wait < 4*time.Second || wait > 10*time.Second {
					t.Errorf("attempts %v, held %+v, comes up again in %s", s.job.Attempts, h, wait)
				}
			},
		},
		{
			name: "Kisi's wish to wait is kept, within reason",
			setup: func(s *shelf) {
				s.job.Want = s.job.Want[:1]
				s.onCreate = func(relay.Action) relay.Outcome {
					return relay.Outcome{Verdict: relay.Retry, After: time.Hour, Err: errors.New("429")}
				}
			},
			want: []string{"save", "create a", "finish"},
			check: func(t *testing.T, s *shelf) {
				if wait := time.Until(s.next); wait < time.Minute || wait > maxWish {
					t.Errorf("comes up again in %s", wait)
				}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShelf(window("a"), window("b"))
				if tt.setup != nil {
					tt.setup(s)
				}
				got := during(t, s, max(tt.after, 100*time.Millisecond))
				if len(got) > len(tt.want) { // a job that changes at once comes up at once
					got = got[:len(tt.want)]
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if tt.check != nil {
					tt.check(t, s)
				}
			})
		})
	}
}

// TestStop ends the worker while Kisi is answering: that answer is saved, the next
// step is not taken, and the job is due at once for whoever comes after.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(window("a"), window("b"))
		s.onCreate = func(relay.Action) relay.Outcome {
			time.Sleep(3 * time.Second)
			return relay.Outcome{Verdict: relay.OK, Object: 5}
		}
		got := during(t, s, time.Second)
		if diff := cmp.Diff([]string{"save", "create a", "finish"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if h := s.job.Have; h[0].Object != 5 || h[0].Unsure {
			t.Errorf("held %+v", h)
		}
		if s.due.IsZero() || s.due.After(time.Now()) {
			t.Errorf("due at %s, and it is %s", s.due, time.Now())
		}
	})
}

// TestOnTime unlocks neither before its time nor noticeably after.
func TestOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(90*time.Minute + 123*time.Millisecond)
		s := newShelf(unlockAt(at))
		var unlocked time.Time
		s.onCreate = func(relay.Action) relay.Outcome { unlocked = time.Now(); return relay.Outcome{Verdict: relay.OK} }
		during(t, s, 2*time.Hour)
		if late := unlocked.Sub(at); late < 0 || late > 10*time.Millisecond {
			t.Errorf("unlocked %s after its time", late)
		}
	})
}

func TestLeaseShorterThanAStep(t *testing.T) {
	if _, err := New(nil, nil, nil, Options{Lease: time.Second, StepTimeout: 2 * time.Second}); err == nil {
		t.Error("two workers could have one job")
	}
}
