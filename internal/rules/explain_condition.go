package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// Condition is a condition, or a part of one, with what it came to.
type Condition struct {
	Op     string      `json:"op,omitempty"` // and, or, not; "" for one that is not made of others
	Expr   string      `json:"expr"`
	Where  string      `json:"where"`
	Result string      `json:"result"`
	Error  string      `json:"error,omitempty"` // if it failed
	Reads  []Reading   `json:"reads,omitempty"` // what it was computed from
	Parts  []Condition `json:"parts,omitempty"`
}

// clause is a part of an expression, from rune to rune.
type clause struct {
	op       string
	from, to int
	parts    []clause
}

// clauses splits an expression where and, or and not join parts of it. What is
// written in another way stays whole.
func clauses(text string) clause {
	whole := clause{to: len([]rune(text))}
	tree, err := parser.Parse(text)
	if err != nil {
		return whole
	}
	tokens, err := lexer.Lex(file.NewSource(text))
	if err != nil || len(tokens) == 0 {
		return whole
	}
	return splitter{[]rune(text), tokens[:len(tokens)-1]}.split(tree.Node, whole.from, whole.to)
}

type splitter struct {
	text   []rune
	tokens []lexer.Token // without the end
}

// split finds the clauses of n, which stands somewhere in from..to. The tree says
// how they belong together; it does not say where they begin and end.
func (s splitter) split(n ast.Node, from, to int) clause {
	from, to = s.bare(from, to)
	c := clause{from: from, to: to}
	switch n := n.(type) {
	case *ast.BinaryNode:
		at := n.Location()
		if c.op = joins(n.Operator); c.op == "" || !s.says(at, n.Operator) {
			return clause{from: from, to: to}
		}
		for _, part := range []clause{s.split(n.Left, from, at.From), s.split(n.Right, at.To, to)} {
			if part.op == c.op {
				c.parts = append(c.parts, part.parts...)
			} else {
				c.parts = append(c.parts, part)
			}
		}
	case *ast.UnaryNode:
		at := n.Location()
		inner, ok := n.Node.(*ast.BinaryNode)
		if !ok || joins(n.Operator) != "not" || joins(inner.Operator) == "" || at.From != from || !s.says(at, n.Operator) {
			return c
		}
		if part := s.split(inner, at.To, to); part.op != "" {
			c.op, c.parts = "not", []clause{part}
		}
	}
	return c
}

func joins(operator string) string {
	return map[string]string{"&&": "and", "and": "and", "||": "or", "or": "or", "!": "not", "not": "not"}[operator]
}

// says reports whether the operator stands in the text: a < b < c is an "and" too.
func (s splitter) says(at file.Location, operator string) bool {
	return at.To <= len(s.text) && string(s.text[at.From:at.To]) == operator
}

// bare is from..to without spaces and without the brackets around all of it.
func (s splitter) bare(from, to int) (int, int) {
	within := slices.DeleteFunc(slices.Clone(s.tokens), func(t lexer.Token) bool { return t.From < from || t.To > to })
	for len(within) > 2 && within[0].Is(lexer.Bracket, "(") && closes(within) == len(within)-1 {
		within = within[1 : len(within)-1]
	}
	if len(within) == 0 {
		return from, to
	}
	return within[0].From, within[len(within)-1].To
}

// closes is the token that closes the bracket which the first one opens.
func closes(tokens []lexer.Token) int {
	depth := 0
	for i, t := range tokens {
		switch {
		case t.Is(lexer.Bracket, "(", "[", "{"):
			depth++
		case t.Is(lexer.Bracket, ")", "]", "}"):
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}

// condition says what each part of a condition came to, in the order in which they
// were looked at.
func (w witness) condition(e *expression) Condition {
	return w.judge(e, clauses(e.text), true)
}

// judge says what one clause came to. The last one of all decides what the condition
// gives, so it may be nil, which is no; any other has to be true or false.
func (w witness) judge(e *expression, c clause, last bool) Condition {
	text := string([]rune(e.text)[c.from:c.to])
	out := Condition{Op: c.op, Expr: strings.Join(strings.Fields(text), " "), Where: e.where(c.from)}
	if c.op == "" {
		w.judgeLeaf(&out, e, c, text, last)
		return out
	}
	for i, part := range c.parts {
		p := Condition{Result: NotReached}
		if out.Result != "" {
			p.Op, p.Expr, p.Where = part.op, strings.Join(strings.Fields(string([]rune(e.text)[part.from:part.to])), " "), e.where(part.from)
		} else {
			p = w.judge(e, part, last && c.op != "not" && i == len(c.parts)-1)
			out.Result = decided(c.op, p.Result)
		}
		out.Parts = append(out.Parts, p)
	}
	if out.Result == "" {
		out.Result = map[string]string{"and": Yes, "or": No}[c.op]
	}
	return out
}

// decided is what a part makes of the whole; "" leaves it to the next part.
func decided(op, part string) string {
	switch {
	case part == Failed, op == "and" && part == No, op == "or" && part == Yes:
		return part
	case op == "not":
		return map[string]string{Yes: No, No: Yes}[part]
	}
	return ""
}

// judgeLeaf computes a clause that is not made of others.
func (w witness) judgeLeaf(out *Condition, e *expression, c clause, text string, last bool) {
	x, bad := w.scope.compile(e.src, e.node, e.off+c.from, text)
	if bad != nil {
		out.Result, out.Error = Failed, bad.Message
		return
	}
	var yes bool
	v, err := w.eval(x)
	if err == nil && last {
		yes, err = w.yes(x)
	} else if err == nil {
		var ok bool
		if yes, ok = v.(bool); !ok {
			err = fmt.Errorf("this has to be true or false, and is %s", typeName(v))
		}
	}
	out.Result, out.Reads = result(yes, err), w.readings(x, 0)
	if err != nil {
		out.Error = err.Error()
	}
}
