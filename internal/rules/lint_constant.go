package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"

	"doorhook/internal/relay"
)

// visit calls do for n and all that it is made of, and for the values of lets that
// it uses, each once.
func visit(n ast.Node, lets map[string]*let, do func(ast.Node)) {
	seen := map[string]bool{}
	var look func(ast.Node)
	look = func(n ast.Node) {
		do(n)
		if id, ok := n.(*ast.IdentifierNode); ok && lets[id.Value] != nil && !seen[id.Value] {
			seen[id.Value] = true
			walk(lets[id.Value].value.tree(), look)
		}
	}
	walk(n, look)
}

// varies reports whether n depends on the event.
func varies(n ast.Node, lets map[string]*let) bool {
	found := false
	visit(n, lets, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.IdentifierNode:
			found = found || slices.Contains(append(inputs(), "each"), n.Value)
		case *ast.BuiltinNode:
			found = found || n.Name == "now"
		}
	})
	return found
}

// constant computes e if no event can change what it gives; fixed is false if one can.
func (fl *fileLint) constant(e *expression, r *rule, lets map[string]*let) (v any, fixed bool, err error) {
	if e == nil || varies(e.tree(), lets) {
		return nil, false, nil
	}
	run := newRun(fl.f, relay.Event{})
	if r != nil {
		run.setLets(r.lets)
	}
	v, err = run.eval(e)
	return v, true, err
}

func (fl *fileLint) cancelled() {
	e := fl.f.cancelled
	v, ok, _ := fl.constant(e, nil, fl.flow.lets)
	if !ok {
		return
	}
	if v == true {
		fl.say(e.start().errorf("this is always true: every booking counts as cancelled, and no rule is ever looked at"))
		return
	}
	fl.say(e.start().errorf("this is never true: no booking is ever cancelled"))
}

// constants finds what is the same for every event, and was not meant to be.
func (rl *ruleLint) constants() {
	rl.constantWhen()
	if v, ok, err := rl.constant(rl.r.each, nil, rl.fileLint.flow.lets); ok && err == nil {
		if list, isList := listOf(v); isList && len(list) == 0 {
			rl.say(rl.r.each.start().errorf("this list is always empty: the rule never does anything"))
		}
	}
	if v, ok, err := rl.constant(rl.r.at, rl.r, rl.flow.lets); ok {
		rl.sameTime(rl.r.at.start(), v, err)
	}
}

func (rl *ruleLint) constantWhen() {
	e := rl.r.when
	v, ok, err := rl.constant(e, rl.r, rl.flow.lets)
	switch {
	case e == nil:
	case !ok:
		rl.never(e.tree())
	case err != nil:
		rl.say(e.start().errorf("this fails whatever comes in: %v", err))
	case v == true:
		rl.say(e.start().errorf("this is always true: leave when out"))
	default:
		rl.say(e.start().errorf("this is never true: the rule never does anything"))
	}
}

// never finds a part of a && b that is never true.
func (rl *ruleLint) never(n ast.Node) {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
		rl.never(b.Left)
		rl.never(b.Right)
		return
	}
	if v, ok := rl.compute(n); ok && (v == false || v == nil) {
		rl.say(rl.r.when.place(n).errorf("this part is never true: the rule never does anything"))
	}
}

// compute is the value of a part of an expression of the rule, if no event can change it.
func (rl *ruleLint) compute(n ast.Node) (any, bool) {
	if varies(n, rl.flow.lets) {
		return nil, false
	}
	e, wrong := rl.f.scopeOf(rl.r).compile(rl.f.src, rl.r.node, 0, n.String())
	if wrong != nil {
		return nil, false
	}
	v, ok, err := rl.constant(e, rl.r, rl.flow.lets)
	return v, ok && err == nil
}

// sameTime warns of a time that every event gets.
func (rl *ruleLint) sameTime(p place, v any, err error) {
	if err != nil {
		rl.say(p.errorf("this fails whatever comes in: %v", err))
		return
	}
	if t, err := (zoned{zone: rl.f.zone}).read(v); err == nil {
		rl.say(p.errorf("every event gets this same time, %s: was it to be computed from the event?", t.Format(time.RFC3339)))
	}
}

// window looks at the time from the start to the end of an action.
func (rl *ruleLint) window(x *effect) {
	from, until := windowOf(x.kind)
	start, end := x.fields[from], x.fields[until]
	if x.kind == relay.Schedule { // a link may well end with the season
		rl.fixed(end)
	}
	rl.fixed(start)
	if end == nil || end.lone == nil {
		return
	}
	ends, last := rl.moment(end.lone.tree())
	if start != nil && start.lone != nil {
		if starts, first := rl.moment(start.lone.tree()); starts == ends && last <= first {
			rl.say(end.lone.start().errorf("this window is over before it begins: %s is %s", until, apart(last-first, from)))
			return
		}
	}
	if rl.r.at == nil {
		return
	}
	if at, due := rl.moment(rl.r.at.tree()); at == ends && due >= last {
		rl.say(rl.r.at.start().errorf("then the window is over: at is %s, and nothing would ever be sent", apart(due-last, until)))
	}
}

func apart(d time.Duration, from string) string {
	switch {
	case d < 0:
		return fmt.Sprintf("%s before %s", Length(-d), from)
	case d > 0:
		return fmt.Sprintf("%s after %s", Length(d), from)
	}
	return "the same as " + from
}

// fixed warns if v is a time that does not depend on the event.
func (rl *ruleLint) fixed(v *value) {
	switch {
	case v == nil || v.list != nil || v.parts != nil:
	case v.lone == nil:
		rl.sameTime(placeOf(rl.f.src, v.node), v.plain, nil)
	default:
		if got, ok, err := rl.constant(v.lone, rl.r, rl.flow.lets); ok {
			rl.sameTime(v.lone.start(), got, err)
		}
	}
}

// moment takes a time apart into what it is counted from and how far it is from that.
func (rl *ruleLint) moment(n ast.Node) (base string, off time.Duration) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if l, ok := rl.flow.lets[n.Value]; ok {
			return rl.moment(l.value.tree())
		}
	case *ast.BinaryNode:
		if d, ok := rl.length(n.Right); ok && (n.Operator == "+" || n.Operator == "-") {
			if n.Operator == "-" {
				d = -d
			}
			base, off = rl.moment(n.Left)
			return base, off + d
		}
		if d, ok := rl.length(n.Left); ok && n.Operator == "+" {
			base, off = rl.moment(n.Right)
			return base, off + d
		}
	}
	return n.String(), 0
}

// length is a duration that is the same for every event.
func (rl *ruleLint) length(n ast.Node) (time.Duration, bool) {
	v, ok := rl.compute(n)
	d, isDuration := v.(time.Duration)
	return d, ok && isDuration
}

// conditions are the names and texts that decide whether the rule matches, and
// for which elements.
func (rl *ruleLint) conditions() map[string]bool {
	said := map[string]bool{}
	for _, e := range []*expression{rl.r.when, rl.r.each} {
		if e == nil {
			continue
		}
		visit(e.tree(), rl.flow.lets, func(n ast.Node) {
			if text, ok := n.(*ast.StringNode); ok { // the name of a field, too
				said[text.Value] = true
			}
		})
	}
	return said
}
