package rules

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"
	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// errTooMuch stops an expression that does more than any honest rule.
var errTooMuch = errors.New("this does more work than a rule may: a loop in a loop, or a very long list or text")

func nowType() time.Time { return time.Time{} }

// run is one event against one rule file. It is used by one goroutine.
type run struct {
	file  *ruleFile
	env   map[string]any
	lets  []letValue
	steps int       // left
	text  int       // bytes left
	until time.Time // the end of patience; set by the first loop

	watch func(ru *rule, yes bool, err error) // told of every turn of a rule; nil for a plan
}

// letValue is a named value, computed when first used.
type letValue struct {
	let  *let
	done bool
	v    any
	err  error
}

// failure is an expression that could not be computed, or a value without an
// expression that is wrong.
type failure struct {
	e    *expression
	at   int        // rune of the expression
	node *yaml.Node // where there is no expression
	msg  string
}

func (f *failure) Error() string { return f.msg }

func newRun(f *ruleFile, ev relay.Event) *run {
	r := &run{file: f, lets: make([]letValue, f.slots), steps: maxSteps, text: maxText}
	r.env = make(map[string]any, len(f.tables)+len(f.scope.lets)+8)
	maps.Copy(r.env, f.tables)
	r.env["__run"] = r
	at := zoned{f.zone}.show(ev.ReceivedAt)
	r.env["now"] = func() time.Time { return at }
	r.env["payload"], r.env["headers"], r.env["query"] = ev.Payload, object(ev.Headers), object(ev.Query)
	r.setLets(f.lets)
	return r
}

// object keeps a missing map from being a nil that has no fields.
func object(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// setLets forgets the values of lets, so that they are computed anew.
func (r *run) setLets(lets []*let) {
	for _, l := range lets {
		r.lets[l.slot] = letValue{let: l}
	}
}

// eval computes e. Its error is a *failure of e or of a let that e uses.
func (r *run) eval(e *expression) (any, error) {
	machine := vm.VM{MemoryBudget: maxElements}
	v, err := machine.Run(e.program, r.env)
	if err == nil {
		return plainNumber(v), nil
	}
	if inner, ok := errors.AsType[*failure](err); ok {
		return nil, inner
	}
	f := &failure{e: e, msg: err.Error()}
	if fe, ok := errors.AsType[*file.Error](err); ok {
		f.at, f.msg = fe.From, fe.Message
	}
	f.msg, _, _ = strings.Cut(f.msg, "\n")
	switch {
	case errors.Is(err, errTooMuch), strings.Contains(f.msg, "memory budget exceeded"):
		f.msg = errTooMuch.Error()
	default:
		f.msg = plainWords(f.msg)
	}
	return nil, f
}

// plainNumber makes an int of the other kinds of whole numbers, which come from the
// methods of times.
func plainNumber(v any) any {
	switch n := v.(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	}
	return v
}

// problem is what an error of eval looks like from outside.
func (r *run) problem(rule string, err error) relay.Problem {
	var f *failure
	if !errors.As(err, &f) {
		return relay.Problem{Rule: rule, Message: err.Error()}
	}
	if f.e == nil {
		return relay.Problem{Rule: rule, Where: r.file.src.where(f.node, 0), Message: f.msg}
	}
	return relay.Problem{Rule: rule, Where: f.e.where(f.at), Expr: f.e.text, Message: f.msg + r.hint(f), Values: r.values(f.e)}
}

// values are what e saw, without computing anything.
func (r *run) values(e *expression) []relay.NamedValue {
	var out []relay.NamedValue
	for _, path := range e.sees {
		v, ok := r.look(path)
		if ok {
			out = append(out, relay.NamedValue{Name: strings.Join(path, "."), Value: short(v)})
		}
	}
	return out
}

// look follows a path as far as it goes.
func (r *run) look(path []string) (any, bool) {
	v, ok := r.env[path[0]]
	if slot, isLet := r.slot(path[0]); isLet {
		v, ok = r.lets[slot].v, r.lets[slot].done && r.lets[slot].err == nil
	}
	for _, name := range path[1:] {
		m, isMap := v.(map[string]any)
		if !isMap {
			return nil, ok && v == nil
		}
		v = m[name]
	}
	return v, ok
}

func (r *run) slot(name string) (int, bool) {
	i := slices.IndexFunc(r.lets, func(l letValue) bool { return l.let != nil && l.let.name == name })
	return i, i >= 0
}

// short is v as a problem shows it: bounded, since a payload may be large.
func short(v any) any {
	switch v := v.(type) {
	case nil, bool, int, float64:
		return v
	case time.Time:
		return v.Format(time.RFC3339)
	case string:
		return cut(v, 200)
	case map[string]any:
		return fmt.Sprintf("an object with %d fields", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return cut(fmt.Sprint(v), 200)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// hidden are the functions that guard puts into expressions. Each gets the run first.
func hidden() []expr.Option {
	fn := func(name string, do func(r *run, a []any) (any, error), signature any) expr.Option {
		return expr.Function(name, func(a ...any) (any, error) { return do(a[0].(*run), a[1:]) }, signature)
	}
	return []expr.Option{
		fn("__tick", func(r *run, _ []any) (any, error) { return true, r.spend(1, 0) }, new(func(*run) bool)),
		fn("__cap", func(r *run, a []any) (any, error) { return a[0], r.spend(0, size(a[0])) }, new(func(*run, any) any)),
		fn("__let", func(r *run, a []any) (any, error) { return r.let(a[0].(int)) }, new(func(*run, int, string) any)),
		fn("__at", func(_ *run, a []any) (any, error) { return at(a[0], a[1]) }, new(func(*run, any, any) any)),
		fn("__maybe", func(_ *run, a []any) (any, error) {
			if a[0] == nil {
				return nil, nil
			}
			return at(a[0], a[1])
		}, new(func(*run, any, any) any)),
		fn("__matches", func(_ *run, a []any) (any, error) {
			if a[0] == nil {
				return false, nil
			}
			re, text, err := subject(a[0], a[1].(string))
			if err != nil {
				return nil, err
			}
			return re.MatchString(text), nil
		}, new(func(*run, any, any) bool)),
		fn("__in", func(r *run, a []any) (any, error) {
			if err := r.spend(1+length(a[1])/16, 0); err != nil {
				return nil, err
			}
			return in(a[0], a[1])
		}, new(func(*run, any, any) bool)),
	}
}

// spend takes steps and bytes from what the event may still use.
func (r *run) spend(steps, bytes int) error {
	r.steps -= steps
	r.text -= bytes
	if r.steps < 0 || r.text < 0 || r.late() {
		return errTooMuch
	}
	return nil
}

// late looks at the clock. A plan does not depend on it: an honest rule needs a
// thousandth of the time that a loop over slow functions gets here.
func (r *run) late() bool {
	now := time.Now() //nolint:forbidigo // bounds work, decides nothing
	if r.until.IsZero() {
		r.until = now.Add(maxTime)
	}
	return now.After(r.until)
}

func (r *run) let(slot int) (any, error) {
	l := &r.lets[slot]
	if !l.done {
		l.v, l.err = r.eval(l.let.value)
		l.done = true
	}
	return l.v, l.err
}

// at is a[b]: nil for a name that an object does not have, and for nil.
func at(from, key any) (any, error) {
	switch from := from.(type) {
	case map[string]any:
		name, ok := nameOf(key)
		if !ok {
			return nil, nil
		}
		return from[name], nil
	}
	list, ok := listOf(from)
	if !ok {
		return nil, fmt.Errorf("%s has no elements", typeName(from))
	}
	i, ok := key.(int)
	if !ok {
		return nil, fmt.Errorf("a list is counted with whole numbers, not with %s", typeName(key))
	}
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return nil, fmt.Errorf("there is no element %d: the list has %d", i, len(list))
	}
	return list[i], nil
}

// listOf is v as a list. What a payload has are []any; expr makes others too.
func listOf(v any) ([]any, bool) {
	if list, ok := v.([]any); ok {
		return list, true
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Slice {
		return nil, false
	}
	list := make([]any, rv.Len())
	for i := range list {
		list[i] = rv.Index(i).Interface()
	}
	return list, true
}

// nameOf is a key of an object as text; 101 finds what YAML or JSON call "101".
func nameOf(key any) (string, bool) {
	switch key := key.(type) {
	case string:
		return key, true
	case int:
		return strconv.Itoa(key), true
	case float64:
		return strconv.FormatFloat(key, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(key), true
	}
	return "", false
}

func in(needle, haystack any) (bool, error) {
	switch h := haystack.(type) {
	case nil:
		return false, nil
	case map[string]any:
		name, ok := nameOf(needle)
		if !ok {
			return false, nil
		}
		_, ok = h[name]
		return ok, nil
	}
	if list, ok := listOf(haystack); ok {
		return slices.ContainsFunc(list, func(v any) bool { return runtime.Equal(v, needle) }), nil
	}
	return false, fmt.Errorf(`"in" looks into a list or an object, not into %s`, typeName(haystack))
}

// length bounds what it may cost to look through v.
func length(v any) int {
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice {
		return rv.Len()
	}
	return 0
}

// size is about how many bytes v takes that it did not take before.
func size(v any) int {
	if s, ok := v.(string); ok {
		return len(s)
	}
	return 16 * length(v)
}

// typeName says what v is in the words of a rule author.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int, float64, int64:
		return "a number"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case map[string]any:
		return "an object"
	}
	if reflect.TypeOf(v).Kind() == reflect.Slice {
		return "a list"
	}
	return "something else"
}
