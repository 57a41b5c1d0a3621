package worker

import (
	"time"

	"doorhook/internal/relay"
)

// tidied is how long after the end of its window an object is deleted, about.
const tidied = 5 * time.Second

// backoff is how attempts at s are spread. What is looked for may be a door that nobody
// wants open; what Kisi gives only once may become free at any time, and its window may
// have begun.
func backoff(s step, now time.Time) relay.Backoff {
	if s.op == find || s.want.Kind.Exclusive() && !s.want.Starts().After(now.Add(soon)) {
		return revokeBackoff
	}
	return grantBackoff
}

// whenFree is when what is in the way is gone, if that is known and sooner than at.
func whenFree(out relay.Outcome, now, at time.Time) time.Time {
	if free := out.Free.Add(tidied); free.After(now) && free.Before(at) {
		return free
	}
	return at
}
