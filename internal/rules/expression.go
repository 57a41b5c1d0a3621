package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v4"
)

// Bounds of one expression. expr stops none of these by itself: its memory
// budget counts elements and not bytes, it never looks at the time, and its
// parser recurses as deep as the text is long.
const (
	maxSource   = 8 << 10 // bytes of text
	maxNodes    = 500
	maxSteps    = 100_000     // turns of loops, for all expressions of one event
	maxText     = 1 << 20     // bytes of text built, for all expressions of one event
	maxElements = 100_000     // elements of lists and maps built, for one expression
	maxTime     = time.Second // reached by what the other bounds count too cheaply, and by a machine that stands still
)

// expression is a compiled expression that knows where it stands.
type expression struct {
	text    string
	src     *source
	node    *yaml.Node // the scalar it stands in
	off     int        // at which rune of the scalar
	program *vm.Program
	sees    [][]string // the names it reads, as paths: payload.email
}

// where is the place of rune off of the expression.
func (e *expression) where(off int) string { return e.src.where(e.node, e.off+off) }

// scope is what an expression may use.
type scope struct {
	functions []expr.Option
	tables    []string
	lets      map[string]int // by name, the slot of its value in a run
	each      bool
}

// inputs are the names that every expression may use.
func inputs() []string { return []string{"payload", "headers", "query"} }

// names are all names that sc allows, for "did you mean".
func (sc scope) names() []string {
	all := append(inputs(), functionNames()...)
	all = append(all, sc.tables...)
	for name := range sc.lets {
		all = append(all, name)
	}
	if sc.each {
		all = append(all, "each")
	}
	return all
}

func (sc scope) env() types.Map {
	env := types.Map{
		"__run": types.TypeOf((*run)(nil)),
		"now":   types.TypeOf(nowType),
	}
	for _, name := range inputs() {
		env[name] = types.Any
	}
	for _, name := range sc.tables {
		env[name] = types.Any
	}
	for name := range sc.lets {
		env[name] = types.Any
	}
	if sc.each {
		env["each"] = types.Any
	}
	return env
}

// compile makes an expression of text, which stands at rune off of the scalar n.
func (sc scope) compile(src *source, n *yaml.Node, off int, text string) (*expression, *Error) {
	e := &expression{text: text, src: src, node: n, off: off}
	fail := func(at int, format string, args ...any) (*expression, *Error) {
		line, col := src.position(n, off+at)
		return nil, src.errorf(line, col, format, args...)
	}
	switch {
	case strings.TrimSpace(text) == "":
		return fail(0, "an expression is missing here")
	case len(text) > maxSource:
		return fail(0, "this expression is longer than %d bytes; split it with let", maxSource)
	}
	g := &guard{scope: sc, seen: map[ast.Node]bool{}}
	options := append([]expr.Option{expr.Env(sc.env()), expr.MaxNodes(maxNodes), expr.Patch(g)}, sc.functions...)
	program, err := expr.Compile(text, options...)
	if g.err != nil {
		return fail(g.err.From, "%s", g.err.Message)
	}
	if err != nil {
		at, msg := sc.explain(text, err)
		if early := msg == endsEarly || strings.HasSuffix(msg, neverClosed); early && commented(src, n) {
			msg += "; YAML takes everything after ` #` for a comment: put the expression into quotes or a | block"
		}
		return fail(at, "%s", msg)
	}
	e.program = program
	e.sees = longest(g.sees)
	return e, nil
}

// commented reports whether a comment follows the scalar n on its line.
func commented(src *source, n *yaml.Node) bool {
	return n.LineComment != "" || (n.Style == 0 && strings.Contains(src.line(n.Line), " #"))
}

var unknownName = regexp.MustCompile(`^unknown name (\S+)`)

const (
	endsEarly   = "the expression ends too early"
	neverClosed = "is never closed"
)

// explain turns an error of expr into a rune offset and words without Go in them.
func (sc scope) explain(text string, err error) (at int, msg string) {
	msg = err.Error()
	if fe, ok := errors.AsType[*file.Error](err); ok {
		at, msg = fe.From, fe.Message
	}
	msg, _, _ = strings.Cut(msg, "\n")
	switch {
	case unknownName.MatchString(msg):
		return at, sc.unknown(unknownName.FindStringSubmatch(msg)[1], text, at)
	case strings.HasPrefix(msg, "unexpected token EOF"), strings.HasPrefix(msg, "unexpected end of expression"):
		if open := unclosed(text); open >= 0 {
			return open, fmt.Sprintf("this %c %s", []rune(text)[open], neverClosed)
		}
		if strings.Count(text, "?")-strings.Count(text, "?.")-2*strings.Count(text, "??") > strings.Count(text, ":") {
			return at, "after condition ? this there has to be : that"
		}
		return at, endsEarly
	case strings.HasPrefix(msg, "exceeds maximum allowed nodes"):
		return at, "this expression is too large; split it with let"
	}
	if hint := syntaxHint(msg, text, at); hint != "" {
		return at, hint
	}
	return at, plainWords(msg)
}

// longest drops every path that only begins another.
func longest(paths [][]string) [][]string {
	var out [][]string
	for i, p := range paths {
		covered := slices.ContainsFunc(paths, func(q []string) bool { return len(q) > len(p) && slices.Equal(q[:len(p)], p) })
		again := slices.ContainsFunc(paths[:i], func(q []string) bool { return slices.Equal(p, q) })
		if !covered && !again {
			out = append(out, p)
		}
	}
	return out
}

// guard rewrites the tree of an expression so that it can be bounded, so that
// let values are computed when first used, and so that tables answer nil for
// what they do not have.
type guard struct {
	scope scope
	seen  map[ast.Node]bool // expr visits a tree again after a change
	sees  [][]string
	err   *file.Error
}

// Visit is called for each node after its children.
func (g *guard) Visit(node *ast.Node) {
	if g.seen[*node] {
		return
	}
	g.seen[*node] = true
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		g.identifier(node, n)
	case *ast.MemberNode:
		g.member(node, n)
	case *ast.PredicateNode:
		n.Node = g.at(n.Node, &ast.SequenceNode{Nodes: []ast.Node{g.call(n.Node, "__tick"), n.Node}})
	case *ast.BinaryNode:
		g.binary(node, n)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			g.function(node, id.Value, n.Arguments)
		}
	case *ast.BuiltinNode:
		g.function(node, n.Name, n.Arguments)
	}
}

// function charges for what a function builds, and reads a pattern that stands in
// the rule before any event does.
func (g *guard) function(node *ast.Node, name string, args []ast.Node) {
	if name == "extract" && len(args) == 2 {
		if p, ok := args[1].(*ast.StringNode); ok {
			if _, err := compilePattern(p.Value); err != nil {
				g.refuse(p, err.Error())
			}
		}
	}
	if slices.Contains(strings.Fields("split upper lower replace join sort reverse keys values take map filter string trim format"), name) {
		g.replace(node, g.call(*node, "__cap", *node))
	}
}

func (g *guard) identifier(node *ast.Node, n *ast.IdentifierNode) {
	if strings.HasPrefix(n.Value, "__") || n.Value == "$env" {
		g.refuse(n, "names that begin with __ or $ cannot be used")
		return
	}
	if slices.Contains(g.scope.values(), n.Value) {
		g.sees = append(g.sees, []string{n.Value})
	}
	if slot, ok := g.scope.lets[n.Value]; ok {
		g.replace(node, g.call(n, "__let", &ast.IntegerNode{Value: slot}, &ast.StringNode{Value: n.Value}))
	}
}

// member makes a[b] ask a function, which knows nil and numbers as names in
// tables; a.b stays as it is.
func (g *guard) member(node *ast.Node, n *ast.MemberNode) {
	if path := pathOf(n); path != nil && slices.Contains(g.scope.values(), path[0]) {
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
		base = g.at(base, &ast.ChainNode{Node: base})
	}
	g.replace(node, g.call(n, name, base, n.Property))
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
		if !number(n.Left) && !number(n.Right) {
			g.replace(node, g.call(n, "__cap", n))
		}
	case "in":
		if r, ok := n.Right.(*ast.BinaryNode); !ok || r.Operator != ".." { // a range is never made into a list
			g.replace(node, g.call(n, "__in", n.Left, n.Right))
		}
	case "matches":
		p, constant := n.Right.(*ast.StringNode)
		if !constant {
			g.refuse(n, `the pattern after "matches" must stand in the rule itself`)
			return
		}
		if _, err := compilePattern(p.Value); err != nil {
			g.refuse(p, err.Error())
		}
		g.replace(node, g.call(n, "__matches", n.Left, n.Right))
	}
}

func (g *guard) refuse(n ast.Node, msg string) {
	if g.err == nil {
		g.err = &file.Error{Location: n.Location(), Message: msg}
	}
}

// call is a call of one of our functions in the place of n. Each gets the run first.
func (g *guard) call(n ast.Node, name string, args ...ast.Node) ast.Node {
	run := g.at(n, &ast.IdentifierNode{Value: "__run"})
	c := &ast.CallNode{Callee: g.at(n, &ast.IdentifierNode{Value: name}), Arguments: append([]ast.Node{run}, args...)}
	for _, a := range args {
		if a.Location() == (file.Location{}) {
			a.SetLocation(n.Location())
		}
	}
	return g.at(n, c)
}

// at puts a node of ours where n stands, and marks it as seen.
func (g *guard) at(n, ours ast.Node) ast.Node {
	ours.SetLocation(n.Location())
	g.seen[ours] = true
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

// number reports whether n is surely a number, which + cannot make longer.
func number(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}
