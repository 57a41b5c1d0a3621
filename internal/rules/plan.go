package rules

import (
	"fmt"
	"math"
	"strings"
	"time"

	"doorhook/internal/relay"
)

const (
	maxActions = 100              // of one event; a booking of more doors than that is a mistake
	maxIDBytes = 1024             // of an event's and a booking's identity
	unlockLate = 60 * time.Second // an unlock is too late so long after its time
)

// Plan decides what ev asks for. It does no I/O, and the same event and rules
// always give the same plan. An unknown trigger asks for nothing.
func (s *Set) Plan(ev relay.Event) relay.Plan {
	f, ok := s.files[ev.Trigger]
	if !ok {
		return relay.Plan{Fatal: true, Revision: s.revision, Problems: []relay.Problem{{Message: "no such trigger"}}}
	}
	p := newRun(f, ev).plan(ev)
	p.Revision = s.revision
	return p
}

func (r *run) plan(ev relay.Event) relay.Plan {
	p := relay.Plan{GrantsPerMinute: r.file.limits.grants, Opened: r.file.opened(ev)}
	r.identify(ev, &p)
	if len(p.Problems) > 0 { // who or what is meant is not known: nothing may change
		p.Fatal = true
		return p
	}
	if !p.Cancelled {
		r.rules(ev, &p)
	}
	p.Respond = r.respond()
	return p
}

// identify fills in which event and which booking this is.
func (r *run) identify(ev relay.Event, p *relay.Plan) {
	fail := func(err error) { p.Problems = append(p.Problems, r.problem("", err)) }
	var err error
	if p.EventID, err = r.identity(r.file.id); err != nil {
		fail(err)
	}
	switch {
	case err != nil || p.EventID != "":
	case r.file.trigger.From == fromKisi:
		if p.EventID, err = r.uuid(ev); err != nil {
			fail(err)
		}
	default:
		p.EventID, _ = ev.Headers["Idempotency-Key"].(string)
	}
	if p.Booking, err = r.identity(r.file.booking); err != nil {
		fail(err)
	}
	if p.Version, p.Timed, err = r.version(); err != nil {
		fail(err)
	}
	if r.file.cancelled != nil {
		if p.Cancelled, err = r.yes(r.file.cancelled); err != nil {
			fail(err)
		}
	}
}

// identity is a number or a text; nil and blank text identify nothing.
func (r *run) identity(e *expression) (string, error) {
	if e == nil {
		return "", nil
	}
	v, err := r.eval(e)
	if err != nil {
		return "", err
	}
	switch v.(type) {
	case nil, string, int, float64:
	default:
		return "", &failure{e: e, msg: fmt.Sprintf("an identity is text or a number, not %s", typeName(v))}
	}
	s, _ := textOf(v)
	if s = strings.TrimSpace(s); len(s) > maxIDBytes {
		return "", &failure{e: e, msg: fmt.Sprintf("this identity is longer than %d bytes", maxIDBytes)}
	}
	return s, nil
}

// soon is how long a message is on its way, if nothing keeps it.
const soon = 10 * time.Minute

// version is [run.readVersion]. In the hour that clocks show twice it is the later reading if
// the event came right after that: else what is cancelled in the second hour would be older
// than what was booked in the first.
func (r *run) version() (v *float64, timed bool, err error) {
	r.doubtful = false
	if v, timed, err = r.readVersion(); !timed || !r.doubtful {
		return v, timed, err
	}
	r.end = true
	defer func() { r.end = false }()
	later, timed, err := r.readVersion()
	if err != nil || !timed {
		return v, true, err
	}
	way := r.now.Sub(time.UnixMicro(int64(*later)))
	if way > -time.Minute && way < soon { // the sender's clock may be ahead
		v = later
	}
	return v, true, nil
}

// readVersion is a number, or a time in Unix microseconds; both stay below 2^53.
func (r *run) readVersion() (v *float64, timed bool, err error) {
	e := r.file.version
	if e == nil {
		return nil, false, nil
	}
	x, err := r.eval(e)
	if err != nil || x == nil || x == "" {
		return nil, false, err
	}
	if n, err := numberOf(x); err == nil {
		f, ok := n.(float64)
		if i, isInt := n.(int); isInt {
			f, ok = float64(i), true
		}
		if !ok || math.Abs(f) >= 1<<53 {
			return nil, false, &failure{e: e, msg: "a version is a number below 2^53, or a time"}
		}
		return &f, false, nil
	}
	t, err := zoned{r.file.zone, r}.read(x)
	if err != nil {
		return nil, false, &failure{e: e, msg: fmt.Sprintf("a version is a number or a time: %v", err)}
	}
	micro := float64(t.UnixMicro())
	return &micro, true, nil
}

// yes is the truth of e. What is missing is no; anything but true, false and
// nil is a mistake, since "no" would be a guess.
func (r *run) yes(e *expression) (bool, error) {
	v, err := r.eval(e)
	if err != nil {
		return false, err
	}
	switch v {
	case true, "true":
		return true, nil
	case false, "false", nil:
		return false, nil
	}
	return false, &failure{e: e, msg: fmt.Sprintf("this has to be true or false, and is %s (%v)", typeName(v), short(v))}
}

// rules evaluates all rules. One that fails silences no other, and what it
// wanted before stays wanted.
func (r *run) rules(ev relay.Event, p *relay.Plan) {
	failed, actions, doors := 0, 0, map[door]bool{}
	for i, ru := range r.file.rules {
		wants, err := r.rule(ru, ev, p)
		if err == nil && actions+len(wants) > maxActions {
			err = ru.tooMany()
		}
		if err == nil {
			err = r.opens(ru, doors, wants)
		}
		if err != nil {
			failed++
			p.Undecided = append(p.Undecided, ru.name)
			p.Problems = append(p.Problems, r.problem(ru.name, err))
			continue
		}
		if len(wants) > 0 {
			actions += len(wants)
			p.Rules = append(p.Rules, relay.Match{Rule: ru.name, Actions: wants, Place: i})
		}
	}
	p.Fatal = failed > 0 && failed == len(r.file.rules)
}

// rule is what one rule asks for: nothing, or its actions, once or for each element.
func (r *run) rule(ru *rule, ev relay.Event, p *relay.Plan) ([]relay.Action, error) {
	elements, err := r.elements(ru)
	if err != nil {
		return nil, err
	}
	keys := map[string]int{}
	var all []relay.Action
	for _, el := range elements {
		if err := r.spend(workOfEval+len(ru.lets), 0); err != nil {
			return nil, &failure{e: ru.each, node: ru.node, msg: err.Error()}
		}
		r.env["each"] = el
		r.setLets(ru.lets)
		yes, actions, err := builder{run: r, rule: ru, ev: ev, plan: p, keys: keys}.turn()
		if r.watch != nil {
			r.watch(ru, yes, err)
		}
		if err != nil {
			return nil, err
		}
		if all = append(all, actions...); len(all) > maxActions {
			return nil, ru.tooMany()
		}
	}
	return all, nil
}

// turn is whether the rule matches, for one element, and what it asks for then.
func (b builder) turn() (yes bool, actions []relay.Action, err error) {
	if b.rule.when != nil {
		if yes, err = b.run.yes(b.rule.when); err != nil || !yes {
			return false, nil, err
		}
	}
	actions, err = b.actions()
	return true, actions, err
}

func (ru *rule) tooMany() error {
	return &failure{node: ru.node, msg: fmt.Sprintf("one event cannot ask for more than %d actions", maxActions)}
}

// elements are what a rule is repeated for; one nil if it is not repeated.
func (r *run) elements(ru *rule) ([]any, error) {
	if ru.each == nil {
		return []any{nil}, nil
	}
	v, err := r.eval(ru.each)
	if err != nil {
		return nil, err
	}
	if s, ok := v.(string); ok { // senders that flatten lists write one element as plain text
		return []any{s}, nil
	}
	if list, ok := listOf(v); ok {
		return list, nil
	}
	return nil, &failure{e: ru.each, msg: fmt.Sprintf("each takes a list, and this is %s", typeName(v))}
}

// respond computes the extra fields of the answer. One that cannot be computed
// is null and fails nothing.
func (r *run) respond() []relay.NamedValue {
	var out []relay.NamedValue
	for _, f := range r.file.respond {
		v, err := f.value.compute(r)
		if err == nil {
			err = r.write(v)
		}
		if err != nil {
			v = nil
		}
		if t, ok := v.(time.Time); ok {
			v = t.Format(time.RFC3339)
		}
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		out = append(out, relay.NamedValue{Name: f.name, Value: v})
	}
	return out
}

// errAt blames the expression of v, or the place where v stands.
func (r *run) errAt(v *value, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if e := v.first(); e != nil {
		return &failure{e: e, msg: msg}
	}
	return &failure{node: v.node, msg: msg}
}
