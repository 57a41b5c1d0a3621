package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorhook/internal/relay"
)

// crowd is a store of many jobs, and a Kisi that takes a second for each request of
// those that can wait.
type crowd struct {
	shelf
	mu       sync.Mutex
	jobs     map[string]relay.Job
	due      map[string]time.Time
	order    []string
	served   int
	unlocked time.Time
}

func (c *crowd) add(id string, j relay.Job) {
	j.ID, j.Changes, j.ChangedAt = id, 1, time.Now()
	c.jobs[id], c.due[id], c.order = j, time.Now(), append(c.order, id)
}

func (c *crowd) Claim(_ context.Context, _ relay.Lane, n int) (relay.Claim, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	claim := relay.Claim{Now: time.Now()}
	for _, id := range c.order {
		at := c.due[id]
		switch {
		case at.IsZero():
		case at.After(claim.Now):
			if claim.Next.IsZero() || at.Before(claim.Next) {
				claim.Next = at
			}
		case len(claim.Jobs) < n:
			claim.Jobs = append(claim.Jobs, c.jobs[id])
			c.due[id] = time.Time{}
		}
	}
	return claim, nil
}

func (c *crowd) Save(context.Context, relay.Job) (bool, error) { return false, nil }

func (c *crowd) Finish(_ context.Context, j relay.Job, next time.Time, _ []relay.DeadLetter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[j.ID], c.due[j.ID] = j, next
	return nil
}

func (c *crowd) serve(ctx context.Context) relay.Outcome {
	if relay.PriorityOf(ctx) == relay.Whenever {
		<-time.After(time.Second)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served++
	return relay.Outcome{Verdict: relay.OK, Object: int64(c.served)}
}

func (c *crowd) Create(ctx context.Context, a relay.Action) relay.Outcome {
	out := c.serve(ctx)
	if a.Kind == relay.Unlock {
		c.unlocked = time.Now()
	}
	return out
}

func (c *crowd) Revoke(ctx context.Context, _ relay.Action, _ int64) relay.Outcome {
	return c.serve(ctx)
}

// TestACrowdKeepsNobodyWaiting has two hundred jobs due that can wait, and then a
// guest in front of a door. The door opens at once, and the others all get their turn.
func TestACrowdKeepsNobodyWaiting(t *testing.T) {
	const many = 200
	tests := map[string]func(now time.Time) relay.Job{
		"windows that ended a day ago": func(now time.Time) relay.Job {
			a := schedule("s", 0)
			a.Ends = now.Add(-25 * time.Hour)
			return relay.Job{Want: []relay.Action{a}, Have: []relay.Held{stands(a, 9)}}
		},
		"bookings of next week": func(now time.Time) relay.Job {
			a := schedule("s", 0)
			a.Ends = now.Add(8 * 24 * time.Hour)
			a.NotAfter = a.Ends
			a.Args = relay.Encode(map[string]any{"lock_id": 1, "starts_at": now.Add(7 * 24 * time.Hour), "ends_at": a.Ends})
			return relay.Job{Want: []relay.Action{a}}
		},
	}
	for name, job := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{shelf: shelf{wake: make(chan struct{}, 1)}, jobs: map[string]relay.Job{}, due: map[string]time.Time{}}
				now := time.Now()
				for i := range many {
					c.add(fmt.Sprint(i), job(now))
				}
				c.add("guest", relay.Job{Want: []relay.Action{{Key: "u", Rule: "u", Kind: relay.Unlock, NotAfter: now.Add(time.Minute)}}})
				w, err := New(c, c, slog.New(slog.DiscardHandler), Options{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				w.Run(ctx)
				if c.unlocked.IsZero() || c.unlocked.Sub(now) > 2*time.Second {
					t.Errorf("the door opened after %s", c.unlocked.Sub(now))
				}
				if c.served != many+1 {
					t.Errorf("%d of %d were served", c.served, many+1)
				}
			})
		})
	}
}
