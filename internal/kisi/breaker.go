package kisi

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrDown is why a request was not sent: the last ones got no answer, and it is
// not time yet to see whether Kisi answers again.
var ErrDown = errors.New("Kisi is down") //nolint:staticcheck // ST1005: it is a name

const (
	// enough failures in a row say that Kisi is down. One or two happen; more
	// would be as many requests into the void as jobs are worked on at a time.
	enough = 5

	// pause is how long nothing is asked then. A queue of any length costs a Kisi
	// that gets up six requests a minute, and an unlock, which is worth a minute,
	// still has several chances.
	pause = 10 * time.Second

	// probing is how long others wait while one request finds out: a little more
	// than Kisi takes to answer.
	probing = time.Second

	// patience is how long Kisi has to have had before the end of a caller's time
	// says anything about it: a request may get its turn a moment before.
	patience = time.Second
)

// errNothing says that the end of an exchange tells nothing about Kisi.
var errNothing = errors.New("nothing")

// breaker keeps requests from a Kisi that is down, and lets one at a time through
// to see whether it is up again.
type breaker struct {
	state  *gobreaker.TwoStepCircuitBreaker[any] // calls back with its lock held, so mu is taken before it
	now    func() time.Time
	onDown func(down bool, why error)
	seed   maphash.Seed

	mu       sync.Mutex // held while an exchange is settled, never while onDown runs
	failures int        // since the last answer
	failed   map[uint64]bool
	why      *Error    // the last failure
	probeAt  time.Time // when a request is let through again
	news     []change  // that onDown has not been told
	telling  bool
}

// change is what onDown is told.
type change struct {
	down bool
	why  error
}

func newBreaker(now func() time.Time, onDown func(down bool, why error)) *breaker {
	b := &breaker{now: now, onDown: onDown, seed: maphash.MakeSeed(), failed: map[uint64]bool{}}
	b.state = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Timeout:       pause - 1, // it lets requests through after this, not at it
		ReadyToTrip:   func(gobreaker.Counts) bool { return b.failures >= enough },
		IsExcluded:    func(what error) bool { return errors.Is(what, errNothing) },
		OnStateChange: b.changed,
	})
	return b
}

// allow lets r through, which is then to be settled with done, or refuses it.
func (b *breaker) allow(r request) (done func(what error), refused *Error) {
	done, err := b.state.Allow()
	if err != nil {
		return nil, b.refuse(r)
	}
	return done, nil
}

// tripped refuses r if others found Kisi down since it was let through.
func (b *breaker) tripped(r request) *Error {
	if b.state.State() != gobreaker.StateOpen {
		return nil
	}
	return b.refuse(r)
}

func (b *breaker) refuse(r request) *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	why := b.why.happened()
	if b.why.Status == 0 {
		why = b.why.cause()
	}
	e := &Error{Op: r.op(), Unsent: true, RetryAfter: b.probeAt.Sub(b.now()), Err: fmt.Errorf("%w: %s", ErrDown, why)}
	if e.RetryAfter <= 0 { // somebody is finding out
		e.RetryAfter = probing
	}
	return e
}

// settle takes in what came of r: nil is an answer, errNothing tells nothing, and
// an *Error says that Kisi did not answer.
func (b *breaker) settle(r request, done func(what error), what error) {
	b.mu.Lock()
	if e, failed := errors.AsType[*Error](what); failed {
		b.count(r, e)
	} else if what == nil {
		b.failures = 0
		clear(b.failed)
	}
	done(what)
	b.mu.Unlock()
	b.tell()
}

// count adds a failure. A request that was sent may be the only one that Kisi
// does not answer: however often it is repeated, it counts once, or the link that
// Kisi cannot delete would keep other doors shut. That a request could not even
// be sent has nothing to do with what it asks, and a sign-in is asked for all.
func (b *breaker) count(r request, e *Error) {
	id := maphash.String(b.seed, fmt.Sprint(r))
	if e.Unsent || r.path == loginsPath || !b.failed[id] {
		b.failures++
	}
	b.failed[id] = true
	b.why = e
}

// changed is called within settle, but when a probe comes due.
func (b *breaker) changed(_ string, from, to gobreaker.State) {
	switch {
	case to == gobreaker.StateClosed:
		b.news = append(b.news, change{})
	case to == gobreaker.StateOpen:
		b.probeAt = b.now().Add(pause)
		if from == gobreaker.StateClosed { // not a probe that failed
			b.news = append(b.news, change{true, b.why})
		}
	}
}

// tell passes the news on, in order and one at a time: whoever comes while another
// does it leaves them to that one.
func (b *breaker) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.telling {
		return
	}
	b.telling = true
	for len(b.news) > 0 {
		n := b.news[0]
		b.news = b.news[1:]
		b.mu.Unlock()
		b.onDown(n.down, n.why)
		b.mu.Lock()
	}
	b.telling = false
}

// evidence is what the end of an exchange, which took so long, says about Kisi, in
// the words of settle.
func evidence(ctx context.Context, e *Error, took time.Duration) error {
	switch {
	case e == nil, e.Status != 0 && !e.fromGateway():
		return nil
	case e.Status != 0:
		return e
	case errors.Is(ctx.Err(), context.Canceled), ctx.Err() != nil && took < patience:
		return errNothing
	}
	return e
}

// fromGateway reports whether somebody on the way answered, for a Kisi that did
// not: with a 502, 503 or 504, or another of their kind. Kisi itself answers 503
// when the controller of one door is offline, but with a code. A Retry-After tells
// each request by itself when to come back, and nothing of the others.
func (e *Error) fromGateway() bool {
	return e.Status >= http.StatusBadGateway && e.Code == "" && e.RetryAfter == 0
}
