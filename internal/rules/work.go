package rules

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/expr-lang/expr/vm/runtime"
)

// What one event may cost, all its expressions together. It is counted and not timed, so
// that an event has the same plan on every machine, and counted before it is done. A step is
// about 5 ns; what is not kept for long is not counted as memory.
const (
	maxSteps   = 20_000_000
	maxBytes   = 4 << 20 // of texts, lists and objects that are built
	workOfEval = 60      // steps to begin with an expression
	workOfWall = 300     // steps to find when clocks show a time
	workOfText = 1500    // steps to read a time that is written in words
	workOfZone = 100_000 // steps to find that there is no such zone
	workOfHint = 300_000 // steps to look for a name that is like another
)

// errTooMuch stops an event whose rules do more than any honest ones.
var errTooMuch = errors.New("the rules do more work for one event than they may: a loop in a loop, or a very long list or text. All expressions of an event share one limit")

// work is what something costs.
type work struct{ steps, bytes int }

// spend takes what something costs from what the event may still use, or refuses it. Without
// a run nothing is counted.
func (r *run) spend(steps, bytes int) error {
	if r == nil {
		return nil
	}
	if steps > r.left.steps || bytes > r.left.bytes {
		return errTooMuch
	}
	r.left.steps -= steps
	r.left.bytes -= bytes
	return nil
}

// weigh spends for going through v so many times, into its depths, and for so many bytes for each element.
func (r *run) weigh(v any, times, bytes int) error {
	s := scale{limit: r.left.steps / times}
	s.add(v, 1)
	if s.steps > s.limit {
		r.left.steps -= s.limit // what it took to find out
		return errTooMuch
	}
	return r.spend(s.steps*times, s.elements*bytes)
}

// write spends for writing v into the answer: a text of a megabyte may stand there often.
func (r *run) write(v any) error {
	const bytes = 4 // of a text that make a step
	s := scale{limit: r.left.bytes / bytes}
	s.add(v, 1)
	return r.spend(s.steps, s.steps*bytes)
}

// scale adds up a value until it is too heavy. An element counts more the deeper it lies:
// some functions copy it at every level.
type scale struct{ steps, elements, limit int }

func (s *scale) add(v any, depth int) {
	if s.steps += depth; s.steps > s.limit {
		return
	}
	s.elements++
	switch v := v.(type) {
	case nil, int, bool, float64:
	case string:
		s.steps += len(v) / 4
	case []any:
		for i := 0; i < len(v) && s.steps <= s.limit; i++ {
			s.add(v[i], depth+1)
		}
	case map[string]any:
		s.steps += len(v)
		for name, x := range v {
			if s.steps += 8 + len(name)/4; s.steps > s.limit {
				return
			}
			s.add(x, depth+1)
		}
	default:
		s.other(reflect.ValueOf(v), depth)
	}
}

// other is for the lists and objects that expr makes.
func (s *scale) other(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Slice:
		for i := 0; i < v.Len() && s.steps <= s.limit; i++ {
			s.add(v.Index(i).Interface(), depth+1)
		}
	case reflect.Map:
		for it := v.MapRange(); s.steps <= s.limit && it.Next(); {
			s.add(it.Key().Interface(), depth+1)
			s.add(it.Value().Interface(), depth+1)
		}
	}
}

// hiddenFunctions are the functions that guard puts into expressions.
var hiddenFunctions = []function{
	{name: "__loop", do: loop, signatures: []any{new(func(*run, any, int, int) any)}},
	{name: "__text", do: text, signatures: []any{new(func(*run, any) any)}},
	{name: "__weighed", do: func(r *run, a []any) (any, error) {
		return a[0], r.weigh(a[0], a[1].(int), a[2].(int))
	}, signatures: []any{new(func(*run, any, int, int) any)}},
	{name: "__let", do: func(r *run, a []any) (any, error) { return r.let(a[0].(int)) }, signatures: []any{new(func(*run, int, string) any)}},
	{name: "__at", do: func(_ *run, a []any) (any, error) { return at(a[0], a[1]) }, signatures: []any{new(func(*run, any, any) any)}},
	{name: "__maybe", do: func(_ *run, a []any) (any, error) {
		if a[0] == nil {
			return nil, nil
		}
		return at(a[0], a[1])
	}, signatures: []any{new(func(*run, any, any) any)}},
	{name: "__add", do: add, signatures: []any{new(func(*run, any, any) any)}},
	{name: "__equal", do: equal, signatures: []any{new(func(*run, any, any) bool)}},
	{name: "__range", do: list, signatures: []any{new(func(*run, any, any) []any)}},
	{name: "__within", do: within, signatures: []any{new(func(*run, any, any, any) bool)}},
	{name: "__in", do: in, signatures: []any{new(func(*run, any, any) bool)}},
	{name: "__moment", do: moment, signatures: []any{new(func(*run, any) any)}},
	{name: "__groups", do: groups, signatures: []any{new(func(*run, any) any)}},
	{name: "__matches", do: matches, signatures: []any{new(func(*run, any, *pattern) bool)}},
}

// loop spends for all turns of a loop over a list.
func loop(r *run, a []any) (any, error) {
	list, ok := listOf(a[0])
	if !ok {
		return nil, fmt.Errorf("this takes a list, not %s", typeName(a[0]))
	}
	return list, r.spend(len(list)*(5+a[1].(int)), len(list)*a[2].(int))
}

// text spends for going through a text, and nothing for other values.
func text(r *run, a []any) (any, error) {
	s, _ := a[0].(string)
	return a[0], r.spend(len(s)/3, 0)
}

// add puts two texts together; what else + may add, expr knows.
func add(r *run, a []any) (any, error) {
	s, _ := a[0].(string)
	t, _ := a[1].(string)
	if err := r.spend((len(s)+len(t))/8, len(s)+len(t)); err != nil {
		return nil, err
	}
	return runtime.Add(a[0], a[1]), nil
}

// equal compares whatever there is. Only texts with texts, and lists and objects with
// their like, can take long.
func equal(r *run, a []any) (any, error) {
	switch v := a[0].(type) {
	case nil, int, float64, bool, time.Time:
	case string:
		if err := r.spend(len(v)/8, 0); err != nil {
			return nil, err
		}
	default:
		if err := r.weigh(v, 10, 0); err != nil {
			return nil, err
		}
	}
	return runtime.Equal(a[0], a[1]), nil
}

// list is from..to.
func list(r *run, a []any) (any, error) {
	from, to, err := ends(a)
	if err != nil || to < from {
		return []any{}, err
	}
	n := uint64(to) - uint64(from)
	if n >= maxBytes {
		return nil, errTooMuch
	}
	if err := r.spend(10*int(n), 24*int(n+1)); err != nil {
		return nil, err
	}
	out := make([]any, n+1)
	for i := range out {
		out[i] = from + i
	}
	return out, nil
}

// within is x in from..to.
func within(_ *run, a []any) (any, error) {
	from, to, err := ends(a[1:])
	switch x := a[0].(type) {
	case int:
		return from <= x && x <= to, err
	case float64:
		return x == math.Trunc(x) && float64(from) <= x && x <= float64(to), err
	}
	return false, err
}

func ends(a []any) (from, to int, err error) {
	from, whole := a[0].(int)
	to, also := a[1].(int)
	if !whole || !also {
		return 0, 0, fmt.Errorf("a..b takes whole numbers, not %s and %s", typeName(a[0]), typeName(a[1]))
	}
	return from, to, nil
}

func in(r *run, a []any) (any, error) {
	switch h := a[1].(type) {
	case nil:
		return false, nil
	case map[string]any:
		name, ok := nameOf(a[0])
		if !ok {
			return false, nil
		}
		_, ok = h[name]
		return ok, r.spend(len(name)/4, 0)
	}
	list, ok := listOf(a[1])
	if !ok {
		return nil, fmt.Errorf(`"in" looks into a list or an object, not into %s`, typeName(a[1]))
	}
	if err := r.weigh(list, 4, 0); err != nil {
		return nil, err
	}
	return slices.ContainsFunc(list, func(v any) bool { return runtime.Equal(v, a[0]) }), nil
}

// moment is what a function is asked of. A function that somebody put into an object is none
// of those that [methods] allows.
func moment(_ *run, a []any) (any, error) {
	if reflect.ValueOf(a[0]).Kind() == reflect.Map {
		return nil, errors.New("this is not a function")
	}
	return a[0], nil
}

// groups makes of what groupBy gives an object like any other.
func groups(_ *run, a []any) (any, error) {
	found, _ := a[0].(map[any][]any)
	out := make(map[string]any, len(found))
	for key, group := range found {
		name, ok := nameOf(key)
		if key == nil {
			name, ok = "nil", true
		}
		if _, twice := out[name]; twice || !ok {
			return nil, errors.New("groupBy groups by text, by numbers, or by true and false, and not by a mixture of them")
		}
		out[name] = group
	}
	return out, nil
}

func matches(r *run, a []any) (any, error) {
	if a[0] == nil {
		return false, nil
	}
	p, s, err := r.subject(a[0], a[1])
	if err != nil {
		return nil, err
	}
	return p.MatchString(s), nil
}
