package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// guard rewrites the tree of an expression so that what it costs is counted before it is
// done, so that let values are computed when first used, and so that tables answer nil for
// what they do not have. It gives the run to every function of ours.
type guard struct {
	scope scope
	sees  [][]string
	err   *file.Error

	uncalled []*ast.IdentifierNode // names of our functions, until the call is seen that they are in
	called   []*ast.IdentifierNode // other names that are called
}

// Visit is called once for each node, after its children.
func (g *guard) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		g.identifier(node, n)
	case *ast.MemberNode:
		g.member(node, n)
	case *ast.BinaryNode:
		g.binary(node, n)
	case *ast.PairNode:
		n.Key = g.text(n.Key)
	case *ast.BuiltinNode:
		g.builtin(node, n)
	case *ast.CallNode:
		g.function(node, n)
	case *ast.VariableDeclaratorNode:
		if i := slices.IndexFunc(g.called, func(id *ast.IdentifierNode) bool { return id.Value == n.Name }); i >= 0 {
			g.refuse(g.called[i], "this is not a function")
		}
	}
}

// methods are what a rule may ask a time or a duration for, besides our functions. Others
// take as long as the text they are given, or show what no rule needs.
var methods = strings.Fields(`Unix UnixMilli Year Month Day Hour Minute Second Weekday YearDay IsZero
	Add Sub Before After Equal Compare UTC Hours Minutes Seconds`)

// function gives the run to a function of ours, and reads a pattern or a zone that stands in
// the rule before any event does.
func (g *guard) function(node *ast.Node, n *ast.CallNode) {
	if m, ok := n.Callee.(*ast.MemberNode); ok {
		name, _ := m.Property.(*ast.StringNode)
		if name == nil || !slices.Contains(methods, name.Value) {
			g.refuse(m.Property, "this is not a function")
		}
		if !light(m.Node) {
			m.Node = g.call(m.Node, "__moment", m.Node)
		}
		return
	}
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		g.refuse(n.Callee, "this is not a function")
		return
	}
	f := ownFunction(id.Value)
	if f == nil {
		g.called = append(g.called, id)
		return
	}
	g.uncalled = slices.DeleteFunc(g.uncalled, func(n *ast.IdentifierNode) bool { return n == id })
	if f.zone > 0 && len(n.Arguments) > f.zone {
		if name, ok := n.Arguments[f.zone].(*ast.StringNode); ok {
			if _, err := loadZone(name.Value); err != nil {
				g.refuse(name, err.Error())
			}
		}
	}
	if id.Value == "extract" && len(n.Arguments) == 2 {
		n.Arguments[1] = g.pattern(n.Arguments[1])
	}
	g.replace(node, g.call(n, id.Value, n.Arguments...)) // a new node: expr does not check one again
}

// pattern compiles a pattern that stands in the rule.
func (g *guard) pattern(n ast.Node) ast.Node {
	text, ok := n.(*ast.StringNode)
	if !ok {
		return n
	}
	p, err := compilePattern(text.Value)
	if err != nil {
		g.refuse(n, err.Error())
		return n
	}
	return instead(n, &ast.ConstantNode{Value: p})
}

// textBuiltins look through the text that they are given first, and listBuiltins through
// the list; the numbers are the bytes that they take for each element.
var (
	textBuiltins = strings.Fields("len trimPrefix trimSuffix indexOf lastIndexOf hasPrefix hasSuffix")
	listBuiltins = map[string]int{"sum": 0, "mean": 0, "median": 16, "sort": 32, "reverse": 32}
)

func (g *guard) builtin(node *ast.Node, n *ast.BuiltinNode) {
	for _, arg := range n.Arguments {
		if body, ok := arg.(*ast.PredicateNode); ok {
			g.loop(n, body)
			if n.Name == "groupBy" {
				g.replace(node, g.call(n, "__groups", n))
			}
			return
		}
	}
	perElement, list := listBuiltins[n.Name]
	switch {
	case len(n.Arguments) == 0:
	case slices.Contains(textBuiltins, n.Name):
		n.Arguments[0] = g.text(n.Arguments[0])
	case list:
		n.Arguments[0] = g.weighed(n.Arguments[0], 40, perElement)
	case n.Name == "get" && len(n.Arguments) == 2:
		n.Arguments[1] = g.text(n.Arguments[1])
	}
}

// loop counts all turns of a loop before the first, with what each may keep.
func (g *guard) loop(n *ast.BuiltinNode, body *ast.PredicateNode) {
	switch n.Name {
	case "groupBy":
		body.Node = g.text(body.Node)
	case "sortBy":
		body.Node = g.weighed(body.Node, 40, 0)
	}
	w := g.work(body.Node)
	kept := map[string]int{"map": 32, "filter": 32, "sortBy": 64, "groupBy": 200, "reduce": 32}[n.Name]
	if kept > 0 {
		kept += w.bytes
	}
	if light(n.Arguments[0]) {
		return // surely no list: expr says so
	}
	n.Arguments[0] = g.call(n.Arguments[0], "__loop", n.Arguments[0], number(w.steps), number(kept))
}

func (g *guard) identifier(node *ast.Node, n *ast.IdentifierNode) {
	if strings.HasPrefix(n.Value, "__") || n.Value == "$env" {
		g.refuse(n, "names that begin with __ or $ cannot be used")
		return
	}
	if ownFunction(n.Value) != nil {
		g.uncalled = append(g.uncalled, n)
	}
	if slices.Contains(g.scope.values(), n.Value) {
		g.sees = append(g.sees, []string{n.Value})
	}
	if slot, ok := g.scope.lets[n.Value]; ok {
		g.replace(node, g.call(n, "__let", number(slot), &ast.StringNode{Value: n.Value}))
	}
}

// member makes a[b] ask a function, which knows nil and numbers as names in
// tables; a.b stays as it is.
func (g *guard) member(node *ast.Node, n *ast.MemberNode) {
	if path := pathOf(n); path != nil && !n.Method && slices.Contains(g.scope.values(), path[0]) {
		g.sees = append(g.sees, path)
	}
	if _, constant := n.Property.(*ast.StringNode); constant || n.Method {
		// Behind an a?.[b] the rest of the chain answers nil too, as behind an a?.b.
		if c, ok := n.Node.(*ast.CallNode); ok && !n.Method && c.Callee.String() == "__maybe" {
			n.Optional = true
		}
		return
	}
	name := "__at"
	base := n.Node
	if n.Optional || optional(base) {
		name = "__maybe"
		base = instead(base, &ast.ChainNode{Node: base})
	}
	g.replace(node, g.call(n, name, base, g.text(n.Property)))
}

// optional reports whether a chain of members has a ?. in it.
func optional(n ast.Node) bool {
	if c, ok := n.(*ast.ChainNode); ok {
		return optional(c.Node)
	}
	m, ok := n.(*ast.MemberNode)
	return ok && (m.Optional || optional(m.Node))
}

func (g *guard) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "+":
		if !noText(n.Left) && !noText(n.Right) {
			g.replace(node, g.call(n, "__add", n.Left, n.Right))
		}
	case "==", "!=":
		if !light(n.Left) && !light(n.Right) {
			n.Left = g.call(n, "__equal", n.Left, n.Right)
			n.Right = instead(n, &ast.BoolNode{Value: true})
		}
	case "<", "<=", ">", ">=":
		if !light(n.Left) && !light(n.Right) {
			n.Left = g.text(n.Left)
		}
	case "contains", "startsWith", "endsWith":
		n.Left = g.text(n.Left)
	case "..":
		g.replace(node, g.call(n, "__range", n.Left, n.Right))
	case "in":
		g.in(node, n)
	case "matches":
		if _, constant := n.Right.(*ast.StringNode); !constant {
			g.refuse(n, `the pattern after "matches" must stand in the rule itself`)
			return
		}
		g.replace(node, g.call(n, "__matches", n.Left, g.pattern(n.Right)))
	}
}

// in makes no list of a range, and only one, for all events, of values that stand in the rule.
func (g *guard) in(node *ast.Node, n *ast.BinaryNode) {
	if c, ok := n.Right.(*ast.CallNode); ok && c.Callee.String() == "__range" {
		g.replace(node, g.call(n, "__within", n.Left, c.Arguments[1], c.Arguments[2]))
		return
	}
	if list, ok := n.Right.(*ast.ArrayNode); ok {
		if values, constant := constants(list); constant {
			n.Right = instead(list, &ast.ConstantNode{Value: values})
		}
	}
	g.replace(node, g.call(n, "__in", n.Left, n.Right))
}

func constants(list *ast.ArrayNode) ([]any, bool) {
	values := make([]any, 0, len(list.Nodes))
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *ast.StringNode:
			values = append(values, n.Value)
		case *ast.IntegerNode:
			values = append(values, n.Value)
		default:
			return nil, false
		}
	}
	return values, true
}

func (g *guard) refuse(n ast.Node, msg string) {
	if g.err == nil {
		g.err = &file.Error{Location: n.Location(), Message: msg}
	}
}

// text counts how long n is if it is a text. One that stands in the rule is short.
func (g *guard) text(n ast.Node) ast.Node {
	if light(n) {
		return n
	}
	return g.call(n, "__text", n)
}

// weighed counts all there is in n, so many times and so many bytes for each element.
func (g *guard) weighed(n ast.Node, times, bytes int) ast.Node {
	return g.call(n, "__weighed", n, number(times), number(bytes))
}

func number(n int) ast.Node { return &ast.IntegerNode{Value: n} }

func (g *guard) run(n ast.Node) ast.Node { return instead(n, &ast.IdentifierNode{Value: "__run"}) }

// call is a call of one of our functions in the place of n. Each gets the run first.
func (g *guard) call(n ast.Node, name string, args ...ast.Node) ast.Node {
	c := &ast.CallNode{Callee: instead(n, &ast.IdentifierNode{Value: name}), Arguments: append([]ast.Node{g.run(n)}, args...)}
	for _, a := range args {
		if a.Location() == (file.Location{}) {
			a.SetLocation(n.Location())
		}
	}
	return instead(n, c)
}

// instead puts a node of ours where n stands.
func instead(n, ours ast.Node) ast.Node {
	ours.SetLocation(n.Location())
	return ours
}

func (g *guard) replace(node *ast.Node, ours ast.Node) {
	loc := (*node).Location()
	ast.Patch(node, ours)
	(*node).SetLocation(loc)
}

// values are the names that hold values.
func (sc scope) values() []string {
	names := append(inputs(), sc.tables...)
	for name := range sc.lets {
		names = append(names, name)
	}
	if sc.person != nil {
		names = append(names, personName)
	}
	return append(names, "each")
}

// pathOf is a.b.c as a list, or nil if n is something else.
func pathOf(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return []string{n.Value}
	case *ast.ChainNode:
		return pathOf(n.Node)
	case *ast.CallNode: // a let that was replaced already
		if id, ok := n.Callee.(*ast.IdentifierNode); ok && id.Value == "__let" {
			return []string{n.Arguments[2].(*ast.StringNode).Value}
		}
	case *ast.MemberNode:
		if name, ok := n.Property.(*ast.StringNode); ok {
			if base := pathOf(n.Node); base != nil {
				return append(slices.Clone(base), name.Value)
			}
		}
	}
	return nil
}

// light reports whether n is surely not a long text, a list or an object: what stands in
// the rule, a number, a time.
func light(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NilNode, *ast.StringNode, *ast.UnaryNode:
		return true
	case *ast.BinaryNode:
		return !slices.Contains([]string{"+", "??", ".."}, n.Operator)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return slices.Contains(strings.Fields("now time minutes hours days duration add_days start_of_day at_time weekday int float overlaps"), id.Value)
		}
	case *ast.BuiltinNode:
		return n.Name == "len" || n.Name == "count"
	}
	return false
}

// noText reports whether n is light and surely no text, which + could make longer.
func noText(n ast.Node) bool {
	_, text := n.(*ast.StringNode)
	return light(n) && !text
}

// meter adds up what the nodes of a tree cost.
type meter struct{ work }

func (m *meter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		m.steps += 20
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			if f := ownFunction(id.Value); f != nil {
				m.steps += f.steps
				m.bytes += 32
			}
		}
	case *ast.MemberNode:
		m.steps += 10
	case *ast.BuiltinNode:
		m.steps += 20
	case *ast.ArrayNode:
		m.bytes += 64 + 16*len(n.Nodes)
	case *ast.MapNode:
		m.steps += 20 * len(n.Pairs)
		m.bytes += 300 + 100*len(n.Pairs)
	}
	m.steps++
}

func (g *guard) work(n ast.Node) work {
	m := meter{}
	ast.Walk(&n, &m)
	return m.work
}
