package golden

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"doorhook/internal/action"
	"doorhook/internal/intake"
	"doorhook/internal/kisi"
	"doorhook/internal/kisi/kisifake"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
	"doorhook/internal/worker"
)

const (
	patience = 10 * time.Second // how long the sender of the last event waits for its answer
	forever  = 100 * 365 * 24 * time.Hour

	// What goes on for ever, as the taking back of what Kisi does not delete, is cut.
	mostRequests = 100
	mostLooks    = 10_000
)

// world is a whole doorhook with a Kisi, in which time passes only when it is told.
type world struct {
	now     time.Time
	sent    time.Time // when the event came in that is told of
	rules   *watched
	store   *store.Store
	intake  *intake.Intake
	workers []*worker.Worker // one for each lane
	doer    *doer
	outside *outside
	kisi    *kisifake.Server
	drawn   int // events that were given an identity

	next  time.Time // when something comes due; zero is never
	looks int
	err   error // of the store, which lives in memory and has none
}

func newWorld(ctx context.Context, set *rules.Set) (*world, error) {
	w := &world{rules: &watched{Set: set}, doer: &doer{}, outside: &outside{}}
	w.doer.world = w
	var err error
	if w.store, err = store.Open(ctx, store.Options{Now: func() time.Time { return w.now }}); err != nil {
		return nil, err
	}
	w.intake = intake.New(w.rules, w.store, intake.Options{NewID: w.newID, Pause: w.pause, MaxWait: patience})
	for _, lane := range []relay.Lane{relay.Doors, relay.Messages} {
		one, err := worker.New(w.store, w.doer, slog.New(slog.DiscardHandler), worker.Options{
			Lane: lane, Tidy: forever, Limits: set.Limits, Fill: fillBy(set), Roll: func() float64 { return 0 },
		})
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
		w.workers = append(w.workers, one)
	}
	return w, nil
}

func fillBy(set *rules.Set) func(context.Context, relay.Action, *relay.Person) (relay.Action, error) {
	return func(_ context.Context, a relay.Action, p *relay.Person) (relay.Action, error) {
		ev, err := intake.EventOf(a.Later.Event)
		if err != nil {
			return a, err
		}
		return set.Fill(a, ev, p)
	}
}

func (w *world) close() error {
	if w.kisi != nil {
		w.kisi.Close()
	}
	return w.store.Close()
}

// open builds the site.
func (w *world) open(o kisifake.Options, faults []kisifake.Fault) error {
	o.Now = func() time.Time { return w.now }
	w.kisi = kisifake.New(o)
	w.kisi.Close() // nobody waits for it: what is to hang breaks off at once
	for _, f := range faults {
		if isOutside(f.Path) {
			w.outside.faults = append(w.outside.faults, f)
			continue
		}
		w.kisi.Fail(f)
	}
	return w.meet()
}

// meet makes a client that knows nothing of earlier failures. A client keeps away from
// a Kisi that is down by the clock on the wall, which here stands still.
func (w *world) meet() error {
	c, err := kisi.New(kisi.Options{APIKey: kisifake.DefaultKey, Transport: wire{w.kisi}})
	if err == nil {
		now := func() time.Time { return w.now }
		w.doer.Doer = action.New(c, action.SendOptions{Env: secretSent, Transport: w.outside, Now: now, Clock: now})
	}
	return err
}

func (w *world) newID() string {
	w.drawn++
	return "evt_" + strconv.Itoa(w.drawn)
}

// The wishes that speak to doorhook itself, as query parameters.
const (
	dryRun  = "dry_run"
	waiting = "wait"
)

// send lets ev come in, with a wish that is not "". What it asks for is in rules then.
func (w *world) send(ctx context.Context, ev event, wish string) (intake.Answer, error) {
	query := maps.Clone(ev.query)
	switch wish {
	case dryRun:
		query.Set(wish, "1")
	case waiting:
		query.Set(wish, strconv.Itoa(int(patience.Seconds())))
	}
	w.sent = w.now
	return w.intake.Receive(ctx, intake.Request{
		Trigger: ev.trigger, Method: "POST", ContentType: ev.contentType, Header: ev.headers, Query: query, Body: ev.body,
	})
}

// work works off what is due now.
func (w *world) work(ctx context.Context) error {
	if w.looks++; w.looks > mostLooks {
		w.next = time.Time{}
		return nil
	}
	w.next = time.Time{}
	for _, one := range w.workers {
		next, err := one.WorkOff(ctx)
		w.err = errors.Join(w.err, err)
		if w.next.IsZero() || !next.IsZero() && next.Before(w.next) {
			w.next = next
		}
	}
	return w.err
}

// step moves the clock to when something is due and works it off; false if nothing is
// until then.
func (w *world) step(ctx context.Context, until time.Time) (bool, error) {
	if w.err != nil || w.next.IsZero() || w.next.After(until) || w.cut() {
		return false, w.err
	}
	if w.next.After(w.now) {
		w.now = w.next
	}
	if err := w.meet(); err != nil {
		return false, err
	}
	return true, w.work(ctx)
}

// pass lets time pass until then.
func (w *world) pass(ctx context.Context, until time.Time) error {
	for {
		if goOn, err := w.step(ctx, until); err != nil || !goOn {
			w.now = later(w.now, until)
			return err
		}
	}
}

func (w *world) cut() bool { return len(w.kisi.Journal())+len(w.outside.got) >= mostRequests }

// pause is how the sender of an event waits: what is due is worked off, then what comes
// due next.
func (w *world) pause(ctx context.Context, _ time.Duration) bool {
	last := w.rules.last()
	if last.settling {
		last.settling = false
		return w.work(ctx) == nil
	}
	goOn, err := w.step(ctx, w.sent.Add(patience))
	return err == nil && goOn
}

// watched are rules that let anybody in and note what they decided.
type watched struct {
	*rules.Set
	plans []*decided
}

// decided is what the rules made of an event.
type decided struct {
	ev       relay.Event
	plan     relay.Plan
	settling bool // nothing was worked off since it came
}

// Trigger is a trigger that anybody may call, also that of doorhook itself. The ways in
// stay in its list, since what they are called is kept from the rules.
func (w *watched) Trigger(name string) (relay.Trigger, bool) {
	t, ok := w.Set.Trigger(name)
	if name == relay.Own {
		t, ok = relay.Trigger{Name: name, From: "json"}, w.Has(name)
	}
	t.Auth, t.AllowIP = append([]relay.Auth{{Kind: "none"}}, t.Auth...), nil
	return t, ok
}

// Plan notes what it gives.
func (w *watched) Plan(ev relay.Event) relay.Plan {
	p := w.Set.Plan(ev)
	w.plans = append(w.plans, &decided{ev, p, true})
	return p
}

func (w *watched) last() *decided { return w.plans[len(w.plans)-1] }

func unreadable(ev event, err error) error {
	return fmt.Errorf("the event for %s cannot be taken: %w", ev.trigger, err)
}
