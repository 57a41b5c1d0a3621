package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"doorhook/internal/relay"
)

const (
	mostWaiting = 256         // happenings that wait to be told
	tellPause   = time.Minute // between two messages about one type of happening
	toldFor     = 2 * time.Hour
	mostTold    = 10_000 // ids of what was told that are remembered
)

// happenings tells the rules of what happens to doorhook itself. The first of a type is
// told at once; more of them within a minute are told together at its end, so that a
// thousand dead letters are a handful of messages.
type happenings struct {
	log   *slog.Logger
	hand  func(context.Context, relay.Event) error // takes an event in
	queue chan relay.Happening
	lost  atomic.Int64 // did not fit into queue

	bursts map[string]*burst // by type
	told   map[string]time.Time
}

// burst is what has happened of one type since the last message about it.
type burst struct {
	newest relay.Happening
	count  int
	until  time.Time // when the next message may go
}

func newHappenings(log *slog.Logger) *happenings {
	return &happenings{log: log, queue: make(chan relay.Happening, mostWaiting), bursts: map[string]*burst{}, told: map[string]time.Time{}}
}

// tell never waits: what does not fit is counted, and logged with the next message.
func (n *happenings) tell(h relay.Happening) {
	select {
	case n.queue <- h:
	default:
		n.lost.Add(1)
	}
}

// run tells what happens until ctx ends, and then what still waits.
func (n *happenings) run(ctx context.Context) {
	done := ctx.Done()
	ctx = context.WithoutCancel(ctx)
	tick := time.NewTicker(tellPause / 60)
	defer tick.Stop()
	for {
		select {
		case h := <-n.queue:
			n.take(ctx, h, time.Now())
		case now := <-tick.C:
			n.flush(ctx, now)
		case <-done:
			for len(n.queue) > 0 {
				n.add(<-n.queue, time.Now())
			}
			n.flush(ctx, time.Now().Add(tellPause))
			return
		}
	}
}

// take tells h at once if nothing of its type was told for a while.
func (n *happenings) take(ctx context.Context, h relay.Happening, now time.Time) {
	n.add(h, now)
	n.flush(ctx, now)
}

// add notes h with others of its type. What was told already is left out.
func (n *happenings) add(h relay.Happening, now time.Time) {
	if id := identity(h); id != "" {
		if at, known := n.told[id]; known && now.Sub(at) < toldFor {
			return
		}
		if len(n.told) >= mostTold {
			clear(n.told)
		}
		n.told[id] = now
	}
	b := n.bursts[h.Type]
	if b == nil {
		b = &burst{}
		n.bursts[h.Type] = b
	}
	b.newest, b.count = h, b.count+1
}

// flush tells what may be told now. A store that does not take one in would make each of
// the others wait as long, so then the rest is told later.
func (n *happenings) flush(ctx context.Context, now time.Time) {
	for _, kind := range slices.Sorted(maps.Keys(n.bursts)) {
		b := n.bursts[kind]
		if b.count == 0 || now.Before(b.until) {
			continue
		}
		err := n.hand(ctx, b.event())
		b.until = now.Add(tellPause)
		if !errors.Is(err, relay.ErrUnavailable) { // or it is told when the store is back
			b.count = 0
		}
		if err != nil {
			n.log.WarnContext(ctx, "what happened is not told, or not in whole", "type", kind, "id", b.newest.ID, "err", err)
			return
		}
	}
	if lost := n.lost.Swap(0); lost > 0 {
		n.log.WarnContext(ctx, "more happened than could be told of", "untold", lost)
	}
}

// identity tells h from others of all types; "" does not.
func identity(h relay.Happening) string {
	if h.ID == "" {
		return ""
	}
	return h.Type + ":" + h.ID
}

// event is what the rules see. Its identity is that of the newest of b, so that several
// doorhooks tell it once.
func (b *burst) event() relay.Event {
	h := b.newest
	payload := map[string]any{"type": h.Type, "at": h.At.UTC().Format(time.RFC3339), "id": h.ID, "count": b.count}
	maps.Copy(payload, h.Says)
	id := identity(h)
	if b.count > 1 && id != "" {
		id = fmt.Sprintf("%s+%d", id, b.count-1)
	}
	return relay.Event{ID: id, Trigger: relay.Own, Payload: payload, Headers: map[string]any{}, Query: map[string]any{}}
}
