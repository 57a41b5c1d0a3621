package rules

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"doorhook/internal/relay"
)

// Warnings are what is probably not meant, though nothing is wrong with it: what
// can never happen, what is not used, and ids that look copied by mistake.
func (s *Set) Warnings() Errors {
	l := s.lint()
	l.unusedTables()
	l.sameNames()
	l.sameIDs()
	l.unusedUnseen()
	return l.found.sorted()
}

// tableNode is a table as YAML.
type tableNode struct {
	src       *source
	name      string
	key, node *yaml.Node
	shared    bool
}

// tableNodes are the tables of all files.
func tableNodes(parsed []*fileLoader) []tableNode {
	var all []tableNode
	for _, fl := range parsed {
		_, trigger := fl.keys["trigger"]
		e, ok := fl.keys["tables"]
		for i := 0; ok && i+1 < len(e.node.Content); i += 2 {
			key := e.node.Content[i]
			all = append(all, tableNode{fl.src, key.Value, key, e.node.Content[i+1], !trigger})
		}
	}
	return all
}

// lint looks through all files of a set.
type lint struct {
	set    *Set
	tables []*table
	found  Errors
	uses   []Use
}

func (s *Set) lint() *lint {
	l := &lint{set: s}
	for _, t := range s.tables {
		l.tables = append(l.tables, newTable(t))
	}
	for _, name := range s.names {
		l.file(s.files[name])
	}
	return l
}

// say notes a warning, once.
func (l *lint) say(e *Error) {
	if !slices.ContainsFunc(l.found, func(o *Error) bool { return *o == *e }) {
		l.found = append(l.found, e)
	}
}

// fileLint looks through one file.
type fileLint struct {
	*lint
	f    *ruleFile
	flow *flow
}

func (l *lint) file(f *ruleFile) {
	for _, e := range f.closed {
		l.say(e)
	}
	fl := &fileLint{lint: l, f: f, flow: &flow{
		src: f.src, tables: map[string]*table{}, lets: map[string]*let{}, known: map[*let]reach{}, used: map[*let]bool{},
		each: unknown(), say: l.say,
	}}
	for i, t := range l.set.tables {
		if t.shared || t.src == f.src {
			fl.flow.tables[t.name] = l.tables[i]
		}
	}
	for _, x := range f.lets {
		fl.flow.lets[x.name] = x
	}
	for _, e := range []*expression{f.id, f.booking, f.version, f.cancelled} {
		fl.flow.expression(e).take()
	}
	for _, r := range f.respond {
		fl.flow.value(r.value).take()
	}
	for _, r := range slices.Concat(f.rules, f.spare) {
		fl.rule(r)
	}
	fl.unusedLets(fl.flow, f.lets)
	fl.cancelled()
	fl.sameRules()
}

func (fl *fileLint) unusedLets(f *flow, lets []*let) {
	for _, x := range lets {
		f.let(x) // what it says is looked at in any case
	}
	for _, x := range lets {
		if !f.used[x] {
			fl.say(placeOf(fl.f.src, x.key).errorf(`nothing uses "%s": remove it, or see where its name was meant to stand`, x.name))
		}
	}
}

// ruleLint looks at one rule.
type ruleLint struct {
	*fileLint
	flow *flow
	r    *rule
}

func (fl *fileLint) rule(r *rule) {
	inner := *fl.flow
	inner.lets = maps.Clone(fl.flow.lets)
	if r.each != nil {
		inner.each = fl.flow.expression(r.each).elements()
	}
	for _, x := range r.lets {
		inner.lets[x.name] = x
	}
	rl := &ruleLint{fileLint: fl, flow: &inner, r: r}
	inner.expression(r.when).take()
	inner.expression(r.at).take()
	for _, v := range []*value{r.expires, r.unused} {
		if v != nil {
			inner.value(v).take()
		}
	}
	for _, x := range r.do {
		rl.effect(x)
	}
	fl.unusedLets(&inner, r.lets)
	rl.constants()
}

func (rl *ruleLint) effect(x *effect) {
	for _, field := range relay.Fields[x.kind] {
		v := x.fields[field.Name]
		if v == nil {
			continue
		}
		got := rl.flow.value(v)
		if takesDoors(field) {
			rl.id(x, field.Name, v, got.all())
			continue
		}
		got.take()
	}
	rl.window(x)
	rl.leads(x)
}

// takesDoors reports whether a field takes ids of locks or groups.
func takesDoors(f relay.Field) bool {
	return (f.Type == relay.ID || f.Type == relay.IDs) && f.Name != "user_id"
}

// id looks at what a field may get that takes an id.
func (rl *ruleLint) id(x *effect, field string, v *value, got reach) {
	what := fmt.Sprintf("%s.%s", x.kind, field)
	for _, c := range got.cells {
		if c.fields != nil {
			rl.say(rl.placeOf(v).errorf("%s takes an id, and this is a whole entry of a table: write which of its fields is meant", what))
		}
		if c.value == nil {
			continue
		}
		id, err := idOf(c.value)
		if err != nil {
			rl.say(c.place.errorf("%s takes this: %v", what, err))
			continue
		}
		lock := field != "group_id"
		rl.uses = append(rl.uses, Use{ID: id, Lock: lock, For: x.kind, Guarded: !lock && rl.f.limits.group != nil, cell: c})
	}
	said := rl.conditions()
	for _, lack := range got.lacks {
		if key := lack.entry.entry + "." + lack.field; !said[lack.field] && !said[lack.entry.entry] && !lack.entry.table.said[key] {
			lack.entry.table.said[key] = true
			rl.say(lack.entry.key.errorf(`"%s" has no %s, and the rule "%s" takes %s from it: for it the rule would fail`, lack.entry.entry, lack.field, rl.r.name, what))
		}
	}
}

// placeOf is where v begins.
func (rl *ruleLint) placeOf(v *value) place {
	if v.lone != nil {
		return v.lone.start()
	}
	return placeOf(rl.f.src, v.node)
}

// unusedTables finds tables and fields that no expression asks for.
func (l *lint) unusedTables() {
	for _, t := range l.tables {
		if !t.used {
			l.say(t.place.errorf("nothing uses the table %s", t.name))
			continue
		}
		if t.whole {
			continue
		}
		seen := map[string]bool{}
		for _, entry := range sortedKeys(t.root.fields) {
			for _, field := range sortedKeys(t.root.fields[entry].fields) {
				if c := t.root.fields[entry].fields[field]; !t.read[field] && !seen[field] {
					seen[field] = true
					l.say(c.key.errorf("nothing uses the field %s of the table %s", field, t.name))
				}
			}
		}
	}
}
