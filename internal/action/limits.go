package action

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// granting does what grants, unless the limits of a forbid a lock that it would open.
// A group whose locks Kisi does not tell is not opened either.
func (d *Doer) granting(ctx context.Context, a relay.Action, grant func() relay.Outcome) relay.Outcome {
	if a.Limits == nil {
		return grant()
	}
	lock, group := a.Opens()
	locks := []int64{lock} // of a group that was taken apart before
	if group != 0 {
		var err error
		if locks, err = d.groups.of(ctx, group); err != nil {
			return repeatable(err)
		}
	}
	if err := within(*a.Limits, group, locks); err != nil {
		d.groups.forget(group) // somebody is going to take a lock out of it, and to replay
		return rejected(err)
	}
	return grant()
}

// within says which of the limits the locks of a group go beyond.
func within(l relay.Limits, group int64, locks []int64) error {
	for _, lock := range locks {
		switch {
		case !slices.Contains(l.Never, lock):
		case group == 0:
			return fmt.Errorf("%w.never: lock %d is one that this trigger never opens", relay.ErrLimit, lock)
		default:
			return fmt.Errorf("%w.never: lock %d is one that this trigger never opens, and it is in group %d", relay.ErrLimit, lock, group)
		}
	}
	if l.MaxDoors > 0 && len(locks) > l.MaxDoors {
		return fmt.Errorf("%w.max_doors: group %d has %d locks, and the most allowed is %d", relay.ErrLimit, group, len(locks), l.MaxDoors)
	}
	return nil
}

const (
	groupAge   = time.Minute // how long the locks of a group are taken to be the same
	mostGroups = 1000        // whose locks are remembered
)

// groupLocks remembers the locks of groups for a while: bookings come in bursts, and
// each makes a link.
type groupLocks struct {
	kisi *kisi.Client
	now  func() time.Time

	mu    sync.Mutex
	known map[int64]knownLocks
}

type knownLocks struct {
	locks []int64
	until time.Time
}

func (g *groupLocks) forget(group int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, group)
}

func (g *groupLocks) of(ctx context.Context, group int64) ([]int64, error) {
	asked := g.now()
	g.mu.Lock()
	known, ok := g.known[group]
	g.mu.Unlock()
	if ok && asked.Before(known.until) {
		return known.locks, nil
	}
	locks, err := g.kisi.GroupLocks(ctx, group)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= mostGroups {
		clear(g.known)
	}
	g.known[group] = knownLocks{locks, asked.Add(groupAge)}
	return locks, nil
}
