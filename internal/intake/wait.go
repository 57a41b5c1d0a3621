package intake

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"doorhook/internal/relay"
)

// A job that is done at once is done within milliseconds; one that is not is
// waiting for Kisi, and there is no use in asking the store often.
const (
	firstLook   = 10 * time.Millisecond
	slowestLook = 250 * time.Millisecond
)

// progress is how far the actions of one event have got.
type progress struct {
	status    relay.Status
	open      bool // something due is not settled yet
	links     []int64
	schedules []int64
	roles     []int64
	faults    []string
}

// worthWaiting reports whether an event left a job that may still do something.
func worthWaiting(r relay.Receipt) bool {
	return r.JobID != "" && (r.Status == relay.Accepted || r.Status == relay.Duplicate)
}

// await looks at the job until everything due is settled, and gives up after
// most. The event is accepted by now, so nothing that goes wrong is an error.
func (in *Intake) await(ctx context.Context, p relay.Plan, r relay.Receipt, most time.Duration) progress {
	seen := progress{status: relay.Pending}
	select {
	case in.waiting <- struct{}{}:
		defer func() { <-in.waiting }()
	default:
		return seen
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for pause := firstLook; ; pause = min(pause*3/2, slowestLook) {
		if !in.o.Pause(ctx, pause) {
			return seen
		}
		job, ok, err := in.jobs.Job(ctx, r.JobID)
		if err == nil && !ok && p.Lane() == relay.Messages { // only what was sent is forgotten so soon
			return progress{status: relay.Finished}
		}
		if err != nil || !ok {
			return seen
		}
		if job.Worked < r.Changes { // what the job holds is from before this event
			continue
		}
		if seen = progressOf(p, job, in.jobs.Now()); !seen.open {
			return seen
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// progressOf compares what p asks for with what job has.
func progressOf(p relay.Plan, job relay.Job, now time.Time) progress {
	held := make(map[string]relay.Held, len(job.Have))
	for _, h := range job.Have {
		held[h.Action.Key] = h
	}
	var pr progress
	actions := p.Actions()
	later := false
	due := 0
	for _, a := range actions {
		s := standingOf(a, held)
		pr.count(a.Kind, s.objects)
		if a.At.After(now) {
			later = true
			continue
		}
		due++
		pr.open = pr.open || s.open
		if s.fault != "" {
			pr.faults = append(pr.faults, a.Rule+": "+s.fault)
		}
	}
	pr.open = pr.open || slices.ContainsFunc(job.Have, func(h relay.Held) bool { return leftover(job, h) })
	pr.status = statusOf(pr, due, later)
	return pr
}

func statusOf(pr progress, due int, later bool) relay.Status {
	switch {
	case len(pr.faults) > 0:
		return relay.Failed
	case pr.open, due == 0 && later:
		return relay.Pending
	}
	return relay.Finished
}

func (pr *progress) count(kind relay.Kind, objects []int64) {
	switch kind {
	case relay.GroupLink:
		pr.links = append(pr.links, objects...)
	case relay.Schedule:
		pr.schedules = append(pr.schedules, objects...)
	case relay.RoleAssignment:
		pr.roles = append(pr.roles, objects...)
	}
}

// leftover reports whether something of h is in Kisi, or may be, that the job does
// not want any more: until it is gone, nothing is done.
func leftover(job relay.Job, h relay.Held) bool {
	return (h.Object != 0 || len(h.Old) > 0 || h.Unsure) && !job.Wants(h)
}

// standing is how one action stands.
type standing struct {
	open    bool
	fault   string // why it failed for good
	objects []int64
}

// standingOf sums up what is held for a: of a schedule for a group that is one
// schedule for each lock.
func standingOf(a relay.Action, held map[string]relay.Held) standing {
	own := held[a.Key]
	s := standingOfHeld(own)
	_, isGroup := a.GroupToExpand()
	if !isGroup || len(own.Locks) == 0 || s.fault != "" {
		return s
	}
	for _, lock := range own.Locks {
		child := standingOfHeld(held[a.Key+"/"+strconv.FormatInt(lock, 10)])
		s.open = s.open || child.open
		s.objects = append(s.objects, child.objects...)
		if s.fault == "" {
			s.fault = child.fault
		}
	}
	return s
}

func standingOfHeld(h relay.Held) standing {
	s := standing{open: h.Unsure || len(h.Old) > 0}
	if h.Object != 0 {
		s.objects = []int64{h.Object}
	}
	switch h.State {
	case relay.Dead:
		s.fault = cmp.Or(h.Error, "failed")
	case relay.TooLate:
		s.fault = tooLate
	case relay.Waiting, relay.Retrying:
		s.open = true
	}
	return s
}
