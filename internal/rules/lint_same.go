package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// plainName is a name without what two spellings of it may differ in.
func plainName(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }

// sameNames finds names in one table, and names of tables, that differ by case and space alone.
func (l *lint) sameNames() {
	tables := map[string]*cell{}
	for _, t := range l.tables {
		tables[t.name] = &cell{key: t.place}
		l.alike("entry", t.root.fields)
	}
	l.alike("table", tables)
}

func (l *lint) alike(what string, cells map[string]*cell) {
	names := slices.SortedFunc(slices.Values(sortedKeys(cells)), func(a, b string) int { return before(cells[a].key, cells[b].key) })
	first := map[string]string{}
	for _, name := range names {
		other, again := first[plainName(name)]
		if !again {
			first[plainName(name)] = name
			continue
		}
		l.say(cells[name].key.errorf(`the %s "%s" differs from "%s" (line %d) by case or space alone: events mean one of them`, what, name, other, cells[other].key.line))
	}
}

func before(a, b place) int {
	return cmp.Or(cmp.Compare(a.src.name, b.src.name), cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
}

// entryOf is a name in a table, for ids of one kind.
type entryOf struct {
	table *table
	name  string
	lock  bool
}

// named is an entry of a table with its ids of one kind.
type named struct {
	entryOf
	ids []int64
	at  *cell // the first of them
}

// sameIDs finds entries with different names and the same ids. An id that several
// entries have beside ids of their own, as of a common front door, is none of them.
func (l *lint) sameIDs() {
	first := map[string]*named{}
	for _, n := range l.entries() {
		key := fmt.Sprint(n.lock, n.ids)
		other, again := first[key]
		switch {
		case !again:
			first[key] = n
		case plainName(other.name) != plainName(n.name):
			what := Use{ID: n.ids[0], Lock: n.lock}
			l.say(n.at.place.errorf(`%s stands under "%s" here and under "%s" in %s:%d: if one of them was copied, it opens the wrong door`,
				what, n.name, other.name, other.at.place.src.name, other.at.place.line))
		}
	}
}

// entries are all entries of tables that actions take ids from, in order.
func (l *lint) entries() []*named {
	known := map[entryOf]*named{}
	var all []*named
	for _, u := range l.uses {
		if u.cell.table == nil {
			continue
		}
		key := entryOf{table: u.cell.table, name: u.cell.entry, lock: u.Lock}
		n, ok := known[key]
		if !ok {
			n = &named{entryOf: key, at: u.cell}
			known[key] = n
			all = append(all, n)
		}
		if !slices.Contains(n.ids, u.ID) {
			n.ids = append(n.ids, u.ID)
			slices.Sort(n.ids)
		}
		if before(u.cell.place, n.at.place) < 0 {
			n.at = u.cell
		}
	}
	slices.SortFunc(all, func(a, b *named) int { return before(a.at.place, b.at.place) })
	return all
}

// sameRules finds rules that say the same.
func (fl *fileLint) sameRules() {
	first := map[string]*rule{}
	for _, r := range fl.f.rules {
		text := r.says()
		if other, again := first[text]; again {
			fl.say(placeOf(fl.f.src, r.node).errorf(`this rule does the same as "%s" (line %d), and at the same time`, other.name, other.node.Line))
			continue
		}
		first[text] = r
	}
}

// says is all of a rule but its name.
func (ru *rule) says() string {
	var b strings.Builder
	for _, e := range []*expression{ru.when, ru.each, ru.at} {
		if e != nil {
			b.WriteString(e.tree().String())
		}
		b.WriteString("\n")
	}
	for _, l := range ru.lets {
		fmt.Fprintf(&b, "%s: %s\n", l.name, l.value.tree())
	}
	for _, v := range []*value{ru.expires, ru.unused} {
		if v != nil {
			b.WriteString(written(v.node))
		}
		b.WriteString("\n")
	}
	for _, x := range ru.do {
		fmt.Fprintf(&b, "\n%s", x.kind)
		for _, name := range sortedKeys(x.fields) {
			fmt.Fprintf(&b, " %s=%s", name, written(x.fields[name].node))
		}
	}
	return b.String()
}

// written is a value of YAML as one text.
func written(n *yaml.Node) string {
	parts := []string{fmt.Sprintf("%q", n.Value)}
	for _, c := range n.Content {
		parts = append(parts, written(c))
	}
	return "(" + strings.Join(parts, ",") + ")"
}
