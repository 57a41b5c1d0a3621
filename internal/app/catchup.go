package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorhook/internal/intake"
	"doorhook/internal/kisi"
	"doorhook/internal/relay"
	"doorhook/internal/rules"
	"doorhook/internal/store"
)

const (
	// settling is how long an event may be on its way to us before it counts as lost.
	settling = 10 * time.Second
	// overlap is read once more by the next run: events that Kisi heard of late.
	overlap = 5 * time.Minute
	// firstReach is how far back the first run of a trigger goes.
	firstReach = time.Hour
	// dedupMargin is kept from the end of the dedup window: what is older might be
	// taken for new.
	dedupMargin = time.Hour

	widestSlice = 24 * time.Hour  // of what is asked of Kisi at a time
	leastSlice  = time.Minute     // is not halved
	mostHeld    = 10_000          // events in memory; an interval with more is halved
	tries       = 5               // of one slice
	retryRun    = 5 * time.Minute // after a run that failed
	longestRun  = 10 * time.Minute
)

// takes is the part of intake that an event which Kisi kept goes into.
type takes interface {
	Take(ctx context.Context, trigger string, payload any) (intake.Answer, error)
}

// catchup reads what Kisi kept of what happened, and takes in what did not come.
type catchup struct {
	store  *store.Store
	events func(ctx context.Context, q kisi.EventQuery, do func([]json.RawMessage) error) error
	hooks  func(ctx context.Context) ([]kisi.Integration, error)
	in     takes
	log    *slog.Logger
	pause  func(ctx context.Context, d time.Duration) error
}

// kisiTriggers are the triggers of set that Kisi can call, or the named one alone, also if
// its key is not set.
func kisiTriggers(set *rules.Set, name string) []string {
	return slices.DeleteFunc(set.Triggers(), func(t string) bool {
		trigger, ok := set.Trigger(t)
		return !ok || trigger.From != "kisi" || name == "" && closed(trigger) || name != "" && name != t
	})
}

// closed reports whether nobody can call t, since no secret of it is set.
func closed(t relay.Trigger) bool {
	return !slices.ContainsFunc(t.Auth, func(a relay.Auth) bool { return a.Secret != "" || a.Kind == "alias" })
}

// oldest is how far back events are still known to be repeats.
func (c *catchup) oldest() time.Time {
	return c.store.Now().Add(dedupMargin - c.store.DedupWindow())
}

// check refuses what could be taken in a second time.
func (c *catchup) check(since time.Time) error {
	if oldest := c.oldest(); since.Before(oldest) {
		return fmt.Errorf("%w: what happened before %s may have been accepted and forgotten, and would be taken for new: "+
			"the dedup window is %s (DOORHOOK_DEDUP), and an hour of it is left out", relay.ErrTooFarBack, oldest.Format(time.RFC3339), rules.Length(c.store.DedupWindow()))
	}
	return nil
}

// since reads all that happened from since until just now, the oldest first. It
// reports false, having done nothing, while another process does that. What it gives
// is right also if it fails half-way.
func (c *catchup) since(ctx context.Context, trigger string, since time.Time, mark bool) (relay.CaughtUp, bool, error) {
	got := relay.CaughtUp{Trigger: trigger, From: since.UTC(), Until: c.store.Now().Add(-settling).UTC()}
	mine, err := c.store.CatchUp(ctx, trigger, func() (time.Time, error) {
		types := c.types(ctx, trigger)
		for from := got.From; from.Before(got.Until); from = from.Add(widestSlice) {
			if err := c.slice(ctx, &got, types, from, minTime(from.Add(widestSlice), got.Until)); err != nil {
				return time.Time{}, err
			}
		}
		if !mark {
			return time.Time{}, nil
		}
		return got.Until, nil
	})
	return got, mine, err
}

// types are those of the events that Kisi's webhook is to tell trigger of, and nil for
// all: others are not lost, since nobody asked for them. A webhook that calls another
// address, such as an alias, counts if there is none with ours.
func (c *catchup) types(ctx context.Context, trigger string) []string {
	all, err := c.hooks(ctx)
	if err != nil { // this key may not see them
		return nil
	}
	all = slices.DeleteFunc(all, func(i kisi.Integration) bool { return i.Type != "event_webhook" })
	ours := slices.DeleteFunc(slices.Clone(all), func(i kisi.Integration) bool {
		address, _, _ := strings.Cut(i.URL, "?")
		return !strings.HasSuffix(address, "/hooks/"+trigger)
	})
	if len(ours) == 0 {
		ours = all
	}
	var types []string
	for _, i := range ours {
		if len(i.Types) == 0 {
			return nil
		}
		types = append(types, i.Types...)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// slice takes in what happened from from until until. Kisi does not say in which
// order it tells events, so they are held and sorted; too many are halved.
func (c *catchup) slice(ctx context.Context, got *relay.CaughtUp, types []string, from, until time.Time) error {
	held, err := c.read(ctx, types, from, until)
	if errors.Is(err, errTooMany) && until.Sub(from) > leastSlice {
		middle := from.Add(until.Sub(from) / 2).Truncate(time.Second)
		if err := c.slice(ctx, got, types, from, middle); err != nil {
			return err
		}
		return c.slice(ctx, got, types, middle, until)
	}
	if err != nil {
		return fmt.Errorf("read what happened from %s to %s: %w", from.Format(time.RFC3339), until.Format(time.RFC3339), err)
	}
	for _, e := range held {
		if err := c.take(ctx, got, e); err != nil {
			return err
		}
	}
	return nil
}

var errTooMany = errors.New("too many events at a time")

type heldEvent struct {
	at  time.Time
	raw json.RawMessage
}

// read gives the events of an interval, the oldest first. What goes wrong is tried
// again with pauses, unless Kisi said no.
func (c *catchup) read(ctx context.Context, types []string, from, until time.Time) ([]heldEvent, error) {
	backoff := relay.Backoff{Base: time.Second, Max: 30 * time.Second}
	for n := 1; ; n++ {
		var held []heldEvent
		err := c.events(ctx, kisi.EventQuery{From: from, Until: until, Types: types}, func(page []json.RawMessage) error {
			for _, raw := range page {
				h, _ := kisi.Happening(raw) // what cannot be read comes first, and intake says so
				held = append(held, heldEvent{h.CreatedAt, raw})
			}
			if len(held) > mostHeld && until.Sub(from) > leastSlice {
				return errTooMany
			}
			return nil
		})
		if err == nil {
			slices.SortStableFunc(held, func(a, b heldEvent) int { return a.at.Compare(b.at) })
			return held, nil
		}
		e := &kisi.Error{}
		errors.As(err, &e)
		if n == tries || errors.Is(err, errTooMany) || said(e.Status) {
			return nil, err
		}
		if c.pause(ctx, max(backoff.Delay(n, 0), min(e.RetryAfter, time.Minute))) != nil {
			return nil, err
		}
	}
}

// said reports whether Kisi said no, and would say so again.
func said(status int) bool {
	return status/100 == 4 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

// take hands one event on. A store that is away, or too busy, ends the run.
func (c *catchup) take(ctx context.Context, got *relay.CaughtUp, e heldEvent) error {
	answer, err := c.in.Take(ctx, got.Trigger, e.raw)
	if errors.Is(err, relay.ErrUnavailable) || errors.Is(err, relay.ErrBusy) || ctx.Err() != nil {
		return cmp.Or(err, context.Cause(ctx))
	}
	got.Read++
	switch {
	case err != nil || answer.Status == relay.Failed:
		got.Failed++
	case answer.Status == relay.Duplicate:
		got.Duplicates++
	default:
		got.New++
	}
	return nil
}

// run catches one trigger up as the schedule does, and says so in the log. mark is
// what the runs before it reached; zero is nothing.
func (c *catchup) run(ctx context.Context, trigger string, mark time.Time) error {
	since := c.store.Now().Add(-firstReach)
	if !mark.IsZero() {
		since = mark.Add(-overlap)
	}
	switch oldest := c.oldest(); {
	case mark.After(c.store.Now()): // by a clock that was put back since: it may be of any time
		since = oldest
	case since.Before(oldest):
		c.log.WarnContext(ctx, "what happened while doorhook was away for so long is not caught up with: it could be taken for new",
			"trigger", trigger, "from", since, "to", oldest)
		since = oldest
	}
	got, mine, err := c.since(ctx, trigger, since, true)
	attrs := []any{"trigger", trigger, "since", got.From, "read", got.Read, "new", got.New, "duplicates", got.Duplicates, "failed", got.Failed}
	switch {
	case ctx.Err() != nil || !mine && err == nil:
	case err != nil:
		c.log.WarnContext(ctx, "catching up with Kisi did not succeed; it goes on from where it was", append(attrs, "err", err)...)
	case got.New > 0 && !mark.IsZero(): // before the first run nobody was to deliver
		c.log.WarnContext(ctx, "kisi did not deliver all that happened: look at its webhook", attrs...)
	default:
		c.log.InfoContext(ctx, "caught up with Kisi", attrs...)
	}
	return err
}

// keepUp catches all triggers of the rules in use up, now and every so often, until ctx ends.
func (c *catchup) keepUp(ctx context.Context, every time.Duration, inUse func() *rules.Set) {
	ctx = relay.WithPriority(ctx, relay.Whenever)
	for first := true; ; first = false {
		next := every
		for _, trigger := range kisiTriggers(inUse(), "") {
			mark, err := c.store.CaughtUp(ctx, trigger)
			age := c.store.Now().Sub(mark)
			if err == nil && (first || age >= every/2 || age < 0) { // or another process has just done it
				err = c.run(ctx, trigger, mark)
			}
			e := &kisi.Error{}
			if errors.As(err, &e); err != nil && !said(e.Status) {
				next = min(every, retryRun)
			}
		}
		if c.pause(ctx, next) != nil {
			return
		}
	}
}

// pauseFor waits for d; an error says that ctx ended.
func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Catchup takes in what happened in Kisi since since and did not come, for one
// trigger or, with "", all that Kisi calls.
func (o *Operator) Catchup(ctx context.Context, since time.Time, trigger string) ([]relay.CaughtUp, error) {
	c, set, done, err := o.catchup()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := c.check(since); err != nil {
		return nil, err
	}
	triggers := kisiTriggers(set, trigger)
	if len(triggers) == 0 {
		return nil, relay.ErrNotKisi
	}
	if o.inUse == nil {
		if err := whole(set, triggers); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(relay.WithPriority(ctx, relay.Whenever), longestRun)
	defer cancel()
	out := []relay.CaughtUp{}
	for _, name := range triggers {
		got, mine, err := c.since(ctx, name, since, false)
		if !mine && err == nil {
			err = errors.New("another catch-up is under way; ask again when it has ended")
		}
		if err != nil {
			return append(out, got), fmt.Errorf("trigger %s: %w", name, err)
		}
		out = append(out, got)
	}
	return out, nil
}

// whole refuses rules of which one is left out, as may be in a shell where less is set
// than where serve runs. What is taken in without that rule is known from then on, so the
// rule would never see it.
func whole(set *rules.Set, triggers []string) error {
	for _, trigger := range triggers {
		if left := set.LeftOut(trigger); len(left) > 0 {
			return fmt.Errorf("trigger %s: nothing was taken in, since a rule is left out here that would never see it: %s; "+
				"set what serve has, or ask the doorhook that runs (DOORHOOK_URL)", trigger, left[0])
		}
	}
	return nil
}

// catchup uses what the doorhook that runs has, or makes what it takes.
func (o *Operator) catchup() (c *catchup, set *rules.Set, done func(), err error) {
	c = &catchup{store: o.store, log: o.settings.Log, pause: pauseFor}
	in, client, done := o.intake, o.kisi, func() {}
	if o.inUse != nil {
		set = o.inUse.Load()
	} else {
		if set, err = rules.Load(o.settings.Rules, o.settings.RulesDir, o.settings.Getenv); err != nil {
			return nil, nil, nil, err
		}
		in = intake.New(set, o.store, intake.Options{MaxAge: cmp.Or(o.settings.Dedup, week)})
		if client, err = kisi.New(o.settings.kisiOptions(o.store)); err != nil {
			return nil, nil, nil, err
		}
		done = client.Close
	}
	c.in, c.events, c.hooks = in, client.Events, client.Integrations
	return c, set, done, nil
}
