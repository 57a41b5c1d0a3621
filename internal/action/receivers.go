package action

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"doorhook/internal/relay"
)

// AtOnce is how many messages are under way at a time. Most of that is waiting for those
// who get them.
const AtOnce = 128

const (
	mostReceivers = 256              // that are known at a time
	mostAtOnce    = 32               // messages under way to one of them
	enoughFailed  = 5                // failures in a row say that it takes no messages
	restFor       = 10 * time.Second // how long it gets none then, but for one that finds out

	// A receiver that answers in quick has a place for one more in a moment, and to wait for
	// it costs less than to come again. A message waits no longer than moment, since it
	// waits in the room of messages to others.
	quick  = 50 * time.Millisecond
	moment = 100 * time.Millisecond
)

// errNoWord says that the end of an attempt tells nothing of the receiver.
var errNoWord = errors.New("nothing is known")

// receivers keeps messages from those who cannot take them now, so that they do not
// take the room of what goes to others.
type receivers struct {
	mu    sync.Mutex
	now   func() time.Time
	known map[string]*receiver
	under int // messages under way, or waiting a moment
}

type receiver struct {
	breaker *gobreaker.TwoStepCircuitBreaker[any] // used with mu held
	places  chan struct{}                         // holds one for each message under way
	under   int                                   // messages under way, or waiting a moment
	took    time.Duration                         // until the newest of them were answered, about
	used    time.Time
	restEnd time.Time
}

// busyError is why a message was not sent.
type busyError struct {
	says  string
	after time.Duration
}

func (e *busyError) Error() string { return e.says }

func (e *busyError) Unwrap() error { return relay.ErrUntried }

func newReceivers(now func() time.Time) *receivers {
	return &receivers{now: now, known: map[string]*receiver{}}
}

// enter lets a message to host go, whose end is then told to leave: nil is an answer,
// errNoWord tells nothing, and any other error is a failure of the receiver's.
func (rs *receivers) enter(ctx context.Context, host string) (leave func(error), busy *busyError) {
	r, isQuick := rs.comeTo(host)
	if r == nil {
		return nil, crowded()
	}
	if !r.enter(ctx, isQuick) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		rs.goFrom(r)
		r.took = max(r.took, moment) // those that are under way say so only when they end
		return nil, crowded()
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	entered := rs.now()
	done, err := r.breaker.Allow()
	if err != nil {
		<-r.places
		rs.goFrom(r)
		return nil, &busyError{fmt.Sprintf("the last %d messages to it failed, so it is left alone for a moment", enoughFailed), max(r.restEnd.Sub(entered), time.Second)}
	}
	return func(what error) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		<-r.places
		rs.goFrom(r)
		r.took += (rs.now().Sub(entered) - r.took) / 8
		done(what)
	}, nil
}

func crowded() *busyError {
	return &busyError{"as many messages to it are under way as leave room for others", 100*time.Millisecond + rand.N(900*time.Millisecond)}
}

// comeTo is the receiver at host, and whether it answers quickly; nil if it does not, and
// has its share of what is free. A third of that leaves some to the next, however many of
// them there are: one receiver may have a quarter of all, two a fifth each, ten a thirteenth.
func (rs *receivers) comeTo(host string) (r *receiver, isQuick bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r = rs.receiver(host)
	r.used = rs.now()
	isQuick = r.took <= quick
	if !isQuick && r.under >= max((AtOnce-rs.under)/3, 1) {
		return nil, false
	}
	r.under++
	rs.under++
	return r, isQuick
}

// goFrom is the end of what comeTo began. It wants mu.
func (rs *receivers) goFrom(r *receiver) {
	r.under--
	rs.under--
}

// enter takes a place, and waits a moment for one if it may.
func (r *receiver) enter(ctx context.Context, mayWait bool) bool {
	select {
	case r.places <- struct{}{}:
		return true
	default:
	}
	if !mayWait {
		return false
	}
	t := time.NewTimer(moment)
	defer t.Stop()
	select {
	case r.places <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// receiver is the one at host; the one that was idle longest is forgotten if there are
// too many.
func (rs *receivers) receiver(host string) *receiver {
	if r, ok := rs.known[host]; ok {
		return r
	}
	if len(rs.known) >= mostReceivers {
		rs.forget()
	}
	r := &receiver{places: make(chan struct{}, mostAtOnce)}
	r.breaker = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Timeout:     restFor - 1, // it lets messages through after this, not at it
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= enoughFailed },
		IsExcluded:  func(what error) bool { return errors.Is(what, errNoWord) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				r.restEnd = rs.now().Add(restFor)
			}
		},
	})
	rs.known[host] = r
	return r
}

func (rs *receivers) forget() {
	idlest := ""
	for host, r := range rs.known {
		if r.under == 0 && (idlest == "" || r.used.Before(rs.known[idlest].used)) {
			idlest = host
		}
	}
	delete(rs.known, idlest)
}
