package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// limits are what no event of a trigger may go beyond, whatever its rules say; 0
// and nil set no limit.
type limits struct {
	window, ahead time.Duration
	doors, grants int
	never         []int64
	group         *relay.Limits // those that only the locks of a group tell; nil if there are none
}

var limitKeys = []string{"max_window", "max_ahead", "max_doors", "grants_per_minute", "never"}

// mostCounted bounds a limit that counts: the store remembers each grant of a minute.
const mostCounted = 10_000

// limitsOf reads what stands under a file's limits: key.
func (fl *fileLoader) limitsOf() (lim limits) {
	e, ok := fl.keys["limits"]
	if !ok {
		return lim
	}
	for _, e := range fl.entries(e.node, "limits", limitKeys) {
		switch e.name {
		case "max_window":
			lim.window = fl.longest(e)
		case "max_ahead":
			lim.ahead = fl.longest(e)
		case "max_doors":
			lim.doors = fl.most(e)
		case "grants_per_minute":
			lim.grants = fl.most(e)
		case "never":
			lim.never = fl.neverOf(e)
		}
	}
	return lim
}

func (fl *fileLoader) longest(e entry) time.Duration {
	text, ok := fl.scalar(e.node, e.name)
	if !ok {
		return 0
	}
	d, ok := parseDuration(text)
	if !ok || d <= 0 {
		fl.errorf(e.node, "%s takes a duration such as 90m, 24h or 400d", e.name)
	}
	return d
}

func (fl *fileLoader) most(e entry) int {
	text, ok := fl.scalar(e.node, e.name)
	if !ok {
		return 0
	}
	n, ok := plainOf(e.node, text).(int)
	if !ok || n < 1 || n > mostCounted {
		fl.errorf(e.node, "%s takes a whole number from 1 to %d", e.name, mostCounted)
	}
	return n
}

func (fl *fileLoader) neverOf(e entry) (never []int64) {
	for _, n := range fl.items(e.node, e.name) {
		text, ok := fl.scalar(n, e.name)
		if !ok {
			continue
		}
		id, err := idOf(plainOf(n, text))
		if err != nil {
			fl.errorf(n, "never takes ids of locks: %v", err)
		}
		never = append(never, id)
		fl.f.never = append(fl.f.never, Use{ID: id, Lock: true, cell: &cell{place: placeOf(fl.src, n)}})
	}
	return never
}

// sharedLimits are those of the files without a trigger.
func sharedLimits(parsed []*fileLoader) (shared limits) {
	for _, fl := range parsed {
		if !fl.triggers() {
			shared = shared.and(fl.limitsOf())
		}
	}
	return shared
}

// and is the stricter of each.
func (lim limits) and(other limits) limits {
	lim.window, lim.ahead = stricter(lim.window, other.window), stricter(lim.ahead, other.ahead)
	lim.doors, lim.grants = stricter(lim.doors, other.doors), stricter(lim.grants, other.grants)
	lim.never = slices.Concat(lim.never, other.never)
	slices.Sort(lim.never)
	lim.never = slices.Compact(lim.never)
	if lim.group = nil; lim.doors > 0 || len(lim.never) > 0 {
		lim.group = &relay.Limits{MaxDoors: lim.doors, Never: lim.never}
	}
	return lim
}

func stricter[N int | time.Duration](a, b N) N {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Guards reports whether some rule asks for an action of kind k for a group whose
// locks have to keep to limits.
func (s *Set) Guards(k relay.Kind) bool {
	for _, f := range s.files {
		if f.limits.group != nil && f.asks(k, "group_id") {
			return true
		}
	}
	return false
}

// LimitsText names the limits that hold for a trigger, as a person writes them; "" if there
// are none.
func (s *Set) LimitsText(trigger string) string {
	lim := s.files[trigger].limits
	var out []string
	for _, l := range []struct {
		key  string
		is   bool
		what any
	}{
		{"max_window", lim.window > 0, inWords(lim.window)},
		{"max_ahead", lim.ahead > 0, inWords(lim.ahead)},
		{"max_doors", lim.doors > 0, lim.doors},
		{"grants_per_minute", lim.grants > 0, lim.grants},
		{"never", len(lim.never) > 0, lim.never},
	} {
		if l.is {
			out = append(out, fmt.Sprintf("%s %v", l.key, l.what))
		}
	}
	return strings.Join(out, ", ")
}

// within refuses an action that goes beyond the limits of the file, as far as it
// tells by itself.
func (b builder) within(x *effect, at time.Time, args map[string]any) error {
	lim := b.run.file.limits
	locks, _ := args["lock_ids"].([]int64)
	field := "lock_ids"
	if lock, ok := args["lock_id"].(int64); ok {
		locks, field = []int64{lock}, "lock_id"
	}
	for _, lock := range locks {
		if slices.Contains(lim.never, lock) {
			return b.run.errAt(x.fields[field], "limits.never: lock %d is one that this trigger never opens", lock)
		}
	}
	if err := b.aheadWithin(at); err != nil || x.kind == relay.Unlock {
		return err
	}
	return b.windowWithin(x, args)
}

// aheadWithin refuses a time that is too far ahead of the event.
func (b builder) aheadWithin(at time.Time) error {
	most := b.run.file.limits.ahead
	if ahead := at.Sub(b.ev.ReceivedAt); most > 0 && ahead > most {
		return &failure{e: b.rule.at, msg: tooFar("at", at, ahead, most)}
	}
	return nil
}

// windowWithin measures the window as it was asked for, before it is rounded to
// minutes. A link that does not say when it begins is valid from the event on.
func (b builder) windowWithin(x *effect, args map[string]any) error {
	lim := b.run.file.limits
	from, until := windowOf(x.kind)
	end, ends := args[until].(time.Time)
	start, starts := args[from].(time.Time)
	if !starts {
		start = b.ev.ReceivedAt
	}
	long, ahead := b.length(start, end), end.Sub(b.ev.ReceivedAt)
	switch {
	case !ends && lim.window > 0:
		return &failure{node: x.node, msg: fmt.Sprintf("limits.max_window: this %s never ends, since it has no %s, and the longest window allowed is %s", x.kind, until, inWords(lim.window))}
	case !ends && lim.ahead > 0:
		return &failure{node: x.node, msg: fmt.Sprintf("limits.max_ahead: this %s never ends, since it has no %s, and the most allowed is %s after the event", x.kind, until, inWords(lim.ahead))}
	case lim.window > 0 && long > lim.window:
		return b.run.errAt(x.fields[until], "limits.max_window: this window is %s long, until %s, and the longest allowed is %s",
			inWords(long), end.Format(time.RFC3339), inWords(lim.window))
	case lim.ahead > 0 && ahead > lim.ahead:
		return b.run.errAt(x.fields[until], "%s", tooFar(fmt.Sprintf("%s.%s", x.kind, until), end, ahead, lim.ahead))
	}
	return nil
}

// length is how long a window is, or looks by the clock on the wall if that is shorter: the
// hour that clocks show twice makes none too long.
func (b builder) length(start, end time.Time) time.Duration {
	show := zoned{zone: b.run.file.zone}.show
	_, before := show(start).Zone()
	_, after := show(end).Zone()
	return end.Sub(start) - time.Duration(max(before-after, 0))*time.Second
}

func tooFar(what string, t time.Time, ahead, most time.Duration) string {
	return fmt.Sprintf("limits.max_ahead: %s (%s) is %s after the event, and the most allowed is %s", what, t.Format(time.RFC3339), inWords(ahead), inWords(most))
}

// door is a lock, or a group of locks, whose locks a plan does not know.
type door struct{ lock, group int64 }

// opens adds the doors that a rule opens to those of the whole event, unless they
// are too many.
func (r *run) opens(ru *rule, doors map[door]bool, wants []relay.Action) error {
	most := r.file.limits.doors
	if most == 0 {
		return nil
	}
	with := maps.Clone(doors)
	for _, a := range wants {
		if a.Kind == relay.Send { // it opens nothing
			continue
		}
		lock, group := a.Opens()
		with[door{lock, group}] = true
	}
	if len(with) > most {
		return &failure{node: ru.node, msg: fmt.Sprintf("limits.max_doors: with this rule the event would open %d doors, a group counted as one, and the most allowed is %d", len(with), most)}
	}
	maps.Copy(doors, with)
	return nil
}

// inWords is a duration as people say it: 1 day 2 hours. After days, hours and minutes
// nobody counts seconds.
func inWords(d time.Duration) string {
	var out []string
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		n := d / unit.is
		d %= unit.is
		switch {
		case n == 1:
			out = append(out, "1 "+unit.name)
		case n > 1:
			out = append(out, fmt.Sprintf("%d %ss", n, unit.name))
		}
	}
	if len(out) == 0 {
		return "less than a second"
	}
	return strings.Join(out[:min(len(out), 3)], " ")
}
