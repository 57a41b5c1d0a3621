package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"doorhook/internal/relay"
)

// jobs is the part of the store that a worker uses.
type jobs interface {
	Claim(ctx context.Context, l relay.Lane, n int) (relay.Claim, error)
	Save(ctx context.Context, j relay.Job) (changed bool, err error)
	Finish(ctx context.Context, j relay.Job, next time.Time, letters []relay.DeadLetter) error
	// Adopt gives the first of objects that no other job has, and notes that j has
	// it now; 0 if there is none.
	Adopt(ctx context.Context, j relay.Job, k relay.Kind, objects []int64) (int64, error)
	// Opened says when somebody last came to locks, as doorhook was told.
	Opened(ctx context.Context, locks []int64) (map[int64]time.Time, error)
	Wake(l relay.Lane) <-chan struct{}
	// Now is the store's clock.
	Now() time.Time
}

// doer carries out one step of one action. It is done with ctx when it returns.
type doer interface {
	Create(ctx context.Context, a relay.Action) relay.Outcome
	Change(ctx context.Context, a relay.Action, object int64) relay.Outcome
	Revoke(ctx context.Context, a relay.Action, object int64) relay.Outcome
	// Find looks for what a create of a may have made, if it was sent at since or
	// later: all that looks like it and is none of known.
	Find(ctx context.Context, a relay.Action, since time.Time, known []int64) relay.Outcome
	// Locks are the locks of the group that a schedule is for.
	Locks(ctx context.Context, a relay.Action) relay.Outcome
	// Person is who has Kisi's id user; nil is nobody.
	Person(ctx context.Context, user int64) (*relay.Person, relay.Outcome)
	// Doors are the locks of groups, which may have been asked for a while ago.
	Doors(ctx context.Context, groups []int64) relay.Outcome
	// Came asks Kisi whether anybody came to one of locks; rejected if it does not tell.
	Came(ctx context.Context, locks []int64, from, until time.Time) relay.Outcome
}

// Options tune a Worker. The zero value is a good one.
type Options struct {
	Lane        relay.Lane    // whose jobs it works off
	Concurrency int           // jobs in hand at a time; 0 means 8
	Lease       time.Duration // how long the store keeps a claim for us; 0 means 10s
	StepTimeout time.Duration // limit on one step, sign-in included; 0 means 8s
	Poll        time.Duration // the longest time between two looks at the store; 0 means 1s
	Tidy        time.Duration // how long after its window an object is deleted; 0 means 24h

	// Limits are those that what a trigger asked for has to keep to now, whatever they
	// were when it asked; false leaves those. Nil always does.
	Limits func(trigger string) (*relay.Limits, bool)

	// Fill computes what of a is left for later, with the person it needs; nil is nobody.
	// Nil can fill nothing.
	Fill func(ctx context.Context, a relay.Action, p *relay.Person) (relay.Action, error)

	// Tell is told what people may want to know of; it must not wait. Nil is not told.
	Tell func(relay.Happening)
	// Told reports whether anybody tells doorhook who opens doors. Nil always does.
	Told func() bool

	// Roll draws a number in [0, 1), which says how long pauses are; random if nil.
	Roll func() float64
}

func (o Options) withDefaults() (Options, error) {
	o.Concurrency = cmp.Or(o.Concurrency, 8)
	o.Lease = cmp.Or(o.Lease, 10*time.Second)
	o.StepTimeout = cmp.Or(o.StepTimeout, 8*time.Second)
	o.Poll = cmp.Or(o.Poll, time.Second)
	o.Tidy = cmp.Or(o.Tidy, 24*time.Hour)
	if o.Roll == nil {
		o.Roll = rand.Float64
	}
	if o.StepTimeout >= o.Lease {
		return o, fmt.Errorf("a step may take %s, which is not shorter than the lease of %s: a slow answer of Kisi would let two workers have one job; make the lease longer", o.StepTimeout, o.Lease)
	}
	return o, nil
}

// Worker works jobs off.
type Worker struct {
	jobs jobs
	doer doer
	log  *slog.Logger
	opts Options

	calm  chan struct{} // holds one token for each step under way that could wait
	again chan struct{} // a job was handed back that has more to do
}

// New refuses options that contradict each other.
func New(j jobs, d doer, log *slog.Logger, o Options) (*Worker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Worker{jobs: j, doer: d, log: log, opts: o, calm: make(chan struct{}, (o.Concurrency+1)/2), again: make(chan struct{}, 1)}, nil
}

// work takes the steps of one job until there is none to take now. now is the
// store's clock. One job that panics dies alone.
func (w *Worker) work(ctx context.Context, j relay.Job, now func() time.Time) {
	defer func() {
		if p := recover(); p != nil {
			w.log.ErrorContext(ctx, "job panicked; it is put off for a minute", "job", j.ID, "panic", p, "stack", string(debug.Stack()))
			w.finish(ctx, j, now().Add(time.Minute), nil)
		}
	}()
	var letters []relay.DeadLetter
	for first := true; ; first = false {
		d := next(&j, now(), w.opts.Tidy)
		letters = append(letters, d.letters...)
		for _, l := range d.letters {
			w.log.WarnContext(ctx, "action given up", "job", j.ID, "event", j.EventID, "rule", l.Rule, "action", l.Action.Kind, "err", l.Error)
		}
		if d.step.op == none {
			w.finish(ctx, j, d.when, letters)
			return
		}
		if ctx.Err() != nil || len(letters) > 0 { // letters are saved with the state that they are about, or a crash would lose them
			w.finish(ctx, j, now(), letters)
			return
		}
		l, goOn := w.try(ctx, &j, d.step, first, now)
		if !goOn {
			return
		}
		if l != nil {
			letters = append(letters, *l)
		}
	}
}

// calmPause is how long at least a step that can wait is put off when others that can
// wait have all the room there is for them.
const calmPause = 3 * time.Second

// try takes a step, or puts it off: what can wait has half of the room, so that it
// does not keep a guest at a door waiting, however much of it there is. Where there
// are messages alone, nobody waits at a door. It reports false when the job has been
// let go of.
func (w *Worker) try(ctx context.Context, j *relay.Job, s step, first bool, now func() time.Time) (*relay.DeadLetter, bool) {
	if w.opts.Lane == relay.Doors && priority(*j, s, now()) == relay.Whenever {
		select {
		case w.calm <- struct{}{}:
			defer func() { <-w.calm }()
		default:
			postpone(j, s, now().Add(calmPause+time.Duration(w.opts.Roll()*float64(calmPause))))
			return nil, true
		}
	}
	ready, err := w.ready(ctx, j, s, first, now())
	switch {
	case err != nil:
		w.log.WarnContext(ctx, "job let go of; it comes up again when its lease ends", "job", j.ID, "err", err)
		return nil, false
	case !ready:
		w.finish(ctx, *j, now(), nil)
		return nil, false
	}
	return w.take(ctx, j, s, now), true
}

// ready saves what has to be known before a step is taken: how far the job got,
// and what the step may change. It reports false when the booking has changed
// meanwhile, so that the step may be wrong.
func (w *Worker) ready(ctx context.Context, j *relay.Job, s step, first bool, now time.Time) (bool, error) {
	if first && w.claimSays(*j, s, now) {
		begin(j, s, now)
		return true, nil
	}
	was := *j
	was.Have = slices.Clone(j.Have)
	if !begin(j, s, now) && first {
		return true, nil // there is nothing new to save, and the lease is fresh
	}
	ctx, cancel := w.storeContext(ctx)
	defer cancel()
	changed, err := w.jobs.Save(ctx, *j)
	if changed {
		*j = was // the step is not taken
	}
	return !changed, err
}

// claimSays reports whether the claim of j says all of s that has to be known after a
// crash, and nobody had j in hand before us: whoever did, a lease ago or more, may have
// sent something else. A claim whose answer came late says too little: the lease would end
// before the step, and a save renews it.
func (w *Worker) claimSays(j relay.Job, s step, now time.Time) bool {
	age := now.Sub(j.Since)
	return byClaim(j, s) && age >= 0 && age+w.opts.StepTimeout < w.opts.Lease
}

// take carries out a step and notes what it came to.
func (w *Worker) take(ctx context.Context, j *relay.Job, s step, now func() time.Time) *relay.DeadLetter {
	started := now()
	stepCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.opts.StepTimeout)
	end := w.breakOff(ctx, *j, s, cancel)
	out := w.carryOut(relay.WithPriority(stepCtx, priority(*j, s, started)), *j, s, started)
	end()
	cancel()
	a := j.Have[s.held].Action
	if s.op == change || s.op == resolve {
		a = s.want
	}
	l := apply(j, s, out, now(), w.opts.Roll())
	w.tellRevoke(*j, s, out, now())
	took := now().Sub(started)
	if out.Verdict != relay.Untried {
		j.Note(attempt(a, s, out, started, took))
	}
	w.logAttempt(ctx, *j, a, s, out, took)
	return l
}

// soon is how long before its window something that is granted is not put off.
const soon = 15 * time.Minute

// priority is who goes first: what may leave a door open, then who may be standing
// in front of one, then the tidying, what nobody needs for a while, and all that opens
// no door.
func priority(j relay.Job, s step, now time.Time) relay.Priority {
	h := j.Have[s.held]
	over := func(end time.Time) bool { return !end.IsZero() && now.After(end) }
	switch s.op {
	case revoke:
		if over(h.Action.Ends) {
			return relay.Whenever
		}
		return relay.Revoking
	case find:
		return relay.Revoking
	case create, resolve:
		if s.want.Kind == relay.Send {
			return relay.Whenever
		}
		if h.Object == 0 && len(h.Old) == 0 && s.want.Starts().After(now.Add(soon)) {
			return relay.Whenever
		}
	}
	return relay.Granting
}

// attempt is what the job remembers of a step.
func attempt(a relay.Action, s step, out relay.Outcome, at time.Time, took time.Duration) relay.Attempt {
	t := relay.Attempt{
		At: at, Action: a.Key, Step: s.op.String(), Result: result(s, out),
		Object: cmp.Or(out.Object, s.object), TookMS: took.Milliseconds(),
	}
	if out.Err != nil {
		t.Error = out.Err.Error()
	}
	return t
}

// result is what a step came to, in a word.
func result(s step, out relay.Outcome) string {
	switch {
	case out.Verdict != relay.OK && out.Verdict != relay.Gone:
		return out.Verdict.String()
	case s.op == look && out.Used:
		return "used"
	case s.op == find && out.Object == 0:
		return "not there"
	case s.op == find:
		return "adopted"
	case s.op == create && s.want.Kind == relay.Unlock:
		return "unlocked"
	case s.op == create && s.want.Kind == relay.Send:
		return "sent"
	case out.Verdict == relay.Gone:
		return "was gone"
	}
	return [...]string{"", "revoked", "", "changed", "resolved", "created", "unused"}[s.op]
}

func (w *Worker) carryOut(ctx context.Context, j relay.Job, s step, now time.Time) relay.Outcome {
	h, want := j.Have[s.held], s.want
	if w.opts.Limits != nil {
		if now, ok := w.opts.Limits(j.Trigger); ok {
			want.Limits = now
		}
	}
	switch s.op {
	case revoke:
		return w.doer.Revoke(ctx, h.Action, s.object)
	case find:
		return w.find(ctx, j, h)
	case change:
		return w.doer.Change(ctx, want, s.object)
	case resolve:
		return w.doer.Locks(ctx, want)
	case look:
		return w.look(ctx, j, h, now)
	default:
		if want.Kind == relay.Send {
			want.Message = message(j, h.TriedAt, want)
		}
		return w.create(ctx, want)
	}
}

// message is the identity of the message a, by which its receiver knows a second attempt
// from a second message. It is the same after a crash, since its claim or what was saved
// before the first attempt says when that was; and another one when something else is
// wanted, or the same anew.
func message(j relay.Job, triedAt time.Time, a relay.Action) string {
	b := append(strconv.AppendQuote(make([]byte, 0, 1024), j.ID), ' ')
	b = append(strconv.AppendQuote(b, a.Key), ' ')
	b = append(strconv.AppendInt(b, triedAt.UnixMicro(), 10), ' ')
	sum := sha256.Sum256(a.AppendAsks(b))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// find looks for what a create of h made, and takes nothing that is another
// booking's: two may ask for the same.
func (w *Worker) find(ctx context.Context, j relay.Job, h relay.Held) relay.Outcome {
	a, since := h.Action, h.TriedAt
	if !h.Unsure {
		a, since = h.Lost[0].Action, h.Lost[0].TriedAt
	}
	out := w.doer.Find(ctx, a, since, objects(j))
	if out.Verdict != relay.OK || len(out.Objects) == 0 {
		return out
	}
	object, err := w.jobs.Adopt(ctx, j, h.Action.Kind, out.Objects)
	if err != nil {
		return relay.Outcome{Verdict: relay.Retry, Err: err}
	}
	out.Object = object
	return out
}

// objects are all that j is known to have: what was found and is one of them
// belongs to another action that asked for the same.
func objects(j relay.Job) []int64 {
	var known []int64
	for _, h := range j.Have {
		known = append(append(known, h.Old...), h.Object)
	}
	return known
}

// finish lets the job go. A Redis that restarts is back within seconds, and an unlock
// whose success was not saved would open the door again, so it is tried for as long
// as the lease holds. Then another worker takes the job up where it was last saved.
func (w *Worker) finish(ctx context.Context, j relay.Job, when time.Time, letters []relay.DeadLetter) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.opts.Lease)
	defer cancel()
	err := w.jobs.Finish(ctx, j, when, letters)
	for errors.Is(err, relay.ErrUnavailable) && ctx.Err() == nil {
		select {
		case <-time.After(finishRetry):
			err = w.jobs.Finish(ctx, j, when, letters)
		case <-ctx.Done():
		}
	}
	if err != nil {
		w.log.WarnContext(ctx, "job could not be saved; it comes up again when its lease ends", "job", j.ID, "err", err)
		return
	}
	w.tellLetters(letters)
	if !when.IsZero() && when.Before(w.jobs.Now().Add(w.opts.Poll)) { // before we look the next time
		select {
		case w.again <- struct{}{}:
		default:
		}
	}
}

// finishRetry is how often a Redis that is away is asked whether it is back.
const finishRetry = 100 * time.Millisecond

// storeContext outlives a shutdown: what was done in Kisi must still be saved.
func (w *Worker) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), w.opts.Lease/2)
}

func (o op) String() string {
	return [...]string{"none", "revoke", "find", "change", "resolve", "create", "look"}[o]
}
