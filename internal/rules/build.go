package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorhook/internal/relay"
)

// builder makes the actions of one rule, for one element.
type builder struct {
	run  *run
	rule *rule
	ev   relay.Event
	plan *relay.Plan
	keys map[string]int // how often a key was used, over all elements
}

func (b builder) actions() ([]relay.Action, error) {
	at, err := b.at()
	if err != nil {
		return nil, err
	}
	var all []relay.Action
	for i, x := range b.rule.do {
		actions, err := b.action(i, x, at)
		if err != nil {
			return nil, err
		}
		all = append(all, actions...)
	}
	return all, nil
}

// at is when to tell Kisi; zero is at once.
func (b builder) at() (time.Time, error) {
	if b.rule.at == nil {
		return time.Time{}, nil
	}
	v, err := b.run.eval(b.rule.at)
	if err != nil {
		return time.Time{}, err
	}
	t, err := zoned{b.run.file.zone, b.run}.read(v)
	if err != nil {
		return time.Time{}, &failure{e: b.rule.at, msg: "at: " + err.Error()}
	}
	return t.UTC(), nil
}

// action is what one line of do asks for: one action, or one for each lock.
func (b builder) action(i int, x *effect, at time.Time) ([]relay.Action, error) {
	a := relay.Action{Rule: b.rule.name, Kind: x.kind, At: at, Key: b.rule.name + "#" + strconv.Itoa(i+1)}
	if x.kind == relay.Send {
		return b.send(x, a)
	}
	args, err := b.args(x)
	if err != nil {
		return nil, err
	}
	if err := b.within(x, at, args); err != nil {
		return nil, err
	}
	if err := b.window(x, &a, args); err != nil {
		return nil, err
	}
	if a.NotAfter, err = b.notAfter(a); err != nil {
		return nil, err
	}
	from, _ := windowOf(x.kind)
	start, _ := args[from].(time.Time)
	if a.Unused, err = b.unused(a, start); err != nil {
		return nil, err
	}
	if _, ok := args["name"]; !ok && hasName(x.kind) {
		args["name"] = b.defaultName() // Kisi requires one for a link, and it makes a schedule findable
	}
	if _, ok := args["group_id"]; ok {
		a.Limits = b.run.file.limits.group
	}
	return b.perLock(a, args), nil
}

// hasName reports whether an object of kind k has a name in Kisi.
func hasName(k relay.Kind) bool {
	return slices.ContainsFunc(relay.Fields[k], func(f relay.Field) bool { return f.Name == "name" })
}

// perLock gives every action its key. A schedule is one action for each lock;
// its key holds the lock, since Kisi cannot move a schedule to another.
func (b builder) perLock(a relay.Action, args map[string]any) []relay.Action {
	if c, ok := args["consequence"]; ok && c != "unlock" {
		a.Key += "/" + c.(string) // neither can the consequence be changed
	}
	locks, _ := args["lock_ids"].([]int64)
	if lock, ok := args["lock_id"].(int64); ok && a.Kind == relay.Schedule {
		locks = []int64{lock}
	}
	if len(locks) > 0 {
		delete(args, "lock_ids")
		all := make([]relay.Action, len(locks))
		for i, lock := range locks {
			args["lock_id"] = lock
			all[i] = a
			all[i].Key = b.unique(a.Key + "/" + strconv.FormatInt(lock, 10)) // as relay.Action.Expand names it
			all[i].Args = relay.Encode(args)
		}
		return all
	}
	if group, ok := args["group_id"].(int64); ok && a.Kind != relay.GroupLink { // whose key is older than this
		a.Key += "/group " + strconv.FormatInt(group, 10)
	}
	if lock, ok := args["lock_id"].(int64); ok {
		a.Key += "/" + strconv.FormatInt(lock, 10)
	}
	a.Args = relay.Encode(args)
	a.Key = b.unique(a.Key)
	return []relay.Action{a}
}

func (b builder) unique(key string) string {
	b.keys[key]++
	if n := b.keys[key]; n > 1 {
		return key + "~" + strconv.Itoa(n)
	}
	return key
}

// defaultName lets a person and doorhook find the object in Kisi again.
func (b builder) defaultName() string {
	if b.plan.Booking != "" {
		return cut("Booking "+b.plan.Booking+" ("+b.ev.Trigger+")", 200)
	}
	return cut("Event "+cmp.Or(b.plan.EventID, b.ev.ID)+" ("+b.ev.Trigger+")", 200)
}

// args computes the fields of an action, as Kisi takes them.
func (b builder) args(x *effect) (map[string]any, error) {
	args := map[string]any{}
	for _, f := range relay.Fields[x.kind] {
		v, written := x.fields[f.Name]
		if !written {
			if f.Default != nil {
				args[f.Name] = f.Default
			}
			continue
		}
		arg, err := b.arg(x.kind, f, v)
		if err != nil {
			return nil, err
		}
		if arg != nil {
			args[f.Name] = arg
		}
	}
	return args, nil
}

// arg computes one field, or nil if it is left out. Which reading of the clock a time takes, goes by the field.
func (b builder) arg(kind relay.Kind, f relay.Field, v *value) (any, error) {
	b.run.end = f.Name == "ends_at" || f.Name == "valid_until"
	defer func() { b.run.end = false }()
	raw, err := v.compute(b.run)
	if err != nil {
		return nil, err
	}
	if blank(raw) {
		if f.Required || f.Filled || f.Type != relay.String {
			// An end that got lost would open a door for ever; a lock that got lost opens none.
			return nil, b.run.errAt(v, "%s.%s is nil", kind, f.Name)
		}
		return nil, nil
	}
	arg, err := zoned{b.run.file.zone, b.run}.convert(f, raw)
	if err != nil {
		return nil, b.run.errAt(v, "%s.%s: %v", kind, f.Name, err)
	}
	return arg, nil
}

// blank is what senders write for nothing.
func blank(v any) bool {
	s, text := v.(string)
	return v == nil || text && len(s) <= longestField && strings.TrimSpace(s) == ""
}

// window checks the window of a, and notes its end.
func (b builder) window(x *effect, a *relay.Action, args map[string]any) error {
	from, until := windowOf(a.Kind)
	start, hasStart := args[from].(time.Time)
	end, hasEnd := args[until].(time.Time)
	if a.Kind == relay.Schedule { // Kisi ignores seconds: keep every second of the window
		start = start.Truncate(time.Minute)
		end = end.Add(time.Minute - time.Nanosecond).Truncate(time.Minute)
		args[from], args[until] = start, end
	}
	if hasStart && hasEnd && !start.Before(end) {
		return b.run.errAt(x.fields[until], "%s.%s (%s) is not after %s (%s)", x.kind, until,
			end.Format(time.RFC3339), from, start.Format(time.RFC3339))
	}
	if hasEnd {
		a.Ends = end
	}
	return nil
}

// windowOf names the fields of a window.
func windowOf(k relay.Kind) (from, until string) {
	if k == relay.GroupLink || k == relay.RoleAssignment {
		return "valid_from", "valid_until"
	}
	return "starts_at", "ends_at"
}

// notAfter is when it is too late for a: when its window ends, for an unlock 60 s and for
// a send a day after its time, and earlier or later as expires says, but never after the
// window. A send about what was heard of late has its day from then. What is due then would never be sent.
func (b builder) notAfter(a relay.Action) (time.Time, error) {
	limit, err := b.limit(a)
	if err == nil && !a.At.IsZero() && !limit.IsZero() && !a.At.Before(limit) {
		err = &failure{e: b.rule.at, msg: fmt.Sprintf("at (%s) is when it is too late already (%s): it would never be sent",
			a.At.Format(time.RFC3339), limit.Format(time.RFC3339))}
	}
	return limit, err
}

func (b builder) limit(a relay.Action) (time.Time, error) {
	due := a.At
	if due.IsZero() {
		due = b.ev.ReceivedAt.UTC()
	}
	limit := a.Ends
	switch a.Kind {
	case relay.Unlock:
		limit = due.Add(unlockLate)
	case relay.Send:
		limit = due.Add(sendLate)
		if late := b.ev.HeardAt.UTC().Add(sendLate); late.After(limit) {
			limit = late
		}
	}
	if b.rule.expires == nil {
		return limit, nil
	}
	b.run.end = true
	defer func() { b.run.end = false }()
	v, err := b.rule.expires.compute(b.run)
	if err != nil {
		return time.Time{}, err
	}
	t, err := b.expiry(v, due)
	if err != nil {
		return time.Time{}, b.run.errAt(b.rule.expires, "expires: %v", err)
	}
	if !a.Ends.IsZero() && t.After(a.Ends) {
		return a.Ends, nil
	}
	return t, nil
}

func (b builder) expiry(v any, due time.Time) (time.Time, error) {
	switch v := v.(type) {
	case time.Duration:
		return after(due, v)
	case string:
		if d, ok := parseDuration(v); ok {
			return after(due, d)
		}
	}
	t, err := zoned{b.run.file.zone, b.run}.read(v)
	return t.UTC(), err
}

func after(due time.Time, d time.Duration) (time.Time, error) {
	if d <= 0 {
		return due, fmt.Errorf("%s is no time at all", d)
	}
	return due.Add(d), nil
}

// longestField is far above what Kisi takes.
const longestField = 10_000

// convert makes of a value what the field takes: int64, []int64, string,
// time.Time in UTC, or bool.
func (z zoned) convert(f relay.Field, v any) (any, error) {
	switch f.Type {
	case relay.ID:
		return idOf(v)
	case relay.IDs:
		return idsOf(v)
	case relay.Time:
		t, err := z.read(v)
		return t.UTC().Truncate(time.Second), err
	case relay.Bool:
		switch v {
		case true, "true":
			return true, nil
		case false, "false":
			return false, nil
		}
		return nil, fmt.Errorf("it takes true or false, not %v", short(v))
	}
	s, err := textOf(v)
	if err != nil {
		return nil, err
	}
	if len(s) > longestField {
		return nil, fmt.Errorf("it takes no more than %d bytes of text, not %d", longestField, len(s))
	}
	if f.OneOf != nil && !slices.Contains(f.OneOf, s) {
		return nil, fmt.Errorf("it takes %s, not %q", strings.Join(f.OneOf, ", "), cut(s, 60))
	}
	return s, nil
}

// idOf is an id of Kisi: a positive whole number, also written as text.
func idOf(v any) (int64, error) {
	n, err := numberOf(v)
	if f, ok := n.(float64); ok && f == float64(int(f)) && f < 1<<53 {
		n = int(f)
	}
	id, ok := n.(int)
	if err != nil || !ok || id <= 0 {
		return 0, fmt.Errorf("an id is a positive whole number, and this is %v", short(v))
	}
	return int64(id), nil
}

func idsOf(v any) ([]int64, error) {
	list, ok := listOf(v)
	if !ok {
		list = []any{v}
	}
	if len(list) > maxActions {
		return nil, fmt.Errorf("one event cannot ask for more than %d actions, and the list has %d", maxActions, len(list))
	}
	var ids []int64
	for _, v := range list {
		id, err := idOf(v)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	return ids, nil
}
