package rules

import (
	"slices"
	"time"

	"doorhook/internal/relay"
)

// unusedOf refuses an if_unused that could take nothing back.
func (fl *fileLoader) unusedOf(e entry, r *rule) {
	if _, ok := fl.keys["booking"]; !ok {
		fl.errorf(e.key, "if_unused needs booking: it says whose the door is")
	}
	if len(r.do) > 0 && !slices.ContainsFunc(r.do, func(x *effect) bool { return x.kind.Stands() }) {
		fl.errorf(e.key, "if_unused takes back a schedule, a group_link or a role_assignment, and this rule has none")
	}
	if r.unused == nil || r.unused.lone != nil {
		return
	}
	for _, x := range r.do { // a quarter of an hour after the message, an hour before the guest, would take it back
		if from, _ := windowOf(x.kind); x.kind.Stands() && x.fields[from] == nil {
			fl.errorf(e.node, "if_unused counts from the beginning of the window, and this %s has no %s: add it, or give a time as ${…}", x.kind, from)
		}
	}
}

// unused is when a is taken back if nobody has come: zero is never.
func (b builder) unused(a relay.Action, start time.Time) (time.Time, error) {
	v := b.rule.unused
	if v == nil || !a.Kind.Stands() {
		return time.Time{}, nil
	}
	b.run.end = true // of two readings the later one leaves more time to come
	defer func() { b.run.end = false }()
	raw, err := v.compute(b.run)
	if err != nil {
		return time.Time{}, err
	}
	t, err := b.expiry(raw, start)
	_, long := raw.(time.Duration)
	switch {
	case long && start.IsZero():
		return t, b.run.errAt(v, "if_unused counts from the beginning of the window, and this %s has none", a.Kind)
	case err != nil:
		return t, b.run.errAt(v, "if_unused: %v", err)
	case !t.After(start):
		return t, b.run.errAt(v, "if_unused (%s) is not after the window begins (%s)", t.Format(time.RFC3339), start.Format(time.RFC3339))
	case !a.Ends.IsZero() && !t.Before(a.Ends):
		return time.Time{}, nil // a booking as short as that ends by itself
	}
	return t, nil
}

// unusedUnseen warns where nobody tells doorhook that somebody came.
func (l *lint) unusedUnseen() {
	for _, f := range l.set.files {
		if f.trigger.From == "kisi" {
			return
		}
	}
	for _, name := range l.set.names {
		for _, r := range slices.Concat(l.set.files[name].rules, l.set.files[name].spare) {
			if r.unused != nil {
				l.say(placeOf(l.set.files[name].src, r.unused.node).errorf("no rule file has from: kisi, so doorhook learns that somebody came only when it asks Kisi"))
			}
		}
	}
}
