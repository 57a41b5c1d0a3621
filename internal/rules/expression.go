package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v4"
)

// Bounds of the text of one expression: expr's parser recurses as deep as it is long.
const (
	maxSource = 8 << 10 // bytes
	maxNodes  = 500
)

// expression is a compiled expression that knows where it stands.
type expression struct {
	text    string
	src     *source
	node    *yaml.Node // the scalar it stands in
	off     int        // at which rune of the scalar
	program *vm.Program
	work    work       // what computing it costs at most, loops and large values apart
	sees    [][]string // the names it reads, as paths: payload.email
	person  bool       // it needs the person, or a let that does
}

// where is the place of rune off of the expression.
func (e *expression) where(off int) string { return e.src.where(e.node, e.off+off) }

// scope is what an expression may use.
type scope struct {
	functions *conf.Config
	tables    []string
	lets      map[string]int // by name, the slot of its value in a run
	each      bool

	person  map[string]bool // the names that stand for the person behind an event, or need it; nil if there is never one
	late    bool            // what is compiled is computed when a send is carried out, and may need the person
	secrets bool            // beside what is compiled ${env.NAME} may stand
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
	if sc.person != nil {
		all = append(all, personName)
	}
	return all
}

// env is what sc allows, as far as text may use it: a file has more tables than an
// expression has names.
func (sc scope) env(text string) types.Map {
	env := types.Map{"__run": types.TypeOf((*run)(nil))}
	for _, name := range inputs() {
		env[name] = types.Any
	}
	for _, name := range sc.tables {
		if strings.Contains(text, name) {
			env[name] = types.Any
		}
	}
	for name := range sc.lets {
		if strings.Contains(text, name) {
			env[name] = types.Any
		}
	}
	if sc.each {
		env["each"] = types.Any
	}
	if sc.person != nil {
		env[personName] = types.Any
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
	g := &guard{scope: sc}
	program, err := sc.program(text, g)
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
	e.program, e.work = program, g.work(program.Node())
	e.sees = longest(g.sees)
	e.person = slices.ContainsFunc(e.sees, func(path []string) bool { return sc.person[path[0]] })
	return e, nil
}

// program does what expr.Compile does, which would check the types before the guard has been
// there, and take calls that it has seen for right.
func (sc scope) program(text string, g *guard) (*vm.Program, error) {
	config := *sc.functions
	config.WithEnv(sc.env(text))
	tree, err := parser.ParseWithConfig(text, &config)
	if err != nil {
		return nil, err
	}
	ast.Walk(&tree.Node, g)
	if len(g.uncalled) > 0 { // expr would take it for nil
		name := g.uncalled[0]
		g.refuse(name, fmt.Sprintf("%s is a function: write %s(…), or payload.%s for a field of that name", name.Value, name.Value, name.Value))
	}
	if g.err != nil {
		return nil, g.err
	}
	if _, err := checker.Check(tree, &config); err != nil {
		return nil, err
	}
	return compiler.Compile(tree, &config)
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
	case strings.Contains(msg, "exceeds maximum allowed nodes"):
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
