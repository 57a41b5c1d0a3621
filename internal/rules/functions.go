package rules

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/conf"
)

// safeBuiltins are expr's own functions that rules have. toJSON, repeat, uniq, flatten and
// their like can make a kilobyte into a gigabyte and are left out; others are ours.
func safeBuiltins() []string {
	return strings.Fields(`
		len abs ceil floor round trimPrefix trimSuffix indexOf lastIndexOf hasPrefix hasSuffix
		sum mean median first last get take reverse sort
		all any one none filter map count find findIndex findLast groupBy sortBy reduce`)
}

// blocked reports whether name is a function of expr that rules do not have.
func blocked(name string) bool {
	return slices.Contains(strings.Fields(`toJSON fromJSON toBase64 fromBase64 uniq concat flatten repeat date timezone toPairs fromPairs type bitand bitor`), name)
}

// functionNames are all functions that a rule may call.
func functionNames() []string {
	names := safeBuiltins()
	for _, f := range ownFunctions {
		names = append(names, f.name)
	}
	return names
}

// function is a function of ours. It gets the run before what the rule gives it; signatures
// are what expr checks calls against; it tells what is wrong by the last of them.
type function struct {
	name       string
	do         func(r *run, a []any) (any, error)
	steps      int // about what a call costs, whatever it is given
	zone       int // which argument names a zone, counted from 0; 0 is none
	signatures []any
}

// functions are what expressions may call.
func functions() *conf.Config {
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	for name := range c.Builtins {
		if !slices.Contains(safeBuiltins(), name) {
			delete(c.Builtins, name)
			c.Disabled[name] = true
		}
	}
	for _, f := range append(slices.Clone(ownFunctions), hiddenFunctions...) {
		expr.Function(f.name, func(a ...any) (any, error) { return f.do(a[0].(*run), a[1:]) }, f.signatures...)(c)
	}
	return c
}

var ownFunctions = []function{
	{"now", func(r *run, _ []any) (any, error) { return r.now, nil }, 10, 0, []any{new(func(*run) time.Time)}},
	{"time", inZone(1, zoned.time), 250, 1, []any{new(func(*run, any, any) time.Time), new(func(*run, any) time.Time)}},
	{"minutes", pure(duration1(time.Minute)), 30, 0, []any{new(func(*run, any) time.Duration)}},
	{"hours", pure(duration1(time.Hour)), 30, 0, []any{new(func(*run, any) time.Duration)}},
	{"days", pure(duration1(24 * time.Hour)), 30, 0, []any{new(func(*run, any) time.Duration)}},
	{"duration", pure(durationOf), 30, 0, []any{new(func(*run, any) time.Duration)}},
	{"add_days", inZone(2, zoned.addDays), 250 + workOfWall, 2, []any{new(func(*run, any, int, any) time.Time), new(func(*run, any, int) time.Time)}},
	{"start_of_day", inZone(1, zoned.startOfDay), 250 + workOfWall, 1, []any{new(func(*run, any, any) time.Time), new(func(*run, any) time.Time)}},
	{"at_time", inZone(2, zoned.atTime), 250 + workOfWall, 2, []any{new(func(*run, any, string, any) time.Time), new(func(*run, any, string) time.Time)}},
	{"weekday", inZone(1, zoned.weekday), 150, 1, []any{new(func(*run, any, any) string), new(func(*run, any) string)}},
	{"format", inZone(2, zoned.format), 250, 2, []any{new(func(*run, any, string, any) string), new(func(*run, any, string) string)}},
	{"overlaps", inZone(4, zoned.overlaps), 800, 0, []any{new(func(*run, any, any, any, any) bool)}},
	{"email", emailIn, 30, 0, []any{new(func(*run, any) any)}},
	{"extract", extract, 50, 0, []any{new(func(*run, any, *pattern) any), new(func(*run, any, string) any)}},
	{"lookup", lookup, 30, 0, []any{new(func(*run, any, any, any) any), new(func(*run, any, any) any)}},
	{"number", pure(numberOf), 30, 0, []any{new(func(*run, any) any)}},
	{"int", pure(intOf), 30, 0, []any{new(func(*run, any) int)}},
	{"float", pure(floatOf), 30, 0, []any{new(func(*run, any) float64)}},
	{"string", pure(func(a ...any) (any, error) { return textOf(a[0]) }), 30, 0, []any{new(func(*run, any) string)}},
	{"upper", textFunction(strings.ToUpper), 30, 0, []any{new(func(*run, any) string)}},
	{"lower", textFunction(strings.ToLower), 30, 0, []any{new(func(*run, any) string)}},
	{"trim", trim, 30, 0, []any{new(func(*run, any, string) string), new(func(*run, any) string)}},
	{"split", split, 30, 0, []any{new(func(*run, any, string, int) []any), new(func(*run, any, string) []any)}},
	{"replace", replace, 30, 0, []any{new(func(*run, any, string, string) string)}},
	{"join", join, 30, 0, []any{new(func(*run, any, string) string), new(func(*run, any) string)}},
	{"keys", keysOf, 30, 0, []any{new(func(*run, any) any)}},
	{"values", valuesOf, 30, 0, []any{new(func(*run, any) any)}},
	{"min", extreme(-1), 30, 0, []any{new(func(*run, ...any) any)}},
	{"max", extreme(+1), 30, 0, []any{new(func(*run, ...any) any)}},
}

// pure is a function that needs nothing of the run, and takes no longer for a larger argument.
func pure(f func(a ...any) (any, error)) func(*run, []any) (any, error) {
	return func(_ *run, a []any) (any, error) { return f(a...) }
}

// inZone is a function of the clock on the wall, in the file's zone or in the one that
// argument at names.
func inZone(at int, f func(z zoned, a []any) (any, error)) func(*run, []any) (any, error) {
	return func(r *run, a []any) (any, error) {
		z := zoned{r.file.zone, r}
		if len(a) > at {
			var err error
			if z, err = z.at(a[at]); err != nil {
				return nil, err
			}
		}
		return f(z, a)
	}
}

// ownFunction is the function of ours of that name, or nil.
func ownFunction(name string) *function {
	i := slices.IndexFunc(ownFunctions, func(f function) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &ownFunctions[i]
}

// duration1 makes the function that counts in units of unit.
func duration1(unit time.Duration) func(a ...any) (any, error) {
	return func(a ...any) (any, error) {
		n, err := numberOf(a[0])
		if err != nil {
			return nil, err
		}
		f, ok := n.(float64)
		if i, isInt := n.(int); isInt {
			f, ok = float64(i), true
		}
		if !ok || math.Abs(f*float64(unit)) > math.MaxInt64/2 {
			return nil, fmt.Errorf("%v is not a length of time", short(a[0]))
		}
		return time.Duration(f * float64(unit)), nil
	}
}

// durationOf reads "90m", "1h30m" and "2d"; a day is 24 hours.
func durationOf(a ...any) (any, error) {
	switch v := a[0].(type) {
	case time.Duration:
		return v, nil
	case string:
		if d, ok := parseDuration(v); ok {
			return d, nil
		}
	}
	return nil, fmt.Errorf(`%v is not a duration: write for example "90m", "1h30m" or "2d"`, short(a[0]))
}

func parseDuration(s string) (time.Duration, bool) {
	if len(s) > longestNumber {
		return 0, false
	}
	s = strings.TrimSpace(s)
	var days time.Duration
	if n, rest, ok := strings.Cut(s, "d"); ok {
		whole, err := strconv.Atoi(n)
		if err != nil || whole < 0 || whole > 36500 {
			return 0, false
		}
		if days = time.Duration(whole) * 24 * time.Hour; rest == "" {
			return days, true
		}
		s = rest
	}
	d, err := time.ParseDuration(s)
	return days + d, err == nil
}

// lookup is table[key], or the default where that is nil.
func lookup(r *run, a []any) (any, error) {
	table, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("lookup takes a table, not %s", typeName(a[0]))
	}
	name, ok := nameOf(a[1])
	if err := r.spend(len(name)/4, 0); err != nil {
		return nil, err
	}
	if ok && table[name] != nil {
		return table[name], nil
	}
	if len(a) > 2 {
		return a[2], nil
	}
	return nil, nil
}

// longestNumber is longer than any number is in digits, and any duration. Even to cut the
// space off a long text takes time.
const longestNumber = 400

// numberOf reads a number from a number or text. Whole ones stay whole.
func numberOf(a ...any) (any, error) {
	switch v := a[0].(type) {
	case int:
		return v, nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%v is not a number", v)
		}
		return v, nil
	case int64:
		return int(v), nil
	case string:
		if len(v) > longestNumber {
			break
		}
		s := strings.TrimSpace(v)
		if i, err := strconv.Atoi(s); err == nil {
			return i, nil
		}
		f, err := strconv.ParseFloat(s, 64)
		if err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f, nil
		}
		return nil, fmt.Errorf("%q is not a number", cut(v, 60))
	}
	return nil, fmt.Errorf("%s is not a number", typeName(a[0]))
}

// textOf is a scalar as text; nil is empty. Lists and objects have no one text.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case time.Time:
		return v.Format(time.RFC3339), nil
	case time.Duration:
		return v.String(), nil
	}
	return "", fmt.Errorf("%s cannot be written as text", typeName(v))
}

func replace(r *run, a []any) (any, error) {
	s, err := textOf(a[0])
	if err != nil {
		return nil, err
	}
	old, with := a[1].(string), a[2].(string)
	if err := r.spend(len(s)/2, 0); err != nil {
		return nil, err
	}
	n := strings.Count(s, old)
	if err := r.spend(2*n, len(s)+n*max(len(with)-len(old), 0)); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s, old, with), nil
}

// trim cuts space off both ends, or the characters that the second argument lists.
func trim(r *run, a []any) (any, error) {
	s, err := textArg(a, 0)
	if err != nil {
		return nil, err
	}
	if len(a) == 1 {
		return strings.TrimSpace(s), r.spend(len(s)/2, 0)
	}
	set, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	if err := r.spend(len(s)*(1+len(set))/2, 0); err != nil {
		return nil, err
	}
	return strings.Trim(s, set), nil
}

// split cuts a text at each separator, into no more than so many parts if a number is given.
func split(r *run, a []any) (any, error) {
	s, err := textArg(a, 0)
	if err != nil {
		return nil, err
	}
	sep, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	most := -1
	if len(a) > 2 {
		var ok bool
		if most, ok = a[2].(int); !ok {
			return nil, fmt.Errorf("split takes a whole number of parts, not %s", typeName(a[2]))
		}
	}
	n := strings.Count(s, sep) + 1
	if err := r.spend(len(s)/2+20*n, 48*n); err != nil {
		return nil, err
	}
	parts := strings.SplitN(s, sep, most)
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p
	}
	return list, nil
}

func join(r *run, a []any) (any, error) {
	list, ok := listOf(a[0])
	if !ok {
		return nil, fmt.Errorf("join takes a list, not %s", typeName(a[0]))
	}
	sep := ""
	if len(a) > 1 {
		var err error
		if sep, err = textArg(a, 1); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	for i, v := range list {
		s, err := textOf(v)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			s = sep + s
		}
		if err := r.spend(20, 2*len(s)); err != nil { // twice: the text is moved as it grows
			return nil, err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// textArg is argument i as text. expr checks arguments only where it knows their types.
func textArg(a []any, i int) (string, error) {
	s, ok := a[i].(string)
	if !ok {
		return "", fmt.Errorf("this takes text, not %s", typeName(a[i]))
	}
	return s, nil
}

func textFunction(f func(string) string) func(*run, []any) (any, error) {
	return func(r *run, a []any) (any, error) {
		s, err := textOf(a[0])
		if err == nil {
			err = r.spend(2*len(s), 2*len(s))
		}
		if err != nil {
			return nil, err
		}
		return f(s), nil
	}
}

// intOf cuts off what stands behind the point.
func intOf(a ...any) (any, error) {
	n, err := numberOf(a...)
	if f, ok := n.(float64); ok {
		if math.Abs(f) >= 1<<53 {
			return nil, fmt.Errorf("%v is too large for a whole number", f)
		}
		return int(f), nil
	}
	return n, err
}

func floatOf(a ...any) (any, error) {
	n, err := numberOf(a...)
	if i, ok := n.(int); ok {
		return float64(i), nil
	}
	return n, err
}

// keysOf and valuesOf go by the order of names: Go's own order differs from one
// plan of an event to the next.
func keysOf(r *run, a []any) (any, error) {
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s has no keys", typeName(a[0]))
	}
	names, err := r.sorted(m)
	out := make([]any, len(names))
	for i, k := range names {
		out[i] = k
	}
	return out, err
}

func valuesOf(r *run, a []any) (any, error) {
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s has no values", typeName(a[0]))
	}
	names, err := r.sorted(m)
	out := make([]any, len(names))
	for i, k := range names {
		out[i] = m[k]
	}
	return out, err
}

func (r *run) sorted(m map[string]any) ([]string, error) {
	if err := r.spend(100*len(m), 48*len(m)); err != nil {
		return nil, err
	}
	return sortedKeys(m), nil
}

// extreme makes min (sign -1) and max (sign +1) of times, of durations, or of
// numbers, given one by one or as a list. expr's own know numbers only.
func extreme(sign int) func(r *run, a []any) (any, error) {
	return func(r *run, a []any) (any, error) {
		if len(a) == 1 {
			if list, ok := listOf(a[0]); ok {
				a = list
			}
		}
		if len(a) == 0 {
			return nil, errors.New("there is nothing to choose from")
		}
		if err := r.spend(4*len(a), 0); err != nil {
			return nil, err
		}
		best := a[0]
		for _, v := range a {
			c, err := compare(v, best)
			if err != nil {
				return nil, err
			}
			if c == sign {
				best = v
			}
		}
		return best, nil
	}
}

// compare orders two times, two durations or two numbers.
func compare(a, b any) (int, error) {
	switch a := a.(type) {
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b), nil
		}
	case time.Duration:
		if b, ok := b.(time.Duration); ok {
			return cmp.Compare(a, b), nil
		}
	case int:
		switch b := b.(type) {
		case int:
			return cmp.Compare(a, b), nil
		case float64:
			return cmp.Compare(float64(a), b), nil
		}
	case float64:
		switch b := b.(type) {
		case int:
			return cmp.Compare(a, float64(b)), nil
		case float64:
			return cmp.Compare(a, b), nil
		}
	}
	return 0, fmt.Errorf("%s and %s cannot be compared", typeName(a), typeName(b))
}
