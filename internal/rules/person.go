package rules

import (
	"fmt"
	"regexp"
	"time"

	"doorhook/internal/relay"
)

// personName is how expressions call who was behind an event.
const personName = "person"

// person are the names that stand for the person in a new file, or nil: only Kisi's
// own events say who it was.
func (fl *fileLoader) person() map[string]bool {
	if fl.f.trigger.From != "kisi" {
		return nil
	}
	if _, taken := fl.f.tables[personName]; taken {
		fl.errorf(fl.keys["from"].key, `in a file with from: kisi no table can be called "person": expressions know that name already`)
	}
	return map[string]bool{personName: true}
}

// lately is sc for what is computed when a send is carried out, or may be.
func (sc scope) lately() scope {
	sc.late = true
	return sc
}

func (v *value) person() bool {
	for _, e := range v.expressions() {
		if e.person {
			return true
		}
	}
	return false
}

// needsPerson refuses e, which is needed before the person is known.
func (l *loader) needsPerson(e *expression, sc scope) {
	for _, path := range e.sees {
		if !sc.person[path[0]] {
			continue
		}
		at := 0
		if found := regexp.MustCompile(`\b` + path[0] + `\b`).FindStringIndex(e.text); found != nil {
			at = len([]rune(e.text[:found[0]]))
		}
		why := "person is"
		if path[0] != personName {
			why = path[0] + " needs person, which is"
		}
		line, col := l.src.position(e.node, e.off+at)
		err := l.src.errorf(line, col, "%s asked of Kisi only when a send is carried out, and this decides what is done: use payload.actor_id or payload.actor_name here", why)
		err.inside = true
		l.errs = append(l.errs, err)
		return
	}
}

// maxLater bounds the event that is kept with each send which needs the person.
const maxLater = 256 << 10 // bytes

// actor is Kisi's id of the person behind ev, or 0 if nobody can be asked for.
func (f *ruleFile) actor(ev relay.Event) int64 {
	payload, _ := ev.Payload.(map[string]any)
	if f.trigger.From != "kisi" || payload["actor_type"] != "User" {
		return 0
	}
	id, err := idOf(payload["actor_id"])
	if err != nil {
		return 0
	}
	return id
}

// later is what a send is computed from when it is carried out.
func (b builder) later(x *effect) (*relay.Later, error) {
	if b.run.whole == nil {
		whole, err := b.ev.JSON()
		if err != nil {
			return nil, &failure{node: x.node, msg: "this event cannot be kept: " + err.Error()}
		}
		b.run.whole = whole
	}
	if len(b.run.whole) > maxLater {
		return nil, &failure{node: x.node, msg: fmt.Sprintf("this event has %d bytes, and a send that needs person keeps no more than %d", len(b.run.whole), maxLater)}
	}
	if err := b.run.spend(0, len(b.run.whole)); err != nil {
		return nil, &failure{node: x.node, msg: err.Error()}
	}
	return &relay.Later{User: b.run.actor, Event: b.run.whole}, nil
}

// Fill computes the rest of a send which needs the person behind its event ev: p, nil
// if Kisi has no such user. The same event, rules and person always give the same.
func (s *Set) Fill(a relay.Action, ev relay.Event, p *relay.Person) (relay.Action, error) {
	f, ru := s.rule(ev.Trigger, a.Rule)
	if ru == nil {
		return a, fmt.Errorf("the rule %q is gone, so the rest of its send cannot be computed: have it sent again by a replay of its event", a.Rule)
	}
	r := newRun(f, ev)
	r.actor = 0
	if p != nil {
		r.env[personName] = map[string]any{"id": int(p.ID), "email": p.Email, "name": p.Name}
	}
	var plan relay.Plan
	var err error
	if r.identify(ev, &plan); len(plan.Problems) > 0 {
		return a, plan.Problems[0]
	}
	var actions []relay.Action
	if !plan.Cancelled {
		actions, err = r.rule(ru, ev, &plan)
	}
	if err != nil {
		return a, r.problem(ru.name, err)
	}
	for _, now := range actions {
		if now.Key == a.Key && now.Kind == a.Kind {
			a.Args, a.Later = now.Args, nil
			return a, nil
		}
	}
	if len(actions) == 0 {
		return a, fmt.Errorf("the rule %q does not match its event any more: it was changed since", a.Rule)
	}
	return a, fmt.Errorf("the rule %q does not ask for this send any more: it was changed since", a.Rule)
}

// rule is a rule of a trigger by its name, or nil.
func (s *Set) rule(trigger, name string) (*ruleFile, *rule) {
	if f, ok := s.files[trigger]; ok {
		for _, ru := range f.rules {
			if ru.name == name {
				return f, ru
			}
		}
	}
	return nil, nil
}

// opened is the door that somebody has opened, if that is what Kisi tells in ev.
func (f *ruleFile) opened(ev relay.Event) *relay.Opened {
	payload, _ := ev.Payload.(map[string]any)
	kind := payload["type"]
	failed := payload["success"] == false || payload["success"] == "false"
	if f.trigger.From != "kisi" || failed || kind != "lock.unlock" && kind != "lock.opened" || payload["object_type"] != "Lock" {
		return nil
	}
	lock, err := idOf(payload["object_id"])
	if err != nil {
		return nil
	}
	at, err := zoned{zone: time.UTC}.read(payload["created_at"])
	if err != nil || at.After(ev.ReceivedAt) {
		at = ev.ReceivedAt
	}
	return &relay.Opened{Lock: lock, At: at.UTC()}
}
