package app

import (
	"context"
	"errors"
	"sync"
	"time"
)

// kisiWindow is a second, and a little for requests that arrive closer together
// than they were sent.
const kisiWindow = time.Second + 50*time.Millisecond

// limiter lets so many requests through in any window. A bucket that fills while
// it is used would let nearly twice as many through in the first second.
type limiter struct {
	mu   sync.Mutex
	last []time.Time // when the last ones were let through
	next int
}

func newLimiter(rate int) *limiter { return &limiter{last: make([]time.Time, rate)} }

// wait returns when a request may be sent. It fails at once if that is after ctx ends.
func (l *limiter) wait(ctx context.Context) error {
	at, err := l.reserve(ctx, time.Now())
	if err != nil {
		return err
	}
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *limiter) reserve(ctx context.Context, now time.Time) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now
	if free := l.last[l.next].Add(kisiWindow); free.After(at) {
		at = free
	}
	if end, ok := ctx.Deadline(); ok && end.Before(at) {
		return at, errors.New("more requests to Kisi are waiting than its limit lets through in time")
	}
	l.last[l.next] = at
	l.next = (l.next + 1) % len(l.last)
	return at, nil
}
