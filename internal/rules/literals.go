package rules

import (
	"github.com/expr-lang/expr/ast"
)

// RuleNames names the rules of a trigger, in the order of the file.
func (s *Set) RuleNames(trigger string) []string {
	f := s.files[trigger]
	names := make([]string, len(f.rules))
	for i, r := range f.rules {
		names[i] = r.name
	}
	return names
}

// Literals are the texts that the file of a trigger is written with: what its tables
// hold, and what stands in its expressions, the names of fields included.
func (s *Set) Literals(trigger string) map[string]bool {
	f := s.files[trigger]
	all := literals{}
	for _, table := range f.tables {
		all.data(table)
	}
	all.expressions(f.id, f.booking, f.version, f.cancelled)
	all.lets(f.lets)
	for _, r := range f.respond {
		all.value(r.value)
	}
	for _, r := range f.rules {
		all.expressions(r.when, r.each, r.at)
		all.lets(r.lets)
		all.value(r.expires)
		all.value(r.unused)
		for _, x := range r.do {
			for _, v := range x.fields {
				all.value(v)
			}
		}
	}
	delete(all, "")
	return all
}

type literals map[string]bool

// Visit is called for each node of an expression.
func (l literals) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.StringNode); ok {
		l[n.Value] = true
	}
}

func (l literals) expressions(all ...*expression) {
	for _, e := range all {
		if e != nil {
			root := e.tree()
			ast.Walk(&root, l)
		}
	}
}

func (l literals) lets(all []*let) {
	for _, x := range all {
		l.expressions(x.value)
	}
}

func (l literals) value(v *value) {
	if v == nil {
		return
	}
	if text, ok := v.plain.(string); ok {
		l[text] = true
	}
	l.expressions(v.lone)
	for _, p := range v.parts {
		l.expressions(p.e)
	}
	for _, item := range v.list {
		l.value(item)
	}
	for _, m := range v.object {
		l.value(m.value)
	}
}

func (l literals) data(v any) {
	switch v := v.(type) {
	case string:
		l[v] = true
	case []any:
		for _, one := range v {
			l.data(one)
		}
	case map[string]any:
		for name, one := range v {
			l[name] = true
			l.data(one)
		}
	}
}
