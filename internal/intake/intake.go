// Package intake turns a request into an event: who may call, what was sent,
// what the rules make of it, and whether the store has it. It knows neither the
// web server nor Redis.
package intake

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"doorhook/internal/relay"

	"github.com/google/uuid"
)

// Request is one call of a trigger. Nothing in it may change after Receive was
// called with it: the event keeps parts of it.
type Request struct {
	Trigger, Method              string
	Alias                        string     // the path it was sent to, if not to the trigger's name
	From                         netip.Addr // who called; the zero Addr is nobody that could be told
	ContentType, ContentEncoding string
	Header                       map[string][]string // by canonical name
	Query                        url.Values
	Body                         []byte
}

// rulebook is one set of rules. It does not change; a newer one takes its place.
type rulebook interface {
	Trigger(name string) (relay.Trigger, bool)
	Alias(path string) (relay.Trigger, bool)
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
	BodyLimit     int           // of a body that is unpacked, in bytes; 1 MiB if unset
	// MaxAge is how old an event of Kisi's may be: as long as the store knows a repeat.
	// 7 days if unset.
	MaxAge time.Duration

	// Describe says in words what an action would ask of Kisi, for dry runs.
	Describe func(relay.Action) []string
	// Tell is told what people may want to know of; it must not wait. Nil is not told.
	Tell func(relay.Happening)
	// NewID draws the identity of an event; random if unset.
	NewID func() string
	// NewUUID draws the identity of a call, for those who are told one.
	NewUUID func() string
	// Pause lets a caller wait before the next look at its job, and reports whether
	// it waits on; until ctx ends if unset.
	Pause func(ctx context.Context, d time.Duration) bool
}

func (o Options) withDefaults() Options {
	o.MaxWait = cmp.Or(o.MaxWait, 25*time.Second)
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 256)
	o.AcceptTimeout = cmp.Or(o.AcceptTimeout, 5*time.Second)
	o.BodyLimit = cmp.Or(o.BodyLimit, 1<<20)
	o.MaxAge = cmp.Or(o.MaxAge, 7*24*time.Hour)
	if o.NewUUID == nil {
		o.NewUUID = uuid.NewString
	}
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

	refusals refusals
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
	trigger, err := in.admit(rules, req)
	if err != nil {
		return Answer{}, err
	}
	if req, err = unpacked(req, in.o.BodyLimit); err != nil {
		return Answer{}, err
	}
	if req.Alias != "" {
		return in.receiveByAlias(ctx, rules, trigger, req)
	}
	ask, err := wishesOf(req)
	if err != nil {
		return Answer{}, err
	}
	return in.take(ctx, rules, trigger, req, ask)
}

// take makes an event of a request that is allowed.
func (in *Intake) take(ctx context.Context, rules rulebook, t relay.Trigger, req Request, ask wishes) (Answer, error) {
	now := in.jobs.Now()
	ev, err := Event(req, t, "", now)
	if err != nil {
		return Answer{}, err
	}
	if ev.ID == "" {
		ev.ID = in.o.NewID()
	}
	if !ask.dryRun && now.Sub(ev.ReceivedAt) > in.o.MaxAge { // nobody knows any more whether it came before
		return Answer{Status: relay.Stale, EventID: ev.ID}, nil
	}
	p := rules.Plan(ev)
	ev.ID = cmp.Or(p.EventID, ev.ID)
	if ask.dryRun {
		return in.dryRun(ev, p), nil
	}
	// Kisi, and whoever sends to Zapier, gives an address up that answers with errors.
	patient := t.From != fromKisi && req.Alias == ""
	if needsBooking(p) {
		if patient {
			return Answer{}, &UndecidedError{Problems: []string{noBooking}}
		}
		p.Fatal, p.Problems = true, []relay.Problem{{Message: noBooking}}
	}
	a, err := in.carryOut(ctx, ev, p, min(ask.wait, in.o.MaxWait))
	if err == nil && p.Fatal && patient { // the store has recorded it, so that it can be replayed with better rules
		return Answer{}, undecided(p)
	}
	return a, err
}

// Allow reports whether req may call its trigger. It looks at neither the body nor the
// content type nor the address it comes from, so it can be asked before there is a body.
// bySignature says that only the body can show it.
func (in *Intake) Allow(req Request) (bySignature bool, err error) {
	trigger, ok := called(*in.rules.Load(), req)
	now := in.jobs.Now()
	switch {
	case !ok:
		return false, ErrUnknownTrigger
	case authorised(trigger.Auth, req, now):
		return false, nil
	case signs(trigger.Auth, req, now):
		return true, nil
	}
	return false, unauthorized(trigger.Auth)
}

// called is the trigger that req is for.
func called(rules rulebook, req Request) (relay.Trigger, bool) {
	if req.Alias != "" {
		return rules.Alias(req.Alias)
	}
	return rules.Trigger(req.Trigger)
}

// admit gives the trigger of req if it may call it, and counts it if not.
func (in *Intake) admit(rules rulebook, req Request) (relay.Trigger, error) {
	trigger, ok := called(rules, req)
	switch {
	case !ok:
		return trigger, ErrUnknownTrigger
	case !mayCall(trigger.AllowIP, req.From):
		in.refusals.add(trigger.Name)
		return trigger, ErrForbidden
	case !authorised(trigger.Auth, req, in.jobs.Now()):
		in.refusals.add(trigger.Name)
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
	a := answerTo(ev, p, receipt, in.jobs.Now())
	if wait > 0 && worthWaiting(receipt) {
		a.add(in.await(ctx, p, receipt, wait))
	}
	return a, nil
}

func (in *Intake) accept(ctx context.Context, ev relay.Event, p relay.Plan) (relay.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.o.AcceptTimeout)
	defer cancel()
	receipt, err := in.jobs.Accept(ctx, ev, p)
	if err != nil {
		return relay.Receipt{}, fmt.Errorf("accept an event of trigger %s: %w", ev.Trigger, err)
	}
	in.tell(ev, p, receipt)
	return receipt, nil
}

const noBooking = "a cancellation needs a booking"

// needsBooking reports a cancellation that names nothing it could cancel.
func needsBooking(p relay.Plan) bool { return !p.Fatal && p.Cancelled && p.Booking == "" }
