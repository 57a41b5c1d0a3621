// Package intake turns a request into an event: who may call, what was sent,
// what the rules make of it, and whether the store has it. It knows neither the
// web server nor Redis.
package intake

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"doorhook/internal/relay"
)

// Request is one call of a trigger. Nothing in it may change after Receive was
// called with it: the event keeps parts of it.
type Request struct {
	Trigger, Method              string
	ContentType, ContentEncoding string
	Header                       map[string][]string // by canonical name
	Query                        url.Values
	Body                         []byte
}

// rulebook is one set of rules. It does not change; a newer one takes its place.
type rulebook interface {
	Trigger(name string) (relay.Trigger, bool)
	Plan(ev relay.Event) relay.Plan
	// Has reports whether there are rules for a trigger, also for the one that nobody
	// can call.
	Has(trigger string) bool
}

// jobs is the part of the store that an event goes into.
type jobs interface {
	Accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error)
	Job(ctx context.Context, id string) (relay.Job, bool, error)
	Now() time.Time
}

// Options are the tunables of an Intake. The zero value works.
type Options struct {
	MaxWait       time.Duration // the longest ?wait that is honoured; 25 s if unset
	MaxWaiting    int           // how many callers may wait at a time; 256 if unset
	AcceptTimeout time.Duration // for the store to take an event; 5 s if unset

	// Describe says in words what an action would ask of Kisi, for dry runs.
	Describe func(relay.Action) []string
	// Tell is told what people may want to know of; it must not wait. Nil is not told.
	Tell func(relay.Happening)
	// NewID draws the identity of an event; random if unset.
	NewID func() string
	// Pause lets a caller wait before the next look at its job, and reports whether
	// it waits on; until ctx ends if unset.
	Pause func(ctx context.Context, d time.Duration) bool
}

func (o Options) withDefaults() Options {
	o.MaxWait = cmp.Or(o.MaxWait, 25*time.Second)
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 256)
	o.AcceptTimeout = cmp.Or(o.AcceptTimeout, 5*time.Second)
	if o.Describe == nil {
		o.Describe = func(relay.Action) []string { return nil }
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	if o.NewID == nil {
		o.NewID = func() string { return "evt_" + strings.ToLower(rand.Text()[:20]) }
	}
	return o
}

// Intake receives requests.
type Intake struct {
	rules   atomic.Pointer[rulebook]
	jobs    jobs
	o       Options
	waiting chan struct{} // holds one token for each caller that waits
}

// New returns an Intake that plans with r and hands events to j.
func New(r rulebook, j jobs, o Options) *Intake {
	o = o.withDefaults()
	in := &Intake{jobs: j, o: o, waiting: make(chan struct{}, o.MaxWaiting)}
	in.Use(r)
	return in
}

// Use puts r in the place of the rules in use. A request that is under way ends
// with the rules it began with.
func (in *Intake) Use(r rulebook) { in.rules.Store(&r) }

// Receive makes an event of req and answers once the store has it, or later if
// the request asks to wait. An end of ctx ends the waiting and nothing else: a
// sender that was told "not accepted" must be able to rely on it.
func (in *Intake) Receive(ctx context.Context, req Request) (Answer, error) {
	rules := *in.rules.Load() // once: auth and plan must come from the same set
	trigger, err := allow(rules, req)
	if err != nil {
		return Answer{}, err
	}
	ask, err := wishesOf(req)
	if err != nil {
		return Answer{}, err
	}
	ev, err := Event(req, trigger, in.o.NewID(), in.jobs.Now())
	if err != nil {
		return Answer{}, err
	}
	p := rules.Plan(ev)
	ev.ID = cmp.Or(p.EventID, ev.ID)
	if ask.dryRun {
		return in.dryRun(ev, p), nil
	}
	return in.carryOut(ctx, ev, p, min(ask.wait, in.o.MaxWait))
}

// Allow reports whether req may call its trigger. It looks at neither the body nor
// the content type, so it can be asked before there is a body.
func (in *Intake) Allow(req Request) error {
	_, err := allow(*in.rules.Load(), req)
	return err
}

func allow(rules rulebook, req Request) (relay.Trigger, error) {
	trigger, ok := rules.Trigger(req.Trigger)
	if !ok {
		return trigger, ErrUnknownTrigger
	}
	if !authorised(trigger.Auth, req) {
		return trigger, unauthorized(trigger.Auth)
	}
	return trigger, nil
}

// carryOut answers for an event that is meant.
func (in *Intake) carryOut(ctx context.Context, ev relay.Event, p relay.Plan, wait time.Duration) (Answer, error) {
	receipt, err := in.accept(ctx, ev, p)
	if err != nil {
		return Answer{}, err
	}
	a := answerTo(ev, p, receipt)
	if wait > 0 && worthWaiting(receipt) {
		a.add(in.await(ctx, p, receipt, wait))
	}
	return a, nil
}

func (in *Intake) accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	if needsBooking(p) {
		return relay.Receipt{}, &UndecidedError{Problems: []string{noBooking}}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.o.AcceptTimeout)
	defer cancel()
	receipt, err := in.jobs.Accept(ctx, ev, p)
	if err != nil {
		return relay.Receipt{}, fmt.Errorf("accept an event of trigger %s: %w", ev.Trigger, err)
	}
	in.tell(ev, p, receipt)
	if p.Fatal { // the store has recorded it, so that it can be replayed with better rules
		return relay.Receipt{}, undecided(p)
	}
	return receipt, nil
}

const noBooking = "a cancellation needs a booking"

// needsBooking reports a cancellation that names nothing it could cancel.
func needsBooking(p relay.Plan) bool { return !p.Fatal && p.Cancelled && p.Booking == "" }
