package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// flow follows values of tables through the expressions of one file. It is
// unsure rather than wrong: what it does not understand may be anything.
type flow struct {
	src    *source
	tables map[string]*table
	lets   map[string]*let
	known  map[*let]reach
	used   map[*let]bool
	each   reach
	say    func(*Error)

	e        *expression
	vars     map[string]reach // of let x = …; in the expression
	elements []reach          // that # stands for, the innermost last
}

// tree is the expression as it was written, before any rewriting.
func (e *expression) tree() ast.Node {
	t, err := parser.Parse(e.text)
	if err != nil {
		return &ast.PointerNode{Name: "unreadable"} // of which nothing is known; it was compiled, so this does not happen
	}
	return t.Node
}

// place is where n stands, which is part of e.
func (e *expression) place(n ast.Node) place {
	line, col := e.src.position(e.node, e.off+n.Location().From)
	return place{e.src, line, col}
}

// start is where e begins.
func (e *expression) start() place {
	line, col := e.src.position(e.node, e.off)
	return place{e.src, line, col}
}

// expression is what e may give.
func (f *flow) expression(e *expression) reach {
	if e == nil {
		return unknown()
	}
	inner := *f
	inner.e, inner.vars, inner.elements = e, map[string]reach{}, nil
	return inner.of(e.tree())
}

// value is what v may give.
func (f *flow) value(v *value) reach {
	switch {
	case v.lone != nil:
		return f.expression(v.lone)
	case v.list != nil:
		var items reach
		for _, item := range v.list {
			items = union(items, f.value(item))
		}
		return reach{list: &items}
	case v.object != nil:
		for _, m := range v.object {
			f.value(m.value).take()
		}
		return unknown()
	case v.parts == nil:
		return reach{cells: []*cell{{place: placeOf(f.src, v.node), value: v.plain}}}
	}
	for _, p := range v.parts {
		if p.e != nil {
			f.expression(p.e).take()
		}
	}
	return unknown()
}

func (f *flow) of(n ast.Node) reach {
	switch n := n.(type) {
	case *ast.NilNode:
		return reach{}
	case *ast.IntegerNode:
		return f.literal(n, n.Value)
	case *ast.FloatNode:
		return f.literal(n, n.Value)
	case *ast.StringNode:
		return f.literal(n, n.Value)
	case *ast.IdentifierNode:
		return f.name(n.Value)
	case *ast.PointerNode:
		if n.Name == "" && len(f.elements) > 0 {
			return f.elements[len(f.elements)-1]
		}
	case *ast.ChainNode:
		return f.of(n.Node)
	case *ast.MemberNode:
		return f.pick(f.of(n.Node), n.Property)
	case *ast.SliceNode:
		r := f.of(n.Node)
		r.some = true
		return r
	case *ast.BuiltinNode:
		return f.call(n.Name, n.Arguments)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return f.call(id.Value, n.Arguments)
		}
		f.of(n.Callee).take()
		return f.call("", n.Arguments)
	default:
		return f.compound(n)
	}
	return unknown()
}

// compound is what expressions with other expressions in them may give.
func (f *flow) compound(n ast.Node) reach {
	switch n := n.(type) {
	case *ast.UnaryNode:
		f.of(n.Node).take()
	case *ast.BinaryNode:
		return f.binary(n)
	case *ast.ConditionalNode:
		f.of(n.Cond).take()
		r := union(f.of(n.Exp1), f.of(n.Exp2))
		r.lacks, r.some = nil, true // the condition may be about just that
		return r
	case *ast.VariableDeclaratorNode:
		f.vars[n.Name] = f.of(n.Value)
		return f.of(n.Expr)
	case *ast.SequenceNode:
		var last reach
		for _, x := range n.Nodes {
			last = f.of(x)
			last.take()
		}
		return last
	case *ast.ArrayNode:
		var items reach
		for _, x := range n.Nodes {
			items = union(items, f.of(x))
		}
		return reach{list: &items}
	case *ast.MapNode:
		for _, p := range n.Pairs {
			if pair, ok := p.(*ast.PairNode); ok {
				f.of(pair.Value).take()
			}
		}
	}
	return unknown()
}

func (f *flow) literal(n ast.Node, v any) reach {
	return reach{cells: []*cell{{place: f.e.place(n), value: v}}}
}

func (f *flow) name(name string) reach {
	if r, ok := f.vars[name]; ok {
		return r
	}
	if l, ok := f.lets[name]; ok {
		f.used[l] = true
		return f.let(l)
	}
	if t, ok := f.tables[name]; ok {
		t.used = true
		return reach{cells: []*cell{t.root}}
	}
	if name == "each" {
		return f.each
	}
	return unknown()
}

func (f *flow) let(l *let) reach {
	r, ok := f.known[l]
	if !ok {
		r = f.expression(l.value)
		f.known[l] = r
	}
	return r
}

func (f *flow) binary(n *ast.BinaryNode) reach {
	left, right := f.of(n.Left), f.of(n.Right)
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	switch {
	case n.Operator == "??":
		left.lacks = nil
		return union(left, right)
	case leftNil || rightNil: // whether there is an entry tells nothing of its fields
	case n.Operator == "in" && right.list == nil: // asks for names alone
		left.take()
	default:
		left.take()
		right.take()
	}
	return unknown()
}

// call is what a function may give.
func (f *flow) call(name string, args []ast.Node) reach {
	in := make([]reach, len(args))
	for i, a := range args {
		if p, ok := a.(*ast.PredicateNode); ok {
			f.elements = append(f.elements, in[0].elements())
			in[i] = f.of(p.Node)
			f.elements = f.elements[:len(f.elements)-1]
			continue
		}
		in[i] = f.of(a)
	}
	switch name {
	case "values":
		all := in[0].children()
		return reach{list: &all}
	case "map":
		return reach{list: &in[1]}
	case "filter", "take":
		in[1].take()
		in[0].some = true
		return in[0]
	case "sort", "reverse", "sortBy", "number", "int", "float", "string":
		return in[0]
	case "find", "findLast", "first", "last":
		r := in[0].elements()
		r.some = true
		return r
	case "get":
		return f.pick(in[0], args[1])
	case "lookup":
		r := f.pick(in[0], args[1])
		r.lacks = nil
		if len(in) > 2 {
			r = union(r, in[2])
		}
		return r
	}
	for _, r := range in {
		r.take()
	}
	return unknown()
}

// pick is base[key].
func (f *flow) pick(base reach, key ast.Node) reach {
	keys := f.of(key)
	if keys.other || len(keys.cells) == 0 {
		keys.take()
		out := base.children()
		out.some = out.some || composed(key)
		return out
	}
	var out reach
	for _, k := range keys.cells {
		name, _ := nameOf(k.value)
		out = union(out, f.field(base, name, key))
	}
	return out
}

// composed reports whether a name is put together, and so may not be any name.
func composed(key ast.Node) bool {
	found := false
	walk(key, func(n ast.Node) {
		b, ok := n.(*ast.BinaryNode)
		found = found || ok && b.Operator == "+"
	})
	return found
}

// field is base.name, which stands at n.
func (f *flow) field(base reach, name string, n ast.Node) reach {
	out := reach{other: base.other, some: base.some, lacks: slices.Clone(base.lacks)}
	for _, c := range base.cells {
		if c.table != nil && c.entry != "" {
			c.table.read[name] = true
		}
		if got, ok := c.fields[name]; ok {
			out.cells = append(out.cells, got)
		} else if c.entry != "" && !base.some {
			out.lacks = append(out.lacks, lack{c, name})
		}
	}
	if len(out.cells) > 0 {
		return out
	}
	out.lacks = nil // said once, or meant for what comes from elsewhere
	if !base.other && base.list == nil && len(base.cells) > 0 {
		f.nowhere(base.cells, name, n)
	}
	return out
}

// nowhere says that no cell has the field name.
func (f *flow) nowhere(cells []*cell, name string, key ast.Node) {
	t, known := cells[0].table, []string{}
	for _, c := range cells {
		known = append(known, sortedKeys(c.fields)...)
		if c.table != t || t == nil {
			return // it is not a matter of one table
		}
	}
	slices.Sort(known)
	hint := hintOf(name, slices.Compact(known))
	if cells[0] == t.root {
		f.say(f.e.place(key).errorf(`the table %s has no "%s"%s`, t.name, name, hint))
		return
	}
	f.say(f.e.place(key).errorf(`no entry of the table %s has a field "%s"%s`, t.name, name, hint))
}

// hintOf is what is there instead of name.
func hintOf(name string, known []string) string {
	hint := didYouMean(name, known)
	switch {
	case hint != "" || len(known) == 0:
		return hint
	case len(known) > 10:
		return "; it has " + strings.Join(known[:10], ", ") + " …"
	}
	return "; it has " + strings.Join(known, ", ")
}

// walk calls do for n and all that it is made of.
func walk(n ast.Node, do func(ast.Node)) { ast.Walk(&n, visitor(do)) }

type visitor func(ast.Node)

// Visit is called by ast.Walk.
func (v visitor) Visit(n *ast.Node) { v(*n) }
