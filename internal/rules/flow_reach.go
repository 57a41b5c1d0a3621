package rules

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// place is where something stands in a rule file.
type place struct {
	src       *source
	line, col int
}

func placeOf(src *source, n *yaml.Node) place { return place{src, n.Line, n.Column} }

func (p place) errorf(format string, args ...any) *Error {
	return p.src.errorf(p.line, p.col, format, args...)
}

// table is a table as it is written, and what the expressions take from it.
type table struct {
	name  string
	place place
	root  *cell
	used  bool
	whole bool            // some expression takes an entry with all its fields
	read  map[string]bool // the fields that are taken from entries
	said  map[string]bool // what was found missing
}

// cell is a value that stands in the rules: in a table or in an expression.
type cell struct {
	place  place
	key    place  // where its name stands, if it has one
	table  *table // nil outside of tables
	entry  string // the name in the table that it stands under; "" for the table itself
	value  any    // nil for an object and a list
	fields map[string]*cell
	items  []*cell
}

func newTable(t tableNode) *table {
	out := &table{name: t.name, place: placeOf(t.src, t.key), read: map[string]bool{}, said: map[string]bool{}}
	out.root = out.cell(t.src, t.node, "")
	return out
}

func (t *table) cell(src *source, n *yaml.Node, entry string) *cell {
	c := &cell{place: placeOf(src, n), table: t, entry: entry}
	c.key = c.place
	switch n.Kind {
	case yaml.MappingNode:
		c.fields = map[string]*cell{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, under := n.Content[i], entry
			if under == "" {
				under = key.Value
			}
			c.fields[key.Value] = t.cell(src, n.Content[i+1], under)
			c.fields[key.Value].key = placeOf(src, key)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.items = append(c.items, t.cell(src, item, entry))
		}
	default:
		c.value = plainOf(n, n.Value)
	}
	return c
}

// reach is what an expression may give, as far as the rules themselves tell.
type reach struct {
	cells []*cell
	list  *reach // what it holds, if the expression makes it a list
	other bool   // or what no rule file says
	some  bool   // a condition chose: not every cell need come
	lacks []lack
}

// lack is an entry of a table that has nothing to give.
type lack struct {
	entry *cell
	field string
}

func unknown() reach { return reach{other: true} }

func union(a, b reach) reach {
	out := reach{
		cells: merge(a.cells, b.cells), list: a.list, other: a.other || b.other,
		some: a.some || b.some, lacks: merge(a.lacks, b.lacks),
	}
	if a.list != nil && b.list != nil {
		both := union(*a.list, *b.list)
		out.list = &both
	} else if a.list == nil {
		out.list = b.list
	}
	return out
}

// merge is a and b without what comes twice.
func merge[T comparable](a, b []T) []T {
	if len(a) == 0 {
		return slices.Clip(b) // whoever appends must not write into it
	}
	seen := map[T]bool{}
	var out []T
	for _, x := range slices.Concat(a, b) {
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}

// elements are what a list may hold.
func (r reach) elements() reach {
	out := reach{other: r.other, some: r.some}
	if r.list != nil {
		out = union(out, *r.list)
	}
	for _, c := range r.cells {
		out.cells = append(out.cells, c.items...)
	}
	return out
}

// all is r or what it holds: what a field takes that may have a list.
func (r reach) all() reach { return union(r, r.elements()) }

// children are what an object or a list may give under a name that is not known.
func (r reach) children() reach {
	out := r.elements()
	for _, c := range r.cells {
		for _, name := range sortedKeys(c.fields) {
			out.cells = append(out.cells, c.fields[name])
		}
		if c.table != nil && c.entry != "" {
			c.table.whole = true
		}
	}
	return out
}

// take notes that whole objects are used.
func (r reach) take() {
	for _, c := range r.cells {
		if c.table != nil && (c.fields != nil || c.items != nil) {
			c.table.whole = true
		}
	}
	if r.list != nil {
		r.list.take()
	}
}
