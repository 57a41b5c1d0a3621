package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// run is one event against one rule file. It is used by one goroutine.
type run struct {
	file     *ruleFile
	now      time.Time
	env      map[string]any
	lets     []letValue
	machines []*vm.VM        // one for each expression that another is computed in
	deep     int             // how many of them are at work
	left     work            // of what the event may cost
	end      bool            // what is computed makes an end: of two readings of the clock it takes the later
	doubtful bool            // there were two
	actor    int64           // the person behind the event, as Kisi's id; 0 if nobody can be asked for, or it is known
	whole    json.RawMessage // the event, once something keeps it

	watch func(ru *rule, yes bool, err error) // told of every turn of a rule; nil for a plan
}

// letValue is a named value, computed when first used: once, or for a start and for an end if
// that makes a difference.
type letValue struct {
	let *let
	as  [2]cached
}

type cached struct {
	done, doubtful bool
	v              any
	err            error
}

// known is the value as far as it was computed, that for a start first.
func (l letValue) known() cached {
	if l.as[0].done {
		return l.as[0]
	}
	return l.as[1]
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
	r := &run{file: f, lets: make([]letValue, f.slots), left: work{maxSteps, maxBytes}}
	r.now = zoned{zone: f.zone}.show(ev.ReceivedAt)
	r.env = map[string]any{"__run": r, "payload": ev.Payload, "headers": object(ev.Headers), "query": object(ev.Query)}
	maps.Copy(r.env, f.tables)
	if f.scope.person != nil {
		r.env[personName], r.actor = nil, f.actor(ev)
	}
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
	if err := r.spend(workOfEval+e.work.steps, e.work.bytes); err != nil {
		return nil, &failure{e: e, msg: err.Error()}
	}
	if r.deep == len(r.machines) {
		r.machines = append(r.machines, &vm.VM{MemoryBudget: maxSteps})
	}
	machine := r.machines[r.deep]
	r.deep++
	v, err := machine.Run(e.program, r.env)
	r.deep--
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
	if !errors.Is(err, errTooMuch) {
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
		c := r.lets[slot].known()
		v, ok = c.v, c.done && c.err == nil
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
	case time.Duration:
		return v.String()
	case string:
		return cut(v, 200)
	case map[string]any:
		return fmt.Sprintf("an object with %d fields", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return "a value of " + typeName(v)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

func (r *run) let(slot int) (any, error) {
	l := &r.lets[slot]
	mode := 0
	if r.end {
		mode = 1
	}
	c := &l.as[mode]
	if !c.done {
		outer := r.doubtful
		r.doubtful = false
		c.v, c.err = r.eval(l.let.value)
		c.done, c.doubtful = true, r.doubtful
		if !c.doubtful {
			l.as[1-mode] = *c
		}
		r.doubtful = outer
	}
	r.doubtful = r.doubtful || c.doubtful
	return c.v, c.err
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
