package shadow

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"doorhook/internal/relay"
)

// planned is an event with what one set of rules makes of it, without what only its
// answer would say.
type planned struct {
	id, trigger string // of the event
	at          time.Time
	plan        relay.Plan
}

// book holds what every booking wants in the end, as the store would after accepting
// the events in their order. What the store forgets with time is not forgotten here.
type book struct {
	jobs map[string]*job
	seen map[string]bool // events, by trigger and identity
}

// job is what one booking, or one event without a booking, wants.
type job struct {
	version   *float64
	tombstone *float64 // when a cancellation without a version came, in Unix microseconds
	cancelled bool
	want      map[string][]relay.Action // by rule
}

func newBook() *book { return &book{jobs: map[string]*job{}, seen: map[string]bool{}} }

// job is the job that e belongs to.
func (e planned) job() string {
	return relay.JobID(relay.Event{Trigger: e.trigger, ID: cmp.Or(e.plan.EventID, e.id)}, e.plan)
}

// accept takes in one event. It follows the accept script of the store, step by step.
func (b *book) accept(e planned) {
	p, id := e.plan, e.job()
	if p.Fatal || b.duplicate(e) {
		return
	}
	j, exists := b.jobs[id]
	if exists && j.stale(p) {
		return
	}
	wants := wants(p)
	if !exists {
		if !p.Cancelled && len(wants)+len(p.Undecided) == 0 && p.Booking == "" {
			return
		}
		j = &job{want: map[string][]relay.Action{}}
		b.jobs[id] = j
	}
	j.change(p, wants, float64(e.at.UnixMicro()))
}

func (b *book) duplicate(e planned) bool {
	if e.plan.EventID == "" {
		return false
	}
	key := e.trigger + ":" + e.plan.EventID
	again := b.seen[key]
	b.seen[key] = true
	return again
}

// stale reports whether something newer than p happened to j.
func (j *job) stale(p relay.Plan) bool {
	switch v := p.Version; {
	case v != nil && j.tombstone != nil && p.Timed:
		return *v <= *j.tombstone
	case v != nil && j.tombstone != nil:
		return j.version == nil || *v <= *j.version
	case v != nil && j.version != nil:
		return *v < *j.version || *v == *j.version && j.cancelled && !p.Cancelled
	}
	return false
}

func (j *job) change(p relay.Plan, wants map[string][]relay.Action, at float64) {
	if p.Version != nil {
		j.version = p.Version
	}
	j.tombstone = nil
	if j.cancelled = p.Cancelled; p.Cancelled {
		clear(j.want)
		if p.Version == nil {
			j.tombstone = &at
		}
		return
	}
	maps.DeleteFunc(j.want, func(rule string, _ []relay.Action) bool { return !slices.Contains(p.Undecided, rule) })
	maps.Copy(j.want, wants)
}

// wants is what each rule wants that could be decided.
func wants(p relay.Plan) map[string][]relay.Action {
	out := map[string][]relay.Action{}
	for _, m := range p.Rules {
		if len(m.Actions) > 0 && !p.Cancelled && !slices.Contains(p.Undecided, m.Rule) {
			out[m.Rule] = append(out[m.Rule], m.Actions...)
		}
	}
	return out
}

// actions is all that a job wants, in the order of rules' names; nothing if there is none.
func (b *book) actions(id string) []relay.Action {
	j, ok := b.jobs[id]
	if !ok {
		return nil
	}
	var all []relay.Action
	for _, rule := range slices.Sorted(maps.Keys(j.want)) {
		all = append(all, j.want[rule]...)
	}
	return all
}
