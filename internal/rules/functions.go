package rules

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr"
)

// safeBuiltins are expr's own functions that cost no more than what they are
// given. toJSON, repeat, uniq, flatten and their like can make a kilobyte into
// a gigabyte and are left out; string, join, replace are ours.
func safeBuiltins() []string {
	return strings.Fields(`
		len abs ceil floor round int float trim trimPrefix trimSuffix upper lower split
		indexOf lastIndexOf hasPrefix hasSuffix sum mean median first last get take
		keys values reverse sort
		all any one none filter map count find findIndex findLast groupBy sortBy reduce`)
}

// blocked reports whether name is a function of expr that rules do not have.
func blocked(name string) bool {
	return slices.Contains(strings.Fields(`toJSON fromJSON toBase64 fromBase64 uniq concat flatten repeat date timezone toPairs fromPairs type bitand bitor`), name)
}

// functionNames are all functions that a rule may call.
func functionNames() []string {
	names := append(safeBuiltins(), "now")
	for _, f := range ownFunctions(nil) {
		names = append(names, f.name)
	}
	return names
}

// function is a function of ours. Its signatures are what expr checks calls against.
type function struct {
	name       string
	do         func(a ...any) (any, error)
	signatures []any
}

// functions are what the expressions of a file with this zone may call. zone is
// nil if the file names none.
func functions(zone *time.Location) []expr.Option {
	options := []expr.Option{expr.DisableAllBuiltins()}
	for _, name := range safeBuiltins() {
		options = append(options, expr.EnableBuiltin(name))
	}
	for _, f := range ownFunctions(zone) {
		options = append(options, expr.Function(f.name, f.do, f.signatures...))
	}
	return append(options, hidden()...)
}

func ownFunctions(zone *time.Location) []function {
	z := zoned{zone}
	return []function{
		{"time", z.time, []any{new(func(any) time.Time), new(func(any, string) time.Time)}},
		{"minutes", duration1(time.Minute), []any{new(func(any) time.Duration)}},
		{"hours", duration1(time.Hour), []any{new(func(any) time.Duration)}},
		{"days", duration1(24 * time.Hour), []any{new(func(any) time.Duration)}},
		{"duration", durationOf, []any{new(func(any) time.Duration)}},
		{"add_days", z.addDays, []any{new(func(any, int) time.Time), new(func(any, int, string) time.Time)}},
		{"start_of_day", z.startOfDay, []any{new(func(any) time.Time), new(func(any, string) time.Time)}},
		{"at_time", z.atTime, []any{new(func(any, string) time.Time), new(func(any, string, string) time.Time)}},
		{"weekday", z.weekday, []any{new(func(any) string), new(func(any, string) string)}},
		{"format", z.format, []any{new(func(any, string) string), new(func(any, string, string) string)}},
		{"overlaps", z.overlaps, []any{new(func(any, any, any, any) bool)}},
		{"email", emailIn, []any{new(func(any) any)}},
		{"extract", extract, []any{new(func(any, string) any)}},
		{"lookup", lookup, []any{new(func(any, any) any), new(func(any, any, any) any)}},
		{"number", numberOf, []any{new(func(any) any)}},
		{"string", func(a ...any) (any, error) { return textOf(a[0]) }, []any{new(func(any) string)}},
		{"min", extreme(-1), []any{new(func(...any) any)}},
		{"max", extreme(+1), []any{new(func(...any) any)}},
		{"replace", replace, []any{new(func(string, string, string) string)}},
		{"join", join, []any{new(func(any) string), new(func(any, string) string)}},
	}
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

// emailIn is the first address in a text, in lower case; nil if there is none.
func emailIn(a ...any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	s, err := textOf(a[0])
	if err != nil {
		return nil, err
	}
	found := emailPattern().FindString(s)
	if found == "" {
		return nil, nil
	}
	return strings.ToLower(found), nil
}

var emailPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}`)
})

// patterns keeps compiled patterns. A rule file has a handful of them; one that
// makes them up from payloads is held to a number.
var patterns = &patternCache{known: map[string]*regexp.Regexp{}}

type patternCache struct {
	sync.Mutex
	known map[string]*regexp.Regexp
}

func (c *patternCache) get(p string) (*regexp.Regexp, error) {
	c.Lock()
	defer c.Unlock()
	if re, ok := c.known[p]; ok {
		return re, nil
	}
	if len(p) > 1000 {
		return nil, fmt.Errorf("the pattern is longer than 1,000 bytes")
	}
	re, err := regexp.Compile(p)
	if err != nil {
		return nil, fmt.Errorf("the pattern is not a regular expression: %w", err)
	}
	if len(c.known) < 256 {
		c.known[p] = re
	}
	return re, nil
}

// extract is what the first group of the pattern matches, or all of it if it
// has no group; nil if nothing matches.
func extract(a ...any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	s, err := textOf(a[0])
	if err != nil {
		return nil, err
	}
	re, err := patterns.get(a[1].(string))
	if err != nil {
		return nil, err
	}
	m := re.FindStringSubmatch(s)
	if m == nil {
		return nil, nil
	}
	return m[min(1, len(m)-1)], nil
}

// lookup is table[key], or the default where that is nil.
func lookup(a ...any) (any, error) {
	table, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("lookup takes a table, not %s", typeName(a[0]))
	}
	if name, ok := nameOf(a[1]); ok && table[name] != nil {
		return table[name], nil
	}
	if len(a) > 2 {
		return a[2], nil
	}
	return nil, nil
}

// numberOf reads a number from a number or text. Whole ones stay whole.
func numberOf(a ...any) (any, error) {
	switch v := a[0].(type) {
	case int, float64:
		return v, nil
	case int64:
		return int(v), nil
	case string:
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

func replace(a ...any) (any, error) {
	s, old, with := a[0].(string), a[1].(string), a[2].(string)
	if len(s)+strings.Count(s, old)*max(len(with)-len(old), 0) > maxText/16 {
		return nil, errTooMuch
	}
	return strings.ReplaceAll(s, old, with), nil
}

func join(a ...any) (any, error) {
	list, ok := a[0].([]any)
	if !ok {
		return nil, fmt.Errorf("join takes a list, not %s", typeName(a[0]))
	}
	sep := ""
	if len(a) > 1 {
		sep = a[1].(string)
	}
	var b strings.Builder
	for i, v := range list {
		s, err := textOf(v)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
		if b.Len() > maxText/16 {
			return nil, errTooMuch
		}
	}
	return b.String(), nil
}

// extreme makes min (sign -1) and max (sign +1) of times, of durations, or of
// numbers, given one by one or as a list. expr's own know numbers only.
func extreme(sign int) func(a ...any) (any, error) {
	return func(a ...any) (any, error) {
		if len(a) == 1 {
			if list, ok := a[0].([]any); ok {
				a = list
			}
		}
		if len(a) == 0 {
			return nil, errors.New("there is nothing to choose from")
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
