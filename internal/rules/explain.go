package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

const (
	maxTurns = 20 // of a repeated rule that are explained one by one
	maxDepth = 3  // values that were computed from values that were computed …
)

// The results of rules and conditions.
const (
	Yes        = "yes"
	No         = "no"
	Failed     = "failed"
	NotReached = "not looked at" // something before it had decided
)

// Explanation says what one event asks for, and why. It is plain data.
type Explanation struct {
	Trigger    string    `json:"trigger"`
	File       string    `json:"file"`
	Zone       string    `json:"zone,omitempty"` // of the venue; "" if the file names none
	ReceivedAt time.Time `json:"received_at"`

	EventID   string    `json:"event_id,omitempty"`
	Booking   string    `json:"booking,omitempty"`
	Version   *float64  `json:"version,omitempty"`
	Timed     bool      `json:"timed,omitempty"` // Version is a time, in Unix microseconds
	Cancelled bool      `json:"cancelled"`
	Identity  []Reading `json:"identity"` // id, booking, version and cancelled, as far as the file has them

	Rules    []RuleExplanation  `json:"rules"`
	LeftOut  []LeftOut          `json:"left_out,omitempty"` // rules that are not in use
	Lets     []Reading          `json:"lets"`               // of the whole file
	Respond  []relay.NamedValue `json:"respond"`
	Mistakes []Mistake          `json:"mistakes"` // what went wrong with the whole file
	Fatal    bool               `json:"fatal"`    // nothing at all could be decided
}

// RuleExplanation is what one rule made of the event.
type RuleExplanation struct {
	Rule    string         `json:"rule"`
	Where   string         `json:"where"`
	Result  string         `json:"result"`         // [Yes] if it matched
	Each    *Reading       `json:"each,omitempty"` // what it is repeated for
	Count   int            `json:"count"`          // how often it was evaluated
	Turns   []Turn         `json:"turns"`          // the first of them; one if it is not repeated
	Mistake *Mistake       `json:"mistake,omitempty"`
	Actions []relay.Action `json:"actions"` // of all turns
}

// Turn is a rule evaluated once, for one element if it is repeated.
type Turn struct {
	Each   *Reading   `json:"each,omitempty"`
	Result string     `json:"result"`
	When   *Condition `json:"when,omitempty"` // nil matches always
	Lets   []Reading  `json:"lets"`           // of this rule
}

// Mistake is a problem with the line of the file it is in.
type Mistake struct {
	Problem relay.Problem `json:"problem"`
	Shown   string        `json:"shown"` // place, message, line and caret
}

// Explain says what ev asks for, and why. It does no I/O and decides exactly what
// [Set.Plan] decides: it watches a plan being made.
func (s *Set) Explain(ev relay.Event) Explanation {
	f, ok := s.files[ev.Trigger]
	if !ok {
		p := s.Plan(ev)
		return Explanation{Trigger: ev.Trigger, ReceivedAt: ev.ReceivedAt, Mistakes: []Mistake{{p.Problems[0], p.Problems[0].Message}}, Fatal: true}
	}
	r, turns, counts := newRun(f, ev), map[*rule][]Turn{}, map[*rule]int{}
	r.watch = func(ru *rule, yes bool, err error) {
		if counts[ru]++; counts[ru] <= maxTurns {
			turns[ru] = append(turns[ru], r.witness(f.scopeOf(ru)).turn(ru, yes, err))
		}
	}
	p := r.plan(ev)
	w := r.witness(f.scope)
	x := Explanation{
		Trigger: ev.Trigger, File: f.src.name, ReceivedAt: ev.ReceivedAt,
		EventID: p.EventID, Booking: p.Booking, Version: p.Version, Timed: p.Timed, Cancelled: p.Cancelled,
		Identity: w.identity(), Rules: []RuleExplanation{}, Lets: w.lets(f.lets), Respond: append([]relay.NamedValue{}, p.Respond...),
		Mistakes: []Mistake{}, Fatal: p.Fatal, LeftOut: f.leftOut,
	}
	if f.zone != nil {
		x.Zone = f.zone.String()
	}
	for _, problem := range p.Problems {
		if problem.Rule == "" {
			x.Mistakes = append(x.Mistakes, f.src.mistake(problem))
		}
	}
	for _, ru := range f.rules {
		x.Rules = append(x.Rules, w.rule(ru, p, len(x.Mistakes) > 0, counts[ru], turns[ru]))
	}
	return x
}

// rule is what p says of one rule.
func (w witness) rule(ru *rule, p relay.Plan, undecided bool, count int, turns []Turn) RuleExplanation {
	x := RuleExplanation{
		Rule: ru.name, Where: w.file.src.where(ru.node, 0), Result: No,
		Count: count, Turns: append([]Turn{}, turns...), Actions: []relay.Action{},
	}
	if p.Cancelled || undecided {
		x.Result = NotReached
		return x
	}
	if ru.each != nil {
		each := w.computed("each", ru.each)
		x.Each = &each
	}
	for _, m := range p.Rules {
		if m.Rule == ru.name {
			x.Result, x.Actions = Yes, m.Actions
		}
	}
	for _, problem := range p.Problems {
		if problem.Rule == ru.name {
			m := w.file.src.mistake(problem)
			x.Result, x.Mistake = Failed, &m
		}
	}
	return x
}

// scopeOf is what the expressions of ru may use.
func (f *ruleFile) scopeOf(ru *rule) scope {
	sc := f.scope
	sc.lets, sc.each = maps.Clone(sc.lets), ru.each != nil
	for _, l := range ru.lets {
		sc.lets[l.name] = l.slot
	}
	return sc
}

// mistake finds the line that p is about.
func (s *source) mistake(p relay.Problem) Mistake {
	var line, col int
	if _, err := fmt.Sscanf(strings.TrimPrefix(p.Where, s.name), ":%d:%d", &line, &col); err != nil {
		return Mistake{p, p.Error()}
	}
	return Mistake{p, s.errorf(line, col, "%s", p.Message).Error()}
}

// witness looks closer at what a run has computed. It computes on a copy with a
// budget of its own, so that the run goes on as if nobody looked.
type witness struct {
	*run
	scope scope
}

func (r *run) witness(sc scope) witness {
	c := *r
	c.env, c.lets = maps.Clone(r.env), slices.Clone(r.lets)
	c.env["__run"] = &c
	c.machines, c.deep, c.left = nil, 0, work{maxSteps, maxBytes}
	return witness{&c, sc}
}

func (w witness) turn(ru *rule, yes bool, err error) Turn {
	t := Turn{Result: result(yes, err), Lets: w.lets(ru.lets)}
	if ru.each != nil {
		each := w.seen("each", w.env["each"])
		t.Each = &each
	}
	if ru.when != nil {
		when := w.condition(ru.when)
		t.When = &when
	}
	return t
}

func result(yes bool, err error) string {
	switch {
	case err != nil:
		return Failed
	case yes:
		return Yes
	}
	return No
}

// identity is how the event and its booking were identified.
func (w witness) identity() []Reading {
	out := []Reading{}
	for _, k := range []struct {
		name string
		e    *expression
	}{{"id", w.file.id}, {"booking", w.file.booking}, {"version", w.file.version}, {"cancelled", w.file.cancelled}} {
		if k.e != nil {
			out = append(out, w.computed(k.name, k.e))
		}
	}
	return out
}
