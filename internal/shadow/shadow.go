// Package shadow compares two sets of rules over events that were recorded: it plans
// every event with both, and says which bookings would want something else in the end.
package shadow

import (
	"bytes"
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"doorhook/internal/relay"
)

// planner is one set of rules.
type planner interface {
	Has(trigger string) bool
	Plan(ev relay.Event) relay.Plan
}

// Report is how two sets of rules differ over some events.
type Report struct {
	Events      int            `json:"events"`
	Bookings    int            `json:"bookings"`
	Alone       int            `json:"without_booking"` // events that stand for themselves
	From        time.Time      `json:"from,omitzero"`
	To          time.Time      `json:"to,omitzero"`
	Unknown     map[string]int `json:"unknown_triggers"` // events of triggers that neither set has
	OnlyOld     map[string]int `json:"triggers_only_old"`
	OnlyNew     map[string]int `json:"triggers_only_new"`
	Renamed     []Renamed      `json:"renamed"` // the newest first
	Differences []Difference   `json:"differences"`
}

// Renamed is an event that belongs to another booking with the new rules.
type Renamed struct {
	Trigger string    `json:"trigger"`
	EventID string    `json:"event_id"`
	At      time.Time `json:"at"`
	Old     string    `json:"old"` // the booking; "" is none
	New     string    `json:"new"`
}

// Difference is a booking, or an event without one, that would want something else.
type Difference struct {
	Job     string         `json:"job"`
	Trigger string         `json:"trigger"`
	Booking string         `json:"booking,omitempty"`
	EventID string         `json:"event_id"` // the newest of its events
	At      time.Time      `json:"at"`       // when that came
	Events  int            `json:"events"`
	OnlyOld []relay.Action `json:"only_old"`
	OnlyNew []relay.Action `json:"only_new"`
	Changed []Change       `json:"changed"`
	Broken  []Fault        `json:"fails_now"`     // rules that fail with the new rules alone
	Mended  []Fault        `json:"failed_before"` // and with the old ones alone
}

// Change is an action that both sets ask for, in different ways.
type Change struct {
	Old    relay.Action `json:"old"`
	New    relay.Action `json:"new"`
	Fields []Field      `json:"fields"`
}

// Field is what of an action differs: one of Kisi's fields, at or not_after.
type Field struct {
	Name string `json:"name"`
	Old  any    `json:"old"` // nil if it has none
	New  any    `json:"new"`
}

// Fault is a rule that failed, and why it did first.
type Fault struct {
	Rule    string `json:"rule,omitempty"` // "" if nothing could be decided
	Message string `json:"message"`
}

// side is one of the two sets of rules.
type side struct {
	rules  planner
	plans  []*planned // of each event; nil without the trigger
	book   *book
	faults map[string][]Fault // by job
}

// Compare plans events, which come with the newest first, and compares what their
// bookings want in the end. It keeps what was planned, and not the events.
func Compare(old, next planner, events iter.Seq[relay.Event]) Report {
	sides := [2]*side{newSide(old), newSide(next)}
	r := Report{Unknown: map[string]int{}, OnlyOld: map[string]int{}, OnlyNew: map[string]int{}, Renamed: []Renamed{}, Differences: []Difference{}}
	for ev := range events {
		r.count(ev, sides[0].plan(ev), sides[1].plan(ev))
	}
	found := map[string]*Difference{}
	for i := range slices.Backward(sides[0].plans) { // as they came
		r.fold(found, sides[0], sides[1], i)
	}
	slices.Reverse(r.Renamed)
	for id, d := range found {
		if d.Booking == "" {
			r.Alone++
		} else {
			r.Bookings++
		}
		if d.compare(sides, id) {
			r.Differences = append(r.Differences, *d)
		}
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Job, b.Job))
	})
	return r
}

func newSide(p planner) *side {
	return &side{rules: p, book: newBook(), faults: map[string][]Fault{}}
}

// plan plans ev and keeps of it what counts in the end. It reports whether there is
// such a trigger.
func (s *side) plan(ev relay.Event) bool {
	if !s.rules.Has(ev.Trigger) {
		s.plans = append(s.plans, nil)
		return false
	}
	p := s.rules.Plan(ev)
	p.Respond = nil
	for i := range p.Problems {
		p.Problems[i].Values = nil
	}
	if p.Cancelled && p.Booking == "" && !p.Fatal {
		p.Fatal = true
		p.Problems = append(p.Problems, relay.Problem{Message: "a cancellation needs a booking"})
	}
	s.plans = append(s.plans, &planned{id: ev.ID, trigger: ev.Trigger, at: ev.ReceivedAt, plan: p})
	return true
}

func (r *Report) count(ev relay.Event, old, next bool) {
	r.Events++
	r.From = ev.ReceivedAt
	if r.To.IsZero() {
		r.To = ev.ReceivedAt
	}
	switch {
	case !old && !next:
		r.Unknown[ev.Trigger]++
	case !next:
		r.OnlyOld[ev.Trigger]++
	case !old:
		r.OnlyNew[ev.Trigger]++
	}
}

// fold takes event i into the books of both sides.
func (r *Report) fold(found map[string]*Difference, old, next *side, i int) {
	a, b := old.plans[i], next.plans[i]
	for _, e := range []struct {
		s         *side
		its, that *planned
	}{{old, a, b}, {next, b, a}} {
		if e.its == nil {
			continue
		}
		e.s.book.accept(*e.its)
		id := e.its.belongs(e.that)
		e.s.blame(id, e.its.plan)
		d := found[id]
		if d == nil {
			d = &Difference{Job: id, Trigger: e.its.trigger, OnlyOld: []relay.Action{}, OnlyNew: []relay.Action{}, Changed: []Change{}}
			found[id] = d
		}
		if e.s == old || a == nil || a.belongs(b) != id { // once for both
			d.Events++
		}
		d.EventID, d.At = cmp.Or(e.its.plan.EventID, e.its.id), e.its.at
		d.Booking = cmp.Or(e.its.plan.Booking, d.Booking)
	}
	if a != nil && b != nil && !a.plan.Fatal && !b.plan.Fatal && a.plan.Booking != b.plan.Booking {
		r.Renamed = append(r.Renamed, Renamed{
			Trigger: a.trigger, EventID: cmp.Or(a.plan.EventID, a.id), At: a.at, Old: a.plan.Booking, New: b.plan.Booking,
		})
	}
}

// belongs is the job that e is about. One about which nothing could be decided is
// about the job that the other rules found.
func (e *planned) belongs(other *planned) string {
	if e.plan.Fatal && e.plan.Booking == "" && other != nil && !other.plan.Fatal {
		return other.job()
	}
	return e.job()
}

// blame notes what failed, once for each rule.
func (s *side) blame(id string, p relay.Plan) {
	for _, problem := range p.Problems {
		known := slices.ContainsFunc(s.faults[id], func(f Fault) bool { return f.Rule == problem.Rule })
		if !known {
			message := problem.Message
			if problem.Where != "" {
				message = problem.Where + ": " + message
			}
			s.faults[id] = append(s.faults[id], Fault{problem.Rule, message})
		}
	}
}

// compare fills in what differs, and reports whether anything does.
func (d *Difference) compare(sides [2]*side, id string) bool {
	old, next := sides[0].book.actions(id), sides[1].book.actions(id)
	for _, a := range old {
		i := slices.IndexFunc(next, func(b relay.Action) bool { return b.Key == a.Key })
		if i < 0 {
			d.OnlyOld = append(d.OnlyOld, a)
		} else if fields := differing(a, next[i]); len(fields) > 0 {
			d.Changed = append(d.Changed, Change{a, next[i], fields})
		}
	}
	for _, b := range next {
		if !slices.ContainsFunc(old, func(a relay.Action) bool { return a.Key == b.Key }) {
			d.OnlyNew = append(d.OnlyNew, b)
		}
	}
	d.Broken, d.Mended = without(sides[1].faults[id], sides[0].faults[id]), without(sides[0].faults[id], sides[1].faults[id])
	return len(d.OnlyOld)+len(d.OnlyNew)+len(d.Changed)+len(d.Broken)+len(d.Mended) > 0
}

// without is those of faults whose rules are not among others.
func without(faults, others []Fault) []Fault {
	out := []Fault{}
	for _, f := range faults {
		if !slices.ContainsFunc(others, func(o Fault) bool { return o.Rule == f.Rule }) {
			out = append(out, f)
		}
	}
	return out
}

// differing is what of two actions with one key differs.
func differing(a, b relay.Action) (fields []Field) {
	add := func(name string, was, is any) { fields = append(fields, Field{name, was, is}) }
	if !bytes.Equal(a.Args, b.Args) {
		old, next := argsOf(a), argsOf(b)
		names := maps.Clone(old)
		maps.Copy(names, next)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !reflect.DeepEqual(old[name], next[name]) {
				add(name, old[name], next[name])
			}
		}
	}
	for _, t := range []struct {
		name    string
		was, is time.Time
	}{{"at", a.At, b.At}, {"not_after", a.NotAfter, b.NotAfter}} {
		if !t.was.Equal(t.is) {
			add(t.name, moment(t.was), moment(t.is))
		}
	}
	return fields
}

// argsOf are the fields of an action, none of which is a list or an object.
func argsOf(a relay.Action) map[string]any {
	args := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(a.Args))
	dec.UseNumber()
	if dec.Decode(&args) != nil {
		return map[string]any{"args": string(a.Args)} // never: Args come from Encode
	}
	return args
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}
