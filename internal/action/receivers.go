package action

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"doorhook/internal/relay"
)

const (
	mostReceivers = 256              // that are known at a time
	mostAtOnce    = 32               // messages under way to one of them
	enoughFailed  = 5                // failures in a row say that it takes no messages
	restFor       = 10 * time.Second // how long it gets none then, but for one that finds out
)

// errNoWord says that the end of an attempt tells nothing of the receiver.
var errNoWord = errors.New("nothing is known")

// receivers keeps messages from those who cannot take them now, so that they do not
// take the room of what goes to others.
type receivers struct {
	mu    sync.Mutex
	now   func() time.Time
	known map[string]*receiver
}

type receiver struct {
	breaker *gobreaker.TwoStepCircuitBreaker[any] // used with mu held
	busy    int                                   // messages under way
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
func (rs *receivers) enter(host string) (leave func(error), busy *busyError) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.receiver(host)
	r.used = rs.now()
	if r.busy >= mostAtOnce {
		return nil, &busyError{fmt.Sprintf("%d messages to it are under way", r.busy), 100*time.Millisecond + rand.N(900*time.Millisecond)}
	}
	done, err := r.breaker.Allow()
	if err != nil {
		return nil, &busyError{fmt.Sprintf("the last %d messages to it failed, so it is left alone for a moment", enoughFailed), max(r.restEnd.Sub(r.used), time.Second)}
	}
	r.busy++
	return func(what error) {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		r.busy--
		done(what)
	}, nil
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
	r := &receiver{}
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
		if r.busy == 0 && (idlest == "" || r.used.Before(rs.known[idlest].used)) {
			idlest = host
		}
	}
	delete(rs.known, idlest)
}
