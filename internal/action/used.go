package action

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"doorhook/internal/kisi"
	"doorhook/internal/relay"
)

// arrivals are the events that say that somebody came to a door.
// Source: OpenAPI, GET /events/types.
var arrivals = []string{"lock.unlock", "lock.opened"}

// longestLook is how far back Kisi can be asked, less a day for clocks that differ.
const longestLook = (kisi.MostEventDays - 1) * 24 * time.Hour

// errCame ends a look: one arrival is enough.
var errCame = errors.New("somebody came")

// Doors gives the locks of groups, which are remembered for a while.
func (d *Doer) Doors(ctx context.Context, groups []int64) relay.Outcome {
	out := relay.Outcome{Verdict: relay.OK}
	for _, group := range groups {
		locks, err := d.groups.of(ctx, group)
		if err != nil {
			return insisting(repeatable(err))
		}
		out.Locks = append(out.Locks, locks...)
	}
	return out
}

// Came asks Kisi whether anybody opened one of locks from from to until, both
// included. It is rejected if Kisi does not tell this key; everything else that goes
// wrong says nothing, and can be asked again.
func (d *Doer) Came(ctx context.Context, locks []int64, from, until time.Time) relay.Outcome {
	if len(locks) == 0 {
		return relay.Outcome{Verdict: relay.OK} // there is no door to come to
	}
	if oldest := until.Add(-longestLook); from.Before(oldest) {
		from = oldest
	}
	q := kisi.EventQuery{From: from, Until: until, Types: arrivals, ObjectType: "Lock", Succeeded: true}
	if len(locks) == 1 {
		q.ObjectID = locks[0]
	}
	err := d.kisi.Events(ctx, q, func(page []json.RawMessage) error {
		for _, raw := range page {
			if came(raw, locks) {
				return errCame
			}
		}
		return nil
	})
	switch out := repeatable(err); {
	case errors.Is(err, errCame):
		return relay.Outcome{Verdict: relay.OK, Used: true}
	case out.Verdict == relay.Rejected && !untold(err):
		return insisting(out)
	default:
		return out
	}
}

// came reports whether an arrival is one at one of locks. What cannot be read is taken
// for that: a door that is shut by mistake is worse.
func came(raw json.RawMessage, locks []int64) bool {
	h, err := kisi.Happening(raw)
	return err != nil || slices.Contains(locks, h.ObjectID)
}

// untold reports whether Kisi refused to say what happened, whatever is asked.
func untold(err error) bool {
	var e *kisi.Error
	return errors.As(err, &e) && !e.Unsent && e.Op == "POST /event_sets" && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound)
}
