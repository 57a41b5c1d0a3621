package rules

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
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
		len abs ceil floor round trim trimPrefix trimSuffix split
		indexOf lastIndexOf hasPrefix hasSuffix sum mean median first last get take
		reverse sort
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
		{"int", intOf, []any{new(func(any) int)}},
		{"float", floatOf, []any{new(func(any) float64)}},
		{"upper", textFunction(strings.ToUpper), []any{new(func(any) string)}},
		{"lower", textFunction(strings.ToLower), []any{new(func(any) string)}},
		{"keys", keysOf, []any{new(func(any) any)}},
		{"values", valuesOf, []any{new(func(any) any)}},
		{"string", func(a ...any) (any, error) { return textOf(a[0]) }, []any{new(func(any) string)}},
		{"min", extreme(-1), []any{new(func(...any) any)}},
		{"max", extreme(+1), []any{new(func(...any) any)}},
		{"replace", replace, []any{new(func(any, string, string) string)}},
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

// emailIn is the first address in a text, in lower case; nil if there is none. It
// looks at each @ and at what stands around it, so it takes no longer than reading.
func emailIn(a ...any) (any, error) {
	s, err := textOf(a[0])
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '@' {
			continue
		}
		from, to := i, i+1
		for from > max(0, i-64) && inAddress(s[from-1], "._%+-") {
			from--
		}
		for to < min(len(s), i+255) && inAddress(s[to], ".-") {
			to++
		}
		if found := address().FindString(s[from:to]); found != "" {
			return strings.ToLower(found), nil
		}
	}
	return nil, nil
}

func inAddress(b byte, also string) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte(also, b) >= 0
}

var address = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}`)
})

// maxProgram and maxWork bound a search: it takes time by the size of the pattern's
// program times the length of the text.
const (
	maxProgram = 4000
	maxWork    = 20_000_000
)

// pattern is a compiled pattern with the size of its program.
type pattern struct {
	*regexp.Regexp
	size int
}

// compilePattern refuses what is too large to be searched with.
func compilePattern(text string) (pattern, error) {
	if len(text) > 1000 {
		return pattern{}, errors.New("the pattern is longer than 1,000 bytes")
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("the pattern is not a regular expression: %w", err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return pattern{}, fmt.Errorf("the pattern is not a regular expression: %w", err)
	}
	if len(prog.Inst) > maxProgram {
		return pattern{}, errors.New("the pattern is too large: what it repeats, it repeats too often")
	}
	re, err := regexp.Compile(text)
	return pattern{re, len(prog.Inst)}, err
}

// patterns keeps compiled patterns, up to a number, for all rules of the process.
var patterns = &patternCache{known: map[string]pattern{}}

type patternCache struct {
	sync.Mutex
	known map[string]pattern
}

func (c *patternCache) get(text string) (pattern, error) {
	c.Lock()
	p, ok := c.known[text]
	c.Unlock()
	if ok {
		return p, nil
	}
	p, err := compilePattern(text)
	if err != nil {
		return p, err
	}
	c.Lock()
	defer c.Unlock()
	if len(c.known) < 256 {
		c.known[text] = p
	}
	return p, nil
}

// subject is the pattern and the text to search with it, if that is not too much work.
func subject(v any, text string) (pattern, string, error) {
	s, err := textOf(v)
	if err != nil {
		return pattern{}, "", err
	}
	p, err := patterns.get(text)
	if err != nil {
		return p, "", err
	}
	if p.size*len(s) > maxWork {
		return p, "", fmt.Errorf("a text of %d bytes is too long for this pattern", len(s))
	}
	return p, s, nil
}

// extract is what the first group of the pattern matches, or all of it if it
// has no group; nil if nothing matches.
func extract(a ...any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	in, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	re, s, err := subject(a[0], in)
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
	s, err := textOf(a[0])
	if err != nil {
		return nil, err
	}
	old, err := textArg(a, 1)
	if err != nil {
		return nil, err
	}
	with, err := textArg(a, 2)
	if err != nil {
		return nil, err
	}
	if len(s)+strings.Count(s, old)*max(len(with)-len(old), 0) > maxText {
		return nil, errTooMuch
	}
	return strings.ReplaceAll(s, old, with), nil
}

func join(a ...any) (any, error) {
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
			b.WriteString(sep)
		}
		b.WriteString(s)
		if b.Len() > maxText {
			return nil, errTooMuch
		}
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

func textFunction(f func(string) string) func(a ...any) (any, error) {
	return func(a ...any) (any, error) {
		s, err := textOf(a[0])
		return f(s), err
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
func keysOf(a ...any) (any, error) {
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s has no keys", typeName(a[0]))
	}
	out := make([]any, 0, len(m))
	for _, k := range sortedKeys(m) {
		out = append(out, k)
	}
	return out, nil
}

func valuesOf(a ...any) (any, error) {
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s has no values", typeName(a[0]))
	}
	out := make([]any, 0, len(m))
	for _, k := range sortedKeys(m) {
		out = append(out, m[k])
	}
	return out, nil
}

// extreme makes min (sign -1) and max (sign +1) of times, of durations, or of
// numbers, given one by one or as a list. expr's own know numbers only.
func extreme(sign int) func(a ...any) (any, error) {
	return func(a ...any) (any, error) {
		if len(a) == 1 {
			if list, ok := listOf(a[0]); ok {
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
