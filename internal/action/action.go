// Package action carries actions out, in Kisi or elsewhere: one file for each kind says how
// it is made, changed, taken back and found again, and what an answer of Kisi
// means for it. It keeps nothing, and retries nothing.
package action

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// clockMargin is how far Kisi's clock may be behind the store's before an
// object of ours looks older than the request that made it.
const clockMargin = time.Minute

// Doer carries out actions.
type Doer struct {
	kinds  map[relay.Kind]kind
	kisi   *kisi.Client
	groups *groupLocks
	people *people
}

// kind is how one kind of action is done.
type kind interface {
	create(ctx context.Context, a relay.Action) relay.Outcome
	change(ctx context.Context, a relay.Action, object int64) relay.Outcome
	revoke(ctx context.Context, object int64) relay.Outcome
	find(ctx context.Context, a relay.Action, since time.Time, known []int64) relay.Outcome
}

// New makes a Doer that talks to Kisi through c, and sends messages as o says.
func New(c *kisi.Client, o SendOptions) *Doer {
	groups := &groupLocks{kisi: c, now: time.Now, known: map[int64]knownLocks{}}
	people := &people{kisi: c, now: time.Now, known: map[int64]knownPerson{}}
	clock := o.Clock
	if clock == nil {
		clock = time.Now
	}
	return &Doer{kisi: c, groups: groups, people: people, kinds: map[relay.Kind]kind{
		relay.Unlock:         unlock{c},
		relay.Schedule:       schedule{c},
		relay.GroupLink:      groupLink{c},
		relay.RoleAssignment: roleAssignment{c, clock},
		relay.Send:           newSend(o),
	}}
}

// Create makes what a asks for. It gives the object that stands for it; an unlock and a
// send have none.
func (d *Doer) Create(ctx context.Context, a relay.Action) relay.Outcome {
	return d.with(a, func(k kind) relay.Outcome {
		return d.granting(ctx, a, func() relay.Outcome { return k.create(ctx, a) })
	})
}

// Change makes object into what a asks for. Gone says that it is no longer there.
func (d *Doer) Change(ctx context.Context, a relay.Action, object int64) relay.Outcome {
	return d.with(a, func(k kind) relay.Outcome {
		return d.granting(ctx, a, func() relay.Outcome { return k.change(ctx, a, object) })
	})
}

// Revoke deletes object. It is never rejected: as long as it fails, a door may open.
func (d *Doer) Revoke(ctx context.Context, a relay.Action, object int64) relay.Outcome {
	return d.with(a, func(k kind) relay.Outcome { return k.revoke(ctx, object) })
}

// Find looks for what a create of a may have made, if it was sent at since or
// later: the objects that look like it and are none of known. It is never
// rejected: without an answer, nothing may be made again.
func (d *Doer) Find(ctx context.Context, a relay.Action, since time.Time, known []int64) relay.Outcome {
	return d.with(a, func(k kind) relay.Outcome { return k.find(ctx, a, since.Add(-clockMargin), known) })
}

// Locks asks for the locks of the group that the schedule a is for. It is rejected if
// the limits of a forbid one of them.
func (d *Doer) Locks(ctx context.Context, a relay.Action) relay.Outcome {
	group, ok := a.GroupToExpand()
	if !ok {
		return rejected(fmt.Errorf("%s: it is for no group", a.Key))
	}
	locks, err := d.kisi.GroupLocks(ctx, group)
	if err == nil && len(locks) == 0 {
		return rejected(fmt.Errorf("the group %d has no locks: put its doors into it in Kisi", group))
	}
	if err != nil {
		return repeatable(err)
	}
	if a.Limits != nil {
		err = within(*a.Limits, group, locks)
	}
	if err != nil {
		return rejected(err)
	}
	return relay.Outcome{Verdict: relay.OK, Locks: locks}
}

func (d *Doer) with(a relay.Action, do func(kind) relay.Outcome) relay.Outcome {
	k, ok := d.kinds[a.Kind]
	if !ok {
		return rejected(fmt.Errorf("there is no action %q; was this job made by a newer doorhook?", a.Kind))
	}
	return do(k)
}

// args reads what an action asks for.
func args[T any](a relay.Action) (T, error) {
	var v T
	if err := json.Unmarshal(a.Args, &v); err != nil {
		return v, fmt.Errorf("%s: its fields cannot be read: %w", a.Key, err)
	}
	return v, nil
}
