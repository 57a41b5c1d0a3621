package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Reading is a name in an expression, and what it stood for.
type Reading struct {
	Name    string    `json:"name"`              // space, payload.email
	Text    string    `json:"text"`              // the value as people read it, times in the venue's zone and in UTC
	Value   any       `json:"value"`             // the value; bounded
	Missing string    `json:"missing,omitempty"` // which field is not there, and which are
	Expr    string    `json:"expr,omitempty"`    // how the value is computed
	Where   string    `json:"where,omitempty"`   // of that expression
	Error   string    `json:"error,omitempty"`   // why it could not be computed
	Unused  bool      `json:"unused,omitempty"`  // nothing needed it, so it was not computed
	Later   bool      `json:"later,omitempty"`   // it needs the person, and is computed when a send is carried out
	From    []Reading `json:"from,omitempty"`    // what it was computed from
}

func (w witness) seen(name string, v any) Reading {
	return Reading{Name: name, Text: Clock{w.file.zone}.value(v, 0), Value: short(v)}
}

// computed is an expression of the file, computed once more.
func (w witness) computed(name string, e *expression) Reading {
	v, err := w.eval(e)
	rd := w.seen(name, v)
	rd.Expr, rd.Where, rd.From = oneLine(e.text), e.where(0), w.readings(e, 1)
	if err != nil {
		rd.Error = err.Error()
	}
	return rd
}

// lets are named values, as far as they were needed.
func (w witness) lets(lets []*let) []Reading {
	out := []Reading{}
	for _, l := range lets {
		out = append(out, w.named(l, []string{l.name}, 0))
	}
	return out
}

// named is the value at path, which begins with the name of l.
func (w witness) named(l *let, path []string, depth int) Reading {
	v, _ := w.look(path)
	rd := w.seen(strings.Join(path, "."), v)
	rd.Expr, rd.Where = oneLine(l.value.text), l.value.where(0)
	switch known := w.run.lets[l.slot].known(); {
	case !known.done:
		rd.Later = l.value.person && w.run.actor != 0
		rd.Unused, rd.Text = !rd.Later, ""
		return rd
	case known.err != nil:
		rd.Error, rd.Text = known.err.Error(), ""
	}
	if depth < maxDepth {
		rd.From = w.readings(l.value, depth+1)
	}
	if v == nil {
		rd.Missing = w.missing(path)
	}
	return rd
}

// readings are what e saw.
func (w witness) readings(e *expression, depth int) []Reading {
	var out []Reading
	for _, path := range e.sees {
		slot, isLet := w.slot(path[0])
		_, isTable := w.file.tables[path[0]]
		switch v, ok := w.look(path); {
		case isLet && w.run.lets[slot].known().done:
			out = append(out, w.named(w.run.lets[slot].let, path, depth))
		case isLet, isTable && len(path) == 1: // what was asked of a table is below
		case !ok: // it has no fields
			out = append(out, w.seen(path[0], w.env[path[0]]))
		default:
			rd := w.seen(strings.Join(path, "."), v)
			if v == nil {
				rd.Missing = w.missing(path)
			}
			out = append(out, rd)
		}
	}
	return append(out, w.lookups(e)...)
}

// lookups are the names for which tables were asked in e.
func (w witness) lookups(e *expression) []Reading {
	tree, err := parser.Parse(e.text)
	if err != nil {
		return nil
	}
	var found lookupVisitor
	ast.Walk(&tree.Node, &found)
	var out []Reading
	for _, l := range found {
		path := pathOf(l.table)
		if path == nil || w.file.tables[path[0]] == nil {
			continue
		}
		key, bad := w.scope.compile(e.src, e.node, e.off, l.key.String())
		if bad != nil { // it stands in a loop, where it has a value for each element
			continue
		}
		if name, err := w.witness(w.scope).eval(key); err == nil { // aside: it may need what nothing has needed yet
			out = append(out, w.lookup(path, l.key.String(), name))
		}
	}
	return out
}

func (w witness) lookup(path []string, key string, asked any) Reading {
	table := strings.Join(path, ".")
	from, _ := w.look(path)
	v, err := at(from, asked)
	rd := w.seen(table+"["+key+"]", v)
	m, isObject := from.(map[string]any)
	name, isName := nameOf(asked)
	switch {
	case err != nil:
		rd.Error = err.Error()
	case isObject && isName && !has(m, name):
		rd.Missing = lacks("the table "+table+" has no "+quotedName(name), "it", name, m)
	case isObject && asked == nil:
		rd.Missing = "the table " + table + " was asked for nil"
	}
	return rd
}

// lookupVisitor gathers where an expression asks an object for a name that is computed.
type lookupVisitor []struct{ table, key ast.Node }

// Visit is called for each node after its children.
func (l *lookupVisitor) Visit(node *ast.Node) {
	add := func(table, key ast.Node) { *l = append(*l, struct{ table, key ast.Node }{table, key}) }
	switch n := (*node).(type) {
	case *ast.MemberNode:
		if _, constant := n.Property.(*ast.StringNode); !constant {
			add(n.Node, n.Property)
		}
	case *ast.BinaryNode:
		if n.Operator == "in" {
			add(n.Right, n.Left)
		}
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok && id.Value == "lookup" && len(n.Arguments) > 1 {
			add(n.Arguments[0], n.Arguments[1])
		}
	}
}

// hint names the field that is not there, if that may be why an expression failed. Of
// several it is the one that stands nearest to the fault.
func (r *run) hint(f *failure) string {
	if !strings.Contains(f.msg, "nil") {
		return ""
	}
	hint, nearest := "", len(f.e.text)+1
	for _, path := range f.e.sees {
		d := f.e.distance(strings.Join(path, "."), f.at)
		if d >= nearest {
			continue
		}
		if missing := r.missing(path); missing != "" {
			hint, nearest = "; "+missing, d
		}
	}
	return hint
}

// distance is how far name stands from rune at of e, about: as far as can be if it is
// written in another way.
func (e *expression) distance(name string, at int) int {
	best := len(e.text)
	for from := 0; ; {
		i := strings.Index(e.text[from:], name)
		if i < 0 {
			return best
		}
		from += i + len(name)
		best = min(best, max(from-len(name)-at, at-from, 0))
	}
}

// missing says where a path into what was sent ends before its time, or "".
func (r *run) missing(path []string) string {
	if !slices.Contains(append(inputs(), "each"), path[0]) {
		return ""
	}
	v := r.env[path[0]]
	for i, name := range path[1:] {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if !has(m, name) {
			it := "it"
			if i == 0 && path[0] != "each" {
				it = "this event"
			}
			return lacks(strings.Join(path[:i+1], ".")+" has no field "+quotedName(name), it, name, m)
		}
		v = m[name]
	}
	return ""
}

func has(m map[string]any, name string) bool {
	_, ok := m[name]
	return ok
}

const (
	maxNamed = 12  // names that are listed
	maxNames = 200 // of one object that are looked through: a payload may have very many
)

// lacks says that a name is not among those of m, and which are.
func lacks(what, it, name string, m map[string]any) string {
	switch {
	case len(m) == 0:
		return what + "; " + it + " has none"
	case len(m) > maxNames:
		return fmt.Sprintf("%s; %s has %d others", what, it, len(m))
	}
	names := sortedKeys(m)
	var shown []string
	for _, n := range names[:min(len(names), maxNamed)] {
		shown = append(shown, bareName(n))
	}
	if len(names) > maxNamed {
		shown = append(shown, "…")
	}
	list := it + " has: " + strings.Join(shown, ", ")
	alike := slices.DeleteFunc(names, func(n string) bool { return !alike(name, n) })
	if hint := didYouMean(name, alike); hint != "" {
		return what + hint + " " + strings.ToUpper(list[:1]) + list[1:]
	}
	return what + "; " + list
}

// alike reports whether a may be b misspelt: what is half wrong was not meant.
func alike(a, b string) bool {
	return max(len(a)-len(b), len(b)-len(a)) < 3 && len(b) < 100 && 2*distance(strings.ToLower(a), strings.ToLower(b)) < len(b)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
